"""From signals to order prices and quantities: targets, the no-trade band, clips, slices.

Nothing here refuses an order: the sizer clips to the limits, the gate (`core.gate`) only rejects, and
neither calls the other. What the sizer proposes passes the gate's checks of size, position, portfolio
and buying power for the same figures. Orders of one execution are sized one after the other, each with the
exposures and the buying power that earlier ones have left.

USD, shares, NaN: not known. Infinite limits (replay books only) do not clip.
"""

from __future__ import annotations

from math import inf, nan
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from trading_assets.core.compiled import allocation_free
from trading_assets.core.limits import Limits
from trading_assets.core.prices import is_usable, mid_price, round_down_to_tick, round_up_to_tick
from trading_assets.core.tolerance import at_least, at_most, is_finite, is_positive
from trading_assets.core.words import Side

NO_TRADE_BAND = 0.10  # of the target
FRACTIONS_PER_SHARE = 1e9  # the broker's quantities have nine decimals
MAX_SLICES = 1000
_NOISE = 1e-12  # relative: 100·1.005 is meant to be 100.5, and $5000 to buy 100 shares of $50
_DUST = 1e-10  # shares: 0.3 − 0.1 is meant to be 0.2


@allocation_free
def entry_limit_price(side: int, bid: float, ask: float, limits: Limits) -> float:
    """Limit price of an entry: buy min(ask·(1 + limit_offset), mid·(1 + max_slip_pct)) down to the
    tick, sell mirrored. NaN when the quote is not usable."""
    return _limit_price(side, bid, ask, limits.limit_offset, limits.max_slip_pct)


@allocation_free
def exit_limit_price(side: int, bid: float, ask: float, last_trade: float, limits: Limits) -> float:
    """Limit price of an exit: as an entry's, with exit_collar_pct. The last trade stands in for both
    sides when the quote is not usable; NaN when that is missing too."""
    if not is_usable(bid, ask):
        bid = ask = last_trade
    return _limit_price(side, bid, ask, limits.limit_offset, limits.exit_collar_pct)


@allocation_free
def _limit_price(side: int, bid: float, ask: float, offset: float, collar: float) -> float:
    if not is_usable(bid, ask):
        return nan
    mid = mid_price(bid, ask)
    if side == Side.BUY:
        near, far = ask * (1.0 + offset), mid * (1.0 + collar)
        price = round_down_to_tick((near if near < far else far) * (1.0 + _NOISE))
    else:
        near, far = bid * (1.0 - offset), mid * (1.0 - collar)
        price = round_up_to_tick((near if near > far else far) * (1.0 - _NOISE))
    return price if is_positive(price) else nan


@allocation_free
def _lesser(a: float, b: float) -> float:
    return a if a < b else b


@allocation_free
def target_weights(
    signal: NDArray[np.float64],
    volatility: NDArray[np.float64],
    exposure_held_usd: NDArray[np.float64],
    equity: float,
    limits: Limits,
    out: NDArray[np.float64],
) -> None:
    """Fill `out` with each symbol's target share of equity: NaN hold, 0 exit to zero, > 0 target.

    All arrays have shape (n,) and cover every symbol that is held or worked, `signal` being NaN where
    there is none. `volatility` is annualised; it matters only where `volatility_target` is set, and
    then a missing one holds. `exposure_held_usd` is exposure as the gate counts it, open entries
    included; exits earn no credit until they are filled.

    s ≥ θ gives max_position_pct·min(s, 1)·min(1, σ_target/σ̂), s ≤ −θ gives 0, between holds. What
    the targets *add* to what is held or worked is scaled by min(1, room/Σ added), with room =
    max_gross_exposure − Σ exposure/equity: so all of them can be bought without meeting
    GROSS_EXPOSURE, and a position is never sold because others have drifted. With no room, or
    with an equity or exposure that is not known, a target above what is held becomes hold.
    """
    held_usd = 0.0
    for i in range(signal.size):
        held_usd += exposure_held_usd[i] if exposure_held_usd[i] >= 0.0 else nan
        out[i] = _unscaled_weight(signal[i], volatility[i], limits)
    measurable = is_positive(equity) and is_finite(held_usd)
    added = 0.0
    for i in range(signal.size):
        if out[i] > 0.0 and measurable:
            added += out[i] - _lesser(out[i], exposure_held_usd[i] / equity)
    room = limits.max_gross_exposure - held_usd / equity if measurable else 0.0
    scale = 0.0
    if room > 0.0:
        scale = 1.0 if added <= room else room / added
    for i in range(signal.size):
        if out[i] > 0.0 and scale < 1.0:
            kept = _lesser(out[i], exposure_held_usd[i] / equity) if measurable else 0.0
            scaled = kept + (out[i] - kept) * scale
            out[i] = scaled if scaled > 0.0 else nan


