"""The watchdog: protects the book itself when nobody else does, and tells people what keeps them from it.

It lives in the listener's process, outside Dagster's daemon and webserver, and needs neither. What it decides
on is the journal's mark of the last protection; `overdue` decides, without a clock, a store or a broker. What
it does is the same protection under the same lease as everybody's. Alerts go into the outbox, and past it
where the journal takes none; delivering them is `engine.operation.alert_delivery`'s, so that no mail server
delays a stop.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Mapping
from enum import StrEnum
from pathlib import Path
from typing import NamedTuple

from trading_assets.broker.purpose import Purpose, for_purpose
from trading_assets.config import LastGood, Settings
from trading_assets.engine.book import alerts
from trading_assets.engine.book.accounting import ledger_of
from trading_assets.engine.book.desk import Desk
from trading_assets.engine.book.place import journal_file, known_book
from trading_assets.engine.operation import ended_sessions
from trading_assets.engine.operation.alert_delivery import Courier
from trading_assets.engine.operation.asking import Ask, Asking
from trading_assets.engine.operation.disk_reserve import Reserve
from trading_assets.engine.protection.protect import new_execution_id, protect_alone
from trading_assets.engine.protection.protected import PROTECTED_MARK
from trading_assets.engine.protection.sign_of_life import SignOfLife
from trading_assets.errors import TradingAssetsError
from trading_assets.keyring import ENVIRON
from trading_assets.log import get_logger
from trading_assets.market.clock import monotonic_ns, system_now_ns
from trading_assets.market.sessions import Sessions
from trading_assets.store.errors import StoreUnusable
from trading_assets.store.journal import Journal, LeaseHeld
from trading_assets.store.leases import when_free

log = get_logger(__name__)

HOLDER = "watchdog"
NS = 10**9
LOOK_SECONDS = 5.0
LEASE_PATIENCE_SECONDS = 20.0  # then it looks again: whoever holds the book may be protecting it
ASK_SECONDS = 20.0  # between two questions to Dagster
WAKING_SECONDS = 180.0  # after its start, and after a sleep of the machine, Dagster is given to wake up
DELIVERY_SECONDS = 30.0  # that an alert may wait in the outbox before the watchdog delivers it, at most
OWED_SECONDS = 600.0  # between two looks at the days that are owed their end
SLEPT_NS = 30 * NS  # that the machine's time runs ahead of the process's: it slept, or its clock was set


class Why(StrEnum):
    """Why a protection is due."""

    BEGINS = "the watchdog begins"
    LATE = "nobody protected"
    ALONE = "nobody but the watchdog protects"
    SLEPT = "the machine slept, or its clock was set"


class Rhythm(NamedTuple):
    """Nanoseconds without a protection after which one is due."""

    after_ns: int  # where others protect
    alone_ns: int  # where the last one was the watchdog's own: less, but more than the others take


class WatchdogLook(NamedTuple):
    machine_ns: int  # the wall clock, which may jump
    monotonic_ns: int  # which stands while the machine sleeps, and never jumps
    marked_ns: int | None  # the last protection by the journal's mark, of some machine time


class Memory(NamedTuple):
    """What is kept of the looks so far."""

    last: WatchdogLook
    since_ns: int  # monotonic: since when the mark is what it is
    own_ns: int | None = None  # the mark that the watchdog's own protection left
    awake_ns: int = 0  # monotonic: its start, or the end of the machine's last sleep


class Overdue(NamedTuple):
    why: Why
    age_ns: int  # since the last protection, as far as is known


def remembered(memory: Memory | None, look: WatchdogLook) -> Memory:
    """The memory after a look."""
    if memory is None:
        return Memory(look, look.monotonic_ns, awake_ns=look.monotonic_ns)
    since = memory.since_ns if look.marked_ns == memory.last.marked_ns else look.monotonic_ns
    awake = look.monotonic_ns if has_slept(memory, look) else memory.awake_ns
    return memory._replace(last=look, since_ns=since, awake_ns=awake)


def has_slept(memory: Memory, look: WatchdogLook) -> bool:
    """Whether the machine's time has passed since the last look, and the process's has not."""
    machine, own = look.machine_ns - memory.last.machine_ns, look.monotonic_ns - memory.last.monotonic_ns
    return machine - own > SLEPT_NS


def overdue(memory: Memory | None, look: WatchdogLook, rhythm: Rhythm) -> Overdue | None:
    """Whether a protection is due now; `memory` is that of the looks before.

    By the machine's time since the mark, or by the process's own since it knows the mark, whichever is
    longer: a mark of the future, after a clock was set back, delays nothing for longer than the rhythm.
    """
    marked = look.marked_ns
    by_machine = None if marked is None or marked > look.machine_ns else look.machine_ns - marked
    if memory is None:
        begins = by_machine is None or by_machine >= rhythm.after_ns
        return Overdue(Why.BEGINS, by_machine or 0) if begins else None
    by_own = look.monotonic_ns - memory.since_ns if marked == memory.last.marked_ns else 0
    alone = marked is not None and marked == memory.own_ns
    age = max(by_machine or 0, by_own)
    if age < (rhythm.alone_ns if alone else rhythm.after_ns):
        return None
    if has_slept(memory, look):
        return Overdue(Why.SLEPT, age)
    return Overdue(Why.ALONE if alone else Why.LATE, age)


def rhythm_of(settings: Settings) -> Rhythm:
    """Alone it waits half as long again as the others would, so that they come first once they are back."""
    after = int(settings.watchdog_seconds * NS)
    return Rhythm(after, min(after, int(settings.reconciliation_interval_seconds * 1.5 * NS)))


class Watchdog:
    """Looks every few seconds, in one thread, at what no other part of the desk is needed for.

    open_desk:   opens the desk of a configuration
    ask_dagster: what Dagster says is not right; asked in a thread of its own. None: it is not asked
    ask_sources: whether the definitions still load, likewise
    """

    def __init__(
        self,
        configured: LastGood,
        open_desk: Callable[[Settings], Desk],
        *,
        ask_dagster: Ask | None = None,
        ask_sources: Ask | None = None,
        environ: Mapping[str, str] | None = None,
        look_seconds: float = LOOK_SECONDS,
        waking_seconds: float = WAKING_SECONDS,
        delivery_seconds: float = DELIVERY_SECONDS,
        ask_seconds: float = ASK_SECONDS,
    ) -> None:
        self._configured = configured
        self._open_desk = open_desk
        self._environ = ENVIRON if environ is None else environ
        self._look_seconds = look_seconds
        self._waking_ns = int(waking_seconds * NS)
        self._delivery_ns = int(delivery_seconds * NS)
        self._askings = [
            *([Asking("asks Dagster", ask_dagster, ask_seconds)] if ask_dagster else ()),
            *([Asking("asks the sources", ask_sources, look_seconds, at_once=True)] if ask_sources else ()),
        ]
        self._stop = threading.Event()
        self._memory: Memory | None = None
        self._tried_ns: int | None = None  # monotonic: when protecting last failed
        self._waiting: tuple[str, int] | None = None  # the oldest alert in the outbox, and since when
        self._owed_looked_ns: int | None = None
        self._alerted_ns: dict[str, int] = {}  # subject → monotonic, of what could not go into the outbox
        self._held: Journal | None = None
        self._held_file: tuple[Path, int] | None = None  # with its inode: a file may be put in its place
        self._courier = Courier(self._environ, lambda: Journal.open(journal_file(configured.settings)))

    def watch(self, stop: threading.Event) -> None:
        """Look until `stop` is set. A fault of one look is told and logged, and the next one takes place."""
        self._stop = stop
        with SignOfLife(self._configured.settings) as sign:
            while not stop.is_set():
                sign.give(next((one.not_loaded for one in self._askings if one.not_loaded), ""))
                try:
                    self.look()
                except Exception as error:  # told and logged: the next look must take place
                    log.exception("the watchdog's look failed")
                    self._tell("watchdog:fault", "ERROR", "The watchdog met a fault", repr(error))
                stop.wait(self._look_seconds)
        self._let_go()
        self._courier.close()

    def look(self) -> None:
        """One look: what is due is done, what is wrong is told."""
        settings = self._configured.read()
        if self._configured.fault is not None:
            self._tell(
                alerts.CONFIGURATION,
                "ERROR",
                "The configuration cannot be used",
                f"{self._configured.fault}. The watchdog goes on with the last good one; the runs of Dagster "
                "cannot. Mend the file: `trading-assets config check` says when it is right.",
            )
        self._see_to_protection(settings)
        if journal_file(settings).exists():
            Reserve(settings).keep()
        self._see_to_dagster()
        self._see_to_the_outbox(settings)
        self._see_to_days_owed(settings)

    def _see_to_protection(self, settings: Settings) -> None:
        file = journal_file(settings)
        if not file.exists():
            return  # nothing was ever begun
        memory, marked, exposed = self._memory, None, True
        try:
            journal = self._journal(settings)
            book = known_book(settings, journal)
            if book is None or not journal.opening(book):
                return  # a book that is not open has nothing that could be sold
            mark = journal.mark(book, PROTECTED_MARK)
            marked = None if mark is None else int(mark)
            exposed = settings.virtual_time != "stands" or _exposed(journal, book)
        except TradingAssetsError as error:
            marked = None if memory is None else memory.last.marked_ns
            self._tell("watchdog:journal", "ERROR", "The journal cannot be read", str(error))
        look = WatchdogLook(system_now_ns(), monotonic_ns(), marked)
        due = overdue(memory, look, rhythm_of(settings))
        self._memory = remembered(memory, look)
        if due is None or not exposed or self._tried_lately(settings, look):
            return
        self._protect(settings, due)

    def _tried_lately(self, settings: Settings, look: WatchdogLook) -> bool:
        """A protection that failed is tried again at the pace of the others, not at every look."""
        pause_ns = int(min(settings.reconciliation_interval_seconds, settings.watchdog_seconds) * NS)
        return self._tried_ns is not None and look.monotonic_ns - self._tried_ns < pause_ns

    def _protect(self, settings: Settings, due: Overdue) -> None:
        minutes = f"{due.age_ns / 60 / NS:.0f} minutes" if due.age_ns >= 90 * NS else f"{due.age_ns // NS} s"
        log.warning("the watchdog protects", why=due.why, last_s=due.age_ns // NS)
        if due.why in (Why.LATE, Why.ALONE):
            self._tell(
                "watchdog:late",
                "ERROR",
                "Nobody but the watchdog protects",
                f"{minutes} had passed since the last protection. The watchdog protects until the others do "
                "again. Look at Dagster's daemon: its last runs, and logs/dagster-daemon.log.",
            )
        elif due.why is Why.SLEPT:
            self._tell(
                "watchdog:slept",
                "WARN",
                "The machine slept, or its clock was set",
                f"{minutes} had passed since the last protection; the watchdog protects now.",
            )
        try:
            try:
                mark = self._protected(settings)
            except StoreUnusable as error:
                if not Reserve(settings).give_up():
                    raise
                self._tell(
                    "watchdog:full",
                    "ERROR",
                    "The disk is full",
                    f"{error} The room that was kept for protection is used now: free some at once.",
                )
                mark = self._protected(settings)
        except LeaseHeld as held:
            log.warning("the watchdog waits for the book", holder=str(held))
            if due.why is not Why.BEGINS:
                self._tell("watchdog:lease", "ERROR", "The watchdog waits for the book", str(held))
            return  # and tries again at its next look
        except Exception as error:  # told, logged, tried again: positions stand unprotected
            self._tried_ns = monotonic_ns()
            log.exception("the watchdog could not protect")
            self._tell(
                "watchdog:failed", "ERROR", "The watchdog could not protect", str(error) or repr(error)
            )
            return
        self._tried_ns = None
        if self._memory is not None and mark is not None:
            own = int(mark)
            last = WatchdogLook(system_now_ns(), monotonic_ns(), own)
            self._memory = self._memory._replace(last=last, since_ns=last.monotonic_ns, own_ns=own)

    @for_purpose(Purpose.PROTECT)
    def _protected(self, settings: Settings) -> str | None:
        """Protect under the lease; the mark that it left. Raises what opening a desk and protecting do."""
        with self._open_desk(settings) as desk:
            when_free(
                lambda: protect_alone(desk, new_execution_id(), holder=HOLDER),
                patience_seconds=LEASE_PATIENCE_SECONDS,
            )
            return desk.journal.mark(desk.book, PROTECTED_MARK)

    def _see_to_dagster(self) -> None:
        memory = self._memory
        settling = memory is not None and monotonic_ns() - memory.awake_ns < self._waking_ns
        for asking in self._askings:
            asking.begin(self._stop)
            if settling and not asking.at_once:
                continue
            for trouble in asking.to_tell():
                if self._configured.fault is not None and trouble.subject.startswith(alerts.EVALUATION):
                    continue  # that the configuration cannot be used is told
                occurrence = trouble.occurrence or None
                self._tell(trouble.subject, "ERROR", trouble.title, trouble.body, occurrence=occurrence)

    def _see_to_the_outbox(self, settings: Settings) -> None:
        """Deliver what the daemon's sensor, which is the first to, has left lying for longer than the others
        may leave the book unprotected."""
        if not self._environ.get(alerts.URLS_VARIABLE) or not journal_file(settings).exists():
            return
        try:
            waiting = self._journal(settings).pending_alerts()
        except TradingAssetsError as error:
            log.warning("the outbox cannot be read", why=str(error))
            return
        now = monotonic_ns()
        patience_ns = min(self._delivery_ns, rhythm_of(settings).after_ns)
        if not waiting:
            self._waiting = None
        elif self._waiting is None or self._waiting[0] != waiting[0].key:
            self._waiting = (waiting[0].key, now)
        elif now - self._waiting[1] >= patience_ns:
            self._waiting = (waiting[0].key, now)
            self._courier.deliver_outbox()

    def _see_to_days_owed(self, settings: Settings) -> None:
        """Tell of a session whose end is owed for long; doing it is the schedule's or the sensor's to ask."""
        now, pause = monotonic_ns(), int(OWED_SECONDS * NS)
        if self._owed_looked_ns is None:  # who has just begun has not had the time to do it
            self._owed_looked_ns = now
        if now - self._owed_looked_ns < pause or not journal_file(settings).exists():
            return
        self._owed_looked_ns = now
        try:
            journal = self._journal(settings)
            book = known_book(settings, journal)
            owed = () if book is None else ended_sessions.owed_long(journal, book, Sessions())
        except TradingAssetsError as error:
            log.warning("the days that are owed cannot be read", why=str(error))
            return
        if owed:
            days = ", ".join(day.isoformat() for day in owed)
            self._tell(
                f"watchdog:owed:{owed[0]}",
                "WARN",
                f"The end of a day is owed: {days}",
                "Its session has not been put away. Launch the job end_of_day in Dagster, and look at "
                "why its last run failed.",
                occurrence=days,  # once: it may stay owed for long
            )

    def _journal(self, settings: Settings) -> Journal:
        """The journal, which stays open: SQLite then keeps its log's file, so that a disk that has filled up
        since takes a stop all the same."""
        path = journal_file(settings)
        here = (path, path.stat().st_ino) if path.exists() else None
        if self._held is None or here != self._held_file:
            self._let_go()
            self._held = Journal.open(path)
            self._held_file = (path, path.stat().st_ino)
        return self._held

    def _let_go(self) -> None:
        if self._held is not None:
            self._held.close()
            self._held = None

    def _tell(
        self, subject: str, severity: str, title: str, body: str, *, occurrence: str | None = None
    ) -> None:
        """Into the outbox; past it, at once, where the journal takes nothing."""
        now = system_now_ns()
        try:
            settings = self._configured.settings
            journal = self._journal(settings)
            book = known_book(settings, journal) or alerts.NO_BOOK
            alerts.tell(
                journal, book, subject, title, body, now_ns=now, severity=severity, occurrence=occurrence
            )
        except Exception as error:  # noqa: BLE001 - whatever the journal's fault is, people are told
            last_ns, own = self._alerted_ns.get(subject), monotonic_ns()
            if last_ns is None or own - last_ns >= alerts.COOL_DOWN_NS:
                self._alerted_ns[subject] = own
                self._courier.send(title, f"{body}\n{error}", severity)


def _exposed(journal: Journal, book: str) -> bool:
    """Whether anything is held or works. Where time stands nothing else can become due."""
    return (
        bool(journal.open_orders(book))
        or journal.flatten_in_force(book) is not None
        or any(holding.qty for holding in ledger_of(journal, book).holdings.values())
    )
