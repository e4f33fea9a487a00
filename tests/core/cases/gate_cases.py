"""Orders and what the gate must say of each: the answer sheet that compiled and plain runs share."""

from __future__ import annotations

from math import inf, nan
from typing import Any, NamedTuple

import numpy as np

from trading_assets.core.codes import CODE_COUNT, Code
from trading_assets.core.gate import evaluate
from trading_assets.core.limits import Limits
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

SECOND = 1_000_000_000
NOW = 1_717_430_400 * SECOND
BUY, SELL = int(Side.BUY), int(Side.SELL)

LIMITS = Limits(
    limit_offset=0.001,
    max_slip_pct=0.005,
    exit_collar_pct=0.05,
    max_spread_bps=50.0,
    max_symbol_move=0.10,
    stale_signal_seconds=120.0,
    stale_quote_seconds=15.0,
    stale_account_seconds=60.0,
    no_entry_seconds_after_open=70.0,
    no_entry_minutes_before_close=5.0,
    min_order_notional=50.0,
    max_order_notional=10_000.0,
    max_position_pct=0.05,
    max_gross_exposure=0.60,
    threshold=0.1,
    max_orders_per_symbol_per_day=5.0,
    max_orders_per_day=200.0,
    max_orders_per_execution=10.0,
    max_reject_streak=5.0,
    max_exit_orders_per_day=400.0,
    session_drawdown=0.01,
    max_daily_loss=0.02,
    max_drawdown=0.10,
    stop_loss=0.05,
    volatility_target=nan,
    use_margin=False,
    fractional=False,
)

# A buy of 10 shares at 100 that passes everything, and a sale of the 10 shares held.
ENTRY: dict[str, Any] = {
    "order": Order(BUY, 10.0, 100.0, False),
    "signal": Signal(NOW - SECOND, 100.0),
    "account": Account(100_000.0, 50_000.0, 50_000.0, NOW - SECOND),
    "position": Position(0.0, 0.0, 0.0),
    "quote": Quote(99.99, 100.01, 100.0, 100.0, NOW - SECOND),
    "session": Session(NOW - 7200 * SECOND, NOW + 14_400 * SECOND, True, True, True, False),
    "activity": Activity(False, 0, nan, 0.0, 0, 0, 0, 0, 0),
    "halt": Halt(int(HaltState.ACTIVE), False, False, False, False, False),
    "limits": LIMITS,
    "now_ns": NOW,
}
EXIT = ENTRY | {
    "order": Order(SELL, 10.0, 100.0, False),
    "signal": Signal(0, nan),
    "position": Position(10.0, 0.0, 1000.0),
    "activity": Activity(False, 0, nan, 1000.0, 0, 0, 0, 0, 0),
}
COVER = EXIT | {"order": Order(BUY, 10.0, 100.0, False), "position": Position(-10.0, 0.0, 1000.0)}


class Case(NamedTuple):
    name: str
    inputs: dict[str, Any]
    failed: frozenset[Code]


def change(base: dict[str, Any], **words: Any) -> dict[str, Any]:
    """`base` with fields of its words replaced: change(ENTRY, order={"qty": 5.0})."""
    changed = dict(base)
    for word, fields in words.items():
        changed[word] = base[word]._replace(**fields) if isinstance(fields, dict) else fields
    return changed


def case(name: str, base: dict[str, Any], *failed: Code, **words: Any) -> Case:
    return Case(name, change(base, **words), frozenset(failed))


def before(seconds: float) -> int:
    return NOW - round(seconds * SECOND)


