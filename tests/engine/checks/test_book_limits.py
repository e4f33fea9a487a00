"""Every limit's check turns red on a planted violation, and only then."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from datetime import date
from decimal import Decimal
from typing import Any

import pytest
from support.planted import Altered, buy_behind_our_back, outcome_of, red, with_account, with_limits
from support.trading_floor import TradingFloor

from trading_assets.broker.port import CorporateActionState, NewOrder
from trading_assets.core.words import Side
from trading_assets.engine.book.accounting import ledger_of
from trading_assets.engine.book.desk import Desk
from trading_assets.engine.book.locks import lock
from trading_assets.engine.checks.book_limits import limit_checks
from trading_assets.engine.checks.table import CHECKS, checks_of
from trading_assets.engine.protection.exits_over import STOP_LOCK
from trading_assets.engine.reconciliation.equity import observe
from trading_assets.engine.reconciliation.reconcile import reconcile

SESSION = date(2012, 7, 5)
pytestmark = pytest.mark.floor(SESSION, shared=True, tick=1)


@pytest.fixture
def desk(floor: TradingFloor) -> Iterator[Desk]:
    """A fresh account with 8 shares of AAPL, 4.9 % of its equity, reconciled and observed."""
    floor.control("/account/reset", cash="100000")
    floor.control("/quote", symbol="AAPL")
    with floor.desk() as desk:
        reconcile(desk)
        buy_behind_our_back(desk, "AAPL", 8, f"person-{desk.book}")
        reconcile(desk)
        observe(desk, desk.broker.account())
        yield desk


def move_aapl(floor: TradingFloor, desk: Desk, factor: str) -> None:
    """Move AAPL's quote to `factor` times what it is."""
    quote = desk.broker.quotes(["AAPL"])["AAPL"]
    assert quote.bid is not None
    bid = (quote.bid * Decimal(factor)).quantize(Decimal("0.01"))
    floor.control("/quote", symbol="AAPL", bid=str(bid), ask=str(bid + Decimal("0.05")))


def test_nothing_is_red_while_every_limit_is_kept(desk: Desk) -> None:
    outcomes = limit_checks(desk)
    assert red(outcomes) == set()
    assert [outcome.check for outcome in outcomes] != []
    assert {outcome.check.name for outcome in outcomes} == {c.name for c in checks_of("reconciled_positions")}


def test_a_position_bought_above_its_limit_is_red_and_at_it_is_not(desk: Desk) -> None:
    share = outcome_of(limit_checks(desk), "position_limit").measured
    assert share is not None
    assert share == pytest.approx(0.0485, abs=0.002)
    for limit, expected in ((share * 1.01, set()), (share, set()), (share * 0.99, {"position_limit"})):
        with_limits(desk, max_position_pct=limit)
        assert red(limit_checks(desk)) == expected


def test_exposure_bought_above_the_gross_limit_is_red_and_at_it_is_not(desk: Desk) -> None:
    share = outcome_of(limit_checks(desk), "gross_exposure").measured
    assert share is not None
    for limit, expected in ((share, set()), (share * 0.99, {"gross_exposure"})):
        with_limits(desk, max_gross_exposure=limit)
        assert red(limit_checks(desk)) == expected


def test_what_the_market_carried_above_a_limit_is_drift(floor: TradingFloor, desk: Desk) -> None:
    with_limits(desk, max_gross_exposure=0.05)
    move_aapl(floor, desk, "1.06")
    assert red(limit_checks(desk)) == {"position_drift", "exposure_drift"}


def test_a_quantity_that_no_fill_explains_is_a_breach_and_no_drift(desk: Desk) -> None:
    positions = [replace(position, qty=Decimal(9)) for position in desk.broker.positions()]
    desk.broker = Altered(desk.broker, positions=lambda: positions)
    assert red(limit_checks(desk)) == {"ledger_equals_broker", "position_limit"}


def test_a_position_without_any_price_is_red(desk: Desk) -> None:
    desk.broker = Altered(desk.broker, quotes=lambda symbols: {})
    assert {"position_limit", "gross_exposure"} <= red(limit_checks(desk))


