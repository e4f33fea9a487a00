"""Checks of bars, features and signals turn red on what is planted in the history."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import date

import pytest
from support.planted import outcome_of, red
from support.trading_floor import TradingFloor

from trading_assets.engine.book.desk import Desk
from trading_assets.engine.checks.data import bar_checks, data_checks, feature_checks, signal_checks
from trading_assets.engine.checks.table import (
    BLOCKING,
    checks_of,
    incomplete_symbols,
    missing_or_failed,
    record,
)
from trading_assets.engine.market_data.bars import store_bars
from trading_assets.engine.market_data.feature_rows import store_features
from trading_assets.engine.signals.tick_signals import receive, store_signals
from trading_assets.features.daily import DAILY

SESSION = date(2012, 7, 5)
pytestmark = pytest.mark.floor(SESSION, shared=True)
MINUTE_NS = 60 * 10**9


@pytest.fixture(scope="module")
def tick_ns(shared_floor: TradingFloor) -> int:
    return shared_floor.go_to_session(SESSION, 1)


@pytest.fixture
def desk(floor: TradingFloor, tick_ns: int) -> Iterator[Desk]:
    """A history of its own, with the tick's bars, features and signals in it."""
    with floor.desk() as desk:
        desk.history.path.unlink(missing_ok=True)
        store_bars(desk, SESSION, tick_ns)
        store_features(desk, SESSION, tick_ns)
        receive(desk, "AAPL", 0.15)
        store_signals(desk, SESSION, tick_ns)
        yield desk


def change(desk: Desk, sql: str, *values: object) -> None:
    with desk.history.writing() as connection:
        connection.execute(sql, list(values))


def test_what_the_tick_stored_is_all_green(desk: Desk, tick_ns: int) -> None:
    outcomes = data_checks(desk, SESSION, tick_ns)
    assert red(outcomes) == set()
    expected = [check for asset in ("bars", "features", "signals") for check in checks_of(asset)]
    assert [outcome.check for outcome in outcomes] == expected


LACKS_A_DAY = "DELETE FROM bars WHERE symbol = ? AND \"interval\" = '1d' AND session = '2012-06-20'"


def test_a_missing_daily_bar_holds_up_its_own_symbol(desk: Desk, tick_ns: int) -> None:
    change(desk, LACKS_A_DAY, "IBM")
    store_features(desk, SESSION, tick_ns)
    outcomes = data_checks(desk, SESSION, tick_ns)
    assert red(outcomes) == {"no_symbol_incomplete"}  # the row is of what there is: it is true to its time
    incomplete = outcome_of(outcomes, "no_symbol_incomplete")
    assert "IBM lacks 1 daily bars, the first of 2012-06-20" in incomplete.detail
    complete = outcome_of(outcomes, "complete")
    assert (complete.measured, complete.limit) == (0.2, 0.2)
    record(desk, SESSION, tick_ns, outcomes)
    assert missing_or_failed(desk, tick_ns) == ()
    assert incomplete_symbols(desk, tick_ns) == {"IBM"}


def test_missing_bars_of_more_than_the_share_hold_up_everything(desk: Desk, tick_ns: int) -> None:
    for symbol in ("IBM", "MSFT"):
        change(desk, LACKS_A_DAY, symbol)
    result = bar_checks(desk, SESSION, tick_ns)
    assert red(result) == {"complete", "no_symbol_incomplete"}
    assert "incomplete: IBM, MSFT" in outcome_of(result, "complete").detail
    record(desk, SESSION, tick_ns, result)
    assert "bars.complete" in missing_or_failed(desk, tick_ns)
    assert incomplete_symbols(desk, tick_ns) == {"IBM", "MSFT"}
    desk.settings = desk.settings.model_copy(update={"max_incomplete_share": 0.4})
    assert red(bar_checks(desk, SESSION, tick_ns)) == {"no_symbol_incomplete"}


def test_bars_that_came_after_all_end_the_wait(desk: Desk, tick_ns: int) -> None:
    change(desk, LACKS_A_DAY, "IBM")
    record(desk, SESSION, tick_ns, bar_checks(desk, SESSION, tick_ns))
    desk.history.path.unlink()
    store_bars(desk, SESSION, tick_ns)
    record(desk, SESSION, tick_ns, bar_checks(desk, SESSION, tick_ns))
    assert incomplete_symbols(desk, tick_ns) == frozenset()


def test_a_symbol_that_was_not_listed_yet_has_no_gap(desk: Desk, tick_ns: int) -> None:
    change(desk, "DELETE FROM bars WHERE symbol = 'IBM' AND \"interval\" = '1d' AND session < '2012-06-20'")
    assert red(bar_checks(desk, SESSION, tick_ns)) == set()


