"""Deciding is a function of the stored input: what becomes of signals, and what each order leaves for
the next."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace
from decimal import Decimal
from math import isnan, nan
from pathlib import Path
from typing import Any

import pytest
from decisions import LIMITS, NOW_NS, SESSION, SYMBOLS, fields_of, inputs, notional, opinion, view
from hypothesis import given
from hypothesis import strategies as st
from support.trading_floor import TradingFloor
from wire import look, new_account, send, signal

from trading_assets.core.codes import Code, failed_codes
from trading_assets.core.gate import reason
from trading_assets.core.orders import Kind, client_order_id
from trading_assets.core.words import HaltState, Side
from trading_assets.engine.decision.decide import Decision, decide
from trading_assets.engine.decision.inputs import RULES, DecisionInput, ForcedExit, Phase
from trading_assets.engine.orders.follow import follow
from trading_assets.engine.orders.send import store_input

pytestmark = pytest.mark.floor(SESSION, shared=True, tick=1)


def reasons(decision: Decision) -> list[str]:
    return [reason(verdict.failed, verdict.cause) for verdict in decision.verdicts]


def test_the_newest_signal_of_a_symbol_supersedes_the_others() -> None:
    older = opinion(value=-1.0, as_of_ns=NOW_NS - 1, decision_id="older")
    decision = decide(inputs(signals=(opinion(decision_id="newer"), older)))
    assert decision.outcomes == {"older": "SUPERSEDED", "newer": "ORDERED"}
    assert [verdict.decision_id for verdict in decision.verdicts] == ["newer"]


@given(st.permutations(range(6)), st.integers(0, 2))
def test_of_signals_with_one_stamp_the_last_received_is_the_newest_whatever_their_ids_are(
    places: list[int], received_together: int
) -> None:
    signals = [
        opinion(
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
        opinion("BBB", 0.5),
        opinion("AAA", 0.2, decision_id="b"),
        opinion("AAA", 0.9, decision_id="a"),
        opinion("CCC", 1.0),
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
def test_where_a_cap_binds_the_strongest_signal_has_it(cap: dict[str, Any], values: list[float]) -> None:
    signals = tuple(opinion(symbol, value) for symbol, value in zip(SYMBOLS, values, strict=True))
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
        symbols=(held, view("BBB")), signals=(opinion("AAA", -1.0), opinion("BBB")), incomplete=("AAA", "BBB")
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
    decision = decide(inputs(signals=(opinion(value=value),)))
    assert decision.outcomes == {"decision-AAA": outcome}
    assert len(decision.verdicts) == (outcome == "ORDERED")


def test_a_position_at_its_target_and_an_exit_of_nothing_are_held() -> None:
    held = view("AAA", qty=50.0)
    given_ = inputs(symbols=(held, view("BBB")), signals=(opinion("AAA"), opinion("BBB", -1.0)))
    for phase in (Phase.EXITS, Phase.ENTRIES):
        decision = decide(replace(given_, phase=phase))
        assert decision.outcomes == {"decision-AAA": "HELD", "decision-BBB": "HELD"}
        assert not decision.verdicts


def test_sales_belong_to_the_exits_and_purchases_to_the_entries() -> None:
    both = inputs(
        symbols=(view("AAA", qty=40.0), view("BBB")), signals=(opinion("AAA", -1.0), opinion("BBB"))
    )
    exits, entries = (decide(replace(both, phase=phase)) for phase in (Phase.EXITS, Phase.ENTRIES))
    assert [(v.symbol, v.side, v.qty, v.reducing) for v in exits.approved] == [
        ("AAA", Side.SELL, Decimal(40), True)
    ]
    assert [(v.symbol, v.side, v.reducing) for v in entries.approved] == [("BBB", Side.BUY, False)]


def test_without_a_price_nothing_is_proposed() -> None:
    blind = view(bid=nan, ask=nan, last_trade=nan, previous_close=nan)
    assert decide(inputs(symbols=(blind,), signals=(opinion(),))).outcomes == {"decision-AAA": "NO_PRICE"}


def test_the_producers_limit_holds_where_it_is_the_better_one() -> None:
    (verdict,) = decide(inputs(signals=(opinion(limit_price=99.876),))).verdicts
    assert verdict.limit_price == Decimal("99.87")
    (verdict,) = decide(inputs(signals=(opinion(limit_price=150.0),))).verdicts
    assert verdict.limit_price == Decimal("100.11")


@pytest.mark.slow(seconds=6)
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


def test_orders_of_one_execution_share_its_count() -> None:
    three = tuple(opinion(symbol) for symbol in SYMBOLS[:3])
    limit = int(LIMITS.max_orders_per_execution)
    decision = decide(inputs(signals=three, execution_orders=limit - 2))
    assert reasons(decision) == ["PASS", "PASS", "EXECUTION_ORDER_COUNT"]
    assert list(decision.outcomes.values()) == ["ORDERED", "ORDERED", "REFUSED"]


def test_orders_of_one_execution_share_the_days_count() -> None:
    three = tuple(opinion(symbol) for symbol in SYMBOLS[:3])
    decision = decide(inputs(signals=three, orders_today=int(LIMITS.max_orders_per_day) - 1))
    assert reasons(decision) == ["PASS", "DAILY_ORDER_COUNT", "DAILY_ORDER_COUNT"]


@pytest.mark.parametrize("short_of", ["buying_power_usd", "settled_cash_usd"])
def test_a_purchase_has_what_the_purchases_before_it_left(short_of: str) -> None:
    decision = decide(inputs(signals=(opinion("AAA"), opinion("BBB")), **{short_of: 7_000.0}))
    first, second = decision.approved
    assert notional(first) == pytest.approx(5_000.0, abs=101)
    assert notional(second) == pytest.approx(7_000.0 - notional(first), abs=101)
    assert notional(first) + notional(second) <= 7_000.0


def test_purchases_share_the_gross_room() -> None:
    narrow = LIMITS._replace(max_gross_exposure=0.08)
    decision = decide(inputs(signals=(opinion("AAA"), opinion("BBB")), limits=narrow))
    assert len(decision.approved) == 2
    assert sum(map(notional, decision.approved)) <= 8_000.0


def test_the_gate_sees_the_exposure_that_the_orders_before_it_took() -> None:
    first, second = decide(inputs(signals=(opinion("AAA"), opinion("BBB")))).verdicts
    shares = [verdict.measured[Code.GROSS_EXPOSURE] for verdict in (first, second)]
    assert shares == pytest.approx(
        [notional(first) / 100_000.0, (notional(first) + notional(second)) / 100_000.0]
    )


def test_shares_that_one_exit_sells_are_not_sold_by_another() -> None:
    twice = tuple(ForcedExit("AAA", kind, kind, 1) for kind in (Kind.STOP, Kind.FLATTEN))
    first, second = decide(inputs(Phase.PROTECT, symbols=(view(qty=40.0),), forced_exits=twice)).verdicts
    assert not first.failed
    assert {Code.ORDER_IN_FLIGHT, Code.SHORT_NOT_ALLOWED} <= set(failed_codes(second.failed))


@pytest.mark.parametrize(("count", "slices", "tries"), [(200, 4, 3), (200, 40, 2), (360, 2, 2), (12, 40, 9)])
def test_each_held_symbol_has_an_exit_of_the_day_however_many_orders_the_others_take(
    count: int, slices: int, tries: int
) -> None:
    """All positions are to be sold at each look, and nothing is filled."""
    symbols, sent = [f"S{number:03}" for number in range(count)], Counter[str]()
    for attempt in range(1, tries + 1):
        views = tuple(view(one, qty=99.0 * slices, exits_today=sent[one]) for one in symbols)
        stops = tuple(ForcedExit(one, Kind.STOP, f"stop {one}", attempt) for one in symbols)
        decision = decide(
            inputs(Phase.PROTECT, exit_orders_today=sent.total(), symbols=views, forced_exits=stops)
        )
        sent.update(verdict.symbol for verdict in decision.approved)
        assert len(decision.verdicts) == count * slices
    assert len(sent) == count
    assert sent.total() <= LIMITS.max_exit_orders_per_day
    assert max(sent.values()) <= LIMITS.max_exit_orders_per_day / 10


def test_a_symbol_that_reaches_its_stop_last_is_sold_after_the_others_tried_all_day() -> None:
    others, sent = [f"S{number:03}" for number in range(199)], Counter[str]()
    for attempt in range(1, 30):
        views = tuple(view(one, qty=99.0, exits_today=sent[one]) for one in (*others, "LATE"))
        stops = tuple(ForcedExit(one, Kind.STOP, f"stop {one}", attempt) for one in others)
        seen = inputs(Phase.PROTECT, exit_orders_today=sent.total(), symbols=views, forced_exits=stops)
        sent.update(verdict.symbol for verdict in decide(seen).approved)
    assert sent.total() == LIMITS.max_exit_orders_per_day - 1
    late = (ForcedExit("LATE", Kind.STOP, "stop", 1),)
    assert reasons(decide(replace(seen, exit_orders_today=sent.total(), forced_exits=late))) == ["PASS"]
    as_before = replace(seen, exit_orders_today=sent.total(), rules=2)  # derived as it was decided then
    assert "PASS" in reasons(decide(as_before))


def test_a_flatten_takes_none_of_the_exits_that_are_kept() -> None:
    narrow, symbols = LIMITS._replace(max_exit_orders_per_day=3.0), SYMBOLS[:3]
    held = tuple(view(one, qty=99.0, exits_today=int(one == symbols[0])) for one in symbols)
    exits = (
        ForcedExit(symbols[1], Kind.FLATTEN, "flatten", 1),
        ForcedExit(symbols[0], Kind.STOP, "stop", 1),
    )
    flattened, stopped = decide(
        inputs(Phase.PROTECT, symbols=held, forced_exits=exits, limits=narrow)
    ).verdicts
    kept = [one.gate_input["activity"]["exits_kept_for_others"] for one in (flattened, stopped)]
    assert kept == [0, 2]


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
