"""From the full input of a tick to gated orders: targets, proposals, verdicts. Pure.

Live, paper, replay and `verify` call this one function; it reads no clock, no store and no broker.
Orders of one execution are sized and gated one after the other, each with the exposure, the buying
power and the counts that those before it have left.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from decimal import ROUND_DOWN, Decimal
from math import copysign, isnan, nan

import numpy as np

from trading_assets.core.codes import CODE_COUNT
from trading_assets.core.gate import evaluate, is_reducing
from trading_assets.core.orders import Kind, client_order_id
from trading_assets.core.prices import mark, round_down_to_tick, round_up_to_tick
from trading_assets.core.sizing import (
    available_funds,
    entry_limit_price,
    exit_limit_price,
    order_quantity,
    order_side,
    slice_quantities,
    target_weights,
)
from trading_assets.core.tolerance import at_least
from trading_assets.core.words import (
    Account,
    Activity,
    Halt,
    Order,
    Position,
    Quote,
    Session,
    Side,
    Signal,
)
from trading_assets.engine.inputs import DecisionInput, Phase, SignalInput, SymbolInput
from trading_assets.store.records import VerdictRecord

NINE_DECIMALS = Decimal("1e-9")
_NO_SIGNAL = Signal(as_of_ns=0, reference_price=nan)


@dataclass(frozen=True, slots=True)
class Decision:
    """Every proposal with its verdict, in the order of sending, and what became of each signal."""

    verdicts: tuple[VerdictRecord, ...]
    outcomes: dict[str, str]  # decision id → ORDERED, REFUSED, BELOW_THRESHOLD, HELD, NO_PRICE, SUPERSEDED

    @property
    def approved(self) -> tuple[VerdictRecord, ...]:
        return tuple(verdict for verdict in self.verdicts if not verdict.failed)


@dataclass(frozen=True, slots=True)
class _Proposal:
    symbol: SymbolInput
    side: int
    qty: float
    limit_price: float
    kind: str
    decision_id: str
    slice: int
    attempt: int
    signal: Signal


@dataclass(slots=True)
class _Running:
    """What the orders passed so far in this execution have used up."""

    funds: float  # taken off buying power and settled cash
    gross: float
    orders: int = 0
    exits: int = 0
    exposure: dict[str, float] = field(default_factory=dict)
    reserved: dict[str, float] = field(default_factory=dict)
    per_symbol: dict[str, int] = field(default_factory=dict)
    decisions: dict[str, list[str]] = field(default_factory=dict)  # symbol → decision ids in flight
    sent: set[str] = field(default_factory=set)
    sells: dict[str, float] = field(default_factory=dict)
    buys: dict[str, float] = field(default_factory=dict)


def decide(given: DecisionInput) -> Decision:
    """The verdicts of one phase of a tick. The same input gives the same decision, bit for bit."""
    running = _Running(funds=0.0, gross=0.0, sent=set(given.sent_ids))
    for view in given.symbols:
        running.exposure[view.symbol] = _exposure(view)
        running.reserved[view.symbol] = view.reserved_qty
        running.gross += running.exposure[view.symbol]
        running.sells[view.symbol] = view.lowest_sell_limit
        running.buys[view.symbol] = view.highest_buy_limit
    outcomes: dict[str, str] = {}
    verdicts = []
    for proposal in _proposals(given, running, outcomes):
        verdict = _gate(given, running, proposal)
        verdicts.append(verdict)
        outcomes[proposal.decision_id] = "REFUSED" if verdict.failed else "ORDERED"
        if not verdict.failed:
            _account_for(running, proposal, verdict)
    return Decision(tuple(verdicts), outcomes)


def _proposals(given: DecisionInput, running: _Running, outcomes: dict[str, str]) -> Iterator[_Proposal]:
    if given.phase is Phase.PROTECT:
        yield from _forced(given)
        return
    views = {view.symbol: view for view in given.symbols}
    signals = _newest(given.signals, outcomes)
    weights = _weights(given, running, signals)
    wanted_side = Side.SELL if given.phase is Phase.EXITS else Side.BUY
    for symbol in sorted(signals):
        signal, view, weight = signals[symbol], views[symbol], weights[symbol]
        if isnan(weight):
            below = not at_least(abs(signal.value), given.limits.threshold)
            outcomes[signal.decision_id] = "BELOW_THRESHOLD" if below else "HELD"
            continue
        value = _mark(view)
        side = order_side(
            weight, view.qty, view.reserved_qty, running.exposure[symbol], value, given.equity_usd
        )
        # A short (there should be none) is bought back with the exits.
        covering = side == Side.BUY and view.qty < 0.0
        if side != wanted_side and not (covering and given.phase is Phase.EXITS):
            outcomes.setdefault(signal.decision_id, "HELD")
            continue
        if covering and given.phase is Phase.ENTRIES:
            continue
        exiting = side == Side.SELL or covering
        price = _limit_price(given, view, signal, side, exiting)
        quantity = order_quantity(
            weight,
            view.qty,
            view.reserved_qty,
            running.exposure[symbol],
            running.gross,
            price,
            value,
            given.equity_usd,
            _funds(given) - running.funds,
            given.limits,
            view.fractionable,
        )
        if quantity == 0.0 or isnan(price):
            outcomes[signal.decision_id] = "NO_PRICE" if isnan(price) else "HELD"
            continue
        quantities = (
            slice_quantities(quantity, price, given.limits.max_order_notional, view.fractionable)
            if exiting
            else np.array([quantity])
        )
        for number, qty in enumerate(quantities, start=1):
            yield _Proposal(
                symbol=view,
                side=int(side),
                qty=abs(float(qty)),
                limit_price=price,
                kind=signal.kind,
                decision_id=signal.decision_id,
                slice=number,
                attempt=signal.attempt,
                signal=Signal(signal.as_of_ns, signal.reference_price),
            )


def _forced(given: DecisionInput) -> Iterator[_Proposal]:
    """The whole free position, cut into slices, at an exit's price."""
    views = {view.symbol: view for view in given.symbols}
    for forced in given.forced_exits:
        view = views[forced.symbol]
        side = Side.SELL if view.qty > 0.0 else Side.BUY
        price = exit_limit_price(int(side), view.bid, view.ask, view.last_trade, given.limits)
        weight = 0.0
        quantity = order_quantity(
            weight,
            view.qty,
            view.reserved_qty,
            0.0,
            0.0,
            price,
            _mark(view),
            given.equity_usd,
            0.0,
            given.limits,
            view.fractionable,
        )
        quantity = copysign(min(abs(quantity), forced.qty), quantity)
        slices = slice_quantities(quantity, price, given.limits.max_order_notional, view.fractionable)
        for number, qty in enumerate(slices, start=1):
            yield _Proposal(
                symbol=view,
                side=int(side),
                qty=abs(float(qty)),
                limit_price=price,
                kind=forced.kind,
                decision_id=forced.decision_id,
                slice=number,
                attempt=forced.attempt,
                signal=_NO_SIGNAL,
            )


