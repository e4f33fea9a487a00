"""Deciding is a function of the stored input: what becomes of signals, what each order leaves for the
next one, and that no set of approved orders passes a limit."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import asdict, replace
from datetime import date
from decimal import Decimal
from math import isnan, nan
from pathlib import Path
from typing import Any

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from trading_floor import TradingFloor, trading_floor
from wire import look, new_account, send, signal

from trading_assets import config
from trading_assets.config import Settings
from trading_assets.core.codes import Code, failed_codes
from trading_assets.core.gate import reason
from trading_assets.core.orders import Kind, client_order_id
from trading_assets.core.words import HaltState, Side
from trading_assets.engine.decide import Decision, decide
from trading_assets.engine.follow import follow
from trading_assets.engine.inputs import RULES, DecisionInput, ForcedExit, Phase, SignalInput, SymbolInput
from trading_assets.engine.send import store_input
from trading_assets.store.records import VerdictRecord

SESSION = date(2012, 7, 5)
SECOND_NS = 1_000_000_000
OPEN_NS = 1_341_495_000 * SECOND_NS
NOW_NS = OPEN_NS + 3_600 * SECOND_NS
LIMITS = config.limits(Settings())
SYMBOLS = ("AAA", "BBB", "CCC", "DDD")


def view(symbol: str = "AAA", **changes: Any) -> SymbolInput:
    """A symbol that is not held, quoted 99.99 to 100.01."""
    nothing = SymbolInput(
        symbol=symbol,
        qty=0.0,
        reserved_qty=0.0,
        open_entry_usd=0.0,
        bid=99.99,
        ask=100.01,
        quote_ns=NOW_NS,
        last_trade=100.0,
        previous_close=100.0,
        tradable=True,
        fractionable=True,
        halted=False,
        locked=False,
        in_flight=0,
        lowest_sell_limit=nan,
        highest_buy_limit=nan,
        orders_today=0,
    )
    return replace(nothing, **changes)


def wish(symbol: str = "AAA", value: float = 1.0, **changes: Any) -> SignalInput:
    """A fresh signal."""
    fresh = SignalInput(
        symbol=symbol,
        value=value,
        as_of_ns=NOW_NS,
        reference_price=100.0,
        limit_price=nan,
        volatility=nan,
        kind=Kind.EXTERNAL,
        decision_id=f"decision-{symbol}",
    )
    return replace(fresh, **changes)


def inputs(phase: Phase = Phase.ENTRIES, **changes: Any) -> DecisionInput:
    """An account of $100 000 in cash in the middle of a session, nothing held."""
    calm = DecisionInput(
        book="test:1:paper",
        session=SESSION.isoformat(),
        tick_ns=NOW_NS,
        execution_id="execution",
        phase=phase,
        now_ns=NOW_NS,
        equity_usd=100_000.0,
        buying_power_usd=100_000.0,
        settled_cash_usd=100_000.0,
        account_ns=NOW_NS,
        open_ns=OPEN_NS,
        close_ns=OPEN_NS + 23_400 * SECOND_NS,
        calendar_open=True,
        broker_open=True,
        halt_state=int(HaltState.ACTIVE),
        halt_causes=(),
        reconciling=False,
        orders_today=0,
        execution_orders=0,
        exit_orders_today=0,
        reject_streak=0,
        symbols=tuple(view(symbol) for symbol in SYMBOLS),
        signals=(),
        forced_exits=(),
        sent_ids=(),
        limits=LIMITS,
        rules=RULES,
    )
    return replace(calm, **changes)


def reasons(decision: Decision) -> list[str]:
    return [reason(verdict.failed, verdict.cause) for verdict in decision.verdicts]


def notional(verdict: VerdictRecord) -> float:
    return float(verdict.qty * verdict.limit_price)


# --- what becomes of signals


def test_the_newest_signal_of_a_symbol_supersedes_the_others() -> None:
    older = wish(value=-1.0, as_of_ns=NOW_NS - 1, decision_id="older")
    decision = decide(inputs(signals=(wish(decision_id="newer"), older)))
    assert decision.outcomes == {"older": "SUPERSEDED", "newer": "ORDERED"}
    assert [verdict.decision_id for verdict in decision.verdicts] == ["newer"]


@given(st.permutations(range(6)), st.integers(0, 2))
def test_of_signals_with_one_stamp_the_last_received_is_the_newest_whatever_their_ids_are(
    places: list[int], received_together: int
) -> None:
    signals = [
        wish(
            value=-1.0 if place == 5 else 1.0,
            decision_id=f"{7 * place % 6}",
            received_ns=NOW_NS + max(place, received_together),
            sequence=place + 1,
        )
        for place in places
    ]
    decision = decide(inputs(Phase.EXITS, symbols=(view(qty=10.0),), signals=tuple(signals)))
    (sold,) = decision.verdicts
    assert (sold.side, sold.decision_id) == (Side.SELL, f"{7 * 5 % 6}")
    assert list(decision.outcomes.values()).count("SUPERSEDED") == 5


def test_an_input_from_before_the_rules_derives_the_decision_that_it_had() -> None:
    signals = (
        wish("BBB", 0.5),
        wish("AAA", 0.2, decision_id="b"),
        wish("AAA", 0.9, decision_id="a"),
        wish("CCC", 1.0),
    )
    payload = inputs(signals=signals, execution_orders=8).as_json()
    for name in ("rules", "incomplete"):
        del payload[name]
    for stored in payload["signals"]:
        for name in ("received_ns", "sequence"):
            del stored[name]
    old = DecisionInput.from_json(payload)
    assert [verdict.symbol for verdict in decide(old).approved] == ["AAA", "BBB"]
    assert decide(old).outcomes["a"] == "SUPERSEDED"
    new = decide(replace(old, rules=RULES))
    assert [verdict.symbol for verdict in new.approved] == ["CCC", "AAA"]
    assert new.outcomes["b"] == "SUPERSEDED"


CAPS = {
    "execution": {"execution_orders": 9},
    "day": {"orders_today": 199},
    "cash": {"settled_cash_usd": 5_100.0},
    "buying power": {"buying_power_usd": 5_100.0},
}


@pytest.mark.parametrize("cap", CAPS.values(), ids=CAPS.keys())
@given(values=st.lists(st.sampled_from([0.2, 0.7, 1.0, -1.0]), min_size=4, max_size=4))
def test_where_a_cap_binds_the_strongest_signal_has_it(cap: dict[str, float], values: list[float]) -> None:
    signals = tuple(wish(symbol, value) for symbol, value in zip(SYMBOLS, values, strict=True))
    decision = decide(inputs(signals=signals, limits=LIMITS._replace(min_order_notional=900.0), **cap))
    by_strength = sorted((value, symbol) for symbol, value in zip(SYMBOLS, values, strict=True))
    strongest = max(values)
    if strongest > 0.0:
        first = next(symbol for value, symbol in by_strength if value == strongest)
        assert decision.approved[0].symbol == first
    strengths = {symbol: value for value, symbol in by_strength}
    order = [(-strengths[verdict.symbol], verdict.symbol) for verdict in decision.verdicts]
    assert order == sorted(order)


def test_what_an_incomplete_symbol_is_sold_for_does_not_wait() -> None:
    held = view("AAA", qty=10.0)
    given_ = inputs(
        symbols=(held, view("BBB")), signals=(wish("AAA", -1.0), wish("BBB")), incomplete=("AAA", "BBB")
    )
    sold = decide(replace(given_, phase=Phase.EXITS))
    assert [(verdict.symbol, verdict.side) for verdict in sold.approved] == [("AAA", Side.SELL)]
    bought = decide(given_)
    assert bought.verdicts == ()
    assert bought.outcomes == {"decision-AAA": "HELD", "decision-BBB": "INCOMPLETE_BARS"}


@pytest.mark.parametrize(
    ("value", "outcome"), [(0.0999, "BELOW_THRESHOLD"), (-0.0999, "BELOW_THRESHOLD"), (0.1, "ORDERED")]
)
def test_a_signal_below_the_threshold_is_neither_order_nor_rejection(value: float, outcome: str) -> None:
    assert LIMITS.threshold == 0.1
    decision = decide(inputs(signals=(wish(value=value),)))
    assert decision.outcomes == {"decision-AAA": outcome}
    assert len(decision.verdicts) == (outcome == "ORDERED")


def test_a_position_at_its_target_and_an_exit_of_nothing_are_held() -> None:
    held = view("AAA", qty=50.0)
    given_ = inputs(symbols=(held, view("BBB")), signals=(wish("AAA"), wish("BBB", -1.0)))
    for phase in (Phase.EXITS, Phase.ENTRIES):
        decision = decide(replace(given_, phase=phase))
        assert decision.outcomes == {"decision-AAA": "HELD", "decision-BBB": "HELD"}
        assert not decision.verdicts


def test_sales_belong_to_the_exits_and_purchases_to_the_entries() -> None:
    both = inputs(symbols=(view("AAA", qty=40.0), view("BBB")), signals=(wish("AAA", -1.0), wish("BBB")))
    exits, entries = (decide(replace(both, phase=phase)) for phase in (Phase.EXITS, Phase.ENTRIES))
    assert [(v.symbol, v.side, v.qty, v.reducing) for v in exits.approved] == [("AAA", Side.SELL, 40, True)]
    assert [(v.symbol, v.side, v.reducing) for v in entries.approved] == [("BBB", Side.BUY, False)]


def test_without_a_price_nothing_is_proposed() -> None:
    blind = view(bid=nan, ask=nan, last_trade=nan, previous_close=nan)
    assert decide(inputs(symbols=(blind,), signals=(wish(),))).outcomes == {"decision-AAA": "NO_PRICE"}


def test_the_producers_limit_holds_where_it_is_the_better_one() -> None:
    (verdict,) = decide(inputs(signals=(wish(limit_price=99.876),))).verdicts
    assert verdict.limit_price == Decimal("99.87")
    (verdict,) = decide(inputs(signals=(wish(limit_price=150.0),))).verdicts
    assert verdict.limit_price == Decimal("100.11")


# --- stops


def test_a_stop_sells_the_whole_free_position_in_numbered_slices() -> None:
    held = view(qty=250.0, reserved_qty=20.0)
    stop = ForcedExit("AAA", Kind.STOP, "stop", 3)
    given_ = inputs(
        Phase.PROTECT,
        symbols=(held,),
        forced_exits=(stop,),
        halt_state=HaltState.REDUCE_ONLY,
        halt_causes=("DAILY_LOSS",),
    )
    decision = decide(given_)
    assert reasons(decision) == ["PASS"] * 3
    assert [verdict.slice for verdict in decision.verdicts] == [1, 2, 3]
    assert sum(verdict.qty for verdict in decision.verdicts) == 230
    assert all(notional(verdict) <= LIMITS.max_order_notional for verdict in decision.verdicts)
    assert [v.client_order_id for v in decision.verdicts] == [
        client_order_id("stop", Side.SELL, number, 3) for number in (1, 2, 3)
    ]


def test_slices_already_sent_are_not_sent_again() -> None:
    stop = ForcedExit("AAA", Kind.STOP, "stop", 1)
    given_ = inputs(
        Phase.PROTECT,
        symbols=(view(qty=250.0),),
        forced_exits=(stop,),
        sent_ids=(client_order_id("stop", Side.SELL, 2, 1),),
    )
    assert reasons(decide(given_)) == ["PASS", "DUPLICATE_ORDER", "PASS"]


def test_a_stop_without_any_price_is_refused_for_it() -> None:
    blind = view(qty=5.0, bid=nan, ask=nan, last_trade=nan)
    stop = ForcedExit("AAA", Kind.STOP, "stop", 1)
    (verdict,) = decide(inputs(Phase.PROTECT, symbols=(blind,), forced_exits=(stop,))).verdicts
    assert Code.PRICE_COLLAR in failed_codes(verdict.failed)
    assert isnan(verdict.limit_price)


# --- what the orders before have used up


def test_orders_of_one_execution_share_its_count() -> None:
    three = tuple(wish(symbol) for symbol in SYMBOLS[:3])
    limit = int(LIMITS.max_orders_per_execution)
    decision = decide(inputs(signals=three, execution_orders=limit - 2))
    assert reasons(decision) == ["PASS", "PASS", "EXECUTION_ORDER_COUNT"]
    assert list(decision.outcomes.values()) == ["ORDERED", "ORDERED", "REFUSED"]


def test_orders_of_one_execution_share_the_days_count() -> None:
    three = tuple(wish(symbol) for symbol in SYMBOLS[:3])
    decision = decide(inputs(signals=three, orders_today=int(LIMITS.max_orders_per_day) - 1))
    assert reasons(decision) == ["PASS", "DAILY_ORDER_COUNT", "DAILY_ORDER_COUNT"]


@pytest.mark.parametrize("short_of", ["buying_power_usd", "settled_cash_usd"])
def test_a_purchase_has_what_the_purchases_before_it_left(short_of: str) -> None:
    decision = decide(inputs(signals=(wish("AAA"), wish("BBB")), **{short_of: 7_000.0}))
    first, second = decision.approved
    assert notional(first) == pytest.approx(5_000.0, abs=101)
    assert notional(second) == pytest.approx(7_000.0 - notional(first), abs=101)
    assert notional(first) + notional(second) <= 7_000.0


def test_purchases_share_the_gross_room() -> None:
    narrow = LIMITS._replace(max_gross_exposure=0.08)
    decision = decide(inputs(signals=(wish("AAA"), wish("BBB")), limits=narrow))
    assert len(decision.approved) == 2
    assert sum(map(notional, decision.approved)) <= 8_000.0


def test_the_gate_sees_the_exposure_that_the_orders_before_it_took() -> None:
    first, second = decide(inputs(signals=(wish("AAA"), wish("BBB")))).verdicts
    shares = [verdict.measured[Code.GROSS_EXPOSURE] for verdict in (first, second)]
    assert shares == pytest.approx(
        [notional(first) / 100_000.0, (notional(first) + notional(second)) / 100_000.0]
    )


def test_shares_that_one_exit_sells_are_not_sold_by_another() -> None:
    twice = tuple(ForcedExit("AAA", kind, kind, 1) for kind in (Kind.STOP, Kind.FLATTEN))
    first, second = decide(inputs(Phase.PROTECT, symbols=(view(qty=40.0),), forced_exits=twice)).verdicts
    assert not first.failed
    assert {Code.ORDER_IN_FLIGHT, Code.SHORT_NOT_ALLOWED} <= set(failed_codes(second.failed))


# --- the same input, the same decision


def as_stored(given_: DecisionInput) -> DecisionInput:
    """Through the text that the journal keeps."""
    return DecisionInput.from_json(json.loads(json.dumps(given_.as_json(), allow_nan=False)))


def fields_of(decision: Decision) -> str:
    """Every field of every verdict to the last bit; NaN equals itself as text."""
    return repr(([asdict(verdict) for verdict in decision.verdicts], decision.outcomes))


@pytest.fixture(scope="module")
def floor(tmp_path_factory: pytest.TempPathFactory) -> Iterator[TradingFloor]:
    with trading_floor(tmp_path_factory.mktemp("decide"), SESSION) as floor:
        floor.tick(SESSION, 1)
        yield floor


def test_the_stored_input_derives_the_stored_verdicts_again(floor: TradingFloor, tmp_path: Path) -> None:
    with new_account(floor, tmp_path) as desk:
        given_ = look(desk, signal(desk), signal(desk, "IBM", 0.4), signal(desk, "MSFT", 0.05))
        store_input(desk, given_)
        follow(desk, send(desk, decide(given_)))
        (stored,) = desk.journal.tick_inputs(desk.book)
        again = decide(DecisionInput.from_json(stored.payload))
        assert fields_of(again) == fields_of(decide(given_))
        kept = desk.journal.verdicts(desk.book)
        assert fields_of(Decision(tuple(kept), again.outcomes)) == fields_of(again)
        assert len(kept) == 2


def test_a_refusal_without_a_price_is_kept_as_it_is(floor: TradingFloor, tmp_path: Path) -> None:
    with new_account(floor, tmp_path) as desk:
        blind = view(qty=5.0, bid=nan, ask=nan, last_trade=nan)
        given_ = inputs(
            Phase.PROTECT,
            book=desk.book,
            symbols=(blind,),
            forced_exits=(ForcedExit("AAA", Kind.STOP, "stop", 1),),
        )
        assert not send(desk, decide(given_))
        (kept,) = desk.journal.verdicts(desk.book)
        assert fields_of(Decision((kept,), {})) == fields_of(replace(decide(given_), outcomes={}))


def evenly(low: float, high: float) -> st.SearchStrategy[float]:
    """Floats of the whole range; of a wider one hypothesis draws mostly small numbers."""
    return st.integers(0, 120).map(lambda share: low + (high - low) * share / 120)


prices = evenly(0.5, 900.0).map(lambda price: round(price, 2))


def rarely(draw: st.DrawFn) -> bool:
    """What would hide everything else if it came often."""
    return draw(st.integers(0, 29)) == 17  # the ends of a range are drawn more often


@st.composite
def any_view(draw: st.DrawFn, symbol: str) -> SymbolInput:
    price = draw(prices)
    ask = price + draw(st.sampled_from([0.0, 0.0002, 0.002])) * price
    shares = draw(evenly(0.0, 6_000.0)) / price if draw(st.booleans()) else 0.0
    qty = (-1.0 if rarely(draw) else 1.0) * (shares if rarely(draw) else float(int(shares)))
    reserved = abs(qty) * (draw(evenly(0.0, 1.0)) if rarely(draw) else 0.0)
    return view(
        symbol,
        qty=qty,
        reserved_qty=reserved,
        open_entry_usd=draw(evenly(0.0, 3_000.0)) if rarely(draw) else 0.0,
        bid=draw(st.sampled_from([nan, 0.0])) if rarely(draw) else price,
        ask=draw(st.sampled_from([nan, 0.0])) if rarely(draw) else ask,
        last_trade=nan if rarely(draw) else price,
        previous_close=draw(prices) if rarely(draw) else price,
        fractionable=draw(st.booleans()),
        locked=rarely(draw),
        in_flight=int(rarely(draw)),
        orders_today=draw(st.integers(3, 6)) if rarely(draw) else 0,
    )


@st.composite
def any_input(draw: st.DrawFn) -> DecisionInput:
    views = tuple(draw(any_view(symbol)) for symbol in SYMBOLS)
    phase = draw(st.sampled_from([Phase.PROTECT, Phase.EXITS, Phase.ENTRIES, Phase.ENTRIES]))
    values = (-0.2, 1.0) if phase is Phase.ENTRIES else (-1.0, 0.5)
    signals = tuple(
        wish(
            one.symbol,
            draw(evenly(*values)),
            reference_price=one.last_trade,
            limit_price=one.last_trade * 0.999 if rarely(draw) else nan,
            volatility=draw(evenly(0.01, 2.0)),
            decision_id=f"{one.symbol}-{number}",
        )
        for one in views
        for number in range(draw(st.sampled_from([0, 1, 1, 2])))
    )
    forced = tuple(
        ForcedExit(one.symbol, draw(st.sampled_from([Kind.STOP, Kind.FLATTEN])), f"{one.symbol}-forced", 1)
        for one in views
        if phase is Phase.PROTECT and one.qty and draw(st.booleans())
    )
    state = draw(st.sampled_from([HaltState.REDUCE_ONLY, HaltState.HALTED])) if rarely(draw) else 0
    return inputs(
        phase,
        rules=draw(st.sampled_from([1, RULES])),
        incomplete=tuple(one.symbol for one in views if rarely(draw)),
        symbols=views,
        signals=signals,
        forced_exits=forced,
        equity_usd=nan if rarely(draw) else draw(evenly(10_000.0, 200_000.0)),
        buying_power_usd=nan if rarely(draw) else draw(evenly(-1_000.0, 40_000.0)),
        settled_cash_usd=draw(evenly(-1_000.0, 40_000.0)),
        halt_state=int(state),
        halt_causes=("KILL",) if state else (),
        orders_today=draw(st.integers(197, 201)) if rarely(draw) else 0,
        execution_orders=draw(st.integers(0, 3)),
        limits=LIMITS._replace(
            max_orders_per_execution=draw(st.sampled_from([2.0, 4.0, 10.0])),
            max_gross_exposure=draw(evenly(0.1, 1.0)),
            max_position_pct=draw(evenly(0.02, 0.4)),
            max_order_notional=draw(st.sampled_from([500.0, 10_000.0])),
            volatility_target=draw(st.sampled_from([nan, 0.2])),
            fractional=draw(st.booleans()),
            use_margin=draw(st.booleans()),
        ),
    )


ALLOWANCE = 1 + 1e-8  # the gate's own, and the float noise of adding up


@settings(max_examples=300)
@given(any_input())
@example(inputs(signals=tuple(wish(symbol) for symbol in SYMBOLS)))
def test_no_set_of_approved_orders_passes_a_limit(given_: DecisionInput) -> None:
    decision, limits = decide(given_), given_.limits
    views = {one.symbol: one for one in given_.symbols}
    entries = [verdict for verdict in decision.approved if not verdict.reducing]
    if given_.halt_state:
        assert not entries
    if given_.halt_state == HaltState.HALTED:
        assert {verdict.kind for verdict in decision.approved} <= {Kind.FLATTEN}
    exposure = {
        one.symbol: one.open_entry_usd + (abs(one.qty) * float(verdict_mark(one)) if one.qty else 0.0)
        for one in given_.symbols
    }
    spent = sum(map(notional, entries))
    if entries:
        assert sum(exposure.values()) + spent <= limits.max_gross_exposure * given_.equity_usd * ALLOWANCE
        funds = given_.buying_power_usd
        assert spent <= (funds if limits.use_margin else min(funds, given_.settled_cash_usd)) * ALLOWANCE
    for symbol in SYMBOLS:
        bought = sum(notional(verdict) for verdict in entries if verdict.symbol == symbol)
        if bought:
            limit = limits.max_position_pct * given_.equity_usd
            assert exposure[symbol] + bought <= limit * ALLOWANCE
        of_it = [verdict for verdict in decision.approved if verdict.symbol == symbol]
        sold = sum(float(verdict.qty) for verdict in of_it if verdict.side == Side.SELL)
        free = views[symbol].qty - views[symbol].reserved_qty
        assert sold <= max(free, 0.0) + 1e-9
        covered = sum(float(v.qty) for v in of_it if v.side == Side.BUY and v.reducing)
        assert covered <= max(-views[symbol].qty - views[symbol].reserved_qty, 0.0) + 1e-9
    for place, verdict in enumerate(decision.approved):
        assert min(verdict.qty, verdict.limit_price) > 0
        single = verdict.reducing and verdict.qty <= 1
        assert single or notional(verdict) <= limits.max_order_notional * ALLOWANCE
        if not verdict.reducing:
            assert given_.execution_orders + place < limits.max_orders_per_execution
            assert given_.orders_today + place < limits.max_orders_per_day
            assert views[verdict.symbol].orders_today < limits.max_orders_per_symbol_per_day
    ids = [verdict.client_order_id for verdict in decision.verdicts]
    assert len(ids) == len(set(ids))


def verdict_mark(one: SymbolInput) -> float:
    """Mid of a usable quote, else the last trade, else the last close."""
    if one.bid > 0 and one.ask >= one.bid:
        return (one.bid + one.ask) / 2
    return next(price for price in (one.last_trade, one.previous_close) if price > 0)


@settings(max_examples=300)
@given(any_input())
def test_a_stored_input_gives_the_same_decision_field_by_field(given_: DecisionInput) -> None:
    decision = decide(given_)
    assert fields_of(decide(as_stored(given_))) == fields_of(decision)
    assert as_stored(given_).as_json() == given_.as_json()


@settings(max_examples=300)
@given(any_input())
def test_a_symbol_with_incomplete_bars_is_not_entered_on_and_takes_nothing_from_the_others(
    given_: DecisionInput,
) -> None:
    decision, whole = decide(given_), decide(replace(given_, incomplete=()))
    if given_.phase is not Phase.ENTRIES:
        assert fields_of(decision) == fields_of(whole)
        return
    kept = tuple(signal for signal in given_.signals if signal.symbol not in given_.incomplete)
    others = decide(replace(given_, signals=kept, incomplete=()))
    assert repr(decision.verdicts) == repr(others.verdicts)  # as text, NaN equals itself
    waiting = {
        key
        for key, outcome in whole.outcomes.items()
        if key not in others.outcomes and outcome in ("ORDERED", "REFUSED")
    }
    assert waiting <= {key for key, outcome in decision.outcomes.items() if outcome == "INCOMPLETE_BARS"}
