"""Whatever the input is, no set of approved orders passes a limit, and the stored input gives the same
decision."""

from __future__ import annotations

import json
from dataclasses import replace
from math import nan

import pytest
from decisions import LIMITS, SYMBOLS, fields_of, inputs, notional, opinion, view
from hypothesis import example, given, settings
from hypothesis import strategies as st

from trading_assets.core.orders import Kind
from trading_assets.core.words import HaltState, Side
from trading_assets.engine.decision.decide import decide
from trading_assets.engine.decision.inputs import RULES, DecisionInput, ForcedExit, Phase, SymbolInput


def as_stored(given_: DecisionInput) -> DecisionInput:
    """Through the text that the journal keeps."""
    return DecisionInput.from_json(json.loads(json.dumps(given_.as_json(), allow_nan=False)))


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
        opinion(
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
        rules=draw(st.sampled_from(range(1, RULES + 1))),
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
@example(inputs(signals=tuple(opinion(symbol) for symbol in SYMBOLS)))
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


@pytest.mark.slow(seconds=7)
@settings(max_examples=300)
@given(any_input())
def test_a_stored_input_gives_the_same_decision_field_by_field(given_: DecisionInput) -> None:
    decision = decide(given_)
    assert fields_of(decide(as_stored(given_))) == fields_of(decision)
    assert as_stored(given_).as_json() == given_.as_json()


@pytest.mark.slow(seconds=5)
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
