"""What a session of a replay measured against every limit, made again from what was sent and held.

No verdict is taken's word for it. A result bears the name of its limit in the configuration, or of the
rule that has none (`no_short`). Limits of what a person may decide at once, such as the volatility
target, are the sizer's and are not listed. A limit that a replay has lifted is infinite and holds.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from datetime import date
from math import inf, isnan, nan
from typing import NamedTuple

from trading_assets.core.prices import mid_price
from trading_assets.core.tolerance import at_least, at_most
from trading_assets.core.words import Limits, Side
from trading_assets.engine.replay.book import ReplayFill, ReplayOrder
from trading_assets.engine.replay.limit_groups import Group
from trading_assets.engine.replay.risk import Losses

Measure = Callable[[ReplayOrder], float]


class LimitResult(NamedTuple):
    """NaN measured: there was nothing to measure."""

    name: str
    group: Group
    passed: bool
    measured: float
    limit: float
    worst: str  # where the measure was taken

    @property
    def key(self) -> str:
        """Its name in the history's table of checks."""
        return f"{self.group}.{self.name}"


@dataclass(slots=True)
class SessionFacts:
    """What the walk saw of one session beside its orders and fills."""

    session: date
    open_ns: int
    close_ns: int
    signal_values: dict[str, float] = field(default_factory=dict)  # decision id → signal
    losses: Losses = field(default=Losses(-inf, -inf, -inf))
    lowest_cash: float = inf
    position_bought: tuple[float, str] = (0.0, "")  # largest share of equity just after a purchase
    gross_bought: float = 0.0
    position_at_mark: tuple[float, str] = (0.0, "")
    gross_at_mark: float = 0.0
    short: set[str] = field(default_factory=set)
    stops_unsold: tuple[str, ...] = ()

    def see_losses(self, losses: Losses) -> None:
        self.losses = Losses._make(_worse(a, b) for a, b in zip(self.losses, losses, strict=True))

    def see_exposure(self, exposure: dict[str, float], equity: float, bought: Iterable[str]) -> None:
        """Shares of equity by symbol; `bought` are the symbols that were just added to."""
        gross = sum(exposure.values()) / equity
        self.gross_at_mark = _worse(self.gross_at_mark, gross)
        for symbol, usd in exposure.items():
            self.position_at_mark = max(self.position_at_mark, (usd / equity, symbol))
        for symbol in bought:
            self.position_bought = max(self.position_bought, (exposure[symbol] / equity, symbol))
            self.gross_bought = _worse(self.gross_bought, gross)


def session_results(
    facts: SessionFacts, orders: Sequence[ReplayOrder], fills: Sequence[ReplayFill], limits: Limits
) -> list[LimitResult]:
    """Every limit of one session, in one order for all sessions."""
    entries = [order for order in orders if not order.verdict.reducing]
    exits = [order for order in orders if order.verdict.reducing]
    return [
        *_order_results(facts, entries, exits, limits),
        *_count_results(entries, exits, limits),
        _most("fill_price", Group.LIMITS, [(_beyond(fill), _name(fill.order)) for fill in fills], 0.0),
        *_exposure_results(facts, limits),
        *_loss_results(facts, limits),
        LimitResult(
            "stop_loss",
            Group.LIMITS,
            not facts.stops_unsold,
            float(len(facts.stops_unsold)),
            0.0,
            ", ".join(facts.stops_unsold),
        ),
        _result("position_drift", Group.DRIFT, *facts.position_at_mark, limits.max_position_pct),
        _result("exposure_drift", Group.DRIFT, facts.gross_at_mark, "", limits.max_gross_exposure),
    ]


def _order_results(
    facts: SessionFacts, entries: Sequence[ReplayOrder], exits: Sequence[ReplayOrder], limits: Limits
) -> Iterator[LimitResult]:
    def most(name: str, orders: Sequence[ReplayOrder], measure: Measure) -> LimitResult:
        found = [(measure(order), _name(order)) for order in orders]
        return _most(name, Group.LIMITS, found, getattr(limits, name))

    def least(name: str, measure: Measure) -> LimitResult:
        found = [(measure(order), _name(order)) for order in entries]
        return _least(name, Group.LIMITS, found, getattr(limits, name))

    # One share is not cut any smaller.
    cuttable = [*entries, *(order for order in exits if order.qty > 1.0)]
    yield most("limit_offset", [*entries, *exits], _offset)
    yield most("max_slip_pct", entries, lambda order: max(_collar(order), _drift(order)))
    yield most("exit_collar_pct", exits, _collar)
    yield most("max_spread_bps", entries, _spread_bps)
    yield most("max_symbol_move", entries, _move)
    yield most("stale_signal_seconds", entries, lambda order: _age(order, "signal"))
    yield most("stale_quote_seconds", entries, lambda order: _age(order, "quote"))
    yield most("stale_account_seconds", entries, lambda order: _age(order, "account"))
    yield least("no_entry_seconds_after_open", lambda order: (order.verdict.at_ns - facts.open_ns) / 1e9)
    yield least("no_entry_minutes_before_close", lambda order: (facts.close_ns - order.verdict.at_ns) / 60e9)
    yield least("min_order_notional", _notional)
    yield most("max_order_notional", cuttable, _notional)
    yield least("threshold", lambda order: abs(facts.signal_values.get(order.verdict.decision_id, nan)))
    parts = [(order.qty % 1.0, _name(order)) for order in entries]
    yield _most("fractional", Group.LIMITS, parts, 1.0 if limits.fractional else 0.0)


