"""What a live snapshot reads reaches the gate: on the real exchange, to the codes of the verdict."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace
from datetime import date
from decimal import Decimal
from pathlib import Path

import pytest
from support.planted import Altered, plant_order
from support.trading_floor import TradingFloor
from wire import decided, look, new_account, send, signal

from trading_assets.core.codes import Code, failed_codes
from trading_assets.core.gate import reason
from trading_assets.engine.book.desk import Desk
from trading_assets.engine.decision.decide import decide
from trading_assets.engine.decision.inputs import Phase, SignalInput
from trading_assets.engine.operation import operator
from trading_assets.engine.orders.follow import follow
from trading_assets.engine.reconciliation.reconcile import reconcile
from trading_assets.market.sessions import new_york_midnight_ns
from trading_assets.store.records import VerdictRecord

SESSION = date(2012, 7, 5)
pytestmark = [pytest.mark.exchange, pytest.mark.floor(SESSION, shared=True, tick=1)]
HALF_DAY = date(2012, 7, 3)  # it closes at 13:00
SPECIAL_DIVIDEND = date(2004, 11, 15)  # of MSFT, $3.08
SPLIT = date(2005, 2, 28)  # of AAPL, two for one
SECOND_NS = 10**9
CENT = Decimal("0.01")

PASS, CLOSED, NEAR_OPEN, NEAR_CLOSE = set[str](), {"MARKET_CLOSED"}, {"NEAR_OPEN"}, {"NEAR_CLOSE"}
HOURS = {  # on the half day, New York time: what fails in regular hours, and with extended ones
    "08:59:59": (CLOSED, PASS),
    "09:29:59": (CLOSED, PASS),
    "09:30:00": (NEAR_OPEN, NEAR_OPEN),
    "09:31:09": (NEAR_OPEN, NEAR_OPEN),
    "09:31:10": (PASS, PASS),
    "12:55:00": (PASS, PASS),
    "12:55:01": (NEAR_CLOSE, NEAR_CLOSE),
    "12:59:59": (NEAR_CLOSE, NEAR_CLOSE),
    "13:00:00": (NEAR_CLOSE | CLOSED, NEAR_CLOSE),
    "13:00:01": (CLOSED, PASS),
    "16:59:59": (CLOSED, PASS),
    "17:00:00": (CLOSED, CLOSED),
}


@pytest.fixture
def desk(floor: TradingFloor, tmp_path: Path) -> Iterator[Desk]:
    with new_account(floor, tmp_path) as desk:
        yield desk
    floor.control("/faults", faults=[])
    for symbol in ("AAPL", "IBM"):
        floor.control("/quote", symbol=symbol)
        floor.control("/halt", symbol=symbol, halted=False)


def later(floor: TradingFloor, desk: Desk, seconds: float) -> None:
    floor.control("/clock", step_ns=round(seconds * SECOND_NS))
    desk.begin()


def move_to(floor: TradingFloor, desk: Desk, day: date, wall_clock: str) -> None:
    """To a time of a New York day."""
    hours, minutes, seconds = map(int, wall_clock.split(":"))
    floor.keeper.move_to(new_york_midnight_ns(day) + ((hours * 60 + minutes) * 60 + seconds) * SECOND_NS)
    desk.begin()


def verdict(desk: Desk, opinion: SignalInput | None = None, phase: Phase = Phase.ENTRIES) -> VerdictRecord:
    """The gate's answer to one signal by what the snapshot reads now; AAPL is to be bought unless it is
    another."""
    (judged,) = decide(look(desk, opinion or signal(desk), phase=phase)).verdicts
    return judged


def codes(desk: Desk, opinion: SignalInput | None = None, phase: Phase = Phase.ENTRIES) -> set[str]:
    """Every code that the verdict failed."""
    return {code.name for code in failed_codes(verdict(desk, opinion, phase).failed)}


def codes_when(desk: Desk, *, extended_hours: bool = False, broker_open: bool | None = None) -> set[str]:
    """As `codes`, with these settings; broker_open: what the broker's clock says, None: the truth."""
    settings, broker = desk.settings, desk.broker
    desk.settings = settings.model_copy(update={"extended_hours": extended_hours})
    if broker_open is not None:
        clock = replace(broker.clock(), is_open=broker_open)
        desk.broker = Altered(broker, clock=lambda: clock)
    try:
        return codes(desk)
    finally:
        desk.settings, desk.broker = settings, broker


