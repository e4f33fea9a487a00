"""The pre-trade gate: may this order be sent? One pure function and the words for its answer.

Nothing here reads a clock, a file or a broker, and nothing sizes an order: the gate only refuses.
Every check is evaluated, also after the first failure.

What reducing orders are exempt from (`is_reducing`: computed, never taken from the side or a flag):

- halt state: REDUCE_ONLY and RECONCILIATION_LOCK; the operator's flatten also KILL_SWITCH_ACTIVE
  and RECONCILING. An exit waits for the first reconciliation: until then nobody knows what is reserved.
- NEAR_OPEN, NEAR_CLOSE, all of freshness, NOTIONAL_BELOW_MIN, PRICE_DRIFT, SPREAD_TOO_WIDE,
  SYMBOL_MOVE, QUOTE_INVALID, POSITION_LIMIT, INSUFFICIENT_BUYING_POWER, all of portfolio and of
  activity. For them DAILY_ORDER_COUNT is the cap of `max_exit_orders_per_day` or the symbol's share of
  it (`symbol_exit_cap`), whichever has less left; the operator's flatten is outside both. PRICE_COLLAR is
  `exit_collar_pct` around the mid, else the last trade, and NOTIONAL_ABOVE_MAX lets one share
  through, which no slicing makes smaller.

The gate measures what they are exempt from all the same; only the bit stays clear.

Missing input: a code whose measure cannot be computed from finite, sensible numbers measures NaN and
fails. So a NaN equity gives POSITION_LIMIT and GROSS_EXPOSURE, an unusable quote QUOTE_INVALID,
PRICE_COLLAR, PRICE_DRIFT, SPREAD_TOO_WIDE and SYMBOL_MOVE, a stamp ≤ 0 the code of its age, a NaN
limit the code it limits, and an order without a side, a quantity or a price both notional codes and
all that its notional is part of. Infinite limits (replay books only) never refuse.
"""

from __future__ import annotations

from math import inf, nan

import numpy as np
from numpy.typing import NDArray

from trading_assets.core.codes import CODE_COUNT, Code, failed_codes
from trading_assets.core.compiled import allocation_free
from trading_assets.core.limits import FUTURE_SIGNAL_SECONDS, Limits
from trading_assets.core.prices import is_usable, mid_price
from trading_assets.core.stamps import seconds_between
from trading_assets.core.tolerance import at_least, at_most, is_finite, is_positive
from trading_assets.core.words import (
    Account,
    Activity,
    Halt,
    HaltState,
    Order,
    Position,
    Quote,
    Session,
    Side,
    Signal,
)


@allocation_free
def free_quantity(position: Position) -> float:
    """Shares, ≥ 0, that no open exit has reserved; NaN where it cannot be computed."""
    if not (is_finite(position.qty) and is_finite(position.reserved_qty) and position.reserved_qty >= 0.0):
        return nan
    free = abs(position.qty) - position.reserved_qty
    return free if free > 0.0 else 0.0


@allocation_free
def _is_covered(qty: float, free: float) -> bool:
    """qty ≤ free at the nine decimals of the broker's quantities. Stricter than `at_most`, which would
    let a billionth of a position be sold short; NaN is not covered."""
    return np.floor(qty * 1e9 + 0.5) <= np.floor(free * 1e9 + 0.5) and is_finite(qty)


@allocation_free
def is_reducing(order: Order, position: Position) -> bool:
    """True for an order toward zero of no more than the free quantity. Everything else is an entry."""
    toward_zero = (order.side == Side.SELL and position.qty > 0.0) or (
        order.side == Side.BUY and position.qty < 0.0
    )
    return toward_zero and order.qty > 0.0 and _is_covered(order.qty, free_quantity(position))


@allocation_free
def _record(
    failed: int,
    code: int,
    measure: float,
    bound: float,
    passes: bool,
    enforced: bool,
    measured: NDArray[np.float64],
    limit: NDArray[np.float64],
) -> int:
    """Keep what a code measured and its limit; add its bit where it is enforced and does not pass."""
    measured[code] = measure
    limit[code] = bound
    return failed if passes or not enforced else failed | (1 << code)


@allocation_free
def _flag(
    failed: int,
    code: int,
    raised: bool,
    enforced: bool,
    measured: NDArray[np.float64],
    limit: NDArray[np.float64],
) -> int:
    """A condition that must not hold: measures 1 or 0 against a limit of 0."""
    return _record(failed, code, 1.0 if raised else 0.0, 0.0, not raised, enforced, measured, limit)


