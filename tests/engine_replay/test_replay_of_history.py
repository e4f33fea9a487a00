"""The same bars from the history as from the bundle: whatever way they were read, one replay."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from datetime import date
from pathlib import Path
from typing import Literal

import duckdb
import pytest

from trading_assets.config import Settings
from trading_assets.engine.replay import ModelSignals, ReplaySpec, run, tape
from trading_assets.errors import InvalidInput
from trading_assets.market.bars import Bars, Interval
from trading_assets.market.bundle import BundledTape
from trading_assets.market.sessions import MINUTE_NS, Sessions
from trading_assets.store.bar_history import StoredBar, append_actions
from trading_assets.store.history import History

SYMBOLS = ("AAPL", "GOOG", "IBM", "MSFT")
SESSIONS = Sessions()
DAYS = tuple(
    SESSIONS.between(date(2012, 11, 20), date(2012, 11, 27))
)  # a holiday, a half day, ex-dates before
HALF_DAY = date(2012, 11, 23)
TABLES = ("signals", "verdicts", "orders", "fills", "positions", "equity")


def receive(data_dir: Path, after: date, last: date) -> None:
    """Have the desk's history receive the bundle's bars of after < session ≤ last."""
    history, bundle = History(data_dir / "history.duckdb"), BundledTape()
    for symbol in SYMBOLS:
        bars = list(_stored(symbol, Interval.DAY, bundle.daily(symbol)))
        for day in DAYS:
            bars += _stored(symbol, Interval.MINUTE, bundle.minutes(symbol, day))
        history.append("bars", [bar._asdict() for bar in bars if after < bar.session <= last])
    actions = [action for symbol in SYMBOLS for action in bundle.actions(symbol)]
    append_actions(history, actions, received_ns=1, source="bundled")


@pytest.fixture(scope="module")
def stored(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A desk whose history has received the bundle's bars up to the last of the days."""
    data_dir = tmp_path_factory.mktemp("desk")
    receive(data_dir, date.min, DAYS[-1])
    return data_dir


def _stored(symbol: str, interval: Interval, bars: Bars) -> Iterator[StoredBar]:
    for start_ns, end_ns, *values in zip(*(column.tolist() for column in bars), strict=True):
        day = SESSIONS.new_york_date(start_ns)
        yield StoredBar(symbol, interval, day, start_ns, end_ns, end_ns, *values, "bundled", False)


def settings(data_dir: Path) -> Settings:
    return Settings(data_dir=data_dir, symbols=SYMBOLS)


def spec(model: ModelSignals, bars: Literal["bundled", "history"], name: str) -> ReplaySpec:
    limits = {"stop_loss": 0.004, "max_spread_bps": 100.0, "max_orders_per_symbol_per_day": 50}
    return ReplaySpec(DAYS[0], DAYS[-1], model, name=name, interval=15, bars=bars, limits=limits)


def contents(data_dir: Path, name: str) -> dict[str, str]:
    """Every row of every table as text but for the book and the ids made of it."""
    named = "COLUMNS(c -> c NOT IN ('book', 'decision_id', 'client_order_id', 'activity_id'))"
    with duckdb.connect(data_dir / "replays" / f"{name}.duckdb", read_only=True) as connection:
        return {
            table: repr(connection.execute(f"SELECT {named} FROM {table}").fetchall()) for table in TABLES
        }


@pytest.fixture(scope="module")
def of_the_bundle(stored: Path, small_model: ModelSignals) -> dict[str, str]:
    report = run(settings(stored), spec(small_model, "bundled", "bundle"))
    assert sum(result.orders for result in report.sessions) > 10
    with duckdb.connect(report.history_path, read_only=True) as replayed:
        last_ns = replayed.execute(
            "SELECT max(tick_ns) FROM signals WHERE session = ?", [HALF_DAY]
        ).fetchone()
    assert last_ns == (SESSIONS.close_ns(HALF_DAY) - 15 * MINUTE_NS,)
    return contents(stored, "bundle")


@pytest.mark.slow
@pytest.mark.parametrize("rows_at_once", [1, 2_000_000], ids=["a session at a time", "all at once"])
def test_minutes_of_the_history_replay_as_those_of_the_bundle(
    stored: Path,
    small_model: ModelSignals,
    of_the_bundle: dict[str, str],
    monkeypatch: pytest.MonkeyPatch,
    rows_at_once: int,
) -> None:
    monkeypatch.setattr(tape, "ROWS_AT_ONCE", rows_at_once)
    name = f"history{rows_at_once}"
    run(settings(stored), spec(small_model, "history", name))
    assert contents(stored, name) == of_the_bundle


@pytest.mark.slow
def test_an_intraday_replay_of_the_history_session_by_session_is_the_range_at_once(
    stored: Path, small_model: ModelSignals, of_the_bundle: dict[str, str]
) -> None:
    whole = spec(small_model, "history", "parts")
    for number, day in enumerate(DAYS):
        run(settings(stored), replace(whole, first=day, last=day, continues=number > 0))
    assert contents(stored, "parts") == of_the_bundle


@pytest.mark.slow
def test_a_replay_goes_on_day_by_day_as_the_history_grows(
    tmp_path: Path, small_model: ModelSignals, of_the_bundle: dict[str, str]
) -> None:
    before = date.min
    for day in DAYS:
        receive(tmp_path, before, day)
        goes_on = replace(spec(small_model, "history", "grown"), first=day, last=day, continues=day > DAYS[0])
        run(settings(tmp_path), goes_on)
        before = day
    assert contents(tmp_path, "grown") == of_the_bundle


CORRECTIONS = {
    "a minute's close": """
        INSERT INTO bars BY NAME
        SELECT * REPLACE (version + 1 AS version, close * 1.001 AS close) FROM bars
        WHERE "interval" = '1m' AND session = DATE '2012-11-20' ORDER BY start_ns LIMIT 1""",
    "a minute that was missing": """
        INSERT INTO bars BY NAME
        SELECT * REPLACE (start_ns + 60_000_000_000 AS start_ns) FROM bars
        WHERE "interval" = '1m' AND session = DATE '2012-11-20' ORDER BY start_ns DESC LIMIT 1""",
    "a day's high": """
        UPDATE bars SET high = high * 1.001
        WHERE "interval" = '1d' AND session = DATE '2012-10-02' AND symbol = 'IBM'""",
    "a split": "INSERT INTO corporate_actions VALUES ('IBM', DATE '2012-11-20', 2.0, 0.0, 2, 'late')",
}


@pytest.mark.slow
@pytest.mark.parametrize("correction", CORRECTIONS)
def test_a_replay_does_not_go_on_after_bars_that_were_corrected(
    tmp_path: Path, small_model: ModelSignals, correction: str
) -> None:
    receive(tmp_path, date.min, DAYS[1])
    part = replace(spec(small_model, "history", "part"), last=DAYS[0])
    run(settings(tmp_path), part)
    with History(tmp_path / "history.duckdb").writing() as connection:
        connection.execute(CORRECTIONS[correction])
    with pytest.raises(InvalidInput, match="not those that it was made with"):
        run(settings(tmp_path), replace(part, first=DAYS[1], last=DAYS[1], continues=True))