def hold(floor: TradingFloor, desk: Desk) -> None:
    """Some AAPL, reconciled."""
    (order,) = follow(desk, send(desk, decided(desk, signal(desk, value=0.4, key="held"))))
    assert order.state == "FILLED"
    later(floor, desk, 1)
    reconcile(desk)


def resting(desk: Desk, opinion: SignalInput, phase: Phase = Phase.ENTRIES) -> Decimal:
    """The limit price of an order by this signal that rests at the broker."""
    (order,) = send(desk, decided(desk, opinion, phase=phase))
    assert order.state == "ACCEPTED"
    return order.intent.limit_price


def quote_by_hand(floor: TradingFloor, symbol: str, bid: Decimal) -> None:
    """From this bid to a cent above it."""
    bid = bid.quantize(CENT)
    floor.control("/quote", symbol=symbol, bid=str(bid), ask=str(bid + CENT))


def previous_close(desk: Desk, symbol: str) -> Decimal:
    """As it was printed, whatever happened to the shares since."""
    close = desk.broker.quotes([symbol])[symbol].previous_close
    assert close is not None
    return close


def test_a_half_day_is_open_for_entries_in_its_own_hours_and_only_where_calendar_and_broker_agree(
    start_floor: Callable[..., TradingFloor], tmp_path: Path
) -> None:
    floor, result = start_floor(HALF_DAY), {}
    with new_account(floor, tmp_path) as desk:
        for wall_clock in HOURS:
            move_to(floor, desk, HALF_DAY, wall_clock)
            result[wall_clock] = {
                "regular": codes_when(desk),
                "extended": codes_when(desk, extended_hours=True),
                "the broker says open": codes_when(desk, broker_open=True),
                "the broker says closed": codes_when(desk, broker_open=False),
                "extended, the broker says closed": codes_when(desk, extended_hours=True, broker_open=False),
            }
    assert result == {
        wall_clock: {
            "regular": regular,
            "extended": extended,
            "the broker says open": regular,
            "the broker says closed": regular | CLOSED,
            "extended, the broker says closed": extended,
        }
        for wall_clock, (regular, extended) in HOURS.items()
    }


def test_without_the_broker_s_clock_no_entry_passes_and_the_calendar_lets_exits_through(
    floor: TradingFloor, desk: Desk
) -> None:
    hold(floor, desk)
    entry, exit_ = signal(desk, "IBM"), signal(desk, value=-1.0, key="out")
    floor.control("/faults", faults=[{"kind": "server_error", "path": "/v2/clock", "times": None}])
    refused = verdict(desk, entry)
    assert reason(refused.failed, refused.cause) == "REDUCE_ONLY cause=BROKER_UNREACHABLE"
    assert codes(desk, exit_, Phase.EXITS) == PASS


def test_an_asset_that_the_broker_does_not_trade_is_refused(desk: Desk) -> None:
    real = desk.broker
    inactive = replace(real.asset("AAPL"), tradable=False)
    desk.begin()
    listed = [inactive if one.symbol == "AAPL" else one for one in real.assets()]
    desk.broker = Altered(
        real,
        assets=lambda: listed,
        asset=lambda symbol: inactive if symbol == "AAPL" else real.asset(symbol),
    )
    assert codes(desk) == {"ASSET_NOT_TRADABLE"}
    assert codes(desk, signal(desk, "IBM")) == PASS


def test_the_quote_of_a_halted_symbol_grows_old(floor: TradingFloor, desk: Desk) -> None:
    floor.control("/halt", symbol="AAPL", halted=True)
    later(floor, desk, desk.limits.stale_quote_seconds)
    assert codes(desk) == {"SYMBOL_HALTED"}
    later(floor, desk, 1)
    assert codes(desk) == {"SYMBOL_HALTED", "STALE_QUOTE"}
    assert codes(desk, signal(desk, "IBM")) == PASS


