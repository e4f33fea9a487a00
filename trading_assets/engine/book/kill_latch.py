"""Where a kill is kept: the kill file first, which needs no database, then the journal.

Every way to kill (the command, the UI's job, the file, the environment) latches by `latch_kill`; who calls it
cancels. The file holds the book as long as it is there. Once the journal has latched the kill, a file that
was made for it on the way is taken away again: a person's `rearm` then ends the kill as ever.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from trading_assets.config import Settings
from trading_assets.engine.book.halts import Cause, in_force, latch
from trading_assets.engine.book.place import journal_file, kill_file, known_book, last_known_ns
from trading_assets.errors import TradingAssetsError
from trading_assets.log import get_logger
from trading_assets.market.sessions import Sessions
from trading_assets.reasons import shortened
from trading_assets.store.journal import Journal

log = get_logger(__name__)

TRIES = 3  # of the journal
TRY_SECONDS = 1.0  # that each waits for another process to let go of it


@dataclass(frozen=True, slots=True)
class KillLatch:
    """Where a kill holds. `failures`: what could not be written, with the reason."""

    file: Path | None = None
    journal: Path | None = None
    failures: tuple[str, ...] = ()

    @property
    def text(self) -> str:
        """In words for a person."""
        places = [f"the journal {self.journal}"] if self.journal else []
        places += [f"the kill file {self.file}"] if self.file else []
        where = " and ".join(places) or "NOTHING THAT LASTS"
        return f"{where} ({'; '.join(self.failures)})" if self.failures else where


def latch_kill(
    settings: Settings,
    *,
    reason: str,
    author: str = "system",
    book: str | None = None,
    now_ns: Callable[[], int] | None = None,
) -> KillLatch:
    """Latch a kill, asking no broker. Raises nothing that keeps a caller from cancelling: what could not be
    written is in the answer.

    book: default: the one that the journal knows for the configuration; where it knows none the file holds
    now_ns: the venue's time; default: as the journal knows it
    """
    file, failures, reason = kill_file(settings), list[str](), shortened(reason)
    made = False
    try:
        made = set_kill_file(file, reason, author)
    except OSError as error:
        failures.append(f"the kill file {file} cannot be made: {error.strerror or error}")
        log.error("kill file not set", path=str(file), why=str(error))
    journal = journal_file(settings)
    for _ in range(TRIES) if journal.exists() else ():
        try:
            latched = _latch_in(journal, settings, reason, author, book, now_ns)
        except TradingAssetsError as error:
            log.error("kill not in the journal", path=str(journal), why=str(error))
            failure = f"not in the journal: {str(error).rstrip('.')}"
            continue
        if not latched:
            break
        if made:
            file.unlink(missing_ok=True)
        return KillLatch(None if made or not file.exists() else file, journal, tuple(failures))
    else:
        if journal.exists():
            failures.append(failure)
    try:  # another kill may have taken the file away for the journal that it has latched, and this one not
        set_kill_file(file, reason, author)
    except OSError as error:
        log.error("kill file not set", path=str(file), why=str(error))
    return KillLatch(file if file.exists() else None, None, tuple(failures))


def set_kill_file(file: Path, reason: str, author: str) -> bool:
    """Make the kill file, durably. False where it is there already. Raises OSError where none can be made."""
    reason = shortened(reason)
    file.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    try:
        made = os.open(file, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    except FileExistsError:
        return False
    log.warning("kill file set", path=str(file), reason=reason, author=author)
    try:
        os.write(made, f"{author}: {reason}\n".encode())
        os.fsync(made)
    except OSError as error:  # an empty file kills: a full disk has no room for words
        log.warning("kill file without its reason", path=str(file), why=str(error))
    finally:
        os.close(made)
    directory = os.open(file.parent, os.O_RDONLY)
    try:
        os.fsync(directory)
    finally:
        os.close(directory)
    return True


def _latch_in(
    file: Path,
    settings: Settings,
    reason: str,
    author: str,
    book: str | None,
    now_ns: Callable[[], int] | None,
) -> bool:
    """False: the journal knows no book yet."""
    with Journal.open(file, busy_seconds=TRY_SECONDS) as journal:
        book = book or known_book(settings, journal)
        if book is None:
            return False
        if Cause.KILL in in_force(journal, book).causes:
            return True
        now = now_ns() if now_ns is not None else last_known_ns(settings, journal, book)
        session = Sessions().new_york_date(now).isoformat()
        latch(journal, book, Cause.KILL, at_ns=now, session=session, reason=reason, author=author)
        return True
