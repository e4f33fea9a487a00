"""Features and signals of the whole range at once, handed out tick by tick.

A row of features is that of the live step, bit for bit: the same kernel on the bars that were available
at the tick. Scores do not depend on the rows beside them (`model.registry`), so all are made in one call.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Sequence
from datetime import date
from math import isfinite, isnan, nan, sqrt
from typing import NamedTuple, Protocol

import numpy as np
from numpy.typing import NDArray

from trading_assets.core.orders import Kind, decision_id
from trading_assets.core.walk_columns import SIGNAL
from trading_assets.engine.replay.spec import ExternalSignal, ExternalSignals, ModelSignals
from trading_assets.errors import InvalidInput
from trading_assets.features.daily import DAILY
from trading_assets.features.daily_kernel import LOOKBACK, adjust, fill_row
from trading_assets.market.actions import aligned_actions
from trading_assets.market.aggregate import aggregate
from trading_assets.market.bars import Bars, Tape
from trading_assets.market.sessions import Sessions, new_york_midnight_ns

Floats = NDArray[np.float64]

VOLATILITY = DAILY.names.index("volatility_20")
SESSIONS_PER_YEAR = 252


class Tick(NamedTuple):
    """One decision time."""

    session: date
    at_ns: int


class Signals(NamedTuple):
    """Signals of consecutive ticks, by tick and symbol; symbols are rows in ascending order of their names.

    rows:         core.walk_columns.SIGNAL
    tick:         which of the ticks takes each, from 0
    decision_ids: of each
    scores:       the model's behind each, NaN without one
    """

    rows: NDArray[np.void]
    tick: NDArray[np.int64]
    decision_ids: list[str]
    scores: Floats


class Predictions(Protocol):
    """The signals of the range."""

    kind: Kind
    model_version: str  # "" without a model
    trained_through: date | None  # the last session that the model's labels used, None without a model

    def between(self, first: int, end: int) -> tuple[Signals, Signals]:
        """Those that the range's ticks number first … end − 1 take: at most one a tick and symbol, and the
        older ones that these supersede."""
        ...


def feature_rows(
    tape: Tape, symbols: Sequence[str], ticks: Sequence[Tick], sessions: Sessions, *, intraday: bool
) -> Floats:
    """Features of every symbol at every tick, (ticks, symbols, k); NaN where there is no row.

    A tick sees the completed sessions; an intraday one today's minutes so far as well. A symbol whose
    last completed bar is not that of the session before has a gap, and no row.
    """
    rows = np.full((len(ticks), len(symbols), len(DAILY.names)), nan)
    days = {tick.session for tick in ticks}
    opens = {day: sessions.open_ns(day) for day in days}
    previous_close = {day: sessions.close_ns(sessions.previous(day)) for day in days}
    for column, symbol in enumerate(symbols):
        daily = tape.daily(symbol)
        split_ratio, cash = aligned_actions(tape.actions(symbol), daily.start_ns)
        completed = DAILY.compute_bulk(daily, split_ratio, cash)
        table = np.array([*daily[2:], split_ratio, cash])
        for number, (session, at_ns) in enumerate(ticks):
            last = int(np.searchsorted(daily.end_ns, at_ns, side="right")) - 1
            if last < 0 or int(daily.end_ns[last]) != previous_close[session]:
                continue
            so_far = tape.minutes(symbol, session).until(at_ns) if intraday else None
            if so_far is None or not len(so_far.start_ns):
                rows[number, column] = completed[last]
            elif last + 1 < len(daily.start_ns) and int(daily.start_ns[last + 1]) == opens[session]:
                rows[number, column] = _partial_row(table, last + 1, so_far)
    return rows


def _partial_row(table: Floats, today: int, so_far: Bars) -> Floats:
    """The row whose last bar is the session's so far: today's column is exchanged for it meanwhile."""
    row = np.full(len(DAILY.names), nan)
    if today < LOOKBACK - 1:
        return row
    whole = table[:5, today].copy()
    table[:5, today] = [column[0] for column in aggregate(so_far)[2:]]
    window = np.empty((6, LOOKBACK))
    if adjust(table, today, window):
        fill_row(window, row)
    table[:5, today] = whole
    return row


class ModelPredictions:
    """A signal for every symbol and tick that has a row without gaps."""

    kind = Kind.MODEL

    def __init__(
        self, source: ModelSignals, book: str, symbols: Sequence[str], ticks: Sequence[Tick], rows: Floats
    ) -> None:
        """Raises InvalidInput for a model that cannot be loaded or whose features are others."""
        from trading_assets.model.registry import load  # XGBoost is not needed for signals from outside

        model = load(source.model_path, source.features_path)
        self.model_version = model.version
        self.trained_through: date | None = date.fromisoformat(
            model.manifest["training_data"]["labels_through"]
        )
        self._book = book
        self._symbols = symbols
        self._at_ns = np.array([tick.at_ns for tick in ticks], dtype=np.int64)
        self._volatility = rows[:, :, VOLATILITY] * sqrt(SESSIONS_PER_YEAR)
        self._scores = model.score(rows.reshape(-1, rows.shape[2]))
        self._values = model.signal(self._scores).reshape(rows.shape[:2])
        self._scores = self._scores.reshape(rows.shape[:2])

    def between(self, first: int, end: int) -> tuple[Signals, Signals]:
        tick, symbol = np.nonzero(np.isfinite(self._values[first:end]))
        found = np.zeros(len(tick), SIGNAL)
        found["symbol"], found["as_of_ns"] = symbol, self._at_ns[first + tick]
        found["value"] = self._values[first + tick, symbol]
        found["volatility"] = self._volatility[first + tick, symbol]
        found["reference_price"] = found["limit_price"] = nan
        stamps = found["as_of_ns"].tolist()
        ids = [
            decision_id(self._book, Kind.MODEL, self._symbols[row], at_ns)
            for row, at_ns in zip(symbol.tolist(), stamps, strict=True)
        ]
        return Signals(found, tick, ids, self._scores[first + tick, symbol].astype(np.float64)), _NONE


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
        rows: Floats,
        since_ns: int,
    ) -> None:
        """since_ns: what is stamped before it was taken before the range, or never

        Raises InvalidInput for a signal out of [−1, 1], of a symbol that is not traded, with a price
        that is none, dated to a day without a tick of the range, or with another's symbol and stamp."""
        self._book = book
        self._symbols = symbols
        times = [tick.at_ns for tick in ticks]
        days = [tick.session for tick in ticks]
        self._volatility = rows[:, :, VOLATILITY] * sqrt(SESSIONS_PER_YEAR)
        self._taken: dict[int, list[tuple[int, int, ExternalSignal]]] = {}
        seen = set()
        for signal in source.signals:
            as_of_ns = _stamp(signal, symbols, days, times)
            if as_of_ns is None:
                continue
            if (signal.symbol, as_of_ns) in seen:
                raise InvalidInput(
                    "two signals with one stamp",
                    where=f"replay, signal {signal.symbol} of {signal.at}",
                    remedy="Give one signal for each symbol and time.",
                )
            seen.add((signal.symbol, as_of_ns))
            tick = bisect_left(times, as_of_ns)
            if tick < len(times) and as_of_ns >= since_ns:
                taken = (symbols.index(signal.symbol), as_of_ns, signal)
                self._taken.setdefault(tick, []).append(taken)

    def between(self, first: int, end: int) -> tuple[Signals, Signals]:
        newest: list[tuple[int, int, int, ExternalSignal]] = []
        older: list[tuple[int, int, int, ExternalSignal]] = []
        for tick in range(first, end):
            of_symbol: dict[int, tuple[int, int, int, ExternalSignal]] = {}
            for symbol, as_of_ns, signal in sorted(self._taken.get(tick, []), key=lambda taken: taken[:2]):
                if symbol in of_symbol:
                    older.append(of_symbol[symbol])
                of_symbol[symbol] = (tick, symbol, as_of_ns, signal)
            newest += of_symbol.values()
        return self._columns(newest, first), self._columns(older, first)

    def _columns(self, taken: list[tuple[int, int, int, ExternalSignal]], first: int) -> Signals:
        rows, ids = np.zeros(len(taken), SIGNAL), []
        for row, (tick, symbol, as_of_ns, signal) in zip(rows, taken, strict=True):
            row["symbol"], row["as_of_ns"], row["value"] = symbol, as_of_ns, signal.value
            row["reference_price"], row["limit_price"] = signal.reference_price, signal.limit_price
            row["volatility"] = self._volatility[tick, symbol]
            ids.append(decision_id(self._book, Kind.EXTERNAL, signal.symbol, f"replay:{as_of_ns}"))
        ticks = np.array([tick - first for tick, *_ in taken], dtype=np.int64)
        return Signals(rows, ticks, ids, np.full(len(taken), nan))