# (code, word, field, value below, at and above the limit, which of the three an entry passes)
BOUNDARIES: list[tuple[Code, str, str, tuple[float, float, float], str, dict[str, Any]]] = [
    (Code.NEAR_OPEN, "session", "open_ns", (before(69.999), before(70), before(70.001)), "-PP", {}),
    (Code.NEAR_CLOSE, "session", "close_ns", (before(-299.999), before(-300), before(-300.001)), "-PP", {}),
    (Code.STALE_SIGNAL, "signal", "as_of_ns", (before(119.999), before(120), before(120.001)), "PP-", {}),
    (Code.SIGNAL_FROM_FUTURE, "signal", "as_of_ns", (before(-1.999), before(-2), before(-2.001)), "PP-", {}),
    (Code.STALE_QUOTE, "quote", "as_of_ns", (before(14.999), before(15), before(15.001)), "PP-", {}),
    (Code.STALE_ACCOUNT, "account", "as_of_ns", (before(59.999), before(60), before(60.001)), "PP-", {}),
    (Code.SELF_TRADE, "activity", "opposite_limit", (100.01, 100.0, 99.99), "P--", {}),
    (Code.NOTIONAL_BELOW_MIN, "order", "qty", (0.4999, 0.5, 0.5001), "-PP", {}),
    (
        Code.NOTIONAL_ABOVE_MAX,
        "order",
        "qty",
        (99.99, 100.0, 100.01),
        "PP-",
        {"account": {"equity_usd": 1e6}},
    ),
    (Code.PRICE_COLLAR, "order", "limit_price", (100.49, 100.5, 100.51), "PP-", {}),
    (Code.PRICE_COLLAR, "order", "limit_price", (99.49, 99.5, 99.51), "-PP", {}),
    (Code.PRICE_DRIFT, "signal", "reference_price", (99.51, 100 / 1.005, 99.50), "PP-", {}),
    (Code.PRICE_DRIFT, "signal", "reference_price", (100.50, 100 / 0.995, 100.51), "PP-", {}),
    (Code.SPREAD_TOO_WIDE, "quote", "ask", (100.24, 100.25, 100.26), "PP-", {"quote": {"bid": 99.75}}),
    (Code.SYMBOL_MOVE, "quote", "previous_close", (90.92, 100 / 1.1, 90.90), "PP-", {}),
    (Code.SYMBOL_MOVE, "quote", "previous_close", (111.11, 100 / 0.9, 111.12), "PP-", {}),
    (Code.POSITION_LIMIT, "position", "exposure_usd", (3999.99, 4000.0, 4000.01), "PP-", {}),
    (
        Code.SHORT_NOT_ALLOWED,
        "order",
        "qty",
        (9.0, 10.0, 11.0),
        "PP-",
        {"order": {"side": SELL}, "position": {"qty": 12.0, "reserved_qty": 2.0}},
    ),
    (
        Code.INSUFFICIENT_BUYING_POWER,
        "account",
        "buying_power_usd",
        (999.99, 1000.0, 1000.01),
        "-PP",
        {},
    ),
    (
        Code.INSUFFICIENT_BUYING_POWER,
        "account",
        "settled_cash_usd",
        (999.99, 1000.0, 1000.01),
        "-PP",
        {},
    ),
    (Code.GROSS_EXPOSURE, "activity", "gross_exposure_usd", (58_999.99, 59_000.0, 59_000.01), "PP-", {}),
    (Code.SYMBOL_ORDER_COUNT, "activity", "symbol_orders_today", (4, 5, 6), "P--", {}),
    (Code.DAILY_ORDER_COUNT, "activity", "orders_today", (199, 200, 201), "P--", {}),
    (Code.EXECUTION_ORDER_COUNT, "activity", "execution_orders", (9, 10, 11), "P--", {}),
    (Code.REJECT_STREAK, "activity", "reject_streak", (4, 5, 6), "P--", {}),
    (Code.ORDER_IN_FLIGHT, "activity", "in_flight", (0, 1, 2), "P--", {}),
]


def boundary_cases() -> list[Case]:
    """Three cases for every limit: just below, at, and just above it. The spread's mid is made 100."""
    cases = []
    for code, word, field, values, passes, also in BOUNDARIES:
        for place, value, answer in zip(("below", "at", "above"), values, passes, strict=True):
            inputs = change(change(ENTRY, **also), **{word: {field: value}})
            if code is Code.SPREAD_TOO_WIDE:  # around a mid of 100
                inputs = change(inputs, quote={"bid": 200.0 - value})
            failed = frozenset() if answer == "P" else frozenset({code})
            cases.append(Case(f"{code.name} {word}.{field} {place} the limit", inputs, failed))
    return cases