@allocation_free
def _ceiling(
    failed: int,
    code: int,
    measure: float,
    bound: float,
    enforced: bool,
    measured: NDArray[np.float64],
    limit: NDArray[np.float64],
) -> int:
    """A measure that must be at most its limit."""
    return _record(failed, code, measure, bound, at_most(measure, bound), enforced, measured, limit)


@allocation_free
def _count(
    failed: int,
    code: int,
    count: int,
    bound: float,
    enforced: bool,
    measured: NDArray[np.float64],
    limit: NDArray[np.float64],
) -> int:
    """Orders sent before this one: a limit of five admits five and refuses the sixth."""
    sent = float(count)
    return _record(failed, code, sent, bound, 0.0 <= sent < bound, enforced, measured, limit)


@allocation_free
def symbol_exit_cap(max_exit_orders_per_day: float) -> float:
    """How many exits one symbol may send in a session: a tenth of the cap of all, rounded down, at least
    one."""
    share = np.floor(max_exit_orders_per_day / 10.0)
    return 1.0 if share < 1.0 else share


@allocation_free
def exit_count(
    exits: int, symbol_exits: int, kept_for_others: int, max_exit_orders_per_day: float
) -> tuple[int, float]:
    """The session's exits of all symbols, and those kept for symbols that had none, with their cap; or the
    symbol's exits with its share of it: what has less left. An order is refused when the count is at its cap.

    What is kept leaves room for one symbol's share: where more symbols are held than the cap has orders, an
    exit is tried again all the same."""
    share = symbol_exit_cap(max_exit_orders_per_day)
    taken, most = exits + kept_for_others, max_exit_orders_per_day - share
    if kept_for_others > most:  # never of an infinite cap
        taken = exits + int(most if most > 0.0 else 0.0)
    if share - symbol_exits < max_exit_orders_per_day - taken:
        return symbol_exits, share
    return taken, max_exit_orders_per_day


@allocation_free
def _distance(price: float, reference: float) -> float:
    """|price − reference|/reference; NaN unless both are prices."""
    if not (is_positive(price) and is_positive(reference)):
        return nan
    return abs(price - reference) / reference


@allocation_free
def _share_of_equity(exposure_usd: float, notional: float, equity_usd: float) -> float:
    """(exposure + notional)/equity; NaN unless the exposure is ≥ 0 and the equity above zero."""
    if not (is_positive(equity_usd) and is_finite(exposure_usd) and exposure_usd >= 0.0):
        return nan
    return (exposure_usd + notional) / equity_usd


@allocation_free
def _meets_minimum(x: float, minimum: float) -> bool:
    """`at_least` for a limit from below, which +inf switches off as it does a limit from above."""
    return at_least(x, minimum) or (minimum == inf and is_finite(x))


@allocation_free
def _is_clear_of(seconds: float, quiet: float) -> bool:
    """True past the first (before the last) `quiet` seconds, or on the other side of the open (close):
    what trades in extended hours is MARKET_CLOSED's to refuse."""
    return _meets_minimum(seconds, quiet) or seconds < 0.0 <= quiet


@allocation_free
def _buying_power(account: Account, use_margin: bool) -> float:
    """USD that a buy may take: the broker's figure, without margin no more than settled cash."""
    power, cash = account.buying_power_usd, account.settled_cash_usd
    if not (is_finite(power) and is_finite(cash)):
        return nan
    return power if use_margin or power < cash else cash


