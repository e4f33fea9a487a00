"""What is put into `defs/` is found, in every form that Dagster knows, or refused by its name."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from importlib import import_module
from pathlib import Path

import dagster as dg
import pytest

from trading_assets.runs.defs_folder import merged, modules_of

ROOT = Path(__file__).parents[2]
LOADED = """
import json
from trading_assets.definitions import __file__ as file, defs
definitions = defs.get_repository_def()
assets = [key.to_user_string() for key in defs.resolve_asset_graph().get_all_asset_keys()]
named = [one.name for one in (*definitions.schedule_defs, *definitions.sensor_defs)]
print(json.dumps([file, sorted({*assets, *definitions.job_names, *named})]))
"""


def copied(tmp_path: Path) -> Path:
    """A copy of the package, and in it the folder of the definitions."""
    shutil.copytree(
        ROOT / "trading_assets", tmp_path / "trading_assets", ignore=shutil.ignore_patterns("__pycache__")
    )
    return tmp_path / "trading_assets" / "defs"


def loaded(tmp_path: Path) -> set[str]:
    shown = subprocess.run(
        [sys.executable, "-c", LOADED], cwd=tmp_path, capture_output=True, text=True, check=True, timeout=60
    )
    file, definitions = json.loads(shown.stdout)
    assert Path(file).is_relative_to(tmp_path)
    return set(definitions)


def defined(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, **files: str) -> dg.Definitions:
    """What a folder with these modules defines, beside one resource named `desk`."""
    for name, text in {"__init__": "", **files}.items():
        (tmp_path / f"{name}.py").write_text(text)
    monkeypatch.syspath_prepend(tmp_path.parent)
    modules = modules_of(import_module(tmp_path.name))
    own = dg.load_definitions_from_modules(modules, resources={"desk": "ours"})
    return merged(own, modules)


def names(defs: dg.Definitions) -> set[str]:
    repository = defs.get_repository_def()
    assets = {key.to_user_string() for key in defs.resolve_asset_graph().get_all_asset_keys()}
    return assets | {name for name in repository.job_names if not name.startswith("__")}


@pytest.mark.slow(seconds=6)
def test_a_file_dropped_into_the_folder_is_found_without_an_entry_anywhere(tmp_path: Path) -> None:
    place = copied(tmp_path)
    (place / "scaffolded.py").write_text("import dagster as dg\n\n@dg.asset\ndef at_the_top(): ...\n")
    (place / "research" / "plain").mkdir(parents=True)
    (place / "research" / "__init__.py").touch()
    (place / "research" / "plain" / "scaffolded.py").write_text(
        "import dagster as dg\n\n@dg.asset\ndef in_a_folder_without_init(): ...\n"
    )
    (place / ".ipynb_checkpoints").mkdir()
    (place / ".ipynb_checkpoints" / "scaffolded.py").write_text("an editor's copy, half written")
    (place / "research" / "scaffolded.py").write_text(
        "import dagster as dg\n\n"
        "@dg.asset\ndef in_a_folder(): ...\n\n"
        "@dg.op\ndef work(): ...\n\n"
        "@dg.job\ndef new_job(): work()\n\n"
        "@dg.schedule(job=new_job, cron_schedule='0 9 * * *')\ndef new_schedule(): ...\n\n"
        "@dg.sensor(job=new_job)\ndef new_sensor(): ...\n"
    )
    code = """
