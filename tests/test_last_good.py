"""The last configuration that could be used, remembered by a process and kept for one that begins."""

from __future__ import annotations

from pathlib import Path

import pytest

from trading_assets.config import LastGood, Settings, keep, kept, limits, load
from trading_assets.config.last_good import NAME
from trading_assets.errors import InvalidInput


@pytest.fixture
def file(tmp_path: Path) -> Path:
    file = tmp_path / "config" / "execution.yaml"
    file.parent.mkdir()
    file.write_text("stop_loss: 0.04\n")
    return file


@pytest.fixture
def home(tmp_path: Path) -> Path:
    home = tmp_path / "dagster"
    home.mkdir()
    return home


def test_who_begins_while_the_file_is_wrong_goes_on_by_what_was_kept_of_it(file: Path, home: Path) -> None:
    keep(home, file, load(file))
    file.write_text("stop_los: 0.04\n")
    configured = LastGood(file, {"DAGSTER_HOME": str(home)})
    assert limits(configured.settings).stop_loss == 0.04
    assert configured.fault is not None
    file.write_text("stop_loss: 0.03\n")
    assert limits(configured.read()).stop_loss == 0.03
    assert configured.fault is None


@pytest.mark.parametrize("text", ["", "{", "[]", '{"path": "PATH", "settings": {"of": "another version"}}'])
def test_what_is_kept_and_of_no_use_is_nothing(file: Path, home: Path, text: str) -> None:
    (home / NAME).write_text(text.replace("PATH", str(file.resolve())))
    file.write_text("mode: [\n")
    with pytest.raises(InvalidInput):
        LastGood(file, {"DAGSTER_HOME": str(home)})


def test_what_is_kept_of_another_file_is_not_this_ones(file: Path, home: Path) -> None:
    keep(home, file, load(file))
    assert kept(home, file.with_name("other.yaml")) is None


def test_a_place_that_cannot_be_written_keeps_no_run_from_protecting(file: Path, home: Path) -> None:
    keep(home / "gone", file, Settings())
    assert kept(home / "gone", file) is None
