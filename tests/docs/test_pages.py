"""What the pages name exists: source files, columns of queries, commands and options, imports."""

from __future__ import annotations

import re
import sqlite3
from itertools import pairwise
from pathlib import Path
from textwrap import dedent

import dagster as dg
import pytest
import typer
import yaml

from trading_assets import config
from trading_assets.cli.application import app
from trading_assets.definitions import defs
from trading_assets.defs.replay.assets import ReplayConfig
from trading_assets.engine.book.halts import Cause
from trading_assets.store.history import History
from trading_assets.store.journal import Journal
from trading_assets.store.schema import METADATA

ROOT = Path(__file__).parents[2]
NAMES = ("README.md", "CHANGELOG.md", "CONTRIBUTING.md", "SECURITY.md")
PAGES = [*(ROOT / name for name in NAMES), *sorted((ROOT / "docs").glob("*.md"))]
QUERIES = [
    (page.name, database, sql)
    for page in PAGES
    for database, sql in re.findall(r"```sql\n-- (\S+)\n(.*?)```", page.read_text(), re.DOTALL)
]
CONFIGURATIONS = [
    (name, dedent(text))
    for page in PAGES
    for text, name in re.findall(r"```yaml\n((?: *)# (config/\S+)\n.*?)```", page.read_text(), re.DOTALL)
]
SNIPPETS = [
    (page.name, code)
    for page in PAGES
    for code in re.findall(r"```python\n(.*?)```", page.read_text(), re.DOTALL)
]
COMMANDS = [
    (page.name, line)
    for page in PAGES
    for line in re.findall(r"trading-assets ([a-z][a-z-]*[^`\n#;|]*)", page.read_text())
]


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_every_source_file_that_is_named_exists(page: Path) -> None:
    named = re.findall(r"`([\w/]+/[\w.]+\.(?:py|sql|yaml|md))`", page.read_text())
    places = (ROOT, ROOT / "trading_assets")
    written_by_the_reader = {name for name, _ in CONFIGURATIONS} | {
        *(ROOT / ".gitignore").read_text().splitlines()
    }
    missing = [name for name in named if not any((place / name).exists() for place in places)]
    assert set(missing) <= written_by_the_reader


def test_the_map_names_every_package_and_every_room_and_stays_short() -> None:
    package = ROOT / "trading_assets"
    text = (ROOT / "docs" / "architecture.md").read_text()
    described = " ".join(re.findall(r"^\| (`[^|]+) \| [^|]+ \|$", text, re.MULTILINE))
    modules = [path for path in package.iterdir() if path.suffix == ".py" or (path / "__init__.py").exists()]
    known_by_their_place = {"__init__", "definitions"}
    names = {path.stem for path in modules} - known_by_their_place
    names |= {path.parent.name for path in (package / "engine").glob("*/__init__.py")}
    assert [name for name in sorted(names) if f"`{name}`" not in described] == []
    assert len(text.split()) < 6000


def test_every_row_of_where_is_leads_to_a_name_that_stands_there() -> None:
    text = (ROOT / "docs" / "architecture.md").read_text()
    table = text[text.index("## Where is") : text.index("## Packages")]
    rows = re.findall(r"^\| [^|]+ \| `([\w/.]+)` \| ([^|]*) \|$", table, re.MULTILINE)
    assert len(rows) > 30
    missing = []
    for place, words in rows:
        quoted = re.findall(r"`([^`]+)`", words)
        files = [place, *(name for name in quoted if name.endswith(".py"))]
        source = "".join(
            (ROOT / "trading_assets" / file).read_text() for file in files if file.endswith(".py")
        )
        names = [name for name in quoted if "/" not in name and " " not in name]
        missing += [(place, name) for name in names if name.split(".")[-1] not in source]
    assert missing == []


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_lists_of_a_page_are_lists_on_the_site_too(page: Path) -> None:
    """MkDocs takes a list only after a blank line, and what belongs to an item only at four spaces."""
    text = re.sub(r"^```.*?^```", "", page.read_text(), flags=re.DOTALL | re.MULTILINE)
    lines = text.splitlines()
    item = re.compile(r" *(?:[-*]|\d+\.) ")
    too_little = re.compile(r" {1,3}(?:[-*] |\d+\. |```)")
    wrong = [line for line in lines if too_little.match(line)]
    wrong += re.findall(r"\n\n( {1,3}\S.*)", text)
    for above, line in pairwise(lines):
        if item.match(line) and above and not (item.match(above) or above.startswith(" ")):
            wrong.append(line)
    assert wrong == []


def test_every_table_of_both_stores_is_explained() -> None:
    text = (ROOT / "docs" / "stores.md").read_text()
    explained, _, _ = text.partition("<!-- table: journal-tables -->")
    assert [name for name in METADATA.tables if f"`{name}`" not in explained] == []


