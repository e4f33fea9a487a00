"""Bars and corporate actions from the broker, or from a tape, into the history: closed bars only.

What is asked for is what is missing since the last stored bar, plus a short overlap in which a
revision would show. No feature is computed here; the tables are `store.bar_history`'s.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from typing import Any, TypeVar

import numpy as np
import pyarrow as pa

from trading_assets.broker.port import BarState
from trading_assets.engine.book.desk import Desk
from trading_assets.engine.market_data.daily_reading import DailyReading
from trading_assets.engine.market_data.import_mark import mark_import
from trading_assets.log import get_logger
from trading_assets.market.bar_files.reading import BarFile
from trading_assets.market.bars import CorporateAction, Interval, Tape
from trading_assets.market.quarantine.rules import Fault
from trading_assets.market.sessions import MINUTE_NS, Sessions, new_york_midnight_ns
from trading_assets.store.bar_history import (
    VALUES,
    Appended,
    FileRows,
    StoredBar,
    append_actions,
    append_files,
    append_versions,
    minutes_held,
    newest_starts,
    replace_source,
)
from trading_assets.store.history import History

log = get_logger(__name__)

Start = TypeVar("Start", int, date)

_EPOCH_DAY = date(1970, 1, 1).toordinal()
BEHIND_MINUTES = 10  # a symbol whose last bar is older than the others' by more is asked for by itself
REVISION_OVERLAP = 5  # bars asked again beside the missing ones
LOOKBACK_SESSIONS = 130  # first fetch of daily bars: the longest feature look-back and some room


@dataclass(frozen=True, slots=True)
class BarsReport:
    """What one ingestion stored, and what the session holds by now."""

    session: str
    tick_ns: int
    new_minutes: int
    new_days: int
    revised: int
    not_closed: int  # came from the broker before their end and were left out
    minutes_held: dict[str, int]
    last_close: dict[str, float]


def store_bars(desk: Desk, session: date, tick_ns: int) -> BarsReport:
    """Fetch and append the bars that closed by the tick. Doing it again appends nothing.

    Raises broker.port.BrokerError (nothing is stored then) and store.history.HistoryLocked.
    """
    symbols, sessions, history = desk.settings.symbols, desk.sessions, desk.history
    open_ns = sessions.open_ns(session)
    received, reading = desk.now_ns(), DailyReading(desk, session.isoformat())
    is_read = reading.is_recent(received)
    with history.held():
        minutes = _missing_minutes(desk, open_ns, received)
        days = _missing_days(desk, session, received, behind_only=is_read)
    stored = _Storing(desk, received)
    fetched = [
        stored.bar(bar, Interval.MINUTE)
        for first_ns, some in minutes
        for bar in desk.broker.bars(some, Interval.MINUTE, first_ns, tick_ns)
    ]
    fetched += [
        stored.bar(bar, Interval.DAY)
        for first, some in days
        for bar in desk.broker.bars(some, Interval.DAY, new_york_midnight_ns(first), open_ns)
    ]
    actions = [
        action for first, some in days for action in desk.broker.corporate_actions(some, first, session)
    ]
    closed = [bar for bar in fetched if bar.available_at_ns <= tick_ns]
    with history.held():
        fresh, revised = append_versions(history, closed)
        append_actions(
            history,
            [
                CorporateAction(action.symbol, action.ex_date, action.split_ratio, action.cash_usd)
                for action in actions
                if action.split_ratio != 1.0 or action.cash_usd  # a spin-off alone changes no stored price
            ],
            received_ns=received,
            source=desk.settings.venue,
        )
        held = minutes_held(history, open_ns, tick_ns)
    if not is_read:
        reading.keep(received)
    report = BarsReport(
        session=session.isoformat(),
        tick_ns=tick_ns,
        new_minutes=sum(bar.interval == Interval.MINUTE for bar in fresh),
        new_days=sum(bar.interval == Interval.DAY for bar in fresh),
        revised=revised,
        not_closed=len(fetched) - len(closed),
        minutes_held={symbol: held[symbol][0] if symbol in held else 0 for symbol in symbols},
        last_close={symbol: close for symbol, (_, close) in held.items()},
    )
    log.info("bars stored", session=report.session, minutes=report.new_minutes, days=report.new_days)
    return report


def import_tape(
    history: History, tape: Tape, symbols: Sequence[str], *, until: date, received_ns: int, source: str
) -> int:
    """Daily bars and corporate actions of a tape with sessions before `until`, as raw history.

    received_ns: when the desk is taken to have had them; a decision before that does not see them.
    Returns the number of bars. Replaces what the same source stored before.
    """
    sessions = Sessions()
    bars: list[StoredBar] = []
    actions: list[dict[str, object]] = []
    for symbol in symbols:
        daily = tape.daily(symbol)
        for index in range(len(daily.start_ns)):
            day = sessions.new_york_date(int(daily.start_ns[index]))
            if day >= until:
                break
            bars.append(
                StoredBar(
                    symbol=symbol,
                    interval=Interval.DAY,
                    session=day,
                    start_ns=int(daily.start_ns[index]),
                    available_at_ns=int(daily.end_ns[index]),
                    received_at_ns=received_ns,
                    open=float(daily.open[index]),
                    high=float(daily.high[index]),
                    low=float(daily.low[index]),
                    close=float(daily.close[index]),
                    volume=float(daily.volume[index]),
                    source=source,
                    derived=False,
                )
            )
        actions += [
            {**action._asdict(), "received_at_ns": received_ns, "source": source}
            for action in tape.actions(symbol)
            if action.ex_date < until
        ]
    replace_source(history, source, bars, actions)
    return len(bars)


def import_files(
    history: History, files: Sequence[tuple[str, BarFile]], *, received_ns: int | None
) -> Appended:
    """Store the bars and corporate actions of (source, file), all or nothing.

    received_ns: when the desk has them; None: as each became available, for a venue whose time is virtual
    """
    rows = [
        FileRows(
            source,
            file.symbols,
            _rows_of(file, source, received_ns),
            [action for of_symbol in file.actions.values() for action in of_symbol],
            file.days if file.tells_actions else None,
            [_fault_row(fault, file, source, received_ns) for fault in file.faults],
        )
        for source, file in files
    ]
    appended = append_files(history, rows, received_ns=received_ns)
    mark_import(history.path.parent)
    log.info(
        "bars imported",
        files=len(files),
        bars=sum(file.count for _, file in files),
        appended=appended.bars,
        actions=sum(len(row.actions) for row in rows),
        withdrawn=appended.withdrawn,
        quarantined=sum(len(row.faults) for row in rows),
    )
    return appended


def _fault_row(fault: Fault, file: BarFile, source: str, received_ns: int | None) -> dict[str, Any]:
    return {
        "symbol": fault.symbol,
        "session": fault.session,
        "interval": str(file.interval),
        "rule": fault.rule.name,
        "measured": fault.measured,
        "limit": fault.limit,
        "file": source,
        "row": fault.row,
        "received_at_ns": new_york_midnight_ns(fault.session) if received_ns is None else received_ns,
    }


def _rows_of(file: BarFile, source: str, received_ns: int | None) -> pa.Table:
    rows, count = file.rows, file.count

    def constant(value: str) -> pa.Array:
        return pa.repeat(pa.scalar(value), count)

    symbol = pa.DictionaryArray.from_arrays(pa.array(file.number), pa.array(file.symbols, pa.string()))
    return pa.table(
        {
            "symbol": symbol.dictionary_decode(),
            "interval": constant(str(file.interval)),
            "session": pa.array((file.day - _EPOCH_DAY).astype(np.int32)).cast(pa.date32()),
            "start_ns": rows.start_ns,
            "available_at_ns": rows.end_ns,
            "received_at_ns": rows.end_ns if received_ns is None else np.full(count, received_ns),
            **{name: getattr(rows, name) for name in VALUES},
            "source": constant(source),
            "derived": np.zeros(count, np.bool_),
        }
    )


class _Storing:
    """Makes rows of a broker's bars. The broker stamps a daily bar at New York midnight; ours starts and ends
    with the session."""

    def __init__(self, desk: Desk, received_ns: int) -> None:
        self._sessions = desk.sessions
        self._received_ns = received_ns
        self._source = f"{desk.settings.venue}:{desk.settings.feed}"
        self._times: dict[tuple[int, Interval], tuple[date, int, int]] = {}  # most symbols share theirs

    def bar(self, bar: BarState, interval: Interval) -> StoredBar:
        times = self._times.get((bar.start_ns, interval))
        if times is None:
            times = self._times[bar.start_ns, interval] = self._times_of(bar.start_ns, interval)
        return StoredBar(
            bar.symbol,
            str(interval),
            *times,
            self._received_ns,
            bar.open,
            bar.high,
            bar.low,
            bar.close,
            bar.volume,
            self._source,
            bar.derived,
        )

    def _times_of(self, start_ns: int, interval: Interval) -> tuple[date, int, int]:
        """Session, start and when it is available."""
        day = self._sessions.new_york_date(start_ns)
        if interval is Interval.DAY:
            return day, self._sessions.open_ns(day), self._sessions.close_ns(day)
        return day, start_ns, start_ns + MINUTE_NS


def _missing_minutes(desk: Desk, open_ns: int, now_ns: int) -> list[tuple[int, tuple[str, ...]]]:
    """From which start the session's minutes are asked for, of which symbols: the last stored and an
    overlap."""
    newest = newest_starts(desk.history, Interval.MINUTE, open_ns, as_of_ns=now_ns)
    overlap_ns = (REVISION_OVERLAP - 1) * MINUTE_NS
    first = {symbol: max(open_ns, newest.get(symbol, 0) - overlap_ns) for symbol in desk.settings.symbols}
    return _in_two(first, lambda latest: latest - BEHIND_MINUTES * MINUTE_NS)


def _missing_days(
    desk: Desk, session: date, now_ns: int, *, behind_only: bool
) -> list[tuple[date, tuple[str, ...]]]:
    """The same of daily bars: from the look-back's first session where a symbol has none.

    behind_only: of the symbols only that lack the last session's bar
    """
    lookback = _sessions_back(desk.sessions, session, LOOKBACK_SESSIONS)
    last_ns = desk.sessions.open_ns(desk.sessions.previous(session))
    newest = newest_starts(desk.history, Interval.DAY, desk.sessions.open_ns(lookback), as_of_ns=now_ns)
    overlapping = {
        start_ns: max(
            lookback,
            _sessions_back(desk.sessions, desk.sessions.new_york_date(start_ns), REVISION_OVERLAP),
        )
        for start_ns in set(newest.values())
    }
    first = {
        symbol: overlapping[newest[symbol]] if symbol in newest else lookback
        for symbol in desk.settings.symbols
        if not behind_only or newest.get(symbol, 0) < last_ns
    }
    return _in_two(first, lambda latest: latest)


def _in_two(
    first: Mapping[str, Start], behind: Callable[[Start], Start]
) -> list[tuple[Start, tuple[str, ...]]]:
    """The symbols that are up to date, and those that are far behind them, each from the earliest of theirs:
    one that has not traded today costs the others no bars."""
    if not first:
        return []
    line = behind(max(first.values()))
    parts = [
        [symbol for symbol, start in first.items() if (start >= line) is up_to_date]
        for up_to_date in (True, False)
    ]
    return [(min(first[symbol] for symbol in part), tuple(part)) for part in parts if part]


def _sessions_back(sessions: Sessions, day: date, count: int) -> date:
    for _ in range(count):
        day = sessions.previous(day)
    return day
