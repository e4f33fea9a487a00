"""Files that are dropped into an inbox, and what lies in its places afterwards."""

from __future__ import annotations

from pathlib import Path

from trading_assets.engine.signals.inbox import TakenFile, take_files
from trading_assets.store.journal import Journal

BOOK = "embedded:PA0001:paper"


SYMBOLS = ("AAPL", "IBM")


NOW = 1_347_372_000_000_000_000  # 2012-09-11T10:00:00-04:00


def drop(home: Path, name: str, content: str | bytes) -> None:
    (home / "inbox").mkdir(exist_ok=True)
    (home / "inbox" / name).write_bytes(content if isinstance(content, bytes) else content.encode())


def take(home: Path, journal: Journal, now_ns: int = NOW) -> list[TakenFile]:
    return take_files(home, journal, BOOK, SYMBOLS, now_ns=now_ns)


def names(home: Path, place: str) -> list[str]:
    """The files in one of the inbox's places, without the time at which each was taken."""
    return sorted(path.name.partition("-")[2] for path in (home / "inbox" / place).iterdir())