def test_every_cause_of_a_halt_is_explained() -> None:
    text = (ROOT / "docs" / "protection.md").read_text()
    assert [cause for cause in Cause if not re.search(rf"\b{cause}\b", text)] == []


@pytest.mark.parametrize(("page", "database", "sql"), QUERIES)
def test_every_query_runs(page: str, database: str, sql: str, tmp_path: Path) -> None:
    if database.endswith(".duckdb"):
        History(tmp_path / "history.duckdb").query(sql)
    else:
        path = tmp_path / "journal.sqlite"
        Journal.open(path).close()
        sqlite3.connect(path).execute(sql).fetchall()


def test_the_page_of_queries_has_some_of_each_store() -> None:
    assert {Path(database).name for page, database, _ in QUERIES if page == "queries.md"} == {
        "history.duckdb",
        "journal.sqlite",
        "demo.duckdb",
    }


@pytest.mark.parametrize(("page", "code"), SNIPPETS)
def test_every_import_of_a_snippet_is_there(page: str, code: str) -> None:
    compile(code, page, "exec")
    imports = "\n".join(re.findall(r"^(?:from|import) .*$", code, re.MULTILINE))
    assert imports
    exec(imports, {})


@pytest.mark.parametrize(("name", "text"), CONFIGURATIONS)
def test_every_configuration_can_be_used(name: str, text: str, tmp_path: Path) -> None:
    path = tmp_path / name
    path.parent.mkdir()
    path.write_text(text)
    assert config.load(path).data_dir == tmp_path / "var" / path.stem


@pytest.mark.parametrize(("page", "line"), COMMANDS)
def test_every_command_exists_and_has_the_options_shown(page: str, line: str) -> None:
    commands = vars(typer.main.get_command(app))["commands"]
    name, *words = line.split()
    assert name in commands, page
    command = commands[name]
    if words and words[0] in vars(command).get("commands", {}):  # a group's, such as `data report`
        command = vars(command)["commands"][words[0]]
    known = {option for parameter in command.params for option in parameter.opts}
    assert [word for word in words if word.startswith("--") and word not in known | {"--help"}] == []


def test_every_field_of_a_replay_is_explained() -> None:
    text = (ROOT / "docs" / "replay.md").read_text()
    assert [name for name in ReplayConfig.model_fields if f"`{name}`" not in text] == []


def test_the_recipe_of_a_limit_names_the_places_that_its_test_changes() -> None:
    text = (ROOT / "docs" / "extending.md").read_text()
    recipe = text[text.index("## A limit") : text.index("## An asset check")]
    in_rows = re.findall(r"^\| `([\w/]+\.py)`", recipe, re.MULTILINE)
    test = (ROOT / "tests" / "test_new_limit.py").read_text()
    changed = re.findall(r'^    "trading_assets/([\w/]+\.py)": \(', test, re.MULTILINE)
    assert in_rows == changed
    assert len(changed) == 3


def test_the_figures_of_the_readme_are_those_of_the_benchmarks() -> None:
    readme = " ".join((ROOT / "README.md").read_text().split())
    page = (ROOT / "docs" / "benchmarks.md").read_text()
    standard = page[page.index("`standard`, 1 170 000 rows") : page.index("`alone:3900`, 195 000")]
    times = dict(re.findall(r"^\| (\w+) \|[^|]+\| ([\d.]+) ", standard, re.MULTILINE))
    vectorbt, zipline, bt = (float(times[name]) for name in ("vectorbt", "zipline", "bt"))
    assert f"{vectorbt:.1f} times as fast as vectorbt and {zipline:.0f} times as fast as zipline" in readme
    assert f"{bt:.0f} times as fast as bt" in readme
    median = re.search(r"60 ticks on the otherwise\s+idle machine, [\d-]+: median ([\d.]+) s", page)
    assert median is not None
    assert f"{median[1]} s after the minute" in readme
    assert "2000 cases are the fixed choice" in (ROOT / "docs" / "testing.md").read_text()
    assert "2,000 cases" in readme


def test_the_run_config_and_the_keys_of_the_page_about_models_can_be_used(tmp_path: Path) -> None:
    text = (ROOT / "docs" / "model.md").read_text()
    run_config, keys = re.findall(r"```yaml\n(.*?)```", text, re.DOTALL)
    dg.validate_run_config(defs.resolve_job_def("train"), yaml.safe_load(run_config))
    (tmp_path / "config").mkdir()
    path = tmp_path / "config" / "model.yaml"
    path.write_text(keys)
    settings = config.load(path)
    assert settings.model.enabled
    assert settings.model_path == tmp_path / "var" / "models" / "champion" / "model.ubj"
