"""Symbols held to reducing orders until a person releases them: one lock for each cause, told once."""

from __future__ import annotations

from trading_assets.engine.book.desk import Desk
from trading_assets.store.records import LockRecord, OrderRecord

DISPUTE_LOCK = "ORDER_STATE"


def dispute(desk: Desk, record: OrderRecord, reason: str) -> None:
    """Journal and broker contradict one another on an order: its symbol is locked, and a person is told once
    for each contradiction, also where another order's has locked the symbol before."""
    symbol = record.intent.symbol
    if lock(desk, symbol, DISPUTE_LOCK, reason):
        return
    reasons = {
        one.reason
        for one in desk.journal.locks(desk.book)
        if (one.symbol, one.cause) == (symbol, DISPUTE_LOCK)
    }
    if reason not in reasons:  # none: a person's rearm has released it in between
        desk.alert(f"dispute:{reason}", f"{symbol}: {DISPUTE_LOCK}", reason)


def lock(desk: Desk, symbol: str, cause: str, reason: str) -> bool:
    """Hold the symbol to reducing orders. True, and alerted on, when this cause did not hold it before."""
    now = desk.now_ns()
    locked = desk.journal.lock(LockRecord(desk.book, symbol, cause, now, reason))
    if locked:
        desk.alert(f"lock:{symbol}:{cause}:{now}", f"{symbol} locked: {cause}", reason)
    return locked
