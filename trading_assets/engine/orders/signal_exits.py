"""What a symbol's last signal of the session wants sold, the whole position or a part of it, kept until it is
sold or another one supersedes it.

A signal's exit that gate or broker refuses, that a person's order holds back, or that was dropped before the
wire leaves no order that works. So the tick keeps the signal before it decides on it, and each protection
proposes its exit again. Which attempt, and when, is `engine.protection.forced_exits`.
"""

from __future__ import annotations

import json
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from decimal import Decimal
from typing import Any, NamedTuple

from trading_assets.broker.port import PositionState
from trading_assets.core.codes import Code, failed_codes
from trading_assets.core.limits import FUTURE_SIGNAL_SECONDS
from trading_assets.core.tolerance import at_least
from trading_assets.engine.book.desk import Desk
from trading_assets.engine.decision.decide import Decision, newest_signals
from trading_assets.engine.decision.inputs import SignalInput
from trading_assets.engine.evidence.split_lines import booked_since
from trading_assets.engine.orders.submit import remaining
from trading_assets.engine.orders.tries import tries_of
from trading_assets.log import get_logger
from trading_assets.market.sessions import new_york_time
from trading_assets.store.records import OrderRecord

log = get_logger(__name__)

LAST_SIGNALS = "last_signals"


class LastSignal(NamedTuple):
    """The newest signal of a symbol in this session whose |value| is at least the threshold."""

    kind: str
    decision_id: str
    as_of_ns: int  # no later than its tick: a stamp ahead of time would outlast every signal after it
    sells: bool  # the position goes to zero
    tick_ns: int  # that took it
    qty: str  # to sell: of one that sells what was held when it came, and what working entries could still
    # buy; else what its tick was to sell of the position, whether gate and broker let that pass or not
    keeps: str = "0"  # shares: what its tick was to leave of the position
    booked: str = "0"  # shares: what splits had brought since its tick when it was kept, and `qty` counts

    @property
    def shares(self) -> Decimal:
        """To sell, in the shares of its tick."""
        return Decimal(self.qty)

    def leaves(self, orders: Iterable[OrderRecord]) -> Decimal:
        """Of these, what its orders have not sold."""
        sold = sum((o.filled_qty for o in orders if o.intent.decision_id == self.decision_id), Decimal(0))
        return max(self.shares - sold, Decimal(0))


def last_signals(desk: Desk) -> dict[str, LastSignal]:
    """By symbol, of this session."""
    kept = json.loads(desk.journal.mark(desk.book, LAST_SIGNALS) or "{}")
    if kept.get("session") != desk.session_text():
        return {}
    return {symbol: _as_kept(fields) for symbol, fields in kept["signals"].items()}


def _as_kept(fields: Sequence[Any]) -> LastSignal:
    """An earlier release kept what was held beside every signal, also where it sold nothing by it, and not
    what was to be left."""
    signal = LastSignal(*fields)
    whole = len(fields) > LastSignal._fields.index("keeps") or signal.sells
    return signal if whole else signal._replace(qty="0")


def keep_last_signals(
    desk: Desk, tick_ns: int, signals: Sequence[SignalInput], positions: Mapping[str, PositionState], now: int
) -> None:
    """Keep the tick's signals, durably, before anything is decided on them. One that is older than what is
    kept changes nothing, nor does one that was kept before, nor one that the gate refuses as from the
    future at the time `now`."""
    kept = last_signals(desk)
    newest, _ = newest_signals(signal for signal in signals if not _is_ahead(desk, signal, now))
    buying: dict[str, Decimal] = defaultdict(Decimal)
    for record in desk.journal.open_orders(desk.book):
        if not record.intent.reducing:
            buying[record.intent.symbol] += remaining(record)
    signals_kept = dict(kept)
    for symbol, signal in newest.items():
        before = kept.get(symbol)
        if not at_least(abs(signal.value), desk.limits.threshold):
            continue
        if before and (before.decision_id == signal.decision_id or before.as_of_ns > signal.as_of_ns):
            continue
        held = abs(positions[symbol].qty) if symbol in positions else Decimal(0)
        sells = at_least(-signal.value, desk.limits.threshold)
        signals_kept[symbol] = LastSignal(
            str(signal.kind),
            signal.decision_id,
            min(signal.as_of_ns, now),
            sells,
            tick_ns,
            f"{held + buying[symbol] if sells else 0:f}",
            booked=f"{booked_since(desk, symbol, tick_ns):f}",
        )
    _keep(desk, kept, signals_kept)


