"""Each limit's check of what was sent turns red on a planted order beyond it, and is green at it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from datetime import date
from math import nan

import pytest
from support.planted import Altered, outcome_of, plant_order, red, with_limits
from support.trading_floor import TradingFloor

from trading_assets.core.orders import Kind, State
from trading_assets.engine.book.desk import Desk
from trading_assets.engine.book.halts import clear_all
from trading_assets.engine.checks.orders import order_checks
from trading_assets.engine.reconciliation.reconcile import reconcile

SESSION = date(2012, 7, 5)
pytestmark = pytest.mark.floor(SESSION, shared=True, tick=1)
HALF_DAY = date(2012, 7, 3)
SECOND_NS = 1_000_000_000
MINUTE_NS = 60 * SECOND_NS
COUNTED_BEFORE = {
    "orders_per_symbol": "max_orders_per_symbol_per_day",
    "orders_per_day": "max_orders_per_day",
    "orders_per_execution": "max_orders_per_execution",
}


@pytest.fixture
def desk(floor: TradingFloor) -> Iterator[Desk]:
    floor.control("/account/reset", cash="100000")
    with floor.desk() as desk:
        reconcile(desk)
        yield desk


@pytest.mark.parametrize(
    ("qty", "price", "reducing", "expected"),
    [
        ("1", "49.99", False, True),
        ("1", "50", False, False),
        ("1", "49.99", True, False),
        ("10", "1000", False, False),
        ("10", "1000.01", False, True),
        ("10", "1000.01", True, True),
        ("1", "10000.01", False, True),
        ("1", "10000.01", True, False),
    ],
)
def test_notional_is_red_outside_its_limits(
    desk: Desk, qty: str, price: str, reducing: bool, expected: bool
) -> None:
    plant_order(desk, 1, qty=qty, limit_price=price, reducing=reducing)
    assert ("order_notional" in red(order_checks(desk, SESSION))) is expected


@pytest.mark.parametrize(
    ("limit", "name"),
    [
        ("max_orders_per_symbol_per_day", "orders_per_symbol"),
        ("max_orders_per_day", "orders_per_day"),
        ("max_orders_per_execution", "orders_per_execution"),
    ],
)
def test_a_count_is_red_above_its_limit_and_green_at_it(desk: Desk, limit: str, name: str) -> None:
    for number in range(3):
        plant_order(desk, number)
    with_limits(desk, **{limit: 3.0})
    assert red(order_checks(desk, SESSION)) == set()
    with_limits(desk, **{limit: 2.0})
    assert red(order_checks(desk, SESSION)) == {name}


@pytest.mark.parametrize(
    ("cap", "symbols", "measured", "limit", "passed"),
    [
        (3.0, ("AAPL", "IBM", "MSFT"), 3.0, 3.0, True),
        (2.0, ("AAPL", "IBM", "MSFT"), 3.0, 2.0, False),
        (30.0, ("AAPL", "AAPL", "AAPL", "IBM"), 3.0, 3.0, True),
        (29.0, ("AAPL", "AAPL", "AAPL", "IBM"), 3.0, 2.0, False),
    ],
)
def test_exits_are_held_against_the_cap_and_a_symbols_against_its_share_of_it(
    desk: Desk, cap: float, symbols: tuple[str, ...], measured: float, limit: float, passed: bool
) -> None:
    for number, symbol in enumerate(symbols):
        plant_order(desk, number, symbol=symbol, reducing=True)
    for number in range(len(symbols), 9):
        plant_order(desk, number, reducing=True, kind=Kind.FLATTEN)  # outside both
    with_limits(desk, max_exit_orders_per_day=cap)
    outcome = outcome_of(order_checks(desk, SESSION), "exit_orders_per_day")
    assert (outcome.measured, outcome.limit, outcome.passed) == (measured, limit, passed)


def test_counts_are_by_symbol_and_by_execution(desk: Desk) -> None:
    for number, (symbol, execution) in enumerate(
        [("AAPL", "a"), ("MSFT", "a"), ("AAPL", "b"), ("MSFT", "b")]
    ):
        plant_order(desk, number, symbol=symbol, execution=execution)
    with_limits(desk, max_orders_per_symbol_per_day=2.0, max_orders_per_execution=2.0, max_orders_per_day=3.0)
    assert red(order_checks(desk, SESSION)) == {"orders_per_day"}


def test_an_order_that_was_dropped_before_the_wire_does_not_count(desk: Desk) -> None:
    plant_order(desk, 1)
    plant_order(desk, 2, states=(State.DROPPED,))
    with_limits(desk, max_orders_per_day=1.0)
    assert red(order_checks(desk, SESSION)) == set()


@pytest.mark.parametrize(("name", "limit"), COUNTED_BEFORE.items())
def test_an_entry_is_red_when_the_orders_before_it_reach_the_limit_exits_counted(
    desk: Desk, name: str, limit: str
) -> None:
    for number in range(6):
        plant_order(desk, number, reducing=number < 3)
    with_limits(desk, **dict.fromkeys(COUNTED_BEFORE.values(), 6.0))
    assert red(order_checks(desk, SESSION)) == set()
    with_limits(desk, **{limit: 5.0})
    result = order_checks(desk, SESSION)
    assert red(result) == {name}
    assert outcome_of(result, name).measured == 6.0


@pytest.mark.parametrize("limit", COUNTED_BEFORE.values())
def test_exits_after_the_last_entry_do_not_count(desk: Desk, limit: str) -> None:
    for number in range(6):
        plant_order(desk, number, reducing=number >= 3)
    with_limits(desk, **{limit: 3.0})
    assert red(order_checks(desk, SESSION)) == set()


def test_a_streak_of_rejections_is_red_at_its_limit(desk: Desk) -> None:
    with_limits(desk, max_reject_streak=3.0)
    for number, expected in enumerate([set(), set(), {"reject_streak"}]):
        plant_order(desk, number, states=(State.SUBMITTING, State.REJECTED))
        assert red(order_checks(desk, SESSION)) == expected


def test_a_rearm_ends_a_streak_of_rejections(desk: Desk) -> None:
    with_limits(desk, max_reject_streak=2.0)
    for number in range(2):
        plant_order(desk, number, states=(State.SUBMITTING, State.REJECTED))
    assert red(order_checks(desk, SESSION)) == {"reject_streak"}
    later = desk.now_ns() + 1
    clear_all(
        desk.journal, desk.book, at_ns=later, session=SESSION.isoformat(), reason="seen", author="a person"
    )
    assert red(order_checks(desk, SESSION)) == set()
    for number in range(2, 4):
        plant_order(desk, number, states=(State.SUBMITTING, State.REJECTED), at_ns=later)
    assert red(order_checks(desk, SESSION)) == {"reject_streak"}


@pytest.mark.parametrize(
    ("qty", "reducing", "fractional", "expected"),
    [
        ("1", False, False, set()),
        ("1.5", False, False, {"whole_shares"}),
        ("1.5", False, True, set()),
        ("1.5", True, False, set()),
    ],
)
def test_an_entry_of_a_part_of_a_share_is_red(
    desk: Desk, qty: str, reducing: bool, fractional: bool, expected: set[str]
) -> None:
    with_limits(desk, fractional=fractional)
    plant_order(desk, 1, qty=qty, reducing=reducing)
    assert red(order_checks(desk, SESSION)) == expected


@pytest.mark.parametrize("reducing", [False, True])
@pytest.mark.parametrize(
    ("seconds_after_open", "entry", "any_order"),
    [
        (-1.0, {"market_hours"}, {"market_hours"}),
        (0.0, {"after_open"}, set()),
        (69.999, {"after_open"}, set()),
        (70.0, set(), set()),
    ],
)
def test_the_first_seconds_of_a_session_are_red_for_entries_and_what_is_before_for_all(
    desk: Desk, reducing: bool, seconds_after_open: float, entry: set[str], any_order: set[str]
) -> None:
    at_ns = desk.sessions.open_ns(SESSION) + int(seconds_after_open * SECOND_NS)
    plant_order(desk, 1, reducing=reducing, at_ns=at_ns)
    assert red(order_checks(desk, SESSION)) == (any_order if reducing else entry)


@pytest.mark.parametrize("session", [SESSION, HALF_DAY])
@pytest.mark.parametrize("reducing", [False, True])
@pytest.mark.parametrize(
    ("seconds_before_close", "entry", "any_order"),
    [
        (300.0, set(), set()),
        (299.999, {"before_close"}, set()),
        (0.001, {"before_close"}, set()),
        (0.0, {"before_close", "market_hours"}, {"market_hours"}),
        (-1.0, {"market_hours"}, {"market_hours"}),
    ],
)
def test_the_last_minutes_of_a_session_are_red_for_entries_and_what_is_after_for_all(
    desk: Desk,
    session: date,
    reducing: bool,
    seconds_before_close: float,
    entry: set[str],
    any_order: set[str],
) -> None:
    at_ns = desk.sessions.close_ns(session) - int(seconds_before_close * SECOND_NS)
    plant_order(desk, 1, reducing=reducing, at_ns=at_ns)
    orders, verdicts = desk.journal.orders(desk.book), desk.journal.verdicts(desk.book)
    desk.journal = Altered(
        desk.journal, orders=lambda book, session: orders, verdicts=lambda book, session: verdicts
    )
    assert red(order_checks(desk, session)) == (any_order if reducing else entry)


def test_extended_hours_are_market_hours_where_the_order_was_sent_for_them(desk: Desk) -> None:
    at_ns = desk.sessions.open_ns(SESSION) - 60 * MINUTE_NS
    plant_order(desk, 1, at_ns=at_ns, extended_hours=True)
    assert red(order_checks(desk, SESSION)) == set()
    plant_order(desk, 2, at_ns=at_ns - 300 * MINUTE_NS, extended_hours=True)
    assert red(order_checks(desk, SESSION)) == {"market_hours"}


@pytest.mark.parametrize(
    ("age_s", "expected"),
    [(120.0, set()), (120.001, {"signal_age"}), (-2.0, set()), (-2.001, {"signal_age"})],
)
def test_an_entry_on_a_signal_that_is_stale_or_from_the_future_is_red(
    desk: Desk, age_s: float, expected: set[str]
) -> None:
    signal_ns = desk.now_ns() - int(age_s * SECOND_NS)
    plant_order(desk, 1, signal_ns=signal_ns)
    plant_order(desk, 2, signal_ns=signal_ns - 3600 * SECOND_NS, reducing=True)
    assert red(order_checks(desk, SESSION)) == expected


@pytest.mark.parametrize(
    ("word", "limit_s", "name"), [("quote", 120, "quote_age"), ("account", 60, "account_age")]
)
def test_an_entry_on_a_stale_quote_or_account_is_red(desk: Desk, word: str, limit_s: int, name: str) -> None:
    def planted(number: int, age_ns: int, reducing: bool = False) -> set[str]:
        decided_on = {word: {"as_of_ns": desk.now_ns() - age_ns}}
        plant_order(desk, number, reducing=reducing, decided_on=decided_on)
        return red(order_checks(desk, SESSION))

    assert planted(1, limit_s * SECOND_NS) == set()
    assert planted(2, 3600 * SECOND_NS, reducing=True) == set()
    assert planted(3, limit_s * SECOND_NS + 1_000_000) == {name}


def priced(bid: float, ask: float, **others: float) -> dict[str, dict[str, float]]:
    """A quote that an order was decided on, its mid the price that the signal saw."""
    return {
        "quote": {"bid": bid, "ask": ask, "last_trade": bid, "previous_close": (bid + ask) / 2, **others},
        "signal": {"reference_price": (bid + ask) / 2},
    }


@pytest.mark.parametrize(
    ("limit_price", "decided_on", "limits", "name"),
    [
        ("600.60", priced(599.99, 600.00), {}, ""),
        ("600.61", priced(599.99, 600.00), {}, "limit_offset"),
        ("603", priced(600.00, 600.00), {"limit_offset": 0.01}, ""),
        ("603.01", priced(600.00, 600.00), {"limit_offset": 0.01}, "entry_collar"),
        ("596.99", priced(600.00, 600.00), {}, "entry_collar"),
        ("600", priced(598.50, 601.50), {}, ""),
        ("600", priced(598.49, 601.50), {}, "spread"),
        ("600", priced(600.00, 600.00) | {"signal": {"reference_price": 600 / 1.005}}, {}, ""),
        ("600", priced(600.00, 600.00) | {"signal": {"reference_price": 597.00}}, {}, "price_drift"),
        ("600", priced(600.00, 600.00, previous_close=600 / 1.1), {}, ""),
        ("600", priced(600.00, 600.00, previous_close=545.00), {}, "symbol_move"),
        ("600", priced(600.00, 600.00, previous_close=667.00), {}, "symbol_move"),
    ],
)
def test_an_entry_priced_beyond_a_limit_is_red_and_an_exit_is_not(
    desk: Desk,
    limit_price: str,
    decided_on: Mapping[str, Mapping[str, float]],
    limits: Mapping[str, float],
    name: str,
) -> None:
    with_limits(desk, **limits)
    plant_order(desk, 1, limit_price=limit_price, decided_on=decided_on, reducing=True)
    assert red(order_checks(desk, SESSION)) == set()
    plant_order(desk, 2, limit_price=limit_price, decided_on=decided_on)
    assert red(order_checks(desk, SESSION)) == ({name} if name else set())


@pytest.mark.parametrize(
    ("limit_price", "decided_on", "expected"),
    [
        ("570", priced(600.00, 600.00), set()),
        ("569.99", priced(600.00, 600.00), {"exit_collar"}),
        ("570", priced(0.0, 700.00, last_trade=600.00), set()),
        ("569.99", priced(0.0, 700.00, last_trade=600.00), {"exit_collar"}),
        ("570", priced(nan, nan), {"exit_collar"}),
    ],
)
def test_an_exit_priced_beyond_its_collar_is_red(
    desk: Desk, limit_price: str, decided_on: Mapping[str, Mapping[str, float]], expected: set[str]
) -> None:
    plant_order(desk, 1, limit_price=limit_price, decided_on=decided_on, reducing=True)
    assert red(order_checks(desk, SESSION)) == expected


@pytest.mark.parametrize(
    ("word", "missing", "expected"),
    [
        ("quote", {"ask": nan}, {"limit_offset", "entry_collar", "price_drift", "spread", "symbol_move"}),
        ("quote", {"bid": 0.0}, {"entry_collar", "price_drift", "spread", "symbol_move"}),
        ("quote", {"previous_close": nan}, {"symbol_move"}),
        ("quote", {"as_of_ns": 0}, {"quote_age"}),
        ("account", {"as_of_ns": 0}, {"account_age"}),
        ("signal", {"reference_price": nan}, {"price_drift"}),
    ],
)
def test_what_cannot_be_measured_is_red(
    desk: Desk, word: str, missing: Mapping[str, float], expected: set[str]
) -> None:
    plant_order(desk, 1, decided_on={word: missing})
    assert red(order_checks(desk, SESSION)) == expected


def test_the_verdicts_own_word_is_not_taken(desk: Desk) -> None:
    order = plant_order(desk, 1, decided_on=priced(590.00, 610.00))
    (verdict,) = desk.journal.verdicts(desk.book, client_order_id=order.intent.client_order_id)
    assert verdict.failed == 0
    assert red(order_checks(desk, SESSION)) == {"spread"}