@pytest.mark.parametrize(
    ("lost", "expected"),
    [
        ("999", set()),
        ("1000", {"session_drawdown"}),
        ("1999", {"session_drawdown"}),
        ("2000", {"session_drawdown", "daily_loss"}),
        ("9999", {"session_drawdown", "daily_loss"}),
        ("10000", {"session_drawdown", "daily_loss", "max_drawdown"}),
    ],
)
def test_losses_are_red_from_their_limit_on(desk: Desk, lost: str, expected: set[str]) -> None:
    before = replace(desk.broker.account(), equity=Decimal(100_000), last_equity=Decimal(100_000))
    desk.broker = Altered(desk.broker, account=lambda: before)
    with_limits(desk, max_position_pct=1.0)
    observe(desk, before)
    with_account(desk, equity=Decimal(100_000) - Decimal(lost))
    latest = desk.journal.latest_equity(desk.book)
    assert latest is not None
    unit = replace(latest, unit_value=1.0, unit_peak=1.0, equity=Decimal(100_000))
    desk.journal = Altered(desk.journal, latest_equity=lambda book: unit)
    assert red(limit_checks(desk)) == expected


def test_a_withdrawal_is_no_loss(floor: TradingFloor, desk: Desk) -> None:
    with_limits(desk, max_position_pct=1.0)
    assert outcome_of(limit_checks(desk), "max_drawdown").measured == 0.0
    floor.control("/transfer", amount="-15000")
    reconcile(desk)
    for _ in range(2):  # before the next reading of the equity and after it
        outcomes = limit_checks(desk)
        assert red(outcomes) == set()
        assert outcome_of(outcomes, "max_drawdown").measured == pytest.approx(0.0, abs=1e-9)
        observe(desk, desk.broker.account())


def test_a_deposit_hides_no_loss(floor: TradingFloor, desk: Desk) -> None:
    with_limits(desk, max_position_pct=1.0)
    floor.control("/transfer", amount="15000")
    reconcile(desk)
    equity = desk.broker.account().equity
    with_account(desk, equity=equity - 10_000)
    assert red(limit_checks(desk)) == {"session_drawdown", "daily_loss", "max_drawdown"}


@pytest.mark.parametrize(
    ("cash", "margin", "expected"), [("0", False, False), ("-0.01", False, True), ("-0.01", True, False)]
)
def test_negative_cash_is_red_without_margin(desk: Desk, cash: str, margin: bool, expected: bool) -> None:
    with_account(desk, cash=Decimal(cash))
    with_limits(desk, use_margin=margin)
    assert ("buying_power" in red(limit_checks(desk))) is expected


def test_proceeds_that_are_spent_before_they_settle_are_red_in_a_cash_account(desk: Desk) -> None:
    limit = Decimal("0.95") * desk.broker.positions()[0].avg_entry_price
    sale = NewOrder(f"sale-{desk.book}", "AAPL", Side.SELL, Decimal(5), limit.quantize(Decimal("0.01")))
    desk.broker.submit(sale)
    reconcile(desk)
    proceeds = sum(fill.qty * fill.price for fill in desk.journal.fills(desk.book) if fill.side < 0)
    assert proceeds > 0
    for cash, multiplier, expected in (
        (proceeds, 1, False),
        (proceeds - 1, 1, True),
        (proceeds - 1, 2, False),
    ):
        with_account(desk, cash=Decimal(cash), settled_cash=Decimal(cash), multiplier=Decimal(multiplier))
        assert ("buying_power" in red(limit_checks(desk))) is expected


def test_negative_buying_power_is_red_with_margin_too(desk: Desk) -> None:
    with_account(desk, buying_power=Decimal("-0.01"))
    with_limits(desk, use_margin=True)
    assert red(limit_checks(desk)) == {"buying_power"}


def test_a_short_position_is_red(desk: Desk) -> None:
    positions = [replace(position, qty=Decimal(-1)) for position in desk.broker.positions()]
    desk.broker = Altered(desk.broker, positions=lambda: positions)
    assert red(limit_checks(desk)) == {"no_short", "ledger_equals_broker"}


@pytest.mark.parametrize(
    ("apart", "expected"), [("0.99", set()), ("1.01", {"cash_agrees"}), ("-1.01", {"cash_agrees"})]
)
def test_cash_is_red_from_a_dollar_apart(desk: Desk, apart: str, expected: set[str]) -> None:
    with_account(desk, cash=desk.broker.account().cash + Decimal(apart))
    assert red(limit_checks(desk)) == expected


def at_stop(desk: Desk, share: str, **fields: Any) -> None:
    """Quote AAPL with its bid at `share` of its cost and a trade that confirms it."""
    ledger = ledger_of(desk.journal, desk.book)
    bid = Decimal(repr(ledger.holdings["AAPL"].avg_cost)) * Decimal(share)
    now = desk.now_ns()
    planted: dict[str, Any] = {
        "bid": bid,
        "ask": bid,
        "last_trade": bid,
        "quote_ns": now,
        "trade_ns": now,
        **fields,
    }
    quotes = {"AAPL": replace(desk.broker.quotes(["AAPL"])["AAPL"], **planted)}
    desk.broker = Altered(desk.broker, quotes=lambda symbols: quotes)