@allocation_free
def evaluate(
    order: Order,
    signal: Signal,
    account: Account,
    position: Position,
    quote: Quote,
    session: Session,
    activity: Activity,
    halt: Halt,
    limits: Limits,
    now_ns: int,
    measured: NDArray[np.float64],
    limit: NDArray[np.float64],
) -> np.uint64:
    """The failed codes of one order, bit index = Code value; 0 is a pass.

    `measured` and `limit`, float64 of shape (CODE_COUNT,), are overwritten for every code: what was
    measured and against what, in the unit that `core.codes` gives. Raises ValueError on other shapes.
    """
    if measured.size != CODE_COUNT or limit.size != CODE_COUNT:
        raise ValueError("measured and limit must have one element for each code")
    reducing = is_reducing(order, position)
    entry = not reducing
    flatten = reducing and order.flatten
    sells = order.side == Side.SELL
    sound = is_positive(order.limit_price) and is_positive(order.qty) and (sells or order.side == Side.BUY)
    notional = order.qty * order.limit_price if sound else nan
    free = free_quantity(position)
    equity = account.equity_usd
    mid = mid_price(quote.bid, quote.ask)
    usable = is_usable(quote.bid, quote.ask)
    failed = 0

    # 1 halt state: ACTIVE is 0, an unknown state counts as HALTED
    active = halt.state == HaltState.ACTIVE
    killed = not active and halt.state != HaltState.REDUCE_ONLY
    state = 0.0 if active else 2.0 if killed else 1.0
    failed = _record(failed, Code.KILL_SWITCH_ACTIVE, state, 1.0, not killed, not flatten, measured, limit)
    failed = _record(failed, Code.REDUCE_ONLY, state, 0.0, active, entry, measured, limit)
    failed = _flag(failed, Code.RECONCILIATION_LOCK, halt.symbol_locked, entry, measured, limit)
    failed = _flag(failed, Code.RECONCILING, halt.reconciling, not flatten, measured, limit)

    # 2 session
    closed = not (session.calendar_open and session.broker_open)
    failed = _flag(failed, Code.MARKET_CLOSED, closed, True, measured, limit)
    elapsed = seconds_between(session.open_ns, now_ns)
    quiet = limits.no_entry_seconds_after_open
    failed = _record(
        failed, Code.NEAR_OPEN, elapsed, quiet, _is_clear_of(elapsed, quiet), entry, measured, limit
    )
    left = seconds_between(now_ns, session.close_ns)
    quiet = limits.no_entry_minutes_before_close * 60.0
    failed = _record(failed, Code.NEAR_CLOSE, left, quiet, _is_clear_of(left, quiet), entry, measured, limit)
    failed = _flag(failed, Code.ASSET_NOT_TRADABLE, not session.tradable, True, measured, limit)
    failed = _flag(failed, Code.SYMBOL_HALTED, session.symbol_halted, True, measured, limit)

    # 3 freshness
    age = seconds_between(signal.as_of_ns, now_ns)
    failed = _ceiling(failed, Code.STALE_SIGNAL, age, limits.stale_signal_seconds, entry, measured, limit)
    ahead = seconds_between(now_ns, signal.as_of_ns)
    failed = _ceiling(failed, Code.SIGNAL_FROM_FUTURE, ahead, FUTURE_SIGNAL_SECONDS, entry, measured, limit)
    age = seconds_between(quote.as_of_ns, now_ns)
    failed = _ceiling(failed, Code.STALE_QUOTE, age, limits.stale_quote_seconds, entry, measured, limit)
    age = seconds_between(account.as_of_ns, now_ns)
    failed = _ceiling(failed, Code.STALE_ACCOUNT, age, limits.stale_account_seconds, entry, measured, limit)

    # 4 duplicate
    failed = _flag(failed, Code.DUPLICATE_ORDER, activity.decision_sent, True, measured, limit)
    waiting = activity.in_flight
    failed = _record(failed, Code.ORDER_IN_FLIGHT, float(waiting), 0.0, waiting == 0, True, measured, limit)
    opposite = activity.opposite_limit
    below, above = order.limit_price < opposite, order.limit_price > opposite
    apart = is_finite(opposite) and (above if sells else below)
    alone = opposite != opposite  # NaN: no opposite order
    failed = _record(
        failed, Code.SELF_TRADE, order.limit_price, opposite, apart or alone, True, measured, limit
    )

    # 5 order size
    least = limits.min_order_notional
    enough = notional > 0.0 and _meets_minimum(notional, least)
    failed = _record(failed, Code.NOTIONAL_BELOW_MIN, notional, least, enough, entry, measured, limit)
    most = limits.max_order_notional
    fits = at_most(notional, most) or (reducing and order.qty <= 1.0)
    failed = _record(failed, Code.NOTIONAL_ABOVE_MAX, notional, most, fits, True, measured, limit)

    # 6 price
    anchor = mid if entry or usable else quote.last_trade
    collar = limits.max_slip_pct if entry else limits.exit_collar_pct
    slip = _distance(order.limit_price, anchor)
    failed = _ceiling(failed, Code.PRICE_COLLAR, slip, collar, True, measured, limit)
    drift = _distance(mid, signal.reference_price)
    failed = _ceiling(failed, Code.PRICE_DRIFT, drift, limits.max_slip_pct, entry, measured, limit)
    spread_bps = (quote.ask - quote.bid) / mid * 1e4 if usable else nan
    failed = _ceiling(failed, Code.SPREAD_TOO_WIDE, spread_bps, limits.max_spread_bps, entry, measured, limit)
    move = _distance(mid, quote.previous_close)
    failed = _ceiling(failed, Code.SYMBOL_MOVE, move, limits.max_symbol_move, entry, measured, limit)
    failed = _flag(failed, Code.QUOTE_INVALID, not usable, entry, measured, limit)

    # 7 position
    share = _share_of_equity(position.exposure_usd, notional, equity) if is_finite(free) else nan
    failed = _ceiling(failed, Code.POSITION_LIMIT, share, limits.max_position_pct, entry, measured, limit)
    sold = order.qty if sells else 0.0
    sellable = 0.0 if position.qty <= 0.0 else free
    covered = not sells or _is_covered(sold, sellable)
    failed = _record(failed, Code.SHORT_NOT_ALLOWED, sold, sellable, covered, True, measured, limit)
    power = _buying_power(account, limits.use_margin)
    spent = 0.0 if sells else notional
    failed = _ceiling(failed, Code.INSUFFICIENT_BUYING_POWER, spent, power, entry, measured, limit)

    # 8 portfolio
    share = _share_of_equity(activity.gross_exposure_usd, notional, equity)
    failed = _ceiling(failed, Code.GROSS_EXPOSURE, share, limits.max_gross_exposure, entry, measured, limit)
    failed = _flag(failed, Code.DAILY_LOSS, halt.daily_loss, entry, measured, limit)
    failed = _flag(failed, Code.MAX_DRAWDOWN, halt.max_drawdown, entry, measured, limit)
    failed = _flag(failed, Code.SESSION_DRAWDOWN, halt.session_drawdown, entry, measured, limit)

    # 9 activity
    sent = activity.symbol_orders_today
    cap = limits.max_orders_per_symbol_per_day
    failed = _count(failed, Code.SYMBOL_ORDER_COUNT, sent, cap, entry, measured, limit)
    sent, cap = exit_count(
        activity.exit_orders_today,
        activity.symbol_exits_today,
        activity.exits_kept_for_others,
        limits.max_exit_orders_per_day,
    )
    if entry:
        sent, cap = activity.orders_today, limits.max_orders_per_day
    failed = _count(failed, Code.DAILY_ORDER_COUNT, sent, cap, not flatten, measured, limit)
    sent = activity.execution_orders
    cap = limits.max_orders_per_execution
    failed = _count(failed, Code.EXECUTION_ORDER_COUNT, sent, cap, entry, measured, limit)
    failed = _count(
        failed, Code.REJECT_STREAK, activity.reject_streak, limits.max_reject_streak, entry, measured, limit
    )
    return np.uint64(failed)