import json
from trading_assets.definitions import __file__ as file, defs
definitions = defs.get_repository_def()
assets = [key.to_user_string() for key in defs.resolve_asset_graph().get_all_asset_keys()]
named = [one.name for one in (*definitions.schedule_defs, *definitions.sensor_defs)]
print(json.dumps([file, sorted({*assets, *definitions.job_names, *named})]))
"""
    shown = subprocess.run(
        [sys.executable, "-c", code], cwd=tmp_path, capture_output=True, text=True, check=True, timeout=60
    )
    file, definitions = json.loads(shown.stdout)
    assert Path(file).is_relative_to(tmp_path)
    assets = {"at_the_top", "in_a_folder", "in_a_folder_without_init"}
    assert {*assets, "new_job", "new_schedule", "new_sensor"} <= set(definitions)


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("import nowhere_at_all\n", "ModuleNotFoundError: No module named 'nowhere_at_all'"),
        ("def half(:\n", "SyntaxError: invalid syntax"),
        ("raise SystemExit(3)\n", "SystemExit: 3"),
    ],
)
def test_a_file_that_does_not_load_is_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, text: str, why: str
) -> None:
    (tmp_path / "__init__.py").touch()
    (tmp_path / "broken.py").write_text(text)
    monkeypatch.syspath_prepend(tmp_path.parent)
    with pytest.raises(ImportError) as raised:
        modules_of(import_module(tmp_path.name))
    assert str(raised.value).startswith(f"{tmp_path.name}.broken does not load: {why}")
    assert str(raised.value).endswith("Mend that file, or move it away")


TWO_ASSETS = """
import dagster as dg
@dg.asset
def at_the_top(): ...
@dg.asset
def another(): ...
work = dg.define_asset_job("work", selection=[at_the_top])
"""


def test_a_definitions_object_in_a_file_is_loaded_and_what_stands_beside_it_too(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    mine = TWO_ASSETS + "defs = dg.Definitions(assets=[at_the_top], jobs=[work], resources={'mine': 1})\n"
    definitions = defined(tmp_path, monkeypatch, mine=mine)
    assert names(definitions) == {"at_the_top", "another", "work"}
    assert {"desk", "mine"} <= set(definitions.resources or {})


def test_a_definitions_object_that_two_files_name_is_loaded_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    inner = "import dagster as dg\n@dg.asset\ndef inner(): ...\n"
    both = {
        "first": f"{inner}defs = dg.Definitions(assets=[inner])\ndel inner\n",
        "second": f"from {tmp_path.name}.first import defs\n",
    }
    assert names(defined(tmp_path, monkeypatch, **both)) == {"inner"}


def test_a_function_that_returns_definitions_is_called(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    scaffolded = """
import dagster as dg
@dg.definitions
def resources() -> dg.Definitions:
    return dg.Definitions(resources={"mine": 1})
"""
    assert "mine" in (defined(tmp_path, monkeypatch, scaffolded=scaffolded).resources or {})


@pytest.mark.parametrize(
    ("mine", "why"),
    [
        (
            "defs = dg.Definitions(resources={'desk': 'another'})",
            "mine does not load: DagsterInvariantViolationError: .*'desk'",
        ),
        (
            "@dg.definitions\ndef fails() -> dg.Definitions: raise ValueError('half done')",
            "mine does not load: ValueError: half done",
        ),
        (
            "@dg.definitions\ndef needs(context: dg.ComponentLoadContext) -> dg.Definitions: ...",
            "mine does not load: .*ComponentLoadContext",
        ),
        (
            "@dg.component_instance\ndef part(context: dg.ComponentLoadContext): ...",
            "mine.part is a component, which is not loaded",
        ),
    ],
)
def test_definitions_that_cannot_be_taken_in_are_refused_by_the_name_of_their_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, mine: str, why: str
) -> None:
    with pytest.raises(ImportError, match=why):
        defined(tmp_path, monkeypatch, mine=f"import dagster as dg\n{mine}\n")


@pytest.mark.parametrize("name", ["defs.yaml", "component.yaml"])
def test_a_file_that_describes_a_component_is_refused_by_its_name(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    (tmp_path / "report").mkdir()
    (tmp_path / "report" / name).write_text("type: dagster.PythonScriptComponent\n")
    with pytest.raises(ImportError, match=f"report/{name} describes a component, which is not loaded"):
        defined(tmp_path, monkeypatch)


@pytest.mark.slow(seconds=20)
def test_what_dg_scaffolds_is_found_by_dg_and_by_dagster(tmp_path: Path) -> None:
    copied(tmp_path)
    for name in ("pyproject.toml", "workspace.yaml", "README.md"):
        shutil.copy(ROOT / name, tmp_path)
    programs = Path(sys.executable).parent
    for arguments in (
        ["dagster.asset", "research/assets.py"],
        ["dagster.resources", "research/resources.py"],
    ):
        subprocess.run(
            [programs / "dg", "scaffold", "defs", *arguments], cwd=tmp_path, check=True, timeout=120
        )
    assert "assets" in loaded(tmp_path)
    shown = subprocess.run(
        [programs / "dg", "check", "defs"], cwd=tmp_path, capture_output=True, text=True, timeout=120
    )
    assert "All definitions loaded successfully" in shown.stdout, shown.stdout + shown.stderr