def protected_later(desk: Desk, by_ns: int = 1) -> None:
    """Protection has looked since, and sold nothing."""
    latest = desk.journal.latest_equity(desk.book)
    assert latest is not None
    later = replace(latest, at_ns=latest.at_ns + by_ns)
    desk.journal = Altered(desk.journal, latest_equity=lambda book: later)


@pytest.mark.parametrize(("share", "expected"), [("0.9501", set()), ("0.95", {"stop_loss"})])
def test_a_position_held_at_its_stop_is_red_once_protection_has_looked(
    desk: Desk, share: str, expected: set[str]
) -> None:
    at_stop(desk, share)
    assert red(limit_checks(desk)) == set()
    assert red(limit_checks(desk)) == set()
    protected_later(desk)
    outcomes = limit_checks(desk)
    assert red(outcomes) == expected
    assert ("AAPL" in outcome_of(outcomes, "stop_loss").detail) is bool(expected)


@pytest.mark.parametrize(
    "doubt",
    [
        {"bid": None},
        {"quote_ns": 0},
        {"trade_ns": 0},
        {"last_trade": Decimal(1000)},
    ],
)
def test_a_bid_that_no_stop_believes_is_not_red(desk: Desk, doubt: dict[str, object]) -> None:
    at_stop(desk, "0.9", **doubt)
    limit_checks(desk)
    protected_later(desk)
    assert red(limit_checks(desk)) == set()


def test_a_stop_that_the_market_has_left_again_begins_anew(desk: Desk) -> None:
    for share in ("0.94", "1"):
        at_stop(desk, share)
        assert red(limit_checks(desk)) == set()
    protected_later(desk)
    later_ns = desk.now_ns() + 60 * 10**9
    desk.clock = Altered(desk.clock, now_ns=lambda: later_ns)
    at_stop(desk, "0.94")
    assert red(limit_checks(desk)) == set()
    protected_later(desk, by_ns=120 * 10**9)
    assert red(limit_checks(desk)) == {"stop_loss"}


def test_a_stop_in_force_is_red_while_the_position_is_held_after_it(desk: Desk) -> None:
    lock(desk, "AAPL", STOP_LOCK, "planted")
    assert red(limit_checks(desk)) == set()
    protected_later(desk)
    assert red(limit_checks(desk)) == {"stop_loss"}


@pytest.mark.parametrize(("cash_usd", "expected"), [(0.0, {"stop_loss"}), (50.0, set())])
def test_a_dividend_lowers_the_stop(desk: Desk, cash_usd: float, expected: set[str]) -> None:
    tomorrow = desk.sessions.next(SESSION)  # after the purchase
    action = CorporateActionState("AAPL", tomorrow, 1.0, cash_usd)
    then_ns = desk.sessions.open_ns(tomorrow) + 300 * 10**9
    desk.clock = Altered(desk.clock, now_ns=lambda: then_ns)
    at_stop(desk, "0.94")
    desk.broker = Altered(desk.broker, corporate_actions=lambda symbols, first, last: [action])
    limit_checks(desk)
    protected_later(desk, by_ns=2 * 86_400 * 10**9)
    assert red(limit_checks(desk)) == expected


def test_corporate_actions_are_asked_for_only_where_a_position_looks_stopped(desk: Desk) -> None:
    requests: list[object] = []

    def corporate_actions(*about: object) -> list[CorporateActionState]:
        requests.append(about)
        return []

    desk.broker = Altered(desk.broker, corporate_actions=corporate_actions)
    limit_checks(desk)
    assert requests == []
    at_stop(desk, "0.94")
    limit_checks(desk)
    assert len(requests) == 1


def test_a_break_is_red_at_its_second_sighting(desk: Desk) -> None:
    sighting = [("QUANTITY", "AAPL", "8", "9")]
    desk.journal.record_sightings(desk.book, desk.now_ns(), sighting)
    assert red(limit_checks(desk)) == set()
    desk.journal.record_sightings(desk.book, desk.now_ns() + 1, sighting)
    assert red(limit_checks(desk)) == {"no_open_break"}


def test_names_in_the_table_are_unique_and_only_blocking_errors_block() -> None:
    assert len({check.key for check in CHECKS}) == len(CHECKS)
    assert all(check.severity == "ERROR" for check in CHECKS if check.blocking)
