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
    SYMBOL,
    WISH,
    BookStanding,
    Flags,
    Outcome,
    Pass,
    Proposals,
    Rows,
    Running,
    Wishes,
)
from trading_assets.core.decision.decide import decide_pass, wish_limit_price
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
_OF_A_WISH = ("attempt", "value", "as_of_ns", "reference_price", "limit_price", "volatility", "qty")
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


class _Wish(NamedTuple):
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
        wishes = [_forced(exit_) for exit_ in given.forced_exits]
    else:
        late = frozenset(given.superseded)
        in_time = [signal for signal in given.signals if signal.decision_id not in late]
        newest, passed_over = newest_signals(in_time, given.rules)
        outcomes |= {signal.decision_id: SUPERSEDED for signal in passed_over}
        outcomes |= {signal.decision_id: SUPERSEDED for signal in given.signals if signal.decision_id in late}
        due = (signal for _, signal in sorted(newest.items()) if signal.decision_id not in given.waiting)
        wishes = [_wished(signal) for signal in due]
    limits = as_compiled(given.limits)
    symbols = _symbol_rows(given)
    rows = {view.symbol: row for row, view in enumerate(given.symbols)}
    asked = _asked(given, a_pass, wishes, rows, symbols, limits)
    found = np.empty(len(wishes), np.int8)
    running, room, used = Running.of(len(symbols)), max(len(wishes), 1), -1
    while used < 0:
        out = Proposals.of(room)
        used = decide_pass(
            int(a_pass), _standing(given), symbols, asked, limits, NO_TRADE_BAND, 0, out, found, running
        )
        room *= 4
    verdicts = tuple(_verdict(given, wishes, out, row, rows) for row in range(used))
    if a_pass is not Pass.PROTECT:
        for wish, outcome in zip(wishes, found.tolist(), strict=True):
            if outcome != Outcome.NONE:
                outcomes[wish.decision_id] = Outcome(outcome).name
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


def _wished(signal: SignalInput) -> _Wish:
    return _Wish(
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


def _forced(forced: ForcedExit) -> _Wish:
    return _Wish(forced.symbol, forced.kind, forced.decision_id, forced.attempt, qty=forced.qty)


def _standing(given: DecisionInput) -> BookStanding:
    return BookStanding(
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
    found = np.zeros(len(given.symbols), SYMBOL)
    for name in SYMBOL.fields or ():
        if name != "incomplete":
            found[name] = [getattr(view, name) for view in given.symbols]
    found["incomplete"] = [view.symbol in given.incomplete for view in given.symbols]
    return found


def _asked(
    given: DecisionInput,
    a_pass: Pass,
    wishes: list[_Wish],
    rows: dict[str, int],
    symbols: Rows,
    limits: Limits,
) -> Wishes:
    numbers: dict[str, int] = {}
    asked = np.zeros(len(wishes), WISH)
    for row, wish in zip(asked, wishes, strict=True):
        row["symbol"] = rows[wish.symbol]
        row["decision"] = numbers.setdefault(wish.decision_id, len(numbers))
        row["flatten"] = wish.kind == Kind.FLATTEN
        for name in _OF_A_WISH:
            row[name] = getattr(wish, name)
    return Wishes(asked, _sent_before(given, a_pass, wishes, asked, symbols, limits))


def _sent_before(
    given: DecisionInput, a_pass: Pass, wishes: list[_Wish], asked: Rows, symbols: Rows, limits: Limits
) -> Flags:
    """Which slices of each wish's attempt bear an id that was sent, of as many as it can be cut into."""
    sent, found = set(given.sent_ids), list[list[bool]]()
    for row, wish in zip(asked, wishes, strict=True):
        side, slices, symbol = Side.BUY, 1, symbols[row["symbol"]]
        if sent and a_pass is not Pass.ENTRIES:
            side = Side.SELL if symbol["qty"] > 0.0 else Side.BUY
            price = wish_limit_price(symbol, int(side), True, wish.limit_price, limits)
            most, fractionable = limits.max_order_notional, bool(symbol["fractionable"])
            slices = slice_quantities(float(symbol["qty"]), float(price), most, fractionable).size
        numbers = range(1, slices + 1) if sent else range(0)
        found.append([client_order_id(wish.decision_id, side, n, wish.attempt) in sent for n in numbers])
    flags = np.zeros((len(wishes), max(map(len, found), default=0)), np.bool_)
    for flag, of_wish in zip(flags, found, strict=True):
        flag[: len(of_wish)] = of_wish
    return flags


def _verdict(
    given: DecisionInput, wishes: list[_Wish], out: Proposals, row: int, rows: dict[str, int]
) -> VerdictRecord:
    """Row `row` of the pass as a record, with every argument that the gate had."""
    said = dict(zip(out.rows.dtype.names or (), out.rows[row].item(), strict=True))  # as Python's own types
    wish, side, number = wishes[said["wish"]], said["side"], said["slice"]
    qty, price = said["qty"], said["limit_price"]
    view = given.symbols[rows[wish.symbol]]
    client_id = client_order_id(wish.decision_id, side, number, wish.attempt)
    words = (
        Order(side, qty, price, wish.kind == Kind.FLATTEN),
        Signal(wish.as_of_ns, wish.reference_price),
        Account(
            given.equity_usd,
            said["buying_power_usd"],
            said["settled_cash_usd"],
            given.account_ns,
        ),
        Position(view.qty, said["reserved_qty"], said["exposure_usd"]),
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
            decision_sent=said["decision_sent"],
            in_flight=said["in_flight"],
            opposite_limit=said["opposite_limit"],
            gross_exposure_usd=said["gross_exposure_usd"],
            symbol_orders_today=said["symbol_orders"],
            orders_today=said["orders"],
            execution_orders=said["execution_orders"],
            exit_orders_today=said["exit_orders"],
            reject_streak=given.reject_streak,
            symbol_exits_today=said["symbol_exits"],
            exits_kept_for_others=said["exits_kept"],
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
        decision_id=wish.decision_id,
        kind=str(wish.kind),
        symbol=wish.symbol,
        side=side,
        slice=number,
        attempt=wish.attempt,
        qty=_shares(qty),
        limit_price=Decimal(repr(price)),
        reducing=said["reducing"],
        at_ns=given.now_ns,
        failed=said["failed"],
        cause=given.halt_causes[0] if given.halt_causes else "",
        measured=tuple(out.measured[row].tolist()),
        limits=tuple(out.limit[row].tolist()),
        gate_input={**gate_input, "now_ns": given.now_ns},
    )


def _shares(qty: float) -> Decimal:
    """At most nine decimals, toward zero, without trailing zeros."""
    exact = Decimal(repr(qty)).quantize(NINE_DECIMALS, rounding=ROUND_DOWN)
    return exact.quantize(Decimal(1)) if exact == exact.to_integral_value() else exact.normalize()
