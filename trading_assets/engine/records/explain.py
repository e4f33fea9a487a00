"""Why each signal became an order or did not: a session's decisions from the journal, in the gate's words."""

from __future__ import annotations

from dataclasses import dataclass
from decimal import Decimal

from trading_assets.core.codes import failed_codes
from trading_assets.core.gate import reason
from trading_assets.core.words import Side
from trading_assets.engine.decision.inputs import DecisionInput, Phase
from trading_assets.engine.records.projection import signal_outcomes
from trading_assets.store.journal import Journal
from trading_assets.store.records import OrderRecord, VerdictRecord


@dataclass(frozen=True, slots=True)
class FailedCode:
    """One reason of a refusal: measured against its limit."""

    code: str
    check: int
    measured: float
    limit: float


@dataclass(frozen=True, slots=True)
class Explained:
    """One proposal and what the gate and the broker said, or a signal that proposed nothing."""

    tick_ns: int
    execution_id: str
    symbol: str
    kind: str
    decision_id: str
    outcome: str  # PASS, the gate's reason, or BELOW_THRESHOLD, HELD, NO_PRICE, INCOMPLETE_BARS, SUPERSEDED
    side: str | None = None
    qty: Decimal | None = None
    limit_price: Decimal | None = None
    signal: float | None = None
    failed: tuple[FailedCode, ...] = ()
    state: str | None = None  # of the order, where one was sent or dropped
    filled_qty: Decimal | None = None
    detail: str = ""
    client_order_id: str | None = None
    broker_order_id: str | None = None


def explained(journal: Journal, book: str, session: str, *, symbol: str | None = None) -> list[Explained]:
    """Every decision of the session, in the order of the ticks."""
    orders = {
        record.intent.verdict_id: record for record in journal.orders(book, session=session, symbol=symbol)
    }
    lines = [
        _of_verdict(verdict, orders.get(verdict.verdict_id))
        for verdict in journal.verdicts(book, session=session)
    ]
    proposed = {(line.tick_ns, line.decision_id) for line in lines}
    lines += [
        line
        for line in _without_proposal(journal, book, session)
        if (line.tick_ns, line.decision_id) not in proposed
    ]
    wanted = [line for line in lines if symbol is None or line.symbol == symbol]
    return sorted(wanted, key=lambda line: line.tick_ns)


def _of_verdict(verdict: VerdictRecord, order: OrderRecord | None) -> Explained:
    return Explained(
        tick_ns=verdict.tick_ns,
        execution_id=verdict.execution_id,
        symbol=verdict.symbol,
        kind=verdict.kind,
        decision_id=verdict.decision_id,
        outcome=reason(verdict.failed, verdict.cause),
        side=Side(verdict.side).name.lower(),
        qty=verdict.qty,
        limit_price=verdict.limit_price,
        failed=tuple(
            FailedCode(code.name, int(code.check), verdict.measured[code], verdict.limits[code])
            for code in failed_codes(verdict.failed)
        ),
        state=None if order is None else str(order.state),
        filled_qty=None if order is None else order.filled_qty,
        detail="" if order is None else order.detail,
        client_order_id=verdict.client_order_id,
        broker_order_id=None if order is None else order.broker_order_id,
    )


def _without_proposal(journal: Journal, book: str, session: str) -> list[Explained]:
    """The signals of the session with what became of them, once for each tick."""
    explained: dict[tuple[int, str], Explained] = {}
    outcomes: dict[int, dict[str, str]] = {}
    for record in journal.tick_inputs(book, session=session):
        if record.phase != Phase.EXITS:
            continue
        if record.tick_ns not in outcomes:
            outcomes[record.tick_ns] = signal_outcomes(journal, book, session, record.tick_ns)
        for signal in DecisionInput.from_json(record.payload).signals:
            explained[record.tick_ns, signal.decision_id] = Explained(
                tick_ns=record.tick_ns,
                execution_id=record.execution_id,
                symbol=signal.symbol,
                kind=signal.kind,
                decision_id=signal.decision_id,
                outcome=outcomes[record.tick_ns].get(signal.decision_id, "HELD"),
                signal=signal.value,
            )
    return list(explained.values())
