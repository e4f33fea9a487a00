"""Prices and quantities of orders, and the sizer against the gate: what it proposes is not refused."""

from __future__ import annotations

from math import inf, isnan, nan
from typing import Any

import numpy as np
import pytest
from cases.gate_cases import ENTRY, LIMITS, change, run
from hypothesis import assume, given
from hypothesis import strategies as st

from trading_assets.core.codes import Check, Code, failed_codes
from trading_assets.core.limits import Limits
from trading_assets.core.sizing import (
    available_funds,
    entry_limit_price,
    exit_limit_price,
    order_quantity,
    order_side,
    slice_quantities,
    target_weights,
)
from trading_assets.core.words import Account, Activity, Order, Position, Quote

BUY, SELL = 1, -1
FRACTIONAL = LIMITS._replace(fractional=True)
OPEN_LIMITS = LIMITS._replace(
    max_order_notional=inf, max_position_pct=inf, max_gross_exposure=inf, min_order_notional=inf
)


# --- limit prices


@pytest.mark.parametrize(
    ("side", "bid", "ask", "price"),
    [
        (BUY, 99.99, 100.01, 100.11),  # ask·1.001 = 100.11001
        (SELL, 99.99, 100.01, 99.90),  # bid·0.999 = 99.89001, up
        (BUY, 99.0, 101.0, 100.5),  # mid·1.005 is nearer
        (SELL, 99.0, 101.0, 99.5),
        (BUY, 0.5, 0.5, 0.5005),
        (SELL, 0.5, 0.5, 0.4995),
        (BUY, 10.0, 10.0, 10.01),
    ],
)
def test_an_entry_is_priced_just_beyond_the_near_side_and_within_the_collar(
    side: int, bid: float, ask: float, price: float
) -> None:
    assert entry_limit_price(side, bid, ask, LIMITS) == price


@pytest.mark.parametrize(("bid", "ask"), [(nan, 100.0), (0.0, 100.0), (100.0, 99.0), (inf, inf)])
def test_an_entry_without_a_usable_quote_has_no_price(bid: float, ask: float) -> None:
    assert isnan(entry_limit_price(BUY, bid, ask, LIMITS))


def test_an_exit_uses_its_own_collar_and_falls_back_to_the_last_trade() -> None:
    assert exit_limit_price(SELL, 90.0, 110.0, 100.0, LIMITS) == 95.0
    assert exit_limit_price(BUY, 90.0, 110.0, 100.0, LIMITS) == 105.0
    assert exit_limit_price(SELL, nan, 110.0, 100.0, LIMITS) == 99.9
    assert isnan(exit_limit_price(SELL, nan, 110.0, nan, LIMITS))


@given(side=st.sampled_from([BUY, SELL]), bid=st.integers(2000, 100_000), spread=st.integers(0, 500))
def test_limit_prices_stay_in_the_gates_collar(side: int, bid: int, spread: int) -> None:
    quote = Quote(bid / 100, (bid + spread) / 100, nan, bid / 100, ENTRY["quote"].as_of_ns)
    price = entry_limit_price(side, quote.bid, quote.ask, LIMITS)
    verdict, measured, _ = run(change(ENTRY, quote=quote, order={"side": side, "limit_price": price}))
    assert Code.PRICE_COLLAR not in failed_codes(verdict)
    assert measured[Code.PRICE_COLLAR] <= LIMITS.max_slip_pct * (1 + 1e-9)


# --- targets


def weights(
    signal: list[float], held: list[float] | None = None, limits: Limits = LIMITS, **also: Any
) -> list[float]:
    n = len(signal)
    out = np.full(n, -7.0)
    volatility = np.array(also.get("volatility", [nan] * n), float)
    held_usd = np.array(held or [0.0] * n, float)
    target_weights(np.array(signal, float), volatility, held_usd, also.get("equity", 100_000.0), limits, out)
    return [float(weight) for weight in out]