HALTED = int(HaltState.HALTED)
REDUCING = int(HaltState.REDUCE_ONLY)
C = Code

ENTRY_CASES = [
    case("an ordinary entry passes", ENTRY),
    case("a kill refuses an entry", ENTRY, C.KILL_SWITCH_ACTIVE, C.REDUCE_ONLY, halt={"state": HALTED}),
    case("a kill refuses an entry called flatten", ENTRY, C.KILL_SWITCH_ACTIVE, C.REDUCE_ONLY,
         halt={"state": HALTED}, order={"flatten": True}),
    case("an unknown halt state is a kill", ENTRY, C.KILL_SWITCH_ACTIVE, C.REDUCE_ONLY, halt={"state": 7}),
    case("reduce only refuses an entry", ENTRY, C.REDUCE_ONLY, halt={"state": REDUCING}),
    case("a locked symbol takes no entry", ENTRY, C.RECONCILIATION_LOCK, halt={"symbol_locked": True}),
    case("a book not reconciled takes no entry", ENTRY, C.RECONCILING, halt={"reconciling": True}),
    case("a closed calendar", ENTRY, C.MARKET_CLOSED, session={"calendar_open": False}),
    case("a broker's clock that says closed", ENTRY, C.MARKET_CLOSED, session={"broker_open": False}),
    case("before the open, in extended hours", ENTRY, session={"open_ns": NOW + SECOND}),
    case("after the close, in extended hours", ENTRY, session={"close_ns": NOW - SECOND}),
    case("at the open", ENTRY, C.NEAR_OPEN, session={"open_ns": NOW}),
    case("at the close", ENTRY, C.NEAR_CLOSE, session={"close_ns": NOW}),
    case("an asset that is not tradable", ENTRY, C.ASSET_NOT_TRADABLE, session={"tradable": False}),
    case("a halted symbol", ENTRY, C.SYMBOL_HALTED, session={"symbol_halted": True}),
    case("a decision sent before", ENTRY, C.DUPLICATE_ORDER, activity={"decision_sent": True}),
    case("no bid", ENTRY, C.PRICE_COLLAR, C.PRICE_DRIFT, C.SPREAD_TOO_WIDE, C.SYMBOL_MOVE, C.QUOTE_INVALID,
         quote={"bid": 0.0}),
    case("no ask", ENTRY, C.PRICE_COLLAR, C.PRICE_DRIFT, C.SPREAD_TOO_WIDE, C.SYMBOL_MOVE, C.QUOTE_INVALID,
         quote={"ask": nan}),
    case("a crossed quote", ENTRY, C.PRICE_COLLAR, C.PRICE_DRIFT, C.SPREAD_TOO_WIDE, C.SYMBOL_MOVE,
         C.QUOTE_INVALID, quote={"bid": 100.02}),
    case("a locked quote is usable", ENTRY, quote={"bid": 100.0, "ask": 100.0}),
    case("a sale without a position", ENTRY, C.SHORT_NOT_ALLOWED, order={"side": SELL}),
    case("a sale that adds to a short", ENTRY, C.SHORT_NOT_ALLOWED, order={"side": SELL},
         position={"qty": -20.0}),
    case("a sale through zero", EXIT, C.STALE_SIGNAL, C.SIGNAL_FROM_FUTURE, C.PRICE_DRIFT,
         C.SHORT_NOT_ALLOWED, order={"qty": 11.0}),
    case("a sale of what open exits have reserved", EXIT, C.STALE_SIGNAL, C.SIGNAL_FROM_FUTURE, C.PRICE_DRIFT,
         C.SHORT_NOT_ALLOWED, position={"reserved_qty": 1.0}),
    case("margin leaves settled cash out", change(ENTRY, limits={"use_margin": True}),
         account={"settled_cash_usd": 0.0}),
    case("margin keeps the broker's buying power", change(ENTRY, limits={"use_margin": True}),
         C.INSUFFICIENT_BUYING_POWER, account={"buying_power_usd": 0.0}),
    case("a latched daily loss", ENTRY, C.DAILY_LOSS, halt={"daily_loss": True}),
    case("a latched maximum drawdown", ENTRY, C.MAX_DRAWDOWN, halt={"max_drawdown": True}),
    case("a latched session drawdown", ENTRY, C.SESSION_DRAWDOWN, halt={"session_drawdown": True}),
    case("equity is not known", ENTRY, C.POSITION_LIMIT, C.GROSS_EXPOSURE, account={"equity_usd": nan}),
    case("equity is zero", ENTRY, C.POSITION_LIMIT, C.GROSS_EXPOSURE, account={"equity_usd": 0.0}),
    case("infinite equity is none", ENTRY, C.POSITION_LIMIT, C.GROSS_EXPOSURE, account={"equity_usd": inf}),
    case("infinite funds are none", ENTRY, C.INSUFFICIENT_BUYING_POWER, account={"buying_power_usd": inf}),
    case("a negative count is no count", ENTRY, C.DAILY_ORDER_COUNT, activity={"orders_today": -1}),
    case("no quantity", ENTRY, C.NOTIONAL_BELOW_MIN, C.NOTIONAL_ABOVE_MAX, C.POSITION_LIMIT,
         C.INSUFFICIENT_BUYING_POWER, C.GROSS_EXPOSURE, order={"qty": 0.0}),
    case("no side", ENTRY, C.NOTIONAL_BELOW_MIN, C.NOTIONAL_ABOVE_MAX, C.POSITION_LIMIT,
         C.INSUFFICIENT_BUYING_POWER, C.GROSS_EXPOSURE, order={"side": 0}),
]  # fmt: skip

