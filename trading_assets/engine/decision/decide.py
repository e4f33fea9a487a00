"""From the full input of a tick to gated orders: names and records around `core.decision.decide`. Pure.

A live tick, `verify` and the projection call this one function; it reads no clock, no store and no
broker. The replay's walk calls the same compiled pass on its own columns.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from decimal import ROUND_DOWN, Decimal
from math import inf, nan
from typing import NamedTuple

import numpy as np

from trading_assets.core.decision.columns import (
    CANDIDATE,
    SYMBOL,
    BookState,
    Candidates,
    Flags,
    Outcome,
    Pass,
    Proposals,
    Rows,
    Running,
)
from trading_assets.core.decision.decide import decide_pass, defined_limit_price
from trading_assets.core.limits import Limits
from trading_assets.core.orders import Kind, client_order_id
from trading_assets.core.sizing import NO_TRADE_BAND, slice_quantities
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
from trading_assets.engine.decision.inputs import (
    RULES,
    RULES_BY_ARRIVAL,
    RULES_SPREAD,
    DecisionInput,
    ForcedExit,
    Phase,
    SignalInput,
)
from trading_assets.store.records import VerdictRecord

SUPERSEDED = "SUPERSEDED"
NINE_DECIMALS = Decimal("1e-9")
_CANDIDATE_FIELDS = ("attempt", "value", "as_of_ns", "reference_price", "limit_price", "volatility", "qty")
_PASS = {Phase.PROTECT: Pass.PROTECT, Phase.EXITS: Pass.EXITS, Phase.ENTRIES: Pass.ENTRIES}


@dataclass(frozen=True, slots=True)
class Decision:
    """Every proposal with its verdict, in the order of sending, and what became of each signal."""

    verdicts: tuple[VerdictRecord, ...]
    outcomes: dict[str, str]  # decision id → ORDERED, REFUSED, BELOW_THRESHOLD, HELD, NO_PRICE,
    # INCOMPLETE_BARS, SUPERSEDED

    @property
    def approved(self) -> tuple[VerdictRecord, ...]:
        return tuple(verdict for verdict in self.verdicts if not verdict.failed)


class _Candidate(NamedTuple):
    """A signal or a forced exit; what the other has is NaN, infinite or never."""

    symbol: str
    kind: str
    decision_id: str
    attempt: int
    value: float = nan
    as_of_ns: int = 0
    reference_price: float = nan
    limit_price: float = nan
    volatility: float = nan
    qty: float = inf


def decide(given: DecisionInput) -> Decision:
    """The verdicts of one phase of a tick. The same input gives the same decision, bit for bit."""
    a_pass, outcomes = _PASS[given.phase], dict[str, str]()
    if a_pass is Pass.PROTECT:
        candidates = [_forced(exit_) for exit_ in given.forced_exits]
    else:
        late = frozenset(given.superseded)
        in_time = [signal for signal in given.signals if signal.decision_id not in late]
        newest, passed_over = newest_signals(in_time, given.rules)
        outcomes |= {signal.decision_id: SUPERSEDED for signal in passed_over}
        outcomes |= {signal.decision_id: SUPERSEDED for signal in given.signals if signal.decision_id in late}
        due = (signal for _, signal in sorted(newest.items()) if signal.decision_id not in given.waiting)
        candidates = [_of_signal(signal) for signal in due]
    limits = as_compiled(given.limits)
    symbols = _symbol_rows(given)
    rows = {view.symbol: row for row, view in enumerate(given.symbols)}
    columns = _candidate_columns(given, a_pass, candidates, rows, symbols, limits)
    codes = np.empty(len(candidates), np.int8)
    running, room, used = Running.of(len(symbols)), max(len(candidates), 1), -1
    while used < 0:
        out = Proposals.of(room)
        used = decide_pass(
            int(a_pass), _book_state(given), symbols, columns, limits, NO_TRADE_BAND, 0, out, codes, running
        )
        room *= 4
    verdicts = tuple(_verdict(given, candidates, out, row, rows) for row in range(used))
    if a_pass is not Pass.PROTECT:
        for candidate, outcome in zip(candidates, codes.tolist(), strict=True):
            if outcome != Outcome.NONE:
                outcomes[candidate.decision_id] = Outcome(outcome).name
    for verdict in verdicts:
        outcomes[verdict.decision_id] = "REFUSED" if verdict.failed else "ORDERED"
    return Decision(verdicts, outcomes)


def as_compiled(limits: Limits) -> Limits:
    """The same limits in the types that the core is compiled for once: whole numbers as floats too."""
    return Limits._make(value if isinstance(value, bool) else float(value) for value in limits)


def newest_signals(
    signals: Iterable[SignalInput], rules: int = RULES
) -> tuple[dict[str, SignalInput], list[SignalInput]]:
    """The newest signal of each symbol, by its producer's stamp and then by its arrival; and the others."""

    def age(signal: SignalInput) -> tuple[int, int, int] | tuple[int, str]:
        if rules < RULES_BY_ARRIVAL:
            return signal.as_of_ns, signal.decision_id
        return signal.as_of_ns, signal.received_ns, signal.sequence

    newest: dict[str, SignalInput] = {}
    passed_over = []
    for signal in sorted(signals, key=age):
        if signal.symbol in newest:
            passed_over.append(newest[signal.symbol])
        newest[signal.symbol] = signal
    return newest, passed_over


