"""Some sessions of a year of operation: what end_of_day deletes leaves nothing but what is right of it."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).parents[1]
SESSIONS, TICKS, KEPT_DAYS = 9, 4, 7
pytestmark = [pytest.mark.slow, pytest.mark.exchange]


@pytest.fixture(scope="module")
def year(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    home = tmp_path_factory.mktemp("year")
    sizes = ("--sessions", str(SESSIONS), "--ticks", str(TICKS), "--really", "1", "--protections", "3")
    ended = subprocess.run(
        [
            sys.executable,
            "benchmarks/year_of_operation",
            *sizes,
            "--home",
            str(home / "home"),
            "--json",
            str(home / "found.json"),
        ],
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )
    assert (home / "found.json").exists(), ended.stderr[-3000:]
    return dict(json.loads((home / "found.json").read_text()))


def test_every_session_is_materialized_reported_and_checked_and_deleted_runs_leave_nothing(
    year: dict[str, Any],
) -> None:
    assert year["problems"] == []
    assert year["tick_runs"] == SESSIONS * TICKS


def test_the_runs_past_their_time_are_the_ones_deleted(year: dict[str, Any]) -> None:
    # 2012-01-03 to 2012-01-13: at the last end of the day the ticks until the 6th are older than a week, and
    # of the protections those of the first day and of the 12th
    assert year["runs_deleted"] == 4 * TICKS + 1 + 3


def test_the_web_interface_shows_the_sessions_whose_runs_are_deleted(year: dict[str, Any]) -> None:
    assert year["wrong"] == []
    assert set(year["answers"]) >= {"asset graph", "asset partitions", "asset history", "runs", "one run"}