def reason(verdict: int, cause: str = "") -> str:
    """PASS, or the first failed code; a halt with its cause: "REDUCE_ONLY cause=DAILY_LOSS"."""
    codes = failed_codes(int(verdict))
    if not codes:
        return "PASS"
    halted = codes[0] in (Code.KILL_SWITCH_ACTIVE, Code.REDUCE_ONLY)
    return f"{codes[0].name} cause={cause}" if halted and cause else codes[0].name


def pass_line(symbol: str, order: Order) -> str:
    """The log line of an order that may be sent."""
    return f"Pre-trade gate PASS {_described(symbol, order)} limit_price={order.limit_price:.10g}"


def reject_line(
    symbol: str,
    order: Order,
    verdict: int,
    cause: str,
    measured: NDArray[np.float64],
    limit: NDArray[np.float64],
) -> str:
    """The log line of a refused order, with what the first failed code measured and its limit.

    Raises ValueError for a verdict that is a pass.
    """
    codes = failed_codes(int(verdict))
    if not codes:
        raise ValueError("the verdict is a pass: there is no rejection to describe")
    first = codes[0]
    return (
        f"PRETRADE_GATE_REJECT: {reason(verdict, cause)} {_described(symbol, order)} "
        f"measured={measured[first]:.10g} limit={limit[first]:.10g}"
    )


def _described(symbol: str, order: Order) -> str:
    side = Side(order.side).name.lower() if order.side in (Side.BUY, Side.SELL) else str(order.side)
    return f"symbol={symbol} side={side} qty={order.qty:.10g}"
