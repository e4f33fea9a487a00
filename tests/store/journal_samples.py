"""Records of one order in the book "paper", each with the fields that a test names changed."""

from __future__ import annotations

from dataclasses import replace
from decimal import Decimal
from math import inf, nan
from typing import Any

from trading_assets.store.journal import Journal
from trading_assets.store.records import (
    AdjustmentRecord,
    EquityRecord,
    FillRecord,
    HaltRecord,
    IntentRecord,
    OpeningPositionRecord,
    OutboxRecord,
    SignalRecord,
    VerdictRecord,
)

BOOK = "embedded:PA0001:paper"
SESSION = "2012-05-18"
TICK_NS = 1_337_351_700_000_000_000
SECOND_NS = 1_000_000_000


def verdict(client_order_id: str = "ta-1", **changes: Any) -> VerdictRecord:
    record = VerdictRecord(
        verdict_id=f"{client_order_id}:run-1",
        book=BOOK,
        session=SESSION,
        tick_ns=TICK_NS,
        execution_id="run-1",
        client_order_id=client_order_id,
        decision_id="d-1",
        kind="model",
        symbol="AAPL",
        side=1,
        slice=0,
        attempt=1,
        qty=Decimal("3"),
        limit_price=Decimal("530.25"),
        reducing=False,
        at_ns=TICK_NS,
        failed=0,
        cause="",
        measured=(nan, 0.1, inf, -inf, -0.0),
        limits=(0.3, inf, nan, 1e300, 5e-324),
        gate_input={"quote": {"bid": nan, "ask": 530.0, "text": "NaN"}, "now_ns": TICK_NS},
    )
    return replace(record, **changes)


def intent(client_order_id: str = "ta-1", **changes: Any) -> IntentRecord:
    record = IntentRecord(
        client_order_id=client_order_id,
        verdict_id=f"{client_order_id}:run-1",
        book=BOOK,
        session=SESSION,
        tick_ns=TICK_NS,
        decision_id="d-1",
        kind="model",
        symbol="AAPL",
        side=1,
        slice=0,
        attempt=1,
        qty=Decimal("3"),
        limit_price=Decimal("530.25"),
        reducing=False,
        extended_hours=False,
        signal_as_of_ns=None,
        created_ns=TICK_NS,
    )
    return replace(record, **changes)


def add_intent(journal: Journal, client_order_id: str, **changes: Any) -> None:
    shared = {
        key: value for key, value in changes.items() if key in ("book", "session", "symbol", "reducing")
    }
    approved = verdict(client_order_id, **shared), intent(client_order_id, **changes)
    journal.record_intents([approved])


def fill(cum_qty: str = "1", **changes: Any) -> FillRecord:
    record = FillRecord(
        book=BOOK,
        session=SESSION,
        broker_order_id="b-1",
        client_order_id="ta-1",
        symbol="AAPL",
        side=1,
        qty=Decimal("1"),
        price=Decimal("530.2"),
        cum_qty=Decimal(cum_qty),
        at_ns=TICK_NS + SECOND_NS,
        activity_id=f"a-{cum_qty}",
        received_ns=TICK_NS + 2 * SECOND_NS,
    )
    return replace(record, **changes)


def opening(symbol: str, qty: str, **changes: Any) -> OpeningPositionRecord:
    record = OpeningPositionRecord(BOOK, symbol, Decimal(qty), Decimal("1"), TICK_NS, "pat", "first start")
    return replace(record, **changes)


def adjustment(adjustment_id: str, **changes: Any) -> AdjustmentRecord:
    record = AdjustmentRecord(
        BOOK, adjustment_id, "DIVIDEND", "MSFT", Decimal(0), Decimal("3.00"), TICK_NS, "broker", "DIV"
    )
    return replace(record, **changes)


def halt(action: str, cause: str, state: int = 1, **changes: Any) -> HaltRecord:
    return replace(HaltRecord(BOOK, TICK_NS, SESSION, action, cause, state, "system", "because"), **changes)


def signal(decision_id: str = "x-1", **changes: Any) -> SignalRecord:
    record = SignalRecord(
        BOOK, decision_id, "AAPL", 0.75, TICK_NS, Decimal("530.20"), None, "inbox", TICK_NS + 5
    )
    return replace(record, **changes)


def equity(at_ns: int, **changes: Any) -> EquityRecord:
    record = EquityRecord(
        BOOK,
        at_ns,
        SESSION,
        Decimal("100000.5"),
        Decimal(100_000),
        Decimal(1),
        Decimal(0),
        1.1,
        Decimal(2),
        1.2,
    )
    return replace(record, **changes)


def alert(key: str, **changes: Any) -> OutboxRecord:
    return replace(OutboxRecord(key, BOOK, TICK_NS, "ERROR", "A title", "What happened"), **changes)
