"""The desk: one book with everything that a step of a tick needs, opened for the step and closed after.

Opening reads the configuration again, so a tighter limit holds from the next tick on and a looser
one waits for a person's rearm. Nothing here decides; nothing here sends.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Collection, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import date
from functools import wraps
from pathlib import Path
from types import TracebackType
from typing import Concatenate, ParamSpec, TypeVar

from trading_assets import config
from trading_assets.broker.port import Broker, BrokerError, Rejected
from trading_assets.config import Settings
from trading_assets.core.limits import Limits, looser_limits, tightened
from trading_assets.engine.book.alerts import tell_once
from trading_assets.engine.book.asset_list import AssetList
from trading_assets.engine.book.halts import Cause, HaltView, in_force, kill_switch_seen, latch
from trading_assets.engine.book.kill_latch import latch_kill
from trading_assets.engine.book.place import journal_file, kill_file, known_book, last_known_ns, place_of
from trading_assets.engine.book.session_cache import DayFacts
from trading_assets.errors import TradingAssetsError
from trading_assets.keyring import ENVIRON
from trading_assets.log import get_logger
from trading_assets.market.clock import ClockUnread, VenueClock, monotonic_ns, system_now_ns
from trading_assets.market.sessions import Sessions, new_york_time
from trading_assets.store.history import History
from trading_assets.store.journal import Journal

log = get_logger(__name__)

LIMITS_MARK = "limits_in_force"
P = ParamSpec("P")
T = TypeVar("T")
Connect = Callable[[Settings, Mapping[str, str]], Broker]


class BookUnknown(TradingAssetsError):
    """The broker does not answer and the journal does not know the account from before."""


@dataclass(slots=True)
class Desk:
    settings: Settings
    book: str
    broker: Broker
    clock: VenueClock
    sessions: Sessions
    journal: Journal
    history: History
    limits: Limits
    looser_waiting: tuple[str, ...]  # limits in the file that wait for a rearm
    environ: Mapping[str, str]
    reconciled: bool = field(default=False)  # set by a reconciliation of this process
    facts: DayFacts = field(default_factory=DayFacts)  # of the execution under way
    hurries_from_ns: int | None = field(default=None)  # on the monotonic clock; None: there is time

    @classmethod
    def open(
        cls,
        settings: Settings,
        environ: Mapping[str, str] | None = None,
        *,
        connect: Connect | None = None,
    ) -> Desk:
        """Open journal, history and broker for the configured account. No clock is read: `begin` does.

        Raises InvalidInput (keys, mode), BookUnknown (the broker was never reached), and what the
        journal raises when its file cannot be used. A broker out of reach is no error once the
        book is known: kill and status must work without it.
        """
        environ = ENVIRON if environ is None else environ
        data_dir = Path(settings.data_dir)
        data_dir.mkdir(parents=True, exist_ok=True, mode=0o700)
        journal = Journal.open(journal_file(settings))
        try:
            _latch_kill_seen(settings, environ)  # a broker may take seconds to answer
            broker = connect_broker(settings, environ, connect)
            book = _book(settings, broker, journal)
            clock = VenueClock(lambda: broker.clock().now_ns, stands=settings.virtual_time == "stands")
            limits, waiting = _limits_in_force(settings, journal, book, clock)
        except BaseException:
            journal.close()
            raise
        return cls(
            settings=settings,
            book=book,
            broker=broker,
            clock=clock,
            sessions=Sessions(),
            journal=journal,
            history=History(data_dir / "history.duckdb"),
            limits=limits,
            looser_waiting=waiting,
            environ=environ,
        )

    def close(self) -> None:
        """Close journal and broker. History has no connection of its own to close."""
        self.broker.close()
        self.journal.close()

    def __enter__(self) -> Desk:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    @property
    def kill_file(self) -> Path:
        """Creating this file kills the book at the next look."""
        return kill_file(self.settings)

    @contextmanager
    def hurrying_after(self, seconds: float) -> Iterator[None]:
        """In this block, what no exit needs is asked of the broker for so long only."""
        self.hurries_from_ns = monotonic_ns() + int(seconds * 1e9)
        try:
            yield
        finally:
            self.hurries_from_ns = None

    @property
    def hurries(self) -> bool:
        """Whether the broker has been so slow that only what exits need is asked."""
        return self.hurries_from_ns is not None and monotonic_ns() >= self.hurries_from_ns

    def begin(self, *, time_is_read: bool = False) -> None:
        """Begin an execution: the time is read, and nothing known from an earlier one.

        time_is_read: the caller has read it for what comes before the execution
        """
        if not (time_is_read and self.clock.synced):
            self.clock.sync()
        self.facts = DayFacts(self._asset_list())

    def _asset_list(self) -> AssetList | None:
        """The assets of the session as all processes share them; none before the venue has told the time."""
        if not self.clock.synced:
            return None
        name = f"assets-{self.settings.venue}-{self.settings.mode}.json"
        return AssetList(Path(self.settings.data_dir) / name, self.session_text())

    def now_ns(self) -> int:
        """The venue's time. While the venue has not answered this process at all: that of the journal's
        last figures, so that a kill can be latched without it."""
        try:
            return self.clock.now_ns()
        except ClockUnread:
            latest = self.journal.latest_equity(self.book)
            return latest.at_ns if latest is not None else system_now_ns()

    def time_source(self) -> str:
        """Whose time `now_ns` is, for a person: "" for the venue's own, else what stands in for it."""
        if self.clock.known_ns() is not None:
            return ""
        stands_in = "the journal's last figures" if self.journal.latest_equity(self.book) else "this machine"
        return f"by {stands_in}; the broker's clock cannot be read: {self.clock.failure}"

    def told_now(self) -> str:
        """What time it is, and whose time that is, for a person."""
        source = self.time_source()
        return f"it is {new_york_time(self.now_ns())} {f'({source})' if source else 'at the venue'}"

    def known_ns(self) -> int:
        """The venue's time as this process knows it, asking nobody: what a kill is stamped with."""
        known = self.clock.known_ns()
        return last_known_ns(self.settings, self.journal, self.book) if known is None else known

    def today(self) -> date:
        """The New York date of the venue's time: a session or not."""
        return self.sessions.new_york_date(self.now_ns())

    def session_text(self) -> str:
        return self.today().isoformat()

    def halts(self) -> HaltView:
        """The latched halt state, read from the journal at each call. A kill that is set and that the journal
        could not latch holds all the same."""
        latched = in_force(self.journal, self.book)
        return latched if self.kill_switch() is None else latched.with_transient((Cause.KILL,))

    def alert(self, key: str, title: str, body: str, severity: str = "ERROR") -> None:
        """Put an alert into the outbox, once for each key, and log it."""
        if tell_once(self.journal, self.book, key, title, body, at_ns=self.now_ns(), severity=severity):
            log.warning("alert", title=title, body=body, severity=severity)

    def latch(self, cause: Cause, reason: str) -> None:
        """Latch a halt of the book, now."""
        session = self.session_text()
        latch(self.journal, self.book, cause, at_ns=self.now_ns(), session=session, reason=reason)

    def kill_switch(self) -> str | None:
        """Where a kill is set (environment or file), or None."""
        return kill_switch_seen(self.environ, self.kill_file)


