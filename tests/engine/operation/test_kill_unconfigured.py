"""A kill while the configuration cannot be used, beside the last one that could."""

from __future__ import annotations

from pathlib import Path

import pytest

from trading_assets.config import keep, load
from trading_assets.engine.operation import operator
from trading_assets.errors import InvalidInput


def broken_since(tmp_path: Path, data_dir: str) -> tuple[Path, InvalidInput]:
    """A desk that runs by `var`, whose file was then changed to `data_dir`, with a typo; the fault."""
    file = tmp_path / "config" / "execution.yaml"
    file.parent.mkdir()
    file.write_text("data_dir: var\n")
    keep(tmp_path, file, load(file))
    file.with_name("local.yaml").write_text(f"data_dir: {data_dir}\nsymbls: [AAPL]\n")
    with pytest.raises(InvalidInput) as raised:
        load(file)
    return file, raised.value


def killed(tmp_path: Path, file: Path, fault: InvalidInput) -> operator.Killed:
    environ = {"DAGSTER_HOME": str(tmp_path)}
    return operator.kill_unconfigured(file, fault, reason="a test", author="ada", environ=environ)


def test_it_is_set_where_the_file_says_and_where_protection_still_runs(tmp_path: Path) -> None:
    """The desk protects by the last good configuration: a file in the new directory alone stops nobody."""
    done = killed(tmp_path, *broken_since(tmp_path, "moved"))
    for place in ("moved", "var"):
        assert (tmp_path / place / "KILL").exists()
        assert str(tmp_path / place / "KILL") in done.kept


def test_one_place_that_cannot_be_written_keeps_it_not_from_the_other(tmp_path: Path) -> None:
    (tmp_path / "a file").touch()
    done = killed(tmp_path, *broken_since(tmp_path, "a file"))
    assert (tmp_path / "var" / "KILL").exists()
    assert "cannot be made: " in done.kept
    assert f"the kill file {tmp_path / 'var' / 'KILL'}" in done.kept


def test_it_is_set_once_where_both_are_the_same(tmp_path: Path) -> None:
    done = killed(tmp_path, *broken_since(tmp_path, "var"))
    assert done.kept == f"the kill file {tmp_path / 'var' / 'KILL'}"


def test_it_says_that_nothing_is_killed_where_there_is_no_desk(tmp_path: Path) -> None:
    """Typed in another directory it made a kill file there, which nobody reads, and said `killed`."""
    file = tmp_path / "config" / "execution.yaml"
    (tmp_path / "var").mkdir()  # as / has one
    fault = InvalidInput("there is no such file", where=str(file), remedy="Give the path")
    with pytest.raises(InvalidInput, match="NOTHING IS KILLED"):
        killed(tmp_path, file, fault)
    assert list((tmp_path / "var").iterdir()) == []


def test_it_holds_where_the_file_was_taken_away_under_a_desk(tmp_path: Path) -> None:
    file = tmp_path / "config" / "execution.yaml"
    (tmp_path / "var").mkdir()
    (tmp_path / "var" / "journal.sqlite").touch()
    fault = InvalidInput("there is no such file", where=str(file), remedy="Give the path")
    assert killed(tmp_path, file, fault).kept == f"the kill file {tmp_path / 'var' / 'KILL'}"
    assert (tmp_path / "var" / "KILL").exists()
