"""The journal's rows as values: one frozen dataclass for each table. There is no SQL here.

Times are UTC nanoseconds. Quantities and money are Decimal here and decimal text in the table.
`book` is the key of one account under one mode, e.g. "embedded:PA0001:paper".
"""

from __future__ import annotations

from dataclasses import dataclass
from decimal import Decimal
from typing import Any


@dataclass(frozen=True, slots=True)
class VerdictRecord:
    """One evaluation of the gate, passed or refused, with everything that it saw."""

    verdict_id: str  # unique: client_order_id + ":" + execution id
    book: str
    session: str  # ISO date
    tick_ns: int
    execution_id: str
    client_order_id: str
    decision_id: str
    kind: str  # model, external, stop, flatten
    symbol: str
    side: int
    slice: int
    attempt: int
    qty: Decimal
    limit_price: Decimal
    reducing: bool
    at_ns: int
    failed: int  # the gate's bits
    cause: str  # halt cause shown with the first code, "" if none
    measured: tuple[float, ...]  # by Code value; NaN: not measurable
    limits: tuple[float, ...]  # by Code value
    gate_input: dict[str, Any]  # every argument of evaluate(), as JSON


@dataclass(frozen=True, slots=True)
class IntentRecord:
    """An order that passed the gate, before it is sent. Immutable."""

    client_order_id: str
    verdict_id: str
    book: str
    session: str
    tick_ns: int
    decision_id: str
    kind: str
    symbol: str
    side: int
    slice: int
    attempt: int
    qty: Decimal
    limit_price: Decimal
    reducing: bool
    extended_hours: bool
    signal_as_of_ns: int | None  # None: not decided on a signal
    created_ns: int


@dataclass(frozen=True, slots=True)
class OrderRecord:
    """An intent with its present state: the fold of its events."""

    intent: IntentRecord
    state: str  # core.orders.State
    broker_order_id: str | None
    filled_qty: Decimal
    submitted_ns: int | None  # when SUBMITTING was stored last
    updated_ns: int
    detail: str
    evidence_ns: int | None = None  # the broker's own stamp of the newest answer taken in


@dataclass(frozen=True, slots=True)
class OrderEventRecord:
    client_order_id: str
    sequence: int
    at_ns: int
    from_state: str | None
    to_state: str
    broker_order_id: str | None
    detail: str


@dataclass(frozen=True, slots=True)
class FillRecord:
    """Unique on (book, broker_order_id, cum_qty)."""

    book: str
    session: str
    broker_order_id: str
    client_order_id: str | None  # None: an order that is not ours
    symbol: str
    side: int
    qty: Decimal
    price: Decimal
    cum_qty: Decimal
    at_ns: int
    activity_id: str
    received_ns: int


@dataclass(frozen=True, slots=True)
class OpeningPositionRecord:
    """What the account held when the book began; symbol "" is cash (qty = USD)."""

    book: str
    symbol: str
    qty: Decimal
    avg_cost: Decimal
    at_ns: int
    author: str
    reason: str


@dataclass(frozen=True, slots=True)
class AdjustmentRecord:
    """A journaled ledger entry other than a fill: split, dividend, fee, interest, transfer, correction."""

    book: str
    adjustment_id: str  # the broker's activity id, or an id of ours for a person's entry
    kind: str  # SPLIT, DIVIDEND, FEE, INTEREST, TRANSFER, BUST, CORRECTION, OTHER
    symbol: str  # "" for cash
    qty_delta: Decimal
    cash_delta: Decimal
    at_ns: int
    author: str  # "broker" or a person
    reason: str
    reverses: str = ""  # the activity id of the fill that a bust or correction changes by these deltas
    cost_delta: Decimal | None = None  # change of the position's whole cost, USD; None: as the kind has it


@dataclass(frozen=True, slots=True)
class CheckpointRecord:
    """The fold of the book's entries before `through_ns`. A shortcut, never evidence."""

    book: str
    name: str
    through_ns: int
    state: dict[str, Any]


@dataclass(frozen=True, slots=True)
class HaltRecord:
    """One act on the halt state. Latched causes are those latched and not cleared since."""

    book: str
    at_ns: int
    session: str
    action: str  # "latch" or "clear"
    cause: str
    state: int  # HaltState that the cause demands
    author: str
    reason: str
    sequence: int = 0


@dataclass(frozen=True, slots=True)
class FlattenRecord:
    """A person's flatten: in force until every position is zero."""

    book: str
    at_ns: int  # names its decisions
    author: str
    reason: str


@dataclass(frozen=True, slots=True)
class LockRecord:
    """A symbol held to reducing orders until the lock is released."""

    book: str
    symbol: str
    cause: str
    at_ns: int
    reason: str


@dataclass(frozen=True, slots=True)
class SignalRecord:
    """A signal received from outside."""

    book: str
    decision_id: str
    symbol: str
    value: float
    as_of_ns: int
    reference_price: Decimal | None
    limit_price: Decimal | None  # the worst price that the producer accepts
    source: str
    received_ns: int
    consumed_tick_ns: int | None = None


@dataclass(frozen=True, slots=True)
class EquityRecord:
    """Equity and risk figures at one protect or reconciliation."""

    book: str
    at_ns: int
    session: str
    equity: Decimal
    e0: Decimal
    cash: Decimal
    transfers_today: Decimal
    unit_value: float
    session_peak: Decimal
    unit_peak: float


@dataclass(frozen=True, slots=True)
class BreakRecord:
    """A difference between ledger and broker; `sightings` counts consecutive reconciliations."""

    book: str
    kind: str
    subject: str  # symbol, client order id, or "cash"
    ours: str
    theirs: str
    first_ns: int
    last_ns: int
    sightings: int
    resolved_ns: int | None


@dataclass(frozen=True, slots=True)
class GateCheckRecord:
    """The stored outcome of one blocking asset check for one tick."""

    book: str
    tick_ns: int
    check: str
    passed: bool
    at_ns: int
    detail: str


@dataclass(frozen=True, slots=True)
class TickInputRecord:
    """The whole input of one decision of an execution."""

    book: str
    session: str
    tick_ns: int
    execution_id: str
    phase: str  # exits or entries
    at_ns: int
    payload: dict[str, Any]


@dataclass(frozen=True, slots=True)
class OutboxRecord:
    """An alert to deliver at least once; `key` deduplicates."""

    key: str
    book: str
    at_ns: int
    severity: str
    title: str
    body: str