@pytest.mark.parametrize(("minutes", "expected"), [(14, set()), (15, {"no_symbol_incomplete"})])
def test_a_gap_of_minutes_is_red_above_fifteen(
    desk: Desk, tick_ns: int, minutes: int, expected: set[str]
) -> None:
    first = desk.sessions.open_ns(SESSION) + 10 * MINUTE_NS
    change(
        desk,
        "DELETE FROM bars WHERE symbol = 'IBM' AND \"interval\" = '1m' AND start_ns >= ? AND start_ns < ?",
        first,
        first + minutes * MINUTE_NS,
    )
    # the bars around the hole are one minute themselves: 15 missing ones leave 16 minutes between ends
    assert red(bar_checks(desk, SESSION, tick_ns)) == expected


@pytest.mark.parametrize(
    "values",
    [
        "low = high + 0.01",
        "close = high * 1.01",
        "open = low * 0.99",
        "open = 'nan'",
        "low = 0.0",
        "volume = -1",
    ],
)
def test_a_bar_that_cannot_be_right_is_red(desk: Desk, tick_ns: int, values: str) -> None:
    start_ns = desk.sessions.open_ns(SESSION) + 10 * MINUTE_NS
    change(
        desk,
        f"UPDATE bars SET {values} WHERE symbol = 'IBM' AND \"interval\" = '1m' AND start_ns = ?",
        start_ns,
    )
    assert red(bar_checks(desk, SESSION, tick_ns)) == {"sane"}


def test_a_bar_stored_twice_is_red(desk: Desk, tick_ns: int) -> None:
    change(desk, "INSERT INTO bars SELECT * FROM bars WHERE symbol = 'IBM' AND session = ? LIMIT 1", SESSION)
    assert red(bar_checks(desk, SESSION, tick_ns)) == {"sane"}


@pytest.mark.parametrize(("age_s", "expected"), [(120, set()), (180, {"fresh"})])
def test_a_feed_that_stopped_is_red_above_its_limit(
    desk: Desk, tick_ns: int, age_s: int, expected: set[str]
) -> None:
    newest = tick_ns - age_s * 10**9
    change(desk, "DELETE FROM bars WHERE \"interval\" = '1m' AND available_at_ns > ?", newest)
    result = bar_checks(desk, SESSION, tick_ns)
    assert red(result) == expected
    assert outcome_of(result, "fresh").measured == age_s


@pytest.mark.parametrize(("minutes", "expected"), [(2, set()), (3, {"no_symbol_behind"})])
def test_a_symbol_that_stops_while_others_go_on_is_red(
    desk: Desk, tick_ns: int, minutes: int, expected: set[str]
) -> None:
    newest = tick_ns - minutes * MINUTE_NS
    change(
        desk, "DELETE FROM bars WHERE symbol = 'IBM' AND \"interval\" = '1m' AND available_at_ns > ?", newest
    )
    result = bar_checks(desk, SESSION, tick_ns)
    assert red(result) == expected
    assert ("IBM is 180 s behind" in outcome_of(result, "no_symbol_behind").detail) is bool(expected)


def test_a_symbol_that_trades_now_and_then_may_pause(desk: Desk, tick_ns: int) -> None:
    of_ibm = "DELETE FROM bars WHERE symbol = 'IBM' AND \"interval\" = '1m' AND"
    change(desk, f"{of_ibm} available_at_ns > ?", tick_ns - 10 * MINUTE_NS)
    change(desk, f"{of_ibm} available_at_ns = ?", tick_ns - 20 * MINUTE_NS)
    assert red(bar_checks(desk, SESSION, tick_ns)) == set()


def test_a_symbol_that_is_silent_for_long_waits(desk: Desk, tick_ns: int) -> None:
    newest = tick_ns - 16 * MINUTE_NS
    change(
        desk, "DELETE FROM bars WHERE symbol = 'IBM' AND \"interval\" = '1m' AND available_at_ns > ?", newest
    )
    assert red(bar_checks(desk, SESSION, tick_ns)) == {"no_symbol_incomplete", "no_symbol_behind"}


def test_no_minute_bar_at_all_is_red(desk: Desk, tick_ns: int) -> None:
    change(desk, "DELETE FROM bars WHERE \"interval\" = '1m'")
    assert red(bar_checks(desk, SESSION, tick_ns)) == {"complete", "no_symbol_incomplete", "fresh"}


@pytest.mark.parametrize(
    "values", ["received_at_ns = available_at_ns - 1", "available_at_ns = 9000000000000000000"]
)
def test_a_bar_from_the_future_is_red(desk: Desk, tick_ns: int, values: str) -> None:
    start_ns = desk.sessions.open_ns(SESSION) + 10 * MINUTE_NS
    change(
        desk,
        f"UPDATE bars SET {values} WHERE symbol = 'IBM' AND \"interval\" = '1m' AND start_ns = ?",
        start_ns,
    )
    assert "not_from_the_future" in red(bar_checks(desk, SESSION, tick_ns))


