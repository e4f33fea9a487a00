"""What limits measure of sent orders: a second opinion that agrees with the gate, order by order."""

from __future__ import annotations

from math import inf, nan
from typing import Any

import numpy as np
import pytest
from cases.gate_cases import CASES, run, scrambled

from trading_assets.core.codes import Code, failed_codes
from trading_assets.core.gate import is_reducing
from trading_assets.core.limits import LIMIT_ROWS
from trading_assets.core.sent_orders import SentOrders

CODES = {
    "entry_collar": (Code.PRICE_COLLAR,),
    "exit_collar": (Code.PRICE_COLLAR,),
    "price_drift": (Code.PRICE_DRIFT,),
    "spread": (Code.SPREAD_TOO_WIDE,),
    "symbol_move": (Code.SYMBOL_MOVE,),
    "signal_age": (Code.STALE_SIGNAL, Code.SIGNAL_FROM_FUTURE),
    "quote_age": (Code.STALE_QUOTE,),
    "account_age": (Code.STALE_ACCOUNT,),
    "after_open": (Code.NEAR_OPEN,),
    "before_close": (Code.NEAR_CLOSE,),
    "order_notional": (Code.NOTIONAL_BELOW_MIN, Code.NOTIONAL_ABOVE_MAX),
}


def as_sent(inputs: dict[str, Any]) -> SentOrders:
    """The gate's input for one order as columns of one row, as if it had been sent."""
    order, quote, session = inputs["order"], inputs["quote"], inputs["session"]

    def column(value: float) -> Any:
        return np.array([value], np.float64)

    def stamp(value: int) -> Any:
        return column(float(value) if value > 0 else nan)

    return SentOrders(
        symbol=np.zeros(1, np.int64),
        execution=np.zeros(1, np.int64),
        side=np.array([order.side]),
        qty=column(order.qty),
        limit_price=column(order.limit_price),
        reducing=np.array([is_reducing(order, inputs["position"])]),
        flatten=np.array([order.flatten]),
        journaled_ns=stamp(inputs["now_ns"]),
        open_ns=stamp(session.open_ns),
        close_ns=stamp(session.close_ns),
        judged=np.ones(1, np.bool_),
        decided_ns=stamp(inputs["now_ns"]),
        bid=column(quote.bid),
        ask=column(quote.ask),
        last_trade=column(quote.last_trade),
        previous_close=column(quote.previous_close),
        quote_ns=stamp(quote.as_of_ns),
        account_ns=stamp(inputs["account"].as_of_ns),
        signal_ns=stamp(inputs["signal"].as_of_ns),
        reference_price=column(inputs["signal"].reference_price),
        signal=column(nan),
    )


def is_an_order(inputs: dict[str, Any]) -> bool:
    """What the sizer could have proposed: a side, a quantity, a price, and limits that are numbers."""
    order = inputs["order"]
    whole = order.side in (-1, 1) and 0 < order.qty < inf and 0 < order.limit_price < inf
    limits = inputs["limits"]._replace(volatility_target=0.0)
    return whole and all(0 <= limit < inf for limit in limits)


def test_a_measure_is_within_its_limit_where_the_gate_refuses_nothing_by_it() -> None:
    tried = {name: set[bool]() for name in CODES}
    for inputs in [*(case.inputs for case in CASES), *scrambled(7, 4000)]:
        if not is_an_order(inputs):
            continue
        failed, orders = set(failed_codes(run(inputs)[0])), as_sent(inputs)
        within: dict[str, bool] = {}
        for name, row in LIMIT_ROWS.items():
            for check in row.checks:
                if check.name in CODES:
                    result = orders.measured(row, check, getattr(inputs["limits"], name))
                    if len(result.rows):
                        within[check.name] = within.get(check.name, True) and bool(result.within.all())
        for name, held in within.items():
            assert held == (not failed & set(CODES[name])), (name, inputs)
            tried[name].add(held)
    assert all(seen == {True, False} for seen in tried.values()), tried


def sent(symbols: str, *, exits: str = "", flattens: str = "") -> SentOrders:
    """One order for each letter; `exits` and `flattens` mark the places that are some ("-": not)."""
    count = len(symbols)
    nothing = np.full(count, nan)
    return SentOrders(
        symbol=np.array([ord(letter) for letter in symbols], np.int64),
        execution=np.arange(count) // 3,
        side=np.ones(count, np.int64),
        qty=np.ones(count),
        limit_price=np.ones(count),
        reducing=np.array([mark != "-" for mark in exits or "-" * count], np.bool_),
        flatten=np.array([mark != "-" for mark in flattens or "-" * count], np.bool_),
        journaled_ns=nothing, open_ns=nothing, close_ns=nothing, judged=np.ones(count, np.bool_),
        decided_ns=nothing, bid=nothing, ask=nothing, last_trade=nothing, previous_close=nothing,
        quote_ns=nothing, account_ns=nothing, signal_ns=nothing, reference_price=nothing, signal=nothing,
    )  # fmt: skip


def test_an_entry_is_counted_with_the_exits_before_it_and_not_with_those_after_it() -> None:
    orders = sent("AABAAB", exits="x-x--x")
    assert orders.place_in_symbol[orders.entries].tolist() == [2.0, 3.0, 4.0]
    assert orders.place_in_execution[orders.entries].tolist() == [2.0, 1.0, 2.0]


@pytest.mark.parametrize(
    ("symbols", "flattens", "cap", "value", "limit", "within"),
    [
        ("AAB", "---", 30.0, 2.0, 3.0, True),  # the symbol's tenth has less left
        ("AAAA", "----", 30.0, 4.0, 3.0, False),
        ("ABC", "---", 3.0, 3.0, 3.0, True),
        ("ABCD", "----", 3.0, 4.0, 3.0, False),
        ("ABCD", "---x", 3.0, 3.0, 3.0, True),  # a flatten is outside
        ("AAAA", "----", inf, 4.0, inf, True),
    ],
)
def test_exits_are_held_against_what_has_less_left(
    symbols: str, flattens: str, cap: float, value: float, limit: float, within: bool
) -> None:
    result = sent(symbols, exits="x" * len(symbols), flattens=flattens).exits_sent(cap)
    assert (result.values.tolist(), result.limit, result.within.tolist()) == ([value], limit, [within])


def test_where_nothing_is_measured_nothing_is_the_worst() -> None:
    nothing = sent("")
    for name, row in LIMIT_ROWS.items():
        for check in row.checks:
            if check.measure:
                result = nothing.measured(row, check, 1.0)
                assert (result.worst, len(result.rows)) == (None, 0), name


def test_what_cannot_be_measured_is_the_worst_and_beyond_every_limit() -> None:
    orders = sent("ABC")
    result = orders.at_most(orders.entries, np.array([1.0, nan, 2.0]), inf)
    assert (result.worst, result.within.tolist()) == (1, [True, False, True])
    result = orders.at_least(orders.entries, np.array([1.0, nan, 2.0]), 0.0)
    assert (result.worst, result.within.tolist()) == (1, [True, False, True])