def _newest(signals: tuple[SignalInput, ...], outcomes: dict[str, str]) -> dict[str, SignalInput]:
    """The newest signal of each symbol by its producer's stamp; the others are superseded."""
    newest: dict[str, SignalInput] = {}
    for signal in sorted(signals, key=lambda signal: (signal.as_of_ns, signal.decision_id)):
        if signal.symbol in newest:
            outcomes[newest[signal.symbol].decision_id] = "SUPERSEDED"
        newest[signal.symbol] = signal
    return newest


def _weights(given: DecisionInput, running: _Running, signals: dict[str, SignalInput]) -> dict[str, float]:
    symbols = [view.symbol for view in given.symbols]
    values = np.array([signals[s].value if s in signals else nan for s in symbols], dtype=np.float64)
    volatility = np.array([signals[s].volatility if s in signals else nan for s in symbols], dtype=np.float64)
    exposure = np.array([running.exposure[s] for s in symbols], dtype=np.float64)
    out = np.empty(len(symbols))
    target_weights(values, volatility, exposure, given.equity_usd, given.limits, out)
    return dict(zip(symbols, out.tolist(), strict=True))


def _limit_price(
    given: DecisionInput, view: SymbolInput, signal: SignalInput, side: int, exiting: bool
) -> float:
    """The defined limit price, no worse than the producer's own limit where it gave one."""
    if exiting:
        price = exit_limit_price(int(side), view.bid, view.ask, view.last_trade, given.limits)
    else:
        price = entry_limit_price(int(side), view.bid, view.ask, given.limits)
    if isnan(signal.limit_price) or isnan(price):
        return float(price)
    if side == Side.BUY:
        return float(min(price, round_down_to_tick(signal.limit_price)))
    return float(max(price, round_up_to_tick(signal.limit_price)))