@pytest.mark.parametrize(
    ("signal", "weight"),
    [
        (0.0999, nan), (0.1, 0.005), (0.5, 0.025), (1.0, 0.05), (7.0, 0.05), (0.0, nan), (-0.0999, nan),
        (-0.1, 0.0), (-1.0, 0.0), (nan, nan), (inf, nan), (-inf, nan),
    ],
)  # fmt: skip
def test_a_signal_at_the_threshold_trades_and_below_it_holds(signal: float, weight: float) -> None:
    assert weights([signal]) == pytest.approx([weight], nan_ok=True)


def test_volatility_scales_down_only_and_a_missing_one_holds() -> None:
    limits = LIMITS._replace(volatility_target=0.2)
    got = weights([1.0] * 6, limits=limits, volatility=[0.4, 0.1, nan, 0.0, -0.4, inf])
    assert got == pytest.approx([0.025, 0.05, nan, 0.05, nan, nan], nan_ok=True)
    assert weights([1.0], volatility=[nan]) == [0.05]


def test_new_weights_are_scaled_to_the_room_that_holdings_leave() -> None:
    got = weights([1.0, 1.0, nan], held=[0.0, 0.0, 56_000.0])
    assert got[:2] == pytest.approx([0.02, 0.02])
    assert isnan(got[2])


def test_exits_make_no_room_before_they_are_filled() -> None:
    got = weights([1.0, -1.0], held=[0.0, 58_000.0])
    assert got == pytest.approx([0.02, 0.0])


def test_a_full_book_that_keeps_its_targets_is_left_alone() -> None:
    assert weights([1.0] * 12, held=[5000.0] * 12) == pytest.approx([0.05] * 12)


def test_drift_of_others_sells_nothing() -> None:
    got = weights([1.0, nan], held=[3000.0, 60_000.0])
    assert got[0] == pytest.approx(0.03)
    got = weights([1.0, 1.0, nan], held=[3000.0, 0.0, 60_000.0])
    assert got == pytest.approx([0.03, nan, nan], nan_ok=True)


@pytest.mark.parametrize(
    ("held", "equity"), [([nan, 0.0], 1e5), ([inf, 0.0], 1e5), ([-5.0, 0.0], 1e5), ([0.0, 0.0], nan),
                         ([0.0, 0.0], 0.0), ([0.0, 0.0], inf)]
)  # fmt: skip
def test_unknown_exposure_or_equity_gives_no_new_weight_and_keeps_the_exit(
    held: list[float], equity: float
) -> None:
    got = weights([1.0, -1.0], held=held, equity=equity)
    assert isnan(got[0])
    assert got[1] == 0.0


def test_without_limits_a_full_signal_asks_for_the_whole_equity() -> None:
    assert weights([0.5], limits=OPEN_LIMITS) == [0.5]


@given(
    signal=st.lists(st.one_of(st.just(nan), st.floats(-1, 1)), min_size=1, max_size=20),
    data=st.data(),
)
def test_buying_every_target_stays_within_the_gross_limit(signal: list[float], data: st.DataObject) -> None:
    held = data.draw(st.lists(st.floats(0, 8000), min_size=len(signal), max_size=len(signal)))
    got = weights(signal, held=held)
    bought = sum(max(w * 1e5 - h, 0.0) for w, h in zip(got, held, strict=True) if w > 0)
    assert bought <= max(60_000.0 - sum(held), 0.0) * (1 + 1e-9) + 1e-6
    for weight, before, s in zip(got, held, signal, strict=True):
        if weight > 0:
            assert weight <= 0.05 * (1 + 1e-12)
            assert weight * 1e5 >= min(before, 0.05 * min(s, 1.0) * 1e5) * (1 - 1e-9) - 1e-9


