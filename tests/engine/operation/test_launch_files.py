"""Which files a launch may name, and that nothing of another file is told."""

from __future__ import annotations

import os
from pathlib import Path
from traceback import format_exception

import pytest

from trading_assets.config import Settings
from trading_assets.engine.operation.launch_files import import_dir, named_configuration, named_file
from trading_assets.engine.replay.signal_file import read_signals
from trading_assets.errors import InvalidInput
from trading_assets.model import registry

SECRET = "what-nobody-may-read"


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    made = Settings(data_dir=tmp_path / "var", account_number="PA1")
    import_dir(made).mkdir(parents=True)
    (tmp_path / "keys").write_text(SECRET)
    return made


@pytest.mark.parametrize(
    "name",
    [
        "{root}/keys",
        "/etc/passwd",
        "../../keys",
        "../../../../../../../../etc/passwd",
        "link",
        "linked/keys",
        "circle",
        "~/.ssh/id_rsa",
        "nul\0.csv",
        "a" * 5_000,
        "",
        ".",
        "..",
    ],
)
def test_a_file_elsewhere_is_refused_unseen(tmp_path: Path, settings: Settings, name: str) -> None:
    root = import_dir(settings)
    (root / "link").symlink_to(tmp_path / "keys")
    (root / "linked").symlink_to(tmp_path)
    (root / "circle").symlink_to(root / "circle")
    with pytest.raises(InvalidInput, match=r"run configuration, signals_path: ") as refused:
        named_file(name.format(root=tmp_path), settings, "signals_path")
    assert SECRET not in str(refused.value)
    assert len(str(refused.value)) < 500


def test_whether_a_file_elsewhere_is_there_is_not_told(tmp_path: Path, settings: Settings) -> None:
    refusals = []
    for name in ("keys", "none"):
        with pytest.raises(InvalidInput) as refused:
            named_file(str(tmp_path / name), settings, "signals_path")
        refusals.append(str(refused.value).replace(name, ""))
    assert refusals[0] == refusals[1]


def test_a_pipe_is_no_file_and_holds_up_nobody(settings: Settings) -> None:
    os.mkfifo(import_dir(settings) / "pipe.csv")
    with pytest.raises(InvalidInput, match="there is no file"):
        named_file("pipe.csv", settings, "signals_path")


def test_files_of_both_directories_are_found_by_name_and_by_path(tmp_path: Path, settings: Settings) -> None:
    imported, kept = import_dir(settings) / "mine" / "a.csv", settings.data_dir / "b.csv"
    imported.parent.mkdir()
    for file in (imported, kept):
        file.write_text("x")
    assert named_file("mine/a.csv", settings, "f") == imported.resolve()
    assert named_file(str(imported), settings, "f") == imported.resolve()
    assert named_file("../b.csv", settings, "f") == kept.resolve()
    elsewhere = settings.model_copy(update={"import_dir": tmp_path})
    assert named_file("keys", elsewhere, "f") == (tmp_path / "keys").resolve()


def test_a_replay_takes_limits_from_another_configuration_and_neither_journal_nor_account(
    tmp_path: Path, settings: Settings
) -> None:
    text = f"""
data_dir: {tmp_path}/mine
import_dir: /
mode: live
venue: alpaca
account_number: PA2
symbols: [IBM]
max_position_pct: 0.5
embedded: {{url: "http://127.0.0.1:1", control_url: "http://127.0.0.1:2"}}
"""
    (import_dir(settings) / "other.yaml").write_text(text)
    taken = named_configuration("other.yaml", settings, "configuration")
    assert (taken.symbols, taken.max_position_pct) == (("IBM",), 0.5)
    own = ("data_dir", "import_dir", "mode", "venue", "account_number", "embedded")
    assert [getattr(taken, key) for key in own] == [getattr(settings, key) for key in own]


def test_a_configuration_that_is_named_names_no_model_elsewhere(tmp_path: Path, settings: Settings) -> None:
    (import_dir(settings) / "other.yaml").write_text(f"model_path: {tmp_path}/keys\n")
    with pytest.raises(InvalidInput, match="configuration, model_path: a launch may not name"):
        named_configuration("other.yaml", settings, "configuration")


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("keys.csv", f"{SECRET}\nmore\n"),
        ("keys.csv", f"APCA_API_SECRET_KEY={SECRET}\nAPCA_API_KEY_ID={SECRET}\n"),
        ("passwd", f"root:{SECRET}:0:0:root:/root:/bin/bash\ndaemon:x:1:1::/:/bin/false\n"),
        ("keys.csv", f"name,secret\nlive,{SECRET}\n"),
        ("keys.json", f'{{"secret": "{SECRET}"}}'),
        ("keys.json", f'{{"{SECRET}": "{SECRET}"}}'),
        ("keys.json", f'[{{"key": "{SECRET}"}}, "{SECRET}"]'),
        ("keys.json", f'["{SECRET}"]'),
        ("keys.json", f'"{SECRET}"'),
        ("keys.json", f"{SECRET}: not json"),
        ("keys.json", f'[{{"symbol": "{SECRET}"}}]'),
        ("keys.parquet", SECRET),
        ("keys.csv", f'"{SECRET}'),
    ],
)
def test_a_file_that_is_none_of_signals_is_refused_without_a_word_of_it(
    tmp_path: Path, name: str, text: str
) -> None:
    path = tmp_path / name
    path.write_text(text)
    with pytest.raises(InvalidInput) as refused:
        read_signals(path)
    trace = "".join(format_exception(refused.value))  # what a run that fails shows, causes and all
    assert SECRET not in trace
    assert "root:" not in trace


@pytest.mark.parametrize("content", [b"%s", b"\xff%s", b'{"x": "%s"}'])
def test_a_file_that_is_no_models_manifest_is_refused_without_a_word_of_it(
    tmp_path: Path, content: bytes
) -> None:
    (tmp_path / registry.MANIFEST).write_bytes(content % SECRET.encode())
    with pytest.raises(InvalidInput) as refused:
        registry.load(tmp_path / registry.MODEL, tmp_path / registry.FEATURES)
    assert SECRET not in "".join(format_exception(refused.value))