def _gate(given: DecisionInput, running: _Running, proposal: _Proposal) -> VerdictRecord:
    view = proposal.symbol
    client_id = client_order_id(proposal.decision_id, proposal.side, proposal.slice, proposal.attempt)
    order = Order(proposal.side, proposal.qty, proposal.limit_price, proposal.kind == Kind.FLATTEN)
    position = Position(view.qty, running.reserved[view.symbol], running.exposure[view.symbol])
    others = [d for d in running.decisions.get(view.symbol, []) if d != proposal.decision_id]
    words = (
        order,
        proposal.signal,
        Account(
            given.equity_usd,
            given.buying_power_usd - running.funds,
            given.settled_cash_usd - running.funds,
            given.account_ns,
        ),
        position,
        Quote(view.bid, view.ask, view.last_trade, view.previous_close, view.quote_ns),
        Session(
            given.open_ns,
            given.close_ns,
            given.calendar_open,
            given.broker_open,
            view.tradable,
            view.halted,
        ),
        Activity(
            decision_sent=client_id in running.sent,
            in_flight=view.in_flight + len(others),
            opposite_limit=running.sells[view.symbol]
            if proposal.side == Side.BUY
            else running.buys[view.symbol],
            gross_exposure_usd=running.gross,
            symbol_orders_today=view.orders_today + running.per_symbol.get(view.symbol, 0),
            orders_today=given.orders_today + running.orders,
            execution_orders=given.execution_orders + running.orders,
            exit_orders_today=given.exit_orders_today + running.exits,
            reject_streak=given.reject_streak,
        ),
        Halt(
            state=given.halt_state,
            symbol_locked=view.locked,
            reconciling=given.reconciling,
            daily_loss="DAILY_LOSS" in given.halt_causes,
            max_drawdown="MAX_DRAWDOWN" in given.halt_causes,
            session_drawdown="SESSION_DRAWDOWN" in given.halt_causes,
        ),
        given.limits,
    )
    measured, limit = np.empty(CODE_COUNT), np.empty(CODE_COUNT)
    failed = int(evaluate(*words, given.now_ns, measured, limit))
    gate_input = {type(word).__name__.lower(): word._asdict() for word in words}
    return VerdictRecord(
        verdict_id=f"{client_id}:{given.execution_id}",
        book=given.book,
        session=given.session,
        tick_ns=given.tick_ns,
        execution_id=given.execution_id,
        client_order_id=client_id,
        decision_id=proposal.decision_id,
        kind=str(proposal.kind),
        symbol=view.symbol,
        side=proposal.side,
        slice=proposal.slice,
        attempt=proposal.attempt,
        qty=_shares(proposal.qty),
        limit_price=Decimal(repr(proposal.limit_price)),
        reducing=bool(is_reducing(order, position)),
        at_ns=given.now_ns,
        failed=failed,
        cause=given.halt_causes[0] if given.halt_causes else "",
        measured=tuple(measured.tolist()),
        limits=tuple(limit.tolist()),
        gate_input={**gate_input, "now_ns": given.now_ns},
    )


def _account_for(running: _Running, proposal: _Proposal, verdict: VerdictRecord) -> None:
    symbol, notional = proposal.symbol.symbol, proposal.qty * proposal.limit_price
    running.sent.add(verdict.client_order_id)
    running.orders += 1
    running.per_symbol[symbol] = running.per_symbol.get(symbol, 0) + 1
    running.decisions.setdefault(symbol, []).append(proposal.decision_id)
    if verdict.reducing:
        running.exits += 1
        running.reserved[symbol] += proposal.qty
    else:
        running.funds += notional
        running.gross += notional
        running.exposure[symbol] += notional
    if proposal.side == Side.BUY:
        running.buys[symbol] = np.fmax(running.buys[symbol], proposal.limit_price)
    else:
        running.sells[symbol] = np.fmin(running.sells[symbol], proposal.limit_price)


def _mark(view: SymbolInput) -> float:
    return float(mark(view.bid, view.ask, view.last_trade, view.previous_close))


def _exposure(view: SymbolInput) -> float:
    """|position| × mark + what open entries may add; nothing held needs no mark."""
    held = abs(view.qty) * _mark(view) if view.qty else 0.0
    return held + view.open_entry_usd


def _funds(given: DecisionInput) -> float:
    return float(available_funds(given.buying_power_usd, given.settled_cash_usd, given.limits))


def _shares(qty: float) -> Decimal:
    """At most nine decimals, toward zero, without trailing zeros."""
    exact = Decimal(repr(qty)).quantize(NINE_DECIMALS, rounding=ROUND_DOWN)
    return exact.quantize(Decimal(1)) if exact == exact.to_integral_value() else exact.normalize()