def test_funds_are_the_smaller_of_buying_power_and_settled_cash_unless_margin_is_used() -> None:
    assert available_funds(500.0, 300.0, LIMITS) == 300.0
    assert available_funds(200.0, 300.0, LIMITS) == 200.0
    assert available_funds(500.0, 300.0, LIMITS._replace(use_margin=True)) == 500.0
    assert isnan(available_funds(nan, 300.0, LIMITS))
    assert isnan(available_funds(500.0, nan, LIMITS._replace(use_margin=True)))


# --- quantities


def quantity(target: float, position: float = 0.0, **changed: Any) -> float:
    """order_quantity at a price of 100 and an equity of 100 000, with nothing else in the book."""
    exposure = abs(position) * 100.0
    arguments: dict[str, Any] = {
        "target_weight": target, "position_qty": position, "reserved": 0.0, "exposure_usd": exposure,
        "gross_exposure_usd": exposure, "limit_price": 100.0, "mark": 100.0, "equity": 100_000.0,
        "buying_power": 100_000.0, "limits": LIMITS, "fractionable": True,
    }  # fmt: skip
    return float(order_quantity(*(arguments | changed).values()))


def test_buys_whole_shares_to_the_target() -> None:
    assert quantity(0.05) == 50.0
    assert quantity(0.05, limit_price=99.0) == 50.0
    assert quantity(0.05, limit_price=101.0) == 49.0
    assert quantity(0.05, position=10.0) == 40.0


def test_buys_fractions_where_both_the_settings_and_the_asset_allow_them() -> None:
    assert quantity(0.05, limit_price=300.0, limits=FRACTIONAL) == 16.666666666
    assert quantity(0.05, limit_price=300.0, limits=FRACTIONAL, fractionable=False) == 16.0
    assert quantity(0.05, limit_price=300.0) == 16.0


@pytest.mark.parametrize(
    ("position", "order"),
    [(45.0, 0.0), (44.9, 5.0), (55.0, 0.0), (55.1, -5.0), (50.0, 0.0)],
)
def test_trades_only_outside_ten_percent_of_the_target(position: float, order: float) -> None:
    assert quantity(0.05, position=position) == order


def test_trades_only_above_the_minimum_notional() -> None:
    assert quantity(0.0005) == 0.0
    assert quantity(0.0005, limit_price=10.0, mark=10.0) == 0.0
    assert quantity(0.00051, limit_price=10.0, mark=10.0) == 5.0


def test_an_exit_goes_to_zero_whatever_its_size_and_whatever_is_unknown() -> None:
    assert quantity(0.0, position=0.3) == -0.3
    assert quantity(0.0, position=0.3, fractionable=False) == 0.0
    assert quantity(0.0, position=10.5) == -10.5
    assert quantity(0.0, position=500.0) == -500.0
    unknown = dict.fromkeys(("exposure_usd", "gross_exposure_usd", "mark", "equity", "buying_power"), nan)
    assert quantity(0.0, position=7.0, **unknown) == -7.0


def test_what_open_exits_reserved_is_not_sold_again() -> None:
    assert quantity(0.0, position=10.0, reserved=4.0) == -6.0
    assert quantity(0.0, position=10.0, reserved=10.0) == 0.0
    assert quantity(0.0, position=0.3, reserved=0.1) == -0.2


def test_a_remainder_below_the_minimum_is_sold_too() -> None:
    small = LIMITS._replace(min_order_notional=150.0)
    assert quantity(0.001, position=50.0, limits=small) == -50.0
    assert quantity(0.002, position=50.0, limits=small) == -48.0


def test_a_short_is_bought_back_and_never_made() -> None:
    assert quantity(0.05, position=-10.0) == 10.0
    assert quantity(0.0, position=-10.0, reserved=4.0) == 6.0
    assert quantity(-0.05) == 0.0
    assert quantity(-0.05, position=3.0) == -3.0


