"""The journal: what protects money, durable before anything leaves. `Journal.open(path)`.

This is its face to the engine. What it stores is said by its parts: orders, the account, halts and
locks, ticks and alerts, leases; the tables are `store.schema`, the transactions `store.database`.
Records are `store.records`. Every method is one transaction and takes or returns records only.
"""

from __future__ import annotations

from trading_assets.store.database import JournalBusy
from trading_assets.store.errors import CrossedFork, SchemaTooNew
from trading_assets.store.halt_journal import HaltJournal
from trading_assets.store.leases import Lease, LeaseHeld, LeaseLost, Leases
from trading_assets.store.ledger_journal import LedgerJournal
from trading_assets.store.order_journal import DuplicateIntent, OrderJournal, SentCount, UnknownOrder
from trading_assets.store.tick_journal import TickJournal

__all__ = [
    "CrossedFork",
    "DuplicateIntent",
    "Journal",
    "JournalBusy",
    "Lease",
    "LeaseHeld",
    "LeaseLost",
    "SchemaTooNew",
    "SentCount",
    "UnknownOrder",
]


class Journal(OrderJournal, LedgerJournal, HaltJournal, TickJournal, Leases):
    """One journal database, opened with `Journal.open(path_or_url)` and closed with `close()`."""