def holding_history(step: Callable[Concatenate[Desk, P], T]) -> Callable[Concatenate[Desk, P], T]:
    """Do a step that asks the history several times, and nobody else, on one connection to it."""

    @wraps(step)
    def on_one_connection(desk: Desk, /, *arguments: P.args, **named: P.kwargs) -> T:
        with desk.history.held():
            return step(desk, *arguments, **named)

    return on_one_connection


def connect_broker(
    settings: Settings, environ: Mapping[str, str] | None, connect: Connect | None = None
) -> Broker:
    """The configured account's broker. Raises InvalidInput (keys, mode)."""
    environ = ENVIRON if environ is None else environ
    if connect is not None:
        return connect(settings, environ)
    from trading_assets.broker import connection  # alpaca-py costs 0.7 s to import

    return connection.connect(settings, environ)


def _latch_kill_seen(settings: Settings, environ: Mapping[str, str]) -> None:
    """A kill in the environment or as a file holds from here on, whether or not a broker answers."""
    seen = kill_switch_seen(environ, kill_file(settings))
    if seen is not None:
        latch_kill(settings, reason=f"kill seen in {seen}")


def book_of(settings: Settings, account_number: str) -> str:
    """The key of one account under one mode: venue, account, mode."""
    return f"{settings.venue}:{account_number}:{settings.mode}"


def _book(settings: Settings, broker: Broker, journal: Journal) -> str:
    """The account's book; the last known one when the broker does not answer."""
    try:
        number = broker.account().account_number
    except BrokerError as error:
        known = known_book(settings, journal)
        if known is None:
            raise BookUnknown(_unknown(settings, error)) from error
        log.warning("broker unreachable, book taken from the journal", book=known, error=str(error))
        return known
    book = book_of(settings, number)
    if known_book(settings, journal) != book:
        journal.set_mark(place_of(settings), "book", book, 0)
    return book


def _unknown(settings: Settings, error: BrokerError) -> str:
    from trading_assets.broker.registry import entry_of  # it knows the brokers' modules; a replay has none

    if settings.venue == "embedded" and not isinstance(error, Rejected):
        return (
            f"the embedded exchange does not answer, and this desk has seen no account yet: {error}. Start "
            "the desk with `trading-assets up`, or the exchange alone with `trading-assets exchange`"
        )
    return (
        f"{entry_of(settings).title} does not give the account, and this desk has not seen it yet: {error}. "
        "Check network and keys, then look again with `trading-assets status`"
    )


def _limits_in_force(
    settings: Settings, journal: Journal, book: str, clock: VenueClock
) -> tuple[Limits, tuple[str, ...]]:
    """The file's limits, held to what was in force wherever the file is looser. A limit that the program did
    not have when they were stored is held to its default, and waits for a rearm all the same."""
    wanted = config.limits(settings)
    stored = journal.mark(book, LIMITS_MARK)
    if stored is None:
        store_limits(journal, book, wanted, at_ns=_known_now(clock))
        return wanted, ()
    known = {name: value for name, value in json.loads(stored).items() if name in Limits._fields}
    new = tuple(name for name in Limits._fields if name not in known)
    held = config.limits(Settings())._replace(**known)
    limits, looser = tightened(held, wanted), looser_limits(held, wanted)
    waiting = tuple(name for name in Limits._fields if name in {*looser, *new})
    if waiting:
        log.warning("limits wait for rearm", book=book, looser=list(looser), new=list(new))
    if any(str(getattr(limits, name)) != str(value) for name, value in known.items()):
        store_limits(journal, book, limits, at_ns=_known_now(clock), new=new)
    return limits, waiting


def _known_now(clock: VenueClock) -> int:
    return clock.now_ns() if clock.sync() else 0


def store_limits(
    journal: Journal, book: str, limits: Limits, *, at_ns: int, new: Collection[str] = ()
) -> None:
    """Make `limits` the ones in force, but for those that no person has accepted yet (`new`)."""
    accepted = {name: value for name, value in limits._asdict().items() if name not in new}
    journal.set_mark(book, LIMITS_MARK, json.dumps(accepted), at_ns)