@pytest.mark.parametrize(
    ("changed", "bought"),
    [
        ({"limits": LIMITS._replace(max_order_notional=1234.0)}, 12.0),
        ({"limits": LIMITS._replace(max_position_pct=0.02)}, 20.0),
        ({"gross_exposure_usd": 57_000.0}, 30.0),
        ({"gross_exposure_usd": 60_000.0}, 0.0),
        ({"gross_exposure_usd": 70_000.0}, 0.0),
        ({"buying_power": 999.0}, 9.0),
        ({"buying_power": 49.0, "limit_price": 10.0}, 0.0),
        ({"buying_power": -1.0}, 0.0),
    ],
)
def test_a_purchase_is_clipped_to_every_limit(changed: dict[str, Any], bought: float) -> None:
    assert quantity(0.05, **changed) == bought


@pytest.mark.parametrize(
    "name", ["target_weight", "position_qty", "reserved", "exposure_usd", "gross_exposure_usd",
             "limit_price", "equity", "buying_power"]
)  # fmt: skip
@pytest.mark.parametrize("value", [nan, inf, -inf])
def test_nothing_is_bought_on_a_missing_figure(name: str, value: float) -> None:
    assert quantity(0.05, **{name: value}) == 0.0


def test_nan_targets_hold() -> None:
    assert quantity(nan, position=10.0) == 0.0


def test_the_side_is_known_before_the_price() -> None:
    assert order_side(0.05, 0.0, 0.0, 0.0, 100.0, 1e5) == BUY
    assert order_side(0.05, 80.0, 0.0, 8000.0, 100.0, 1e5) == SELL
    assert order_side(0.05, 80.0, 40.0, 8000.0, 100.0, 1e5) == 0
    assert order_side(0.0, 0.0, 0.0, 500.0, 100.0, 1e5) == 0
    assert order_side(0.05, -1.0, 0.0, 100.0, 100.0, 1e5) == BUY
    assert order_side(nan, 5.0, 0.0, 500.0, 100.0, 1e5) == 0


# --- slices


@pytest.mark.parametrize(
    ("qty", "price", "fractionable", "slices"),
    [
        (-100.0, 100.0, False, [-100.0]),
        (-101.0, 100.0, False, [-100.0, -1.0]),
        (250.0, 100.0, False, [100.0, 100.0, 50.0]),
        (-10.5, 2500.0, True, [-4.0, -4.0, -2.5]),
        (-2.0, 20_000.0, False, [-1.0, -1.0]),
        (-1.2, 20_000.0, True, [-0.5, -0.5, -0.2]),
        (-100.0, nan, False, [-100.0]),
        (0.0, 100.0, False, []),
        (nan, 100.0, False, []),
    ],
)
def test_an_exit_is_cut_into_slices_within_the_maximum(
    qty: float, price: float, fractionable: bool, slices: list[float]
) -> None:
    assert list(slice_quantities(qty, price, 10_000.0, fractionable)) == slices


def test_without_a_maximum_nothing_is_cut_and_without_end_nothing_either() -> None:
    assert list(slice_quantities(-1e6, 100.0, inf, False)) == [-1e6]
    assert slice_quantities(-1e6, 100.0, 1.0, False).size == 1000


