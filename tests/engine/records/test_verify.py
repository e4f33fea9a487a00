"""Deriving a traded session again: what was stored is identical, and what was tampered with is found."""

from __future__ import annotations

import json
import shutil
import sqlite3
from collections.abc import Callable, Iterator
from datetime import date
from pathlib import Path
from typing import Any

import duckdb
import pytest
from engine_ticks import prepare, run_tick
from support.trading_floor import TradingFloor, trading_floor

from trading_assets.core.codes import Code
from trading_assets.engine.decision.inputs import LIMITS_OF_VERSION_1
from trading_assets.engine.operation import operator
from trading_assets.engine.records.verify import VerifyReport, verify
from trading_assets.engine.signals import tick_signals
from trading_assets.errors import InvalidInput
from trading_assets.store.history import History
from trading_assets.store.journal import Journal

SESSION = date(2012, 9, 11)
BOOK = "embedded:PA0001:paper"
TICKS: tuple[dict[str, float], ...] = (
    {"AAPL": 0.5, "IBM": 0.05},
    {"AAPL": -0.9, "MSFT": 0.3},
    {"GOOG": 0.4, "MSFT": -0.2},
)
"""Orders and exits, a signal below the threshold, and a stale one: GOOG's."""


@pytest.fixture(scope="module")
def traded(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """The stores that a session of three ticks left behind."""
    root = tmp_path_factory.mktemp("traded")
    with trading_floor(root, SESSION) as floor:
        for number, signals in enumerate(TICKS):
            now = floor.go_to_session(SESSION, number)
            with floor.desk() as desk:
                for symbol, value in signals.items():
                    stale = 200 * 10**9 if symbol == "GOOG" else 0
                    tick_signals.receive(desk, symbol, value, as_of_ns=now - stale)
                run_tick(desk, SESSION, now)
        yield Path(desk.settings.data_dir)


@pytest.fixture
def stores(traded: Path, tmp_path: Path) -> Path:
    """A copy to tamper with."""
    return Path(shutil.copytree(traded, tmp_path / "stores"))


def check(stores: Path) -> VerifyReport:
    with Journal.open(stores / "journal.sqlite") as journal:
        return verify(journal, History(stores / "history.duckdb", retry_seconds=0.2), BOOK, SESSION)


def in_journal(stores: Path, sql: str, *values: object) -> list[tuple[Any, ...]]:
    connection = sqlite3.connect(stores / "journal.sqlite")
    try:
        with connection:
            return connection.execute(sql, values).fetchall()
    finally:
        connection.close()


def test_a_traded_session_is_derived_again_identically(stores: Path) -> None:
    report = check(stores)
    assert report.differences == ()
    assert report.identical
    assert report.executions == 3
    assert report.inputs == 6
    assert report.verdicts == 5
    assert report.orders == 4
    assert report.signals == 6
    assert report.projected == 5
    assert report.feature_rows == 15
    assert report.not_read == ""


def test_a_session_with_a_stop_a_flatten_and_a_repeated_tick_is_identical(floor: TradingFloor) -> None:
    now = floor.go_to_tick(0)
    with floor.desk() as desk:
        tick_signals.receive(desk, "AAPL", 0.9)
        tick_signals.receive(desk, "IBM", 0.9)
        run_tick(desk, floor.session, now)
        run_tick(desk, floor.session, now)
        bid = float(desk.broker.quotes(["AAPL"])["AAPL"].bid or 0)
    floor.keeper.quote("AAPL", bid * 0.9, bid * 0.901)
    now = floor.go_to_tick(1)
    with floor.desk() as desk:
        run_tick(desk, floor.session, now)
        operator.flatten(desk, reason="test", author="test")
        report = verify(desk.journal, desk.history, desk.book, floor.session)
    assert report.differences == ()
    assert report.verdicts >= 3


def test_a_session_that_the_version_before_stored_is_derived_again_identically(stores: Path) -> None:
    """Its inputs and verdicts lack what was added since, and an exit was counted against the cap of all."""
    for sequence, text in in_journal(stores, "SELECT sequence, payload FROM tick_inputs"):
        payload = json.loads(text)
        for name in (
            "version",
            "codes",
            "rules",
            "incomplete",
            "multiplier",
            "non_marginable_buying_power_usd",
        ):
            payload.pop(name, None)
        payload["limits"] = [payload["limits"][name] for name in LIMITS_OF_VERSION_1]
        for signal in payload["signals"]:
            del signal["received_ns"], signal["sequence"]
        for symbol in payload["symbols"]:
            del symbol["exits_today"]
        update = "UPDATE tick_inputs SET payload = ? WHERE sequence = ?"
        in_journal(stores, update, json.dumps(payload), sequence)
    exits = 0
    rows = in_journal(stores, "SELECT sequence, reducing, gate_input, measured, limits FROM verdicts")
    for sequence, reducing, *texts in rows:
        gate_input, measured, limits = map(json.loads, texts)
        del gate_input["activity"]["symbol_exits_today"], gate_input["activity"]["exits_kept_for_others"]
        if reducing:
            exits += 1
            measured[Code.DAILY_ORDER_COUNT] = gate_input["activity"]["exit_orders_today"]
            limits[Code.DAILY_ORDER_COUNT] = 400.0
        in_journal(
            stores,
            "UPDATE verdicts SET gate_input = ?, measured = ?, limits = ? WHERE sequence = ?",
            *map(json.dumps, (gate_input, measured, limits)),
            sequence,
        )
    assert exits
    differences = [one for one in check(stores).differences if one.of != "projection"]
    assert differences == []


def _price(payload: dict[str, Any]) -> None:
    payload["symbols"][0]["bid"] *= 1.0001


def _value(payload: dict[str, Any]) -> None:
    payload["signals"][0]["value"] = 0.51


def _limit(payload: dict[str, Any]) -> None:
    payload["limits"]["max_position_pct"] = 0.06


def _missing(payload: dict[str, Any]) -> None:
    del payload["equity_usd"]


@pytest.mark.parametrize("tamper", [_price, _value, _limit, _missing])
def test_a_tampered_input_is_found(stores: Path, tamper: Callable[[dict[str, Any]], None]) -> None:
    ((sequence, text),) = in_journal(
        stores, "SELECT sequence, payload FROM tick_inputs WHERE phase = 'entries' ORDER BY sequence LIMIT 1"
    )
    payload = json.loads(text)
    tamper(payload)
    in_journal(stores, "UPDATE tick_inputs SET payload = ? WHERE sequence = ?", json.dumps(payload), sequence)
    assert {difference.of for difference in check(stores).differences} & {"input", "verdict", "signal"}


@pytest.mark.parametrize(
    ("change", "field"),
    [
        ("UPDATE verdicts SET qty = '8' WHERE sequence = 1", "qty"),
        ("UPDATE verdicts SET limit_price = '659.99' WHERE sequence = 1", "limit_price"),
        ("UPDATE verdicts SET failed = 0 WHERE failed != 0", "failed"),
        ("UPDATE verdicts SET measured = replace(measured, '[0', '[1') WHERE sequence = 1", "measured[0]"),
        (
            "UPDATE verdicts SET gate_input = replace(gate_input, 'bid\":6', 'bid\":7')",
            "gate_input.quote.bid",
        ),
        ("DELETE FROM verdicts WHERE failed != 0", "verdict"),
        ("UPDATE tick_inputs SET phase = 'exits' WHERE sequence = 2", "phase"),
        ("DELETE FROM tick_inputs WHERE sequence = 2", "verdict"),
        ("UPDATE intents SET qty = '9' WHERE symbol = 'AAPL'", "qty"),
        ("UPDATE signals SET value = 0.6 WHERE value = 0.5", "value"),
    ],
)
def test_a_tampered_journal_is_found_by_its_field(stores: Path, change: str, field: str) -> None:
    in_journal(stores, change)
    assert field in {difference.field for difference in check(stores).differences}


@pytest.mark.parametrize(
    ("change", "of"),
    [
        ("UPDATE gate_verdicts SET measured = list_transform(measured, lambda x: x + 1)", "projection"),
        ("UPDATE gate_verdicts SET failed = failed + 1", "projection"),
        ("UPDATE signals SET value = 0.21 WHERE symbol = 'MSFT'", "signal"),
        ("DELETE FROM signals WHERE symbol = 'GOOG'", "signal"),
        ("UPDATE bars SET close = close * 1.001 WHERE symbol = 'AAPL' AND \"interval\" = '1d'", "features"),
        ('UPDATE features SET "values" = list_reverse("values") WHERE symbol = \'IBM\'', "features"),
    ],
)
def test_a_tampered_history_is_found(stores: Path, change: str, of: str) -> None:
    with duckdb.connect(stores / "history.duckdb") as connection:
        connection.execute(change)
    assert of in {difference.of for difference in check(stores).differences}


def test_a_locked_history_leaves_the_journal_verified_and_says_so(stores: Path) -> None:
    with History(stores / "history.duckdb").writing():
        report = check(stores)
    assert report.identical
    assert report.verdicts == 5
    assert report.feature_rows == 0
    assert "held open" in report.not_read


def test_bars_received_later_do_not_change_what_is_derived(stores: Path) -> None:
    with duckdb.connect(stores / "history.duckdb") as connection:
        connection.execute(
            "INSERT INTO bars SELECT * REPLACE (2 AS version, close * 2 AS close, "
            "received_at_ns + 1_000_000_000_000_000 AS received_at_ns) FROM bars WHERE \"interval\" = '1d'"
        )
    assert check(stores).differences == ()


def test_a_session_without_decisions_is_refused(floor: TradingFloor) -> None:
    now = floor.go_to_tick(0)
    with floor.desk() as desk:
        prepare(desk, floor.session, now)
        with pytest.raises(InvalidInput, match="decided nothing"):
            verify(desk.journal, desk.history, desk.book, floor.session)