def test_a_feature_row_that_is_not_the_bars_is_red(desk: Desk, tick_ns: int) -> None:
    nudged = 'list_transform("values", x -> x * (1 + 1e-15))'
    change(desk, f"UPDATE features SET \"values\" = {nudged} WHERE symbol = 'AAPL'")
    assert red(feature_checks(desk, SESSION, tick_ns)) == {"point_in_time"}


def test_a_feature_row_made_of_a_bar_from_after_the_tick_is_red(desk: Desk, tick_ns: int) -> None:
    where = "\"interval\" = '1m' AND available_at_ns = ?"
    change(desk, f"UPDATE bars SET available_at_ns = available_at_ns + 1 WHERE {where}", tick_ns)
    assert red(feature_checks(desk, SESSION, tick_ns)) == {"point_in_time"}


def test_a_feature_that_is_not_finite_is_red(desk: Desk, tick_ns: int) -> None:
    change(
        desk,
        "UPDATE features SET \"values\" = list_concat(['inf'::DOUBLE], \"values\"[2:]) WHERE symbol = 'AAPL'",
    )
    result = feature_checks(desk, SESSION, tick_ns)
    assert red(result) == {"finite", "point_in_time"}
    assert f"AAPL {DAILY.names[0]} is inf" in outcome_of(result, "finite").detail


def test_a_symbol_too_young_for_a_row_is_named_and_not_red(desk: Desk, tick_ns: int) -> None:
    finite = outcome_of(feature_checks(desk, SESSION, tick_ns), "finite")
    assert finite.passed
    assert "FB" in finite.detail


@pytest.mark.parametrize(
    "sql",
    [
        "DELETE FROM features WHERE symbol = 'AAPL'",
        "DELETE FROM features",
        "UPDATE features SET feature_set = 'another' WHERE symbol = 'AAPL'",
        "UPDATE features SET symbol = 'TSLA' WHERE symbol = 'AAPL'",
        "INSERT INTO features SELECT * FROM features WHERE symbol = 'AAPL'",
    ],
)
def test_a_tick_without_one_current_row_for_each_symbol_is_red(desk: Desk, tick_ns: int, sql: str) -> None:
    change(desk, sql)
    assert "complete" in red(feature_checks(desk, SESSION, tick_ns))


@pytest.mark.parametrize(
    ("values", "expected"),
    [
        ("value = 1.0", set()),
        ("value = 1.0000001", {"in_range"}),
        ("value = -1.0", set()),
        ("value = -1.0000001", {"in_range"}),
        ("value = 'nan'", {"in_range"}),
        ("value = NULL", {"in_range"}),
        ("symbol = 'TSLA'", {"in_range"}),
        ("as_of_ns = as_of_ns - 120000000000", set()),
        ("as_of_ns = as_of_ns - 121000000000", {"fresh"}),
        ("as_of_ns = as_of_ns + 1000000000", {"fresh"}),
    ],
)
def test_a_signal_is_red_outside_its_range_or_age(
    desk: Desk, tick_ns: int, values: str, expected: set[str]
) -> None:
    change(desk, f"UPDATE signals SET {values}")
    assert red(signal_checks(desk, SESSION, tick_ns)) == expected


def test_entries_wait_for_every_blocking_check_to_be_stored_as_passed(desk: Desk, tick_ns: int) -> None:
    other = tick_ns + 1
    assert missing_or_failed(desk, other) == tuple(sorted(BLOCKING))
    outcomes = data_checks(desk, SESSION, tick_ns)
    record(desk, SESSION, other, outcomes[:-2])
    assert missing_or_failed(desk, other) == ("signals.in_range",)
    record(desk, SESSION, other, outcomes)
    assert missing_or_failed(desk, other) == ()


def test_recording_again_replaces_and_a_failure_takes_the_pass_away(desk: Desk, tick_ns: int) -> None:
    record(desk, SESSION, tick_ns, data_checks(desk, SESSION, tick_ns))
    assert missing_or_failed(desk, tick_ns) == ()
    change(desk, "UPDATE signals SET value = 2.0")
    record(desk, SESSION, tick_ns, signal_checks(desk, SESSION, tick_ns))
    assert missing_or_failed(desk, tick_ns) == ("signals.in_range",)
    stored = desk.history.query(
        "SELECT \"check\", passed FROM checks WHERE asset = 'signals' AND tick_ns = ? ORDER BY ALL",
        (tick_ns,),
    )
    assert stored.to_pylist() == [{"check": "fresh", "passed": True}, {"check": "in_range", "passed": False}]