def test_five_rejections_in_a_row_stop_entries_until_a_rearm(floor: TradingFloor, desk: Desk) -> None:
    def rejected(*symbols: str) -> None:
        """Approved, and the money withdrawn before the orders arrive."""
        decision = decided(desk, *(signal(desk, symbol, key="rejected") for symbol in symbols))
        floor.control("/transfer", amount="-99900")
        orders = send(desk, decision)
        floor.control("/transfer", amount="99900")
        assert [order.state for order in orders] == ["REJECTED"] * len(symbols)
        later(floor, desk, 1)

    def streak() -> tuple[set[str], float]:
        verdicts = verdict(desk)
        return codes(desk), verdicts.measured[Code.REJECT_STREAK]

    rejected("FB", "GOOG", "IBM", "MSFT")
    assert streak() == (PASS, 4)
    rejected("AAPL")
    assert streak() == ({"REJECT_STREAK"}, 5)
    operator.rearm(desk, reason="the money is there", author="tester")
    assert streak() == (PASS, 0)


def test_an_entry_that_would_meet_a_resting_sell_of_ours_is_a_self_trade(
    floor: TradingFloor, desk: Desk
) -> None:
    hold(floor, desk)
    ask = desk.broker.quotes(["AAPL"])["AAPL"].ask
    assert ask is not None
    opinion = replace(signal(desk, value=-1.0, key="out"), limit_price=float(ask * Decimal("1.004")))
    limit_price = resting(desk, opinion, Phase.EXITS)
    plant_order(desk, 1, reducing=True, limit_price=str(limit_price + 10))  # the nearest one counts
    assert codes(desk, signal(desk, key="apart")) == {"ORDER_IN_FLIGHT"}
    quote_by_hand(floor, "AAPL", limit_price - 2 * CENT)
    judged = verdict(desk, signal(desk, key="met"))
    assert failed_codes(judged.failed) == (Code.ORDER_IN_FLIGHT, Code.SELF_TRADE)
    assert judged.limits[Code.SELF_TRADE] == float(limit_price)


def test_an_exit_that_would_meet_a_resting_buy_of_ours_is_a_self_trade(
    floor: TradingFloor, desk: Desk
) -> None:
    hold(floor, desk)
    limit_price = resting(desk, signal(desk, resting=True))
    plant_order(desk, 1, limit_price=str(limit_price - 10))  # the nearest one counts
    out = signal(desk, value=-1.0, key="apart")
    assert codes(desk, out, Phase.EXITS) == {"ORDER_IN_FLIGHT"}
    quote_by_hand(floor, "AAPL", limit_price + CENT)
    judged = verdict(desk, signal(desk, value=-1.0, key="met"), Phase.EXITS)
    assert failed_codes(judged.failed) == (Code.ORDER_IN_FLIGHT, Code.SELF_TRADE)
    assert judged.limits[Code.SELF_TRADE] == float(limit_price)


def test_a_symbol_that_moved_more_than_the_limit_since_its_previous_close_is_refused(
    floor: TradingFloor, desk: Desk
) -> None:
    close, result = previous_close(desk, "IBM"), {}
    for factor in ("0.899", "0.901", "1.099", "1.101"):
        quote_by_hand(floor, "IBM", close * Decimal(factor))
        result[factor] = codes(desk, signal(desk, "IBM"))
    assert result == {"0.899": {"SYMBOL_MOVE"}, "0.901": PASS, "1.099": PASS, "1.101": {"SYMBOL_MOVE"}}


def test_the_previous_close_is_adjusted_for_a_dividend_and_a_split_of_today(
    start_floor: Callable[..., TradingFloor], tmp_path: Path
) -> None:
    floor = start_floor(SPECIAL_DIVIDEND, tick=1)
    with new_account(floor, tmp_path / "dividend") as desk:
        expected = previous_close(desk, "MSFT") - Decimal("3.08")
        opinion = signal(desk, "MSFT")
        judged = verdict(desk, opinion)
        assert judged.measured[Code.SYMBOL_MOVE] == pytest.approx(
            abs(opinion.reference_price / float(expected) - 1)
        )
    floor.go_to_session(SPLIT, 1)
    with new_account(floor, tmp_path / "split") as desk:
        expected = previous_close(desk, "AAPL") / 2
        assert codes(desk) == PASS
        quote_by_hand(floor, "AAPL", expected * Decimal("1.099"))
        assert codes(desk) == PASS
        quote_by_hand(floor, "AAPL", expected * Decimal("1.101"))
        assert codes(desk) == {"SYMBOL_MOVE"}