@allocation_free
def _unscaled_weight(signal: float, volatility: float, limits: Limits) -> float:
    if at_least(-signal, limits.threshold):
        return 0.0
    if not at_least(signal, limits.threshold):
        return nan
    weight = limits.max_position_pct if limits.max_position_pct < inf else 1.0
    if signal < 1.0:
        weight *= signal
    target = limits.volatility_target
    if target != target:  # NaN: off
        return weight
    if not (is_finite(volatility) and volatility >= 0.0):
        return nan
    return weight if volatility <= target else weight * (target / volatility)


@allocation_free
def available_funds(buying_power_usd: float, settled_cash_usd: float, limits: Limits) -> float:
    """USD that buys may spend: the broker's buying power; without margin at most the settled cash.
    NaN where either is not known."""
    if not (is_finite(buying_power_usd) and is_finite(settled_cash_usd)):
        return nan
    return buying_power_usd if limits.use_margin else _lesser(buying_power_usd, settled_cash_usd)


@allocation_free
def order_side(
    target_weight: float,
    position_qty: float,
    reserved: float,
    exposure_usd: float,
    mark: float,
    equity: float,
) -> int:
    """The side that trades toward the target: Side.BUY, Side.SELL, or 0 when there is none.

    A sale looks at the shares that open exits have not reserved, a purchase at the exposure, open
    entries included. A short position is only ever bought back.
    """
    free = abs(position_qty) - reserved
    if not is_finite(target_weight) or not is_finite(free):
        return 0
    if position_qty < 0.0:
        return 1 if free > 0.0 else 0
    target_usd = target_weight * equity
    if free > 0.0 and (target_weight <= 0.0 or free * mark > target_usd):
        return -1
    return 1 if target_weight > 0.0 and target_usd > exposure_usd else 0


@allocation_free
def order_quantity(
    target_weight: float,
    position_qty: float,
    reserved: float,
    exposure_usd: float,
    gross_exposure_usd: float,
    limit_price: float,
    mark: float,
    equity: float,
    buying_power: float,
    limits: Limits,
    fractionable: bool,
    no_trade_band: float = NO_TRADE_BAND,
) -> float:
    """Signed shares to order toward the target; 0 for no trade.

    `limit_price` is that of the side that `order_side` gives, `buying_power` what `available_funds`
    gives less what earlier buys of the execution take. Trades when |target − position| is more than
    `no_trade_band` (a fraction of the target) and `min_order_notional`. A target of 0 (or below) sells
    every free share whatever its size, and needs neither prices nor equity; so does a sale that would
    leave less than `min_order_notional`. A purchase is clipped to the order, position, gross and buying power
    limits; a sale is not (`slice_quantities` cuts it). Whole shares toward zero; nine decimals where
    `fractional` and the asset allow it, and to empty a fractional position of such an asset.
    """
    side = order_side(target_weight, position_qty, reserved, exposure_usd, mark, equity)
    if side == 0:
        return 0.0
    if position_qty < 0.0:
        return _all_shares(abs(position_qty) - reserved, fractionable)
    minimum = limits.min_order_notional if limits.min_order_notional < inf else 0.0
    target_usd = target_weight * equity
    band = no_trade_band * target_usd
    if band < minimum:
        band = minimum
    fractional = limits.fractional and fractionable
    if side == -1:
        free = position_qty - reserved
        if target_weight <= 0.0:
            return -_all_shares(free, fractionable)
        excess_usd = free * mark - target_usd
        if not is_finite(excess_usd) or at_most(excess_usd, band):
            return 0.0
        qty = _shares(excess_usd, mark, fractional)
        return -_all_shares(free, fractionable) if (free - qty) * mark < minimum else -qty
    missing_usd = target_usd - exposure_usd
    sound = exposure_usd >= 0.0 and gross_exposure_usd >= 0.0 and is_finite(gross_exposure_usd)
    if not (sound and is_positive(limit_price) and is_finite(missing_usd) and is_finite(buying_power)):
        return 0.0
    if at_most(missing_usd, band):
        return 0.0
    cap_usd = _lesser(missing_usd, limits.max_order_notional)
    cap_usd = _lesser(cap_usd, limits.max_position_pct * equity - exposure_usd)
    cap_usd = _lesser(cap_usd, limits.max_gross_exposure * equity - gross_exposure_usd)
    cap_usd = _lesser(cap_usd, buying_power)
    if not cap_usd > 0.0:
        return 0.0
    qty = _shares(cap_usd, limit_price, fractional)
    return qty if qty * limit_price >= minimum else 0.0


