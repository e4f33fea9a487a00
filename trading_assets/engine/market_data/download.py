"""Bars and corporate actions of past sessions from the broker into the history, for thousands of symbols.

Each part is asked page by page, checked as a person's file is, and stored in one transaction with the note
that it is there (`store.downloads`). What is there is not asked for again. What to ask is
`download_plan`'s; the bars of today are a tick's (`market_data.bars`).
"""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date, timedelta
from pathlib import Path
from typing import TypeVar

import numpy as np
import pyarrow as pa

from trading_assets.broker.port import (
    BarArchive,
    BarPage,
    CorporateActionState,
    FeedRefused,
    RateLimited,
    SymbolsRefused,
    Unreachable,
    Unreadable,
)
from trading_assets.broker.purpose import Purpose, asking_for
from trading_assets.engine.market_data.bars import fault_row, rows_of
from trading_assets.engine.market_data.download_plan import DownloadPart, by_class, parts_to_ask
from trading_assets.engine.market_data.import_mark import mark_import
from trading_assets.engine.market_data.imported_bars import FilesInOrder
from trading_assets.errors import InvalidInput
from trading_assets.log import get_logger
from trading_assets.market.bar_files.reading import BarFile, checked_bars
from trading_assets.market.bar_files.shapes import SHAPES
from trading_assets.market.bar_files.table import BarTable
from trading_assets.market.bars import CorporateAction, Interval
from trading_assets.market.clock import monotonic_ns, system_now_ns
from trading_assets.market.feeds import DELAY_NS, SIP, Feed
from trading_assets.market.quarantine.rules import OnDefect
from trading_assets.market.sessions import Sessions, new_york_midnight_ns
from trading_assets.store.bar_history import FileRows
from trading_assets.store.downloads import ACTIONS, Covered, DownloadOutcome, covered, store_unit
from trading_assets.store.history import History

log = get_logger(__name__)

T = TypeVar("T")

PAUSES_S = (1.0, 2.0, 4.0, 8.0, 15.0)  # after the first, second, … failure in a row; the last again and again
TRIES = 6  # of a question that gets no usable answer
LONGEST_WAIT_S = 600.0  # for the rate limit, with nothing let through
MOST_PAGES = 10_000  # of one part: more has no end
VALUES = ("open", "high", "low", "close", "volume")
SHAPE = next(shape for shape in SHAPES if shape.name == "Alpaca")


@dataclass(frozen=True, slots=True)
class Wanted:
    """What a person asks for. feed: None: `sip`, or the configured one where the account has not that."""

    symbols: tuple[str, ...]
    interval: Interval
    first: date
    last: date
    feed: Feed | None = None
    again: bool = False  # also what is there already


@dataclass(slots=True)
class Download:
    """What came of it. Of the symbols each is in one class, over all runs that asked for these days."""

    wanted: Wanted
    feed: Feed = SIP
    feed_refused: str = ""  # why `sip` was not given
    parts: int = 0
    answers: int = 0  # questions that were answered
    bars: int = 0
    stored: int = 0  # of them new, or different from what was stored
    actions: int = 0
    withdrawn: int = 0
    quarantined: int = 0
    outside_hours: int = 0
    unreadable_actions: list[Unreadable] = field(default_factory=list)
    classes: Mapping[DownloadOutcome, list[str]] = field(default_factory=dict)
    why_refused: Mapping[str, str] = field(default_factory=dict)


Progress = Callable[[int, int, str], None]  # parts done, of how many, and what is going on


def last_to_download(sessions: Sessions, now_ns: int) -> date:
    """The newest session that ended 15 minutes ago or earlier."""
    day = sessions.new_york_date(now_ns)
    if sessions.is_session(day) and sessions.close_ns(day) <= now_ns - DELAY_NS:
        return day
    return sessions.previous(day)