def _of_signal(signal: SignalInput) -> _Candidate:
    return _Candidate(
        signal.symbol,
        signal.kind,
        signal.decision_id,
        signal.attempt,
        signal.value,
        signal.as_of_ns,
        signal.reference_price,
        signal.limit_price,
        signal.volatility,
    )


def _forced(forced: ForcedExit) -> _Candidate:
    return _Candidate(forced.symbol, forced.kind, forced.decision_id, forced.attempt, qty=forced.qty)


def _book_state(given: DecisionInput) -> BookState:
    return BookState(
        now_ns=given.now_ns,
        equity_usd=float(given.equity_usd),
        buying_power_usd=float(given.buying_power_usd),
        settled_cash_usd=float(given.settled_cash_usd),
        account_ns=given.account_ns,
        open_ns=given.open_ns,
        close_ns=given.close_ns,
        calendar_open=given.calendar_open,
        broker_open=given.broker_open,
        halt_state=given.halt_state,
        reconciling=given.reconciling,
        daily_loss="DAILY_LOSS" in given.halt_causes,
        max_drawdown="MAX_DRAWDOWN" in given.halt_causes,
        session_drawdown="SESSION_DRAWDOWN" in given.halt_causes,
        orders_today=given.orders_today,
        execution_orders=given.execution_orders,
        exit_orders_today=given.exit_orders_today,
        reject_streak=given.reject_streak,
        by_strength=given.rules >= RULES_BY_ARRIVAL,
        exits_spread=given.rules >= RULES_SPREAD,
    )


def _symbol_rows(given: DecisionInput) -> Rows:
    rows = np.zeros(len(given.symbols), SYMBOL)
    for name in SYMBOL.fields or ():
        if name != "incomplete":
            rows[name] = [getattr(view, name) for view in given.symbols]
    rows["incomplete"] = [view.symbol in given.incomplete for view in given.symbols]
    return rows


def _candidate_columns(
    given: DecisionInput,
    a_pass: Pass,
    candidates: list[_Candidate],
    rows: dict[str, int],
    symbols: Rows,
    limits: Limits,
) -> Candidates:
    numbers: dict[str, int] = {}
    filled = np.zeros(len(candidates), CANDIDATE)
    for row, candidate in zip(filled, candidates, strict=True):
        row["symbol"] = rows[candidate.symbol]
        row["decision"] = numbers.setdefault(candidate.decision_id, len(numbers))
        row["flatten"] = candidate.kind == Kind.FLATTEN
        for name in _CANDIDATE_FIELDS:
            row[name] = getattr(candidate, name)
    return Candidates(filled, _sent_before(given, a_pass, candidates, filled, symbols, limits))