@allocation_free
def _shares(usd: float, price: float, fractional: bool) -> float:
    """Shares that `usd` buys at `price`, toward zero."""
    units = FRACTIONS_PER_SHARE if fractional else 1.0
    return float(np.floor(usd / price * (1.0 + _NOISE) * units)) / units


@allocation_free
def _all_shares(free: float, fractionable: bool) -> float:
    """Every free share: the float noise of position − reserved leaves no dust, and adds none."""
    units = FRACTIONS_PER_SHARE if fractionable else 1.0
    return float(np.floor((free + _DUST) * units)) / units


class Slices(NamedTuple):
    """An order in parts: `number` of them, signed shares `each`, of which the last has `last`."""

    number: int
    each: float
    last: float


NO_SLICE = Slices(0, 0.0, 0.0)


@allocation_free
def cut(qty: float, limit_price: float, max_order_notional: float, fractionable: bool) -> Slices:
    """Cut an exit of signed `qty` into orders of at most `max_order_notional` USD.

    Whole shares a slice, or fractions of one where a share costs more and the asset allows it; else
    one share, which the gate lets pass. Whatever a thousand slices do not sell waits for the next tick. A
    missing price or limit leaves one slice for the gate to refuse; none for a quantity of 0 or NaN.
    """
    total = abs(qty)
    if not (is_finite(qty) and total > 0.0):
        return NO_SLICE
    uncut = at_most(total * limit_price, max_order_notional)
    if uncut or not (is_positive(limit_price) and max_order_notional >= 0.0):
        return Slices(1, qty, qty)
    each = _shares(max_order_notional, limit_price, False)
    if each < 1.0:
        each = _shares(max_order_notional, limit_price, fractionable)
    if each <= 0.0:
        each = 1.0
    full = np.floor(total / each)
    sign = 1.0 if qty > 0.0 else -1.0
    if full >= MAX_SLICES:
        return Slices(MAX_SLICES, sign * each, sign * each)
    rest = float(np.floor((total - full * each) * FRACTIONS_PER_SHARE + 0.5)) / FRACTIONS_PER_SHARE
    if rest > 0.0:
        return Slices(int(full) + 1, sign * each, sign * rest)
    return Slices(int(full), sign * each, sign * each)


def slice_quantities(
    qty: float, limit_price: float, max_order_notional: float, fractionable: bool
) -> NDArray[np.float64]:
    """The slices of `cut` one by one, shape (slices,)."""
    slices = cut(qty, limit_price, max_order_notional, fractionable)
    quantities = np.full(slices.number, slices.each)
    if slices.number > 0:
        quantities[-1] = slices.last
    return quantities