EXIT_CASES = [
    case("an ordinary exit passes", EXIT),
    case("buying a short back passes", COVER),
    case("a kill refuses an exit", EXIT, C.KILL_SWITCH_ACTIVE, halt={"state": HALTED}),
    case("a kill lets flatten sell", EXIT, halt={"state": HALTED}, order={"flatten": True}),
    case("a kill lets flatten buy a short back", COVER, halt={"state": HALTED}, order={"flatten": True}),
    case("reduce only lets an exit pass", EXIT, halt={"state": REDUCING}),
    case("a lock lets an exit pass", EXIT, halt={"symbol_locked": True}),
    case("an exit waits for the first reconciliation", EXIT, C.RECONCILING, halt={"reconciling": True}),
    case("flatten does not wait for it", EXIT, halt={"reconciling": True}, order={"flatten": True}),
    case("an exit needs an open calendar", EXIT, C.MARKET_CLOSED, session={"calendar_open": False}),
    case("an exit needs an open broker", EXIT, C.MARKET_CLOSED, session={"broker_open": False}),
    case("an exit just after the open", EXIT, session={"open_ns": NOW - SECOND}),
    case("an exit just before the close", EXIT, session={"close_ns": NOW + SECOND}),
    case("an exit needs a tradable asset", EXIT, C.ASSET_NOT_TRADABLE, session={"tradable": False}),
    case("an exit needs a symbol that trades", EXIT, C.SYMBOL_HALTED, session={"symbol_halted": True}),
    case("freshness is waived", EXIT, signal={"as_of_ns": before(9000)}, quote={"as_of_ns": before(9000)},
         account={"as_of_ns": before(9000)}),
    case("a signal from the future is waived", EXIT, signal={"as_of_ns": before(-9000)}),
    case("an exit sent before", EXIT, C.DUPLICATE_ORDER, activity={"decision_sent": True}),
    case("an exit beside an unresolved order", EXIT, C.ORDER_IN_FLIGHT, activity={"in_flight": 1}),
    case("an exit above our own bid", EXIT, activity={"opposite_limit": 99.99}),
    case("an exit at our own bid", EXIT, C.SELF_TRADE, activity={"opposite_limit": 100.0}),
    case("an exit below our own bid", EXIT, C.SELF_TRADE, activity={"opposite_limit": 100.01}),
    case("the minimum is waived", EXIT, order={"qty": 0.1}),
    case("an exit below the maximum", EXIT, position={"qty": 500.0}, order={"qty": 99.99}),
    case("an exit at the maximum", EXIT, position={"qty": 500.0}, order={"qty": 100.0}),
    case("an exit above the maximum must be cut", EXIT, C.NOTIONAL_ABOVE_MAX, position={"qty": 500.0},
         order={"qty": 100.01}),
    case("one share cannot be cut", change(EXIT, limits={"max_order_notional": 99.0}), order={"qty": 1.0}),
    case("two shares can", change(EXIT, limits={"max_order_notional": 99.0}), C.NOTIONAL_ABOVE_MAX,
         order={"qty": 2.0}),
    case("an exit inside its collar", EXIT, order={"limit_price": 95.01}),
    case("an exit at its collar", EXIT, order={"limit_price": 95.0}),
    case("an exit outside its collar", EXIT, C.PRICE_COLLAR, order={"limit_price": 94.99}),
    case("an unusable quote falls back to the last trade", EXIT, quote={"bid": nan, "ask": nan}),
    case("the collar around the last trade, at", EXIT, order={"limit_price": 95.0}, quote={"bid": 0.0}),
    case("the collar around the last trade, outside", EXIT, C.PRICE_COLLAR, order={"limit_price": 94.99},
         quote={"bid": 0.0}),
    case("neither quote nor trade", EXIT, C.PRICE_COLLAR, quote={"bid": nan, "last_trade": nan}),
    case("drift is recorded only", EXIT, signal={"reference_price": 50.0}),
    case("a wide spread is recorded only", EXIT, quote={"bid": 90.0, "ask": 110.0}),
    case("a large move is recorded only", EXIT, quote={"previous_close": 50.0}),
    case("the position limit is exempt", EXIT, position={"exposure_usd": 90_000.0}),
    case("buying power is exempt", COVER, account={"buying_power_usd": 0.0, "settled_cash_usd": -5.0}),
    case("the portfolio is exempt", EXIT, activity={"gross_exposure_usd": 2e5},
         halt={"daily_loss": True, "max_drawdown": True, "session_drawdown": True}),
    case("activity is exempt", EXIT, activity={"symbol_orders_today": 99, "orders_today": 999,
         "execution_orders": 99, "reject_streak": 99}),
    case("exits below their cap", EXIT, activity={"exit_orders_today": 399}),
    case("exits at their cap", EXIT, C.DAILY_ORDER_COUNT, activity={"exit_orders_today": 400}),
    case("exits above their cap", EXIT, C.DAILY_ORDER_COUNT, activity={"exit_orders_today": 401}),
    case("a symbol's exits below its share", EXIT,
         activity={"exit_orders_today": 39, "symbol_exits_today": 39}),
    case("a symbol's exits at its share", EXIT, C.DAILY_ORDER_COUNT,
         activity={"exit_orders_today": 40, "symbol_exits_today": 40}),
    case("a symbol's exits above its share", EXIT, C.DAILY_ORDER_COUNT,
         activity={"exit_orders_today": 41, "symbol_exits_today": 41}),
    case("a share is whole", change(EXIT, limits={"max_exit_orders_per_day": 59.0}), C.DAILY_ORDER_COUNT,
         activity={"exit_orders_today": 5, "symbol_exits_today": 5}),
    case("of a small cap a symbol has one", change(EXIT, limits={"max_exit_orders_per_day": 3.0}),
         activity={"exit_orders_today": 2}),
    case("and no second", change(EXIT, limits={"max_exit_orders_per_day": 3.0}), C.DAILY_ORDER_COUNT,
         activity={"exit_orders_today": 1, "symbol_exits_today": 1}),
    case("no share of a cap that is used up", change(EXIT, limits={"max_exit_orders_per_day": 3.0}),
         C.DAILY_ORDER_COUNT, activity={"exit_orders_today": 3}),
    case("a second exit leaves a first one to each held symbol", EXIT,
         activity={"exit_orders_today": 199, "symbol_exits_today": 1, "exits_kept_for_others": 200}),
    case("and takes none of theirs", EXIT, C.DAILY_ORDER_COUNT,
         activity={"exit_orders_today": 200, "symbol_exits_today": 1, "exits_kept_for_others": 200}),
    case("nor takes one more", EXIT, C.DAILY_ORDER_COUNT,
         activity={"exit_orders_today": 201, "symbol_exits_today": 1, "exits_kept_for_others": 200}),
    case("what is kept leaves one symbol's share", EXIT,
         activity={"exit_orders_today": 39, "symbol_exits_today": 1, "exits_kept_for_others": 10**6}),
    case("and no more than that", EXIT, C.DAILY_ORDER_COUNT,
         activity={"exit_orders_today": 40, "symbol_exits_today": 1, "exits_kept_for_others": 10**6}),
    case("of an infinite cap nothing need be kept", change(EXIT, limits={"max_exit_orders_per_day": inf}),
         activity={"exit_orders_today": 9, "symbol_exits_today": 9, "exits_kept_for_others": 10**6}),
    case("of a cap of one nothing is kept", change(EXIT, limits={"max_exit_orders_per_day": 1.0}),
         activity={"exits_kept_for_others": 3}),
    case("an infinite cap has infinite shares", change(EXIT, limits={"max_exit_orders_per_day": inf}),
         activity={"exit_orders_today": 10**6, "symbol_exits_today": 10**6}),
    case("an unknown cap refuses", change(EXIT, limits={"max_exit_orders_per_day": nan}),
         C.DAILY_ORDER_COUNT),
    case("flatten is outside the cap and the share", EXIT, order={"flatten": True},
         activity={"exit_orders_today": 400, "symbol_exits_today": 400}),
    case("an entry called flatten is outside of nothing", ENTRY, C.DAILY_ORDER_COUNT, order={"flatten": True},
         activity={"orders_today": 200}),
    case("an account that is not known", EXIT, account=Account(nan, nan, nan, 0)),
]  # fmt: skip

