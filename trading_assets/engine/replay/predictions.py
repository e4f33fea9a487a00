"""Features and signals of a range, computed for many ticks at once as the walk comes to them.

A row of features is that of the live step, bit for bit: the same kernel on the bars that were available
at the tick. Scores do not depend on the rows beside them (`model.registry`), so those of a session are made
in one call.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Sequence
from datetime import date
from itertools import groupby
from math import isnan, nan, sqrt
from typing import NamedTuple, Protocol

import numpy as np
from numpy.typing import NDArray

from trading_assets.core.orders import Kind
from trading_assets.core.walk.columns import SIGNAL
from trading_assets.engine.replay.daily_stack import DailyStack
from trading_assets.engine.replay.decision_ids import DecisionIds
from trading_assets.engine.replay.spec import ExternalSignal, ExternalSignals, ModelSignals
from trading_assets.engine.replay.tape import session_minutes
from trading_assets.engine.signals.rows import refuse_unusable, said_time
from trading_assets.errors import InvalidInput
from trading_assets.features.daily import DAILY
from trading_assets.features.daily_kernel import LOOKBACK
from trading_assets.features.intraday import session_rows
from trading_assets.market.actions import aligned_actions
from trading_assets.market.bars import Bars, Tape
from trading_assets.market.sessions import Sessions, new_york_midnight_ns

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]

VOLATILITY = DAILY.names.index("volatility_20")
SESSIONS_PER_YEAR = 252


class Tick(NamedTuple):
    """One decision time."""

    session: date
    at_ns: int


class Signals(NamedTuple):
    """Signals of consecutive ticks, by tick and symbol; symbols are rows in ascending order of their names.

    rows:   core.walk.columns.SIGNAL
    tick:   which of the ticks takes each, from 0
    scores: the model's behind each, NaN without one
    """

    rows: NDArray[np.void]
    tick: NDArray[np.int64]
    scores: Floats


class Predictions(Protocol):
    """The signals of the range."""

    kind: Kind
    ids: DecisionIds
    model_version: str  # "" without a model
    trained_through: date | None  # the last session that the model's labels used, None without a model

    def between(self, first: int, end: int) -> tuple[Signals, Signals]:
        """Those that the range's ticks number first … end − 1 take: at most one a tick and symbol, and the
        older ones that these supersede."""
        ...


class FeatureRows:
    """Features of every symbol at the range's ticks, computed as they are asked for: a range of any length
    takes no more memory.

    A tick sees the completed sessions; an intraday one today's minutes so far as well. A symbol whose
    last completed bar is not that of the session before has a gap, and no row.
    """

    def __init__(
        self, tape: Tape, symbols: Sequence[str], ticks: Sequence[Tick], sessions: Sessions, *, intraday: bool
    ) -> None:
        """symbols: in ascending order; ticks: of the range, ascending"""
        self._tape, self._symbols, self._sessions, self._intraday = tape, tuple(symbols), sessions, intraday
        self._sessions_of = [tick.session for tick in ticks]
        self.at_ns = np.array([tick.at_ns for tick in ticks], dtype=np.int64)
        close_before = {day: sessions.close_ns(sessions.previous(day)) for day in set(self._sessions_of)}
        self._close_before = np.array([close_before[day] for day in self._sessions_of], dtype=np.int64)
        daily, tables, rows = [], [], []
        for symbol in self._symbols:
            bars = tape.daily(symbol)
            actions = aligned_actions(tape.actions(symbol), bars.start_ns)
            # what no look-back of the range reaches is left out
            first, end = np.searchsorted(bars.end_ns, (self.at_ns[0], self.at_ns[-1]), side="right")
            near = slice(max(0, int(first) - LOOKBACK), int(end) + 1)
            daily.append(Bars._make(column[near] for column in bars))
            tables.append(np.array([*daily[-1][2:], *(column[near] for column in actions)]))
            rows.append(DAILY.compute_bulk(daily[-1], *(column[near] for column in actions)))
        self._daily = DailyStack(daily)
        self._table, self._completed = np.concatenate(tables, axis=1), np.concatenate(rows)

    def between(self, first: int, end: int) -> Floats:
        """Those of the ticks number first … end − 1: (ticks, symbols, k); NaN where there is no row."""
        at_ns, daily = self.at_ns[first:end], self._daily
        ended = daily.ended_by(at_ns)
        last = daily.begin[:-1] + ended - 1
        fresh = ended > 0
        fresh[fresh] = (daily.bars.end_ns[last] == self._close_before[first:end, None])[fresh]
        last[~fresh] = -1
        rows = np.full((*last.shape, len(DAILY.names)), nan)
        if not self._intraday:
            rows[fresh] = self._completed[last[fresh]]
            return rows
        at = first
        for session, ticks in groupby(self._sessions_of[first:end]):
            following = at + len(list(ticks))
            own = slice(at - first, following - first)
            self._fill_session(session, at_ns[own], last[own], rows[own])
            at = following
        return rows

    def _fill_session(self, session: date, at_ns: Ints, last: Ints, rows: Floats) -> None:
        today, there = self._daily.starting_at(self._sessions.open_ns(session))
        today[~there | (today - self._daily.begin[:-1] < LOOKBACK - 1)] = -1
        minutes = session_minutes(self._tape, self._symbols, session)
        bars = minutes.bars
        session_rows(
            self._table,
            self._completed,
            last,
            today,
            at_ns,
            minutes.first,
            bars["end_ns"],
            bars["open"],
            bars["high"],
            bars["low"],
            bars["close"],
            minutes.volume,
            rows,
        )


def feature_rows(
    tape: Tape, symbols: Sequence[str], ticks: Sequence[Tick], sessions: Sessions, *, intraday: bool
) -> Floats:
    """Features of every symbol at every tick, (ticks, symbols, k); NaN where there is no row."""
    return FeatureRows(tape, symbols, ticks, sessions, intraday=intraday).between(0, len(ticks))


class ModelPredictions:
    """A signal for every symbol and tick that has a row without gaps."""

    kind = Kind.MODEL

    def __init__(self, source: ModelSignals, book: str, symbols: Sequence[str], rows: FeatureRows) -> None:
        """Raises InvalidInput for a model that cannot be loaded or whose features are others."""
        from trading_assets.model.registry import load  # XGBoost is not needed for signals from outside

        self._model = load(source.model_path, source.features_path)
        self.model_version = self._model.version
        self.trained_through: date | None = date.fromisoformat(
            self._model.manifest["training_data"]["labels_through"]
        )
        self.ids = DecisionIds(book, Kind.MODEL, symbols)
        self._rows = rows

    def between(self, first: int, end: int) -> tuple[Signals, Signals]:
        rows = self._rows.between(first, end)
        scores = self._model.score(rows.reshape(-1, rows.shape[2]))
        values = self._model.signal(scores).reshape(rows.shape[:2])
        tick, symbol = np.nonzero(np.isfinite(values))
        signals, at_ns = np.zeros(len(tick), SIGNAL), self._rows.at_ns[first:end]
        signals["symbol"], signals["as_of_ns"] = symbol, at_ns[tick]
        signals["value"] = values[tick, symbol]
        signals["volatility"] = rows[tick, symbol, VOLATILITY] * sqrt(SESSIONS_PER_YEAR)
        signals["reference_price"] = signals["limit_price"] = nan
        return Signals(signals, tick, scores.reshape(rows.shape[:2])[tick, symbol]), _NONE


class ExternalPredictions:
    """Each signal at the first tick at or after its stamp, once."""

    kind = Kind.EXTERNAL
    model_version: str = ""
    trained_through: date | None = None

    def __init__(
        self,
        source: ExternalSignals,
        book: str,
        symbols: Sequence[str],
        ticks: Sequence[Tick],
        rows: FeatureRows,
        since_ns: int,
    ) -> None:
        """since_ns: what is stamped before it was taken before the range, or never

        Raises InvalidInput for a signal out of [−1, 1], of a symbol that is not traded, with a price
        that is none, or dated to a day without a tick of the range."""
        self.ids = DecisionIds(book, Kind.EXTERNAL, symbols)
        times = [tick.at_ns for tick in ticks]
        days = [tick.session for tick in ticks]
        self._rows = rows
        self._taken: dict[int, list[tuple[int, int, ExternalSignal]]] = {}
        for signal in source.signals:
            as_of_ns = _stamp(signal, symbols, days, times)
            if as_of_ns is None:
                continue
            tick = bisect_left(times, as_of_ns)
            if tick < len(times) and as_of_ns >= since_ns:
                taken = (symbols.index(signal.symbol), as_of_ns, signal)
                self._taken.setdefault(tick, []).append(taken)

    def between(self, first: int, end: int) -> tuple[Signals, Signals]:
        volatility = np.zeros((0, 0))
        if any(tick in self._taken for tick in range(first, end)):
            volatility = self._rows.between(first, end)[:, :, VOLATILITY] * sqrt(SESSIONS_PER_YEAR)
        newest: list[tuple[int, int, int, ExternalSignal]] = []
        older: list[tuple[int, int, int, ExternalSignal]] = []
        for tick in range(first, end):
            of_symbol: dict[int, tuple[int, int, int, ExternalSignal]] = {}
            # of one stamp the later in the source counts, as what arrives later does with the inbox
            for symbol, as_of_ns, signal in sorted(self._taken.get(tick, []), key=lambda taken: taken[:2]):
                if symbol in of_symbol:
                    older.append(of_symbol[symbol])
                of_symbol[symbol] = (tick, symbol, as_of_ns, signal)
            newest += of_symbol.values()
        return self._columns(newest, first, volatility), self._columns(older, first, volatility)

    def _columns(
        self, taken: list[tuple[int, int, int, ExternalSignal]], first: int, volatility: Floats
    ) -> Signals:
        rows = np.zeros(len(taken), SIGNAL)
        for row, (tick, symbol, as_of_ns, signal) in zip(rows, taken, strict=True):
            row["symbol"], row["as_of_ns"], row["value"] = symbol, as_of_ns, signal.value
            row["reference_price"], row["limit_price"] = signal.reference_price, signal.limit_price
            row["volatility"] = volatility[tick - first, symbol]
        ticks = np.array([tick - first for tick, *_ in taken], dtype=np.int64)
        return Signals(rows, ticks, np.full(len(taken), nan))


_NONE = Signals(np.zeros(0, SIGNAL), np.zeros(0, np.int64), np.zeros(0))


def _stamp(
    signal: ExternalSignal, symbols: Sequence[str], days: Sequence[date], times: Sequence[int]
) -> int | None:
    """The stamp in nanoseconds; None for a session out of the range."""
    where = f"replay, signal {signal.symbol} of {said_time(signal.at)}"
    prices = {
        name: None if isnan(price) else price
        for name, price in (
            ("reference price", signal.reference_price),
            ("limit price", signal.limit_price),
        )
    }
    refuse_unusable(signal.symbol, signal.value, prices, symbols, where=where)
    if not isinstance(signal.at, date):
        return signal.at
    if not days[0] <= signal.at <= days[-1]:
        return None
    tick = bisect_left(days, signal.at)
    if days[tick] != signal.at:
        raise InvalidInput(
            "the range has no tick on that day", where=where, remedy="Date signals to sessions of the range."
        )
    return times[tick]


def predictions(
    source: ModelSignals | ExternalSignals,
    book: str,
    tape: Tape,
    symbols: Sequence[str],
    ticks: Sequence[Tick],
    sessions: Sessions,
    *,
    intraday: bool,
    since_ns: int | None = None,
) -> Predictions:
    """The range's signals. Raises InvalidInput as the two kinds do.

    symbols:  in ascending order
    since_ns: signals from outside that are stamped before it are not the range's; None: its first midnight
    """
    rows = FeatureRows(tape, symbols, ticks, sessions, intraday=intraday)
    if isinstance(source, ModelSignals):
        return ModelPredictions(source, book, symbols, rows)
    since = new_york_midnight_ns(ticks[0].session) if since_ns is None else since_ns
    return ExternalPredictions(source, book, symbols, ticks, rows, since)