def download(
    archive: BarArchive,
    history: History,
    wanted: Wanted,
    *,
    venue: str,
    configured_feed: Feed,
    progress: Progress = lambda done, total, beside: None,
) -> Download:
    """Ask for what is not there yet, and store it. Done again, it asks for nothing but what was refused.

    Raises BrokerError where the broker gives no usable answer for long; everything stored until then stays.
    Raises InvalidInput for a feed that was asked for by name and that the account does not have.
    """
    return _Downloading(archive, history, wanted, venue, configured_feed, progress).whole()


@dataclass(slots=True)
class _Downloading:
    archive: BarArchive
    history: History
    wanted: Wanted
    venue: str
    configured_feed: Feed
    progress: Progress
    report: Download = field(init=False)
    in_order: FilesInOrder = field(init=False)  # knows the splits and dividends: they come before the bars
    done: int = 0

    def whole(self) -> Download:
        self.report = Download(self.wanted, self.wanted.feed or SIP)
        actions = self._to_ask(ACTIONS)
        bars = self._to_ask(str(self.wanted.interval))
        self.report.parts = len(actions) + len(bars)
        for part in actions:
            self._actions(part)
            self._say(part)
        self.in_order = FilesInOrder(self.history, self.wanted.interval, OnDefect.QUARANTINE)
        for part in bars:
            self._bars(part)
            self._say(part)
        if self.report.bars:
            mark_import(self.history.path.parent)
        there = self._there(str(self.wanted.interval))
        self.report.classes = by_class(self.wanted.symbols, there)
        self.report.why_refused = {
            one.symbol: one.detail for one in there if one.outcome is DownloadOutcome.REFUSED
        }
        log.info(
            "downloaded",
            symbols=len(self.wanted.symbols),
            parts=self.report.parts,
            bars=self.report.bars,
            stored=self.report.stored,
            feed=self.report.feed,
        )
        return self.report

    def _to_ask(self, what: str) -> list[DownloadPart]:
        wanted = self.wanted
        there = [] if wanted.again else self._there(what)
        return parts_to_ask(what, wanted.symbols, wanted.first, wanted.last, there, self.archive.parts_of)

    def _there(self, what: str) -> list[Covered]:
        feeds: list[str] = [self.wanted.feed or SIP]
        if self.wanted.feed is None:
            feeds.append(self.configured_feed)  # which was asked where `sip` was refused
        if what == ACTIONS:
            feeds = [""]
        return covered(self.history, what, feeds, self.wanted.symbols, self.wanted.first, self.wanted.last)

    def _say(self, part: DownloadPart) -> None:
        self.done += 1
        named = part.symbols[0] if len(part.symbols) == 1 else f"{part.symbols[0]} … {part.symbols[-1]}"
        what = "splits and dividends" if part.what == ACTIONS else f"{self.report.bars} bars"
        self.progress(self.done, self.report.parts, f"{what}, {named}")

    def _moments(self) -> tuple[int | None, int]:
        """When what comes now was received, and when that is noted. Virtual time has no moment at which it
        came: its bars were there as they became available."""
        now_ns = system_now_ns()
        return (None, now_ns) if self.venue == "embedded" else (now_ns, now_ns)

    # Bars

    def _bars(self, part: DownloadPart) -> None:
        try:
            pages, refused = self._pages(part)
        except FeedRefused as error:
            if self.wanted.feed is not None or self.report.feed == self.configured_feed:
                raise InvalidInput(
                    f"the account does not have the feed {self.report.feed}: {error.message}",
                    where=f"bars of {part.first} to {part.last}",
                    remedy="Leave out --feed, or subscribe to it at the broker.",
                ) from error
            self.report.feed, self.report.feed_refused = self.configured_feed, error.message
            log.warning("feed refused", refused=SIP, instead=self.configured_feed, why=error.message)
            pages, refused = self._pages(part)
        feed = self.report.feed
        source = f"{self.venue}:{feed}"
        received_ns, at_ns = self._moments()
        files = self._checked(_table(f"{source} {part.what}", pages, refused), part, refused)
        held: dict[str, int] = dict.fromkeys(part.symbols, 0)
        rows: list[FileRows] = []
        derived = self.venue == "embedded" and self.wanted.interval is Interval.MINUTE
        for file in files:
            counts = np.bincount(file.number, minlength=len(file.symbols)).tolist()
            held.update(zip(file.symbols, counts, strict=True))
            faults = [fault_row(one, file, f"{source} {part.what}", received_ns) for one in file.faults]
            rows.append(
                FileRows(
                    f"{source} {part.what}",
                    file.symbols,
                    rows_of(file, source, received_ns, feed=feed, derived=derived),
                    (),
                    None,
                    faults,
                    (part.first, part.last),
                )
            )
            self.report.bars += file.count
            self.report.quarantined += len(faults)
            self.report.outside_hours += file.outside_hours
        outcomes = [
            Covered(
                symbol,
                part.first,
                part.last,
                DownloadOutcome.REFUSED
                if symbol in refused
                else DownloadOutcome.COMPLETE
                if held[symbol]
                else DownloadOutcome.EMPTY,
                held[symbol],
                refused.get(symbol, ""),
            )
            for symbol in part.symbols
        ]
        self.report.stored += store_unit(
            self.history, part.what, feed, rows, outcomes, received_ns=received_ns, at_ns=at_ns
        ).bars

    def _pages(self, part: DownloadPart) -> tuple[list[BarPage], dict[str, str]]:
        """Every page of the part's bars, and the symbols that the broker refused, with why."""
        interval = self.wanted.interval
        start_ns = new_york_midnight_ns(part.first)
        end_ns = new_york_midnight_ns(part.last + timedelta(days=1))
        if interval is Interval.DAY:
            end_ns = new_york_midnight_ns(part.last) + 1  # daily bars begin at midnight; see `feeds`
        else:
            sessions = Sessions().between(part.first, part.last)
            end_ns = Sessions().close_ns(sessions[-1])
        refused: dict[str, str] = {}
        pages: list[BarPage] = []
        lists = deque([part.symbols])
        while lists:
            symbols = lists.popleft()
            try:
                pages += self._pages_of(symbols, start_ns, end_ns)
            except SymbolsRefused as error:
                if not error.parts:
                    refused[symbols[0]] = error.message
                lists += [one for one in error.parts if one]
        return pages, refused

    def _pages_of(self, symbols: tuple[str, ...], start_ns: int, end_ns: int) -> list[BarPage]:
        pages: list[BarPage] = []
        token = ""
        while True:
            page = self._patiently(
                lambda token=token: self.archive.bar_page(  # type: ignore[misc]
                    symbols, self.wanted.interval, start_ns, end_ns, feed=self.report.feed, token=token
                )
            )
            pages.append(page)
            token = page.following
            if not token:
                return pages
            if len(pages) == MOST_PAGES:
                raise Unreachable(f"bars of {symbols[0]} …: no end after {MOST_PAGES} pages")

    def _checked(self, table: BarTable | None, part: DownloadPart, refused: dict[str, str]) -> list[BarFile]:
        """The bars as a file's are checked: all symbols together, and where that is refused each by itself,
        so that a symbol costs no other one."""
        if table is None:
            return []
        interval = self.wanted.interval

        def check(some: BarTable) -> BarFile:
            return self.in_order.judged(
                checked_bars(some, interval, on_defect=OnDefect.QUARANTINE, first=part.first, last=part.last)
            )

        try:
            return [check(table)]
        except InvalidInput as error:
            log.warning("bars refused together", where=error.where, why=error.what)
        names = np.array(table.columns["symbol"].to_pylist(), np.str_)
        files = []
        for symbol in sorted(set(names.tolist())):
            try:
                files.append(check(table.only(names == symbol)))
            except InvalidInput as error:
                refused[symbol] = f"{error.what} ({error.where})"
        return files

    # Corporate actions

    def _actions(self, part: DownloadPart) -> None:
        refused: dict[str, str] = {}
        announced: list[CorporateActionState] = []
        unreadable: list[Unreadable] = []
        lists = deque([part.symbols])
        while lists:
            symbols = lists.popleft()
            try:
                rows = self._patiently(
                    lambda symbols=symbols: self.archive.corporate_actions(  # type: ignore[misc]
                        symbols, part.first, part.last
                    )
                )
            except SymbolsRefused as error:
                if not error.parts:
                    refused[symbols[0]] = error.message
                lists += [one for one in error.parts if one]
                continue
            announced += rows
            unreadable += rows.unreadable
        actions = [
            CorporateAction(one.symbol, one.ex_date, one.split_ratio, one.cash_usd)
            for one in announced
            if one.split_ratio != 1.0 or one.cash_usd  # a spin-off alone changes no stored price
        ]
        self.report.actions += len(actions)
        self.report.unreadable_actions += unreadable
        # What cannot be read may be an action that is stored: then nothing is taken back.
        days_told = None if unreadable else (part.first, part.last)
        asked_for = tuple(symbol for symbol in part.symbols if symbol not in refused)
        count = dict.fromkeys(part.symbols, 0)
        for action in actions:
            count[action.symbol] += 1
        received_ns, at_ns = self._moments()
        outcomes = [
            Covered(
                symbol,
                part.first,
                part.last,
                DownloadOutcome.REFUSED
                if symbol in refused
                else DownloadOutcome.COMPLETE
                if held
                else DownloadOutcome.EMPTY,
                held,
                refused.get(symbol, ""),
            )
            for symbol, held in count.items()
        ]
        rows_to_store = FileRows(
            self.venue, asked_for, pa.table({}), actions, days_told, (), (part.first, part.last)
        )
        self.report.withdrawn += store_unit(
            self.history, ACTIONS, "", [rows_to_store], outcomes, received_ns=received_ns, at_ns=at_ns
        ).withdrawn

    def _patiently(self, ask: Callable[[], T]) -> T:
        """The answer of one question, asked again where the rate limit or the network stands in its way."""
        began_ns, failures, waits = monotonic_ns(), 0, 0
        while True:
            try:
                with asking_for(Purpose.HISTORY):
                    answer = ask()
            except RateLimited:
                if monotonic_ns() - began_ns > LONGEST_WAIT_S * 1e9:
                    raise
                waits += 1
                self._pause(waits, "waits for the rate limit")
            except Unreachable as error:
                failures += 1
                if failures == TRIES:
                    raise
                log.warning("asked again", why=str(error))
                self._pause(failures, "asks again: no usable answer")
            else:
                self.report.answers += 1
                return answer

    def _pause(self, times: int, why: str) -> None:
        self.progress(self.done, self.report.parts, why)
        time.sleep(PAUSES_S[min(times, len(PAUSES_S)) - 1])


def _table(source: str, pages: Sequence[BarPage], refused: dict[str, str]) -> BarTable | None:
    """The pages as one table as a file's is read, without the symbols that cannot be read."""
    for page in pages:
        refused |= page.unreadable
    symbol = np.array([name for page in pages for name in page.symbol], np.str_)
    kept = ~np.isin(symbol, list(refused)) if refused else np.ones(len(symbol), np.bool_)
    if not kept.any():
        return None
    start = np.array([at for page in pages for at in page.start_ns], np.int64)[kept]
    columns = {
        "symbol": pa.chunked_array([pa.array(symbol[kept].tolist(), pa.string())]),
        "timestamp": pa.chunked_array([pa.array(start).cast(pa.timestamp("ns", tz="UTC"))]),
    }
    for name in VALUES:
        values = np.array([one for page in pages for one in getattr(page, name)], np.float64)[kept]
        columns[name] = pa.chunked_array([pa.array(values, from_pandas=True)])  # NaN: there is none
    return BarTable(Path(source), SHAPE, columns, (), 0, len(start))