CASES = boundary_cases() + ENTRY_CASES + EXIT_CASES


def run(inputs: dict[str, Any]) -> tuple[int, np.ndarray, np.ndarray]:
    """The verdict, what was measured, and the limits. Both arrays start as garbage on purpose."""
    measured, limit = np.full(CODE_COUNT, -7.0), np.full(CODE_COUNT, -7.0)
    verdict = evaluate(*(inputs[word] for word in ENTRY), measured, limit)
    return int(verdict), measured, limit


_ODD = (nan, inf, -inf, 0.0, -1.0, 1e-9, 1e300, 0.1, 100.0, 100.01, 99.99, 1e5)


def scrambled(seed: int, count: int) -> list[dict[str, Any]]:
    """Cases with a few fields of any word replaced by odd and by random values of their type."""
    rng = np.random.default_rng(seed)
    scrambles = []
    for _ in range(count):
        inputs = dict(CASES[rng.integers(len(CASES))].inputs)
        for word in rng.choice([word for word in ENTRY if word != "now_ns"], size=3):
            field = str(rng.choice(inputs[word]._fields))
            old = getattr(inputs[word], field)
            if isinstance(old, bool):
                new: Any = bool(rng.integers(2))
            elif isinstance(old, int):
                new = int(rng.choice([0, 1, -1, 2, old, NOW - int(rng.integers(10**11))]))
            else:
                new = float(rng.choice([*_ODD, old * rng.uniform(0.9, 1.1)]))
            inputs[word] = inputs[word]._replace(**{field: new})
        scrambles.append(inputs)
    return scrambles