_NONE = Signals(np.zeros(0, SIGNAL), np.zeros(0, np.int64), [], np.zeros(0))


def _stamp(
    signal: ExternalSignal, symbols: Sequence[str], days: Sequence[date], times: Sequence[int]
) -> int | None:
    """The stamp in nanoseconds; None for a session out of the range."""
    where = f"replay, signal {signal.symbol} of {signal.at}"
    if signal.symbol not in symbols:
        raise InvalidInput(
            f"{signal.symbol!r} is not among the traded symbols {', '.join(symbols)}",
            where=where,
            remedy="Add it to `symbols` in the configuration, or leave it out.",
        )
    if not (isfinite(signal.value) and -1.0 <= signal.value <= 1.0):
        raise InvalidInput(f"{signal.value} is outside [-1, 1]", where=where, remedy="Scale it to [-1, 1].")
    for price in (signal.reference_price, signal.limit_price):
        if not (isnan(price) or (isfinite(price) and price > 0.0)):
            raise InvalidInput(f"{price} is no price", where=where, remedy="Give USD above zero, or none.")
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
    """Compute the range's features and signals. Raises InvalidInput as the two kinds do.

    symbols:  in ascending order
    since_ns: signals from outside that are stamped before it are not the range's; None: its first midnight
    """
    rows = feature_rows(tape, symbols, ticks, sessions, intraday=intraday)
    if isinstance(source, ModelSignals):
        return ModelPredictions(source, book, symbols, ticks, rows)
    since = new_york_midnight_ns(ticks[0].session) if since_ns is None else since_ns
    return ExternalPredictions(source, book, symbols, ticks, rows, since)
