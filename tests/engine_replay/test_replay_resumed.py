"""A replay that goes on gives what one at once gives: after a kill, and session by session; and so does
plain Python."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import duckdb
import pytest
from dying_replay import DAYS, DIES_AFTER, SYMBOLS, settings, spec

from trading_assets.engine.replay import ExternalSignal, ExternalSignals, ReplaySpec, run
from trading_assets.engine.replay.range_run import ReplayPace
from trading_assets.errors import InvalidInput
from trading_assets.market.sessions import Sessions

TABLES = ("signals", "verdicts", "orders", "fills", "positions", "equity", "checks")
AFTER = Sessions().next(DAYS[-1])
DYING = Path(__file__).with_name("dying_replay.py")
PLAIN = """
import sys
from pathlib import Path
from dying_replay import settings, spec
from trading_assets.core.walk.session import walk_compiled
from trading_assets.engine.replay import run
assert not hasattr(walk_compiled, "py_func"), "compiled"
interval = int(sys.argv[2]) if len(sys.argv) > 2 else None
run(settings(Path(sys.argv[1])), spec(interval))
"""


def contents(data_dir: Path) -> dict[str, str]:
    """Every row of every table as text: NaN is NaN, and a bit more or less is another text."""
    with duckdb.connect(data_dir / "replays" / "dying.duckdb", read_only=True) as connection:
        return {table: repr(connection.execute(f"SELECT * FROM {table}").fetchall()) for table in TABLES}


@pytest.fixture(scope="module")
def at_once(tmp_path_factory: pytest.TempPathFactory) -> Path:
    data_dir = tmp_path_factory.mktemp("at_once")
    report = run(settings(data_dir), spec())
    assert len(report.halts) > 2
    assert {str(halt.cause) for halt in report.halts} >= {"DAILY_LOSS", "SESSION_DRAWDOWN"}
    assert sum(result.orders for result in report.sessions) > 20
    return data_dir


@pytest.mark.slow
def test_a_killed_replay_goes_on_after_its_last_session_and_ends_as_if_it_had_not_been(
    at_once: Path, tmp_path: Path
) -> None:
    died = subprocess.run([sys.executable, str(DYING), str(tmp_path)], check=False, timeout=300)
    assert died.returncode == -signal.SIGKILL
    assert not (tmp_path / "replays" / "dying.duckdb").exists()
    paces: list[ReplayPace] = []
    run(settings(tmp_path), spec(), progress=paces.append)
    walked = paces[0].done - 1  # not walked again: all but the one whose commit the kill may have met
    assert walked in (DIES_AFTER - 1, DIES_AFTER)
    assert contents(tmp_path) == contents(at_once)
    pages = [directory / "replays" / "dying.html" for directory in (tmp_path, at_once)]
    assert pages[0].read_bytes() == pages[1].read_bytes()


@pytest.mark.slow
def test_a_killed_replay_of_another_kind_is_begun_anew(tmp_path: Path) -> None:
    subprocess.run([sys.executable, str(DYING), str(tmp_path)], check=False, timeout=300)
    paces: list[ReplayPace] = []
    run(settings(tmp_path), replace(spec(), cost_bps=2.0), progress=paces.append)
    assert paces[0].done == 1


@pytest.mark.slow
def test_session_by_session_is_the_range_at_once(at_once: Path, tmp_path: Path) -> None:
    for number, day in enumerate(DAYS):
        report = run(settings(tmp_path), replace(spec(), first=day, last=day, continues=number > 0))
    assert [result.session for result in report.sessions] == list(DAYS)
    assert contents(tmp_path) == contents(at_once)


@pytest.mark.slow(seconds=5)
def test_signals_may_come_as_the_replay_goes_on(at_once: Path, tmp_path: Path) -> None:
    whole = spec()
    assert isinstance(whole.source, ExternalSignals)
    for number, day in enumerate(DAYS):
        so_far = tuple(signal for signal in whole.source.signals if signal.at <= day)  # type: ignore[operator]
        part = replace(whole, source=ExternalSignals(so_far), first=day, last=day, continues=number > 0)
        run(settings(tmp_path), part)
    assert contents(tmp_path) == contents(at_once)
    late = ExternalSignal(SYMBOLS[0], 0.3, DAYS[1])
    changed = replace(part, source=ExternalSignals((late, *so_far)), first=AFTER, last=AFTER)
    with pytest.raises(InvalidInput, match="not those that it was made with"):
        run(settings(tmp_path), changed)


def test_a_replay_goes_on_only_where_one_of_its_kind_ended(tmp_path: Path) -> None:
    def part(first: int, last: int, **changes: object) -> ReplaySpec:
        days = {"first": DAYS[first], "last": DAYS[last]}
        return replace(spec(), **{"continues": True, **days, **changes})  # type: ignore[arg-type]

    with pytest.raises(InvalidInput, match="nothing to go on with"):
        run(settings(tmp_path), part(1, 2))
    run(settings(tmp_path), part(0, 1, continues=False))
    with pytest.raises(InvalidInput, match=f"it ended on {DAYS[1]}, not on {DAYS[2]}"):
        run(settings(tmp_path), part(3, 4))
    with pytest.raises(InvalidInput, match="not those that it was made with"):
        run(settings(tmp_path), part(2, 3, cost_bps=3.0))
    assert len(run(settings(tmp_path), part(2, 3)).sessions) == 4


@pytest.mark.slow
@pytest.mark.parametrize("interval", [None, 65])
def test_plain_python_gives_the_compiled_replays_bits(tmp_path: Path, interval: int | None) -> None:
    compiled, plain = tmp_path / "compiled", tmp_path / "plain"
    run(settings(compiled), spec(interval))
    command = [sys.executable, "-W", "ignore", "-c", PLAIN, str(plain)]
    subprocess.run(
        command + ([] if interval is None else [str(interval)]),
        env={**os.environ, "NUMBA_DISABLE_JIT": "1", "PYTHONPATH": str(DYING.parent)},
        check=True,
        timeout=300,
    )
    assert contents(plain) == contents(compiled)
