"""The journal: what protects money, durable before any order leaves. Open it with `Journal.open(path)`.

The engine uses this class. Its parts say what it stores: orders, the account, halts and locks, ticks and
alerts, leases. `store.schema` has the tables, `store.database` the transactions, `store.records` the records.
Every method is one transaction, and takes or returns records only.
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