def _sent_before(
    given: DecisionInput,
    a_pass: Pass,
    candidates: list[_Candidate],
    filled: Rows,
    symbols: Rows,
    limits: Limits,
) -> Flags:
    """Which slices of each candidate's attempt bear an id that was sent, of as many as it can be cut into."""
    sent, slices_sent = set(given.sent_ids), list[list[bool]]()
    for row, candidate in zip(filled, candidates, strict=True):
        side, slices, symbol = Side.BUY, 1, symbols[row["symbol"]]
        if sent and a_pass is not Pass.ENTRIES:
            side = Side.SELL if symbol["qty"] > 0.0 else Side.BUY
            price = defined_limit_price(symbol, int(side), True, candidate.limit_price, limits)
            most, fractionable = limits.max_order_notional, bool(symbol["fractionable"])
            slices = slice_quantities(float(symbol["qty"]), float(price), most, fractionable).size
        numbers = range(1, slices + 1) if sent else range(0)
        slices_sent.append(
            [client_order_id(candidate.decision_id, side, n, candidate.attempt) in sent for n in numbers]
        )
    flags = np.zeros((len(candidates), max(map(len, slices_sent), default=0)), np.bool_)
    for flag, of_candidate in zip(flags, slices_sent, strict=True):
        flag[: len(of_candidate)] = of_candidate
    return flags


def _verdict(
    given: DecisionInput, candidates: list[_Candidate], out: Proposals, row: int, rows: dict[str, int]
) -> VerdictRecord:
    """Row `row` of the pass as a record, with every argument that the gate had."""
    proposal = dict(
        zip(out.rows.dtype.names or (), out.rows[row].item(), strict=True)
    )  # as Python's own types
    candidate, side, number = candidates[proposal["candidate"]], proposal["side"], proposal["slice"]
    qty, price = proposal["qty"], proposal["limit_price"]
    view = given.symbols[rows[candidate.symbol]]
    client_id = client_order_id(candidate.decision_id, side, number, candidate.attempt)
    words = (
        Order(side, qty, price, candidate.kind == Kind.FLATTEN),
        Signal(candidate.as_of_ns, candidate.reference_price),
        Account(
            given.equity_usd,
            proposal["buying_power_usd"],
            proposal["settled_cash_usd"],
            given.account_ns,
        ),
        Position(view.qty, proposal["reserved_qty"], proposal["exposure_usd"]),
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
            decision_sent=proposal["decision_sent"],
            in_flight=proposal["in_flight"],
            opposite_limit=proposal["opposite_limit"],
            gross_exposure_usd=proposal["gross_exposure_usd"],
            symbol_orders_today=proposal["symbol_orders"],
            orders_today=proposal["orders"],
            execution_orders=proposal["execution_orders"],
            exit_orders_today=proposal["exit_orders"],
            reject_streak=given.reject_streak,
            symbol_exits_today=proposal["symbol_exits"],
            exits_kept_for_others=proposal["exits_kept"],
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
    gate_input = {type(word).__name__.lower(): word._asdict() for word in words}
    return VerdictRecord(
        verdict_id=f"{client_id}:{given.execution_id}",
        book=given.book,
        session=given.session,
        tick_ns=given.tick_ns,
        execution_id=given.execution_id,
        client_order_id=client_id,
        decision_id=candidate.decision_id,
        kind=str(candidate.kind),
        symbol=candidate.symbol,
        side=side,
        slice=number,
        attempt=candidate.attempt,
        qty=_shares(qty),
        limit_price=Decimal(repr(price)),
        reducing=proposal["reducing"],
        at_ns=given.now_ns,
        failed=proposal["failed"],
        cause=given.halt_causes[0] if given.halt_causes else "",
        measured=tuple(out.measured[row].tolist()),
        limits=tuple(out.limit[row].tolist()),
        gate_input={**gate_input, "now_ns": given.now_ns},
    )


def _shares(qty: float) -> Decimal:
    """At most nine decimals, toward zero, without trailing zeros."""
    exact = Decimal(repr(qty)).quantize(NINE_DECIMALS, rounding=ROUND_DOWN)
    return exact.quantize(Decimal(1)) if exact == exact.to_integral_value() else exact.normalize()
