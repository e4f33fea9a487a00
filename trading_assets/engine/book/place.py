"""Where a configuration keeps its book: the files, and what they say of it to who opens no desk and asks no
broker.
"""

from __future__ import annotations

from pathlib import Path

from trading_assets.config import Settings
from trading_assets.market.clock import system_now_ns
from trading_assets.store.journal import Journal

JOURNAL_FILE = "journal.sqlite"
KILL_FILE = "KILL"


def journal_file(settings: Settings) -> Path:
    """Where the configuration's journal is, for who opens it without a desk."""
    return Path(settings.data_dir) / JOURNAL_FILE


def kill_file(settings: Settings) -> Path:
    """The kill file of a configuration, for who cannot open its desk."""
    return Path(settings.data_dir) / KILL_FILE


def known_book(settings: Settings, journal: Journal) -> str | None:
    """The configured account's book, for who does not ask the broker; None before the first opening."""
    return journal.mark(place_of(settings), "book")


def place_of(settings: Settings) -> str:
    """Venue and mode: under which the journal keeps the account's book."""
    return f"{settings.venue}:{settings.mode}"


def last_known_ns(settings: Settings, journal: Journal, book: str) -> int:
    """The machine's time; where the venue's is virtual, that of the journal's last figures."""
    latest = journal.latest_equity(book) if settings.venue == "embedded" else None
    return system_now_ns() if latest is None else latest.at_ns