def _count_results(
    entries: Sequence[ReplayOrder], exits: Sequence[ReplayOrder], limits: Limits
) -> Iterator[LimitResult]:
    def counted(name: str, orders: Sequence[ReplayOrder], group: Callable[[ReplayOrder], str]) -> LimitResult:
        of, count = max(Counter(map(group, orders)).items(), key=lambda found: found[1], default=("", 0))
        return _result(name, Group.LIMITS, float(count), of, getattr(limits, name))

    yield counted("max_orders_per_symbol_per_day", entries, lambda order: order.verdict.symbol)
    yield counted("max_orders_per_day", entries, lambda _: "all symbols")
    yield counted("max_orders_per_execution", entries, lambda order: order.verdict.execution_id)
    yield counted("max_exit_orders_per_day", exits, lambda _: "all symbols")


def _exposure_results(facts: SessionFacts, limits: Limits) -> Iterator[LimitResult]:
    share, symbol = facts.position_bought
    yield _result("max_position_pct", Group.LIMITS, share, symbol, limits.max_position_pct)
    yield _result("max_gross_exposure", Group.LIMITS, facts.gross_bought, "", limits.max_gross_exposure)
    yield _least("buying_power", Group.LIMITS, [(facts.lowest_cash, "USD of cash")], 0.0)
    yield _result("no_short", Group.LIMITS, float(len(facts.short)), ", ".join(sorted(facts.short)), 0.0)


def _loss_results(facts: SessionFacts, limits: Limits) -> Iterator[LimitResult]:
    """A loss that reaches its limit is a breach; one that cannot be measured as well."""
    for name, measured, limit in zip(
        ("session_drawdown", "max_daily_loss", "max_drawdown"),
        facts.losses,
        (limits.session_drawdown, limits.max_daily_loss, limits.max_drawdown),
        strict=True,
    ):
        kept = not isnan(measured) and not at_least(measured, limit)
        yield LimitResult(name, Group.LOSSES, kept, measured, limit, "")


def _most(name: str, group: Group, found: Sequence[tuple[float, str]], limit: float) -> LimitResult:
    """The largest measure against an upper limit; one that is NaN is the worst."""
    if not found:
        return LimitResult(name, group, True, nan, limit, "")
    measured, worst = max(found, key=lambda pair: inf if isnan(pair[0]) else pair[0])
    return _result(name, group, measured, worst, limit)


def _least(name: str, group: Group, found: Sequence[tuple[float, str]], limit: float) -> LimitResult:
    if not found:
        return LimitResult(name, group, True, nan, limit, "")
    measured, worst = min(found, key=lambda pair: -inf if isnan(pair[0]) else pair[0])
    return LimitResult(name, group, bool(at_least(measured, limit)), measured, limit, worst)


def _result(name: str, group: Group, measured: float, worst: str, limit: float) -> LimitResult:
    return LimitResult(name, group, bool(at_most(measured, limit)), measured, limit, worst)


def _worse(a: float, b: float) -> float:
    """The larger; a NaN stays."""
    return a if a != a or a > b else b


def _name(order: ReplayOrder) -> str:
    return f"{order.verdict.symbol} {order.verdict.client_order_id}"


def _notional(order: ReplayOrder) -> float:
    return order.qty * order.limit_price


def _mid(order: ReplayOrder) -> float:
    mid = float(mid_price(order.price.bid, order.price.ask))
    return order.price.last_trade if isnan(mid) and order.verdict.reducing else mid


def _offset(order: ReplayOrder) -> float:
    """How far the limit price reaches beyond the far side; negative where it does not reach it."""
    if order.verdict.side == Side.BUY:
        return order.limit_price / order.price.ask - 1.0
    return 1.0 - order.limit_price / order.price.bid


def _collar(order: ReplayOrder) -> float:
    return abs(order.limit_price / _mid(order) - 1.0)


def _drift(order: ReplayOrder) -> float:
    return abs(_mid(order) / float(order.verdict.gate_input["signal"]["reference_price"]) - 1.0)


def _spread_bps(order: ReplayOrder) -> float:
    return (order.price.ask - order.price.bid) / _mid(order) * 10_000.0


def _move(order: ReplayOrder) -> float:
    return abs(_mid(order) / order.price.previous_close - 1.0)


def _age(order: ReplayOrder, word: str) -> float:
    return (order.verdict.at_ns - int(order.verdict.gate_input[word]["as_of_ns"])) / 1e9


def _beyond(fill: ReplayFill) -> float:
    """USD a share by which a fill is worse than its order's limit price."""
    return (fill.price - fill.order.limit_price) * fill.order.verdict.side
