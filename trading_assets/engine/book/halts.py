"""Halt states: what is latched, what tightens by itself, and the person's acts that loosen.

The journal keeps every act; the state in force is the tightest of the causes latched and not
cleared since. A session drawdown is the only cause that ends by itself, at the next session. A flatten in
force lets nothing but exits pass while it lasts.
Transient causes (a broker out of reach, a failed data check) tighten while they last and are never
stored. What a halt does to working orders is `engine.protection.protect`.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path

from trading_assets.core.words import HaltState
from trading_assets.engine.book.alerts import tell_once
from trading_assets.log import get_logger
from trading_assets.store.journal import Journal
from trading_assets.store.records import HaltRecord

log = get_logger(__name__)

KILL_VARIABLE = "KILL_SWITCH"
REARMED_MARK = "rearmed_ns"  # a person's rearm also ends a streak of rejections
_NOT_SET = frozenset({"", "0", "false", "no"})


class Cause(StrEnum):
    """Why the book is not ACTIVE. The first six and NEW_JOURNAL are latched, FLATTEN lasts as long as the
    flatten in force, the others as long as their reason. Append only: journals keep the names."""

    KILL = "KILL"
    FOREIGN_ORDER = "FOREIGN_ORDER"
    DAILY_LOSS = "DAILY_LOSS"
    MAX_DRAWDOWN = "MAX_DRAWDOWN"
    SESSION_DRAWDOWN = "SESSION_DRAWDOWN"
    BREAK = "BREAK"
    FLATTEN = "FLATTEN"
    BROKER_UNREACHABLE = "BROKER_UNREACHABLE"
    CLOCK_SKEW = "CLOCK_SKEW"
    CALENDARS_DISAGREE = "CALENDARS_DISAGREE"
    EQUITY_MISMATCH = "EQUITY_MISMATCH"
    EQUITY_UNCONFIRMED = "EQUITY_UNCONFIRMED"
    CHECKS_FAILED = "CHECKS_FAILED"
    ACCOUNT_BLOCKED = "ACCOUNT_BLOCKED"
    UNREADABLE_ROW = "UNREADABLE_ROW"
    CATCHING_UP = "CATCHING_UP"
    NEW_JOURNAL = "NEW_JOURNAL"
    NOT_ARMED = "NOT_ARMED"


STATE_OF: Mapping[Cause, HaltState] = {
    cause: HaltState.HALTED if cause in (Cause.KILL, Cause.FOREIGN_ORDER) else HaltState.REDUCE_ONLY
    for cause in Cause
}


@dataclass(frozen=True, slots=True)
class HaltView:
    """The halt state in force and its causes, the tightest first."""

    state: HaltState
    causes: tuple[Cause, ...]

    def with_transient(self, causes: tuple[Cause, ...]) -> HaltView:
        """Tightened by causes that are not latched."""
        return _view(self.causes + tuple(cause for cause in causes if cause not in self.causes))

    @property
    def cause(self) -> str:
        """The cause to show with a refusal, empty when ACTIVE."""
        return self.causes[0] if self.causes else ""


def _view(causes: tuple[Cause, ...]) -> HaltView:
    ordered = tuple(sorted(causes, key=lambda cause: (-STATE_OF[cause], list(Cause).index(cause))))
    state = max((STATE_OF[cause] for cause in ordered), default=HaltState.ACTIVE)
    return HaltView(HaltState(state), ordered)


def in_force(journal: Journal, book: str) -> HaltView:
    """The latched state as the journal has it now: read again immediately before each order is sent."""
    causes = tuple(Cause(record.cause) for record in journal.latched(book))
    return _view(causes if journal.flatten_in_force(book) is None else (*causes, Cause.FLATTEN))


def latch(
    journal: Journal,
    book: str,
    cause: Cause,
    *,
    at_ns: int,
    session: str,
    reason: str,
    author: str = "system",
) -> bool:
    """Tighten. True when the cause was not latched before; then an alert waits in the outbox."""
    record = HaltRecord(book, at_ns, session, "latch", cause, int(STATE_OF[cause]), author, reason)
    if not journal.record_halt(record):
        return False
    log.warning("halt latched", book=book, cause=str(cause), state=STATE_OF[cause].name, reason=reason)
    title = f"{STATE_OF[cause].name}: {cause}"
    tell_once(journal, book, f"halt:{cause}:{at_ns}", title, reason, at_ns=at_ns)
    return True


def end_session_drawdown(journal: Journal, book: str, *, at_ns: int, session: str) -> None:
    """Clear a session drawdown that was latched in an earlier session."""
    for record in journal.latched(book):
        if record.cause == Cause.SESSION_DRAWDOWN and record.session < session:
            journal.record_halt(
                HaltRecord(
                    book,
                    at_ns,
                    session,
                    "clear",
                    record.cause,
                    record.state,
                    "system",
                    f"the session {record.session} that it was latched in is over",
                )
            )
            log.info("halt ended", book=book, cause=record.cause, session=session)


def clear_all(
    journal: Journal, book: str, *, at_ns: int, session: str, reason: str, author: str
) -> tuple[Cause, ...]:
    """A person's rearm: clears every latched cause and says which."""
    cleared = []
    for record in journal.latched(book):
        journal.record_halt(
            HaltRecord(book, at_ns, session, "clear", record.cause, record.state, author, reason)
        )
        cleared.append(Cause(record.cause))
    journal.set_mark(book, REARMED_MARK, str(at_ns), at_ns)
    log.warning("rearmed", book=book, cleared=[str(cause) for cause in cleared], reason=reason, author=author)
    return tuple(cleared)


def kill_switch_seen(environ: Mapping[str, str], kill_file: Path) -> str | None:
    """Where a kill is set, or None. Un-setting it later clears nothing: seeing it latches.

    The words that are no kill are those of the definition to the letter: `FALSE` and ` 0 ` kill.
    """
    value = environ.get(KILL_VARIABLE)
    if value is not None and value not in _NOT_SET:
        return f"the environment variable {KILL_VARIABLE}"
    if kill_file.exists():
        return f"the kill file {kill_file.name}"
    return None