@given(
    units=st.integers(1, 10**13),
    cents=st.integers(100, 1_000_000),
    maximum=st.floats(50.0, 1e5),
    whole=st.booleans(),
)
def test_slices_add_up_and_the_gate_takes_each(units: int, cents: int, maximum: float, whole: bool) -> None:
    qty = float(units // 10**9) if whole else units / 1e9
    price = cents / 100
    assume(qty > 0 and qty * price / maximum < 900 and (not whole or qty < 900))
    slices = slice_quantities(-qty, price, maximum, not whole)
    assert sum(-slices) == pytest.approx(qty, rel=1e-12, abs=1e-9)
    reserved, limits = 0.0, LIMITS._replace(max_order_notional=maximum)
    for piece in -slices:
        inputs = change(
            ENTRY,
            order=Order(SELL, float(piece), price, False),
            position=Position(qty, reserved, qty * price),
            limits=limits,
        )
        assert not {Code.NOTIONAL_ABOVE_MAX, Code.SHORT_NOT_ALLOWED} & set(failed_codes(run(inputs)[0]))
        reserved += float(piece)


# --- the sizer against the gate

SIZED = {
    code for code in Code if code.check in (Check.ORDER_SIZE, Check.POSITION) or code is Code.GROSS_EXPOSURE
}
limit_sets = st.builds(
    lambda low, order, position, gross, fractional, margin: LIMITS._replace(
        min_order_notional=low, max_order_notional=low + order, max_position_pct=position,
        max_gross_exposure=gross, fractional=fractional, use_margin=margin,
    ),
    st.one_of(st.just(0.0), st.floats(1, 500)),
    st.one_of(st.just(inf), st.floats(0, 20_000)),
    st.one_of(st.just(inf), st.floats(0.001, 1)),
    st.one_of(st.just(inf), st.floats(0.01, 2)),
    st.booleans(),
    st.booleans(),
)  # fmt: skip


@given(
    limits=limit_sets,
    equity=st.floats(100, 1e7),
    funds=st.tuples(st.floats(-1e4, 1e6), st.floats(-1e4, 1e6)),
    steps=st.lists(
        st.tuples(
            st.one_of(st.just(nan), st.floats(-1, 1)),  # signal
            st.integers(100, 200_000),  # price in cents
            st.booleans(),  # filled, or left working
        ),
        min_size=1,
        max_size=12,
    ),
    start=st.one_of(st.integers(0, 400).map(float), st.integers(0, 10**11).map(lambda n: n / 1e9)),
    others=st.floats(0, 1e5),
    fractionable=st.booleans(),
)
def test_what_the_sizer_proposes_the_gate_does_not_refuse_and_nothing_goes_short(
    limits: Limits,
    equity: float,
    funds: tuple[float, float],
    steps: list[tuple[float, int, bool]],
    start: float,
    others: float,
    fractionable: bool,
) -> None:
    """One symbol through a sequence of ticks, beside others worth `others`."""
    held, reserved, working_usd = start, 0.0, 0.0
    power, cash = funds
    for signal, cents, fills in steps:
        price = cents / 100
        exposure = held * price + working_usd
        gross = exposure + others
        [weight, _] = weights([signal, nan], held=[exposure, others], limits=limits, equity=equity)
        side = order_side(weight, held, reserved, exposure, price, equity)
        if side == SELL:
            limit_price = exit_limit_price(side, price, price, price, limits)
        else:
            limit_price = entry_limit_price(side, price, price, limits)
        left = available_funds(power, cash, limits)
        signed = order_quantity(
            weight, held, reserved, exposure, gross, limit_price, price, equity, left, limits, fractionable
        )
        assert signed * side >= 0.0
        pieces = (
            slice_quantities(signed, limit_price, limits.max_order_notional, fractionable)
            if signed < 0
            else [signed] * (signed > 0)
        )
        for piece in pieces[:20]:
            inputs = ENTRY | {
                "order": Order(side, abs(float(piece)), limit_price, False),
                "account": Account(equity, power, cash, ENTRY["now_ns"]),
                "position": Position(held, reserved, exposure),
                "activity": Activity(False, 0, nan, gross, 0, 0, 0, 0, 0),
                "limits": limits,
            }
            refused = SIZED & set(failed_codes(run(inputs)[0]))
            assert not refused
            if side == SELL:
                if fills:
                    held = round(held + float(piece), 9)
                else:
                    reserved = round(reserved - float(piece), 9)
            else:
                power, cash = power - signed * limit_price, cash - signed * limit_price
                if fills:
                    held = round(held + signed, 9)
                else:
                    working_usd += signed * limit_price
        assert held - reserved >= 0.0