def keep_reductions(desk: Desk, decision: Decision) -> None:
    """Keep, before any of it is sent, what the tick's exits are to sell by signals that leave a part of the
    position: what gate or broker refuses of it protection proposes again, as it does a whole exit."""
    kept = last_signals(desk)
    wanted, held = defaultdict[str, Decimal](Decimal), dict[str, Decimal]()
    for verdict in decision.verdicts:
        signal = kept.get(verdict.symbol)
        sent_before = Code.DUPLICATE_ORDER in failed_codes(verdict.failed)
        if signal is None or signal.sells or sent_before or signal.decision_id != verdict.decision_id:
            continue
        wanted[verdict.symbol] += verdict.qty
        held[verdict.symbol] = Decimal(repr(abs(verdict.gate_input["position"]["qty"])))
    reduced = dict(kept)
    for symbol, qty in wanted.items():  # of a decision that a process died on, a part may be sold already
        orders = desk.journal.orders(desk.book, decision_id=kept[symbol].decision_id)
        sold = sum((order.filled_qty for order in orders), Decimal(0))
        reduced[symbol] = kept[symbol]._replace(
            qty=f"{qty + sold:f}", keeps=f"{max(held[symbol] - qty, Decimal(0)):f}"
        )
    _keep(desk, kept, reduced)


def _keep(desk: Desk, kept: Mapping[str, LastSignal], signals: Mapping[str, LastSignal]) -> None:
    if signals != kept:
        text = json.dumps({"session": desk.session_text(), "signals": signals})
        desk.journal.set_mark(desk.book, LAST_SIGNALS, text, desk.now_ns())


def older_than_kept(desk: Desk, signals: Sequence[SignalInput]) -> tuple[SignalInput, ...]:
    """Those that come after a newer one of their symbol was taken: nothing is bought or sold by them."""
    kept = last_signals(desk)
    return tuple(
        signal
        for signal in signals
        if signal.symbol in kept
        and kept[signal.symbol].decision_id != signal.decision_id
        and kept[signal.symbol].as_of_ns > signal.as_of_ns
    )


def ahead_of_others(desk: Desk, signals: Sequence[SignalInput], now: int) -> tuple[SignalInput, ...]:
    """Those that supersede nothing though their stamps are the latest: at the time `now` they are ahead, the
    gate would refuse them, and another signal of their symbol is not. One that sells is no such signal, the
    gate lets it pass."""
    ahead = [signal for signal in signals if _is_ahead(desk, signal, now)]
    others = {signal.symbol for signal in signals if signal not in ahead}
    return tuple(signal for signal in ahead if signal.symbol in others)


def _is_ahead(desk: Desk, signal: SignalInput, now_ns: int) -> bool:
    sells = at_least(-signal.value, desk.limits.threshold)
    return not sells and (signal.as_of_ns - now_ns) / 1e9 > FUTURE_SIGNAL_SECONDS


def waiting_exits(desk: Desk, signals: Sequence[SignalInput]) -> frozenset[str]:
    """The decisions of those that this tick does not sell on: where exits of the symbol did not get out
    several times, the next one waits for its turn; protection sends it then."""
    now, orders = desk.now_ns(), desk.journal.orders(desk.book, session=desk.session_text())
    tried = {record.intent.symbol for record in orders if record.intent.reducing}
    waiting = set()
    for signal in signals:
        if signal.symbol in tried and at_least(-signal.value, desk.limits.threshold):
            tries = tries_of(desk, signal.kind, signal.symbol, signal.decision_id)
            if not tries.is_due(now):
                due = new_york_time(tries.due_ns)
                log.warning("exit waits for its turn", symbol=signal.symbol, tries=tries.in_a_row, due=due)
                waiting.add(signal.decision_id)
    return frozenset(waiting)
