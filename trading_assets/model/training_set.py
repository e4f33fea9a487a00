"""The training set: which rows a model learns from, and what it is asked to predict.

This module makes labels, and decides which rows to keep. `model.dataset` reads the stored bars, `features`
defines the features, and `model.splits` decides which rows train and which test.

**The label** of a row at session t's close is the total return from the open of session t + 1 to
the open of session t + 1 + h, less the mean of that session's rows; h is 5 by default.

- It starts at the next open because nothing seen at the close can be traded before it.
- It spans a week because a desk that sizes at every tick of the day, holds between its thresholds
  and pays the spread needs a forecast that outlives the day; short-term reversal and the other
  effects that daily prices carry are documented at this horizon (Jegadeesh 1990, Lehmann 1990).
- It is taken relative to the session's mean because what is traded is which symbol to hold: the
  market's own move is most of a stock's variance and none of that choice (Gu, Kelly and Xiu 2020
  rank within each month for the same reason).
- It is a total return: on an ex-date one old share is worth split × open + cash.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from typing import TypeVar

import numpy as np
from numpy.typing import NDArray

from trading_assets.errors import InvalidInput
from trading_assets.features.daily import DAILY, FeatureSet
from trading_assets.market.actions import aligned_actions
from trading_assets.market.bars import Bars, CorporateAction
from trading_assets.market.feeds import IEX, REMEDY, WHOLE_MARKET
from trading_assets.market.sessions import Sessions

HORIZON = 5
Scalar = TypeVar("Scalar", bound=np.generic)


@dataclass(frozen=True, slots=True)
class SymbolHistory:
    """What one symbol contributes to a training set."""

    daily: Bars  # raw daily bars
    actions: tuple[CorporateAction, ...]
    source: str  # where the bars come from, for the model's manifest
    market: str = WHOLE_MARKET  # whose trades they are, `market.feeds`


@dataclass(frozen=True, slots=True)
class Dropped:
    """How many bars became no row, by the first reason that applied."""

    features: int  # too little history, or a feature that is not finite
    label: int  # the label's sessions are not all there: the last ones of the range, or a gap
    alone: int  # the only row of its session: nothing to be relative to


@dataclass(frozen=True, slots=True, eq=False)
class TrainingSet:
    """Rows ascending by session, then symbol. Arrays are read-only."""

    X: NDArray[np.float64]  # (n, k), features through the session's close
    y: NDArray[np.float64]  # (n,), the label as a fraction; means of a session are zero
    session: NDArray[np.int64]  # (n,), index into `sessions`
    symbol: NDArray[np.int64]  # (n,), index into `symbols`
    label_end: NDArray[np.int64]  # (n,), index of the session at whose open the label is known
    sessions: tuple[date, ...]  # every XNYS session of the range
    symbols: tuple[str, ...]  # ascending
    sources: tuple[str, ...]  # one for each symbol
    feature_names: tuple[str, ...]
    feature_identity: str
    horizon: int  # sessions
    dropped: Dropped
    market: str = WHOLE_MARKET  # whose trades the bars are: one for all of them

    def __len__(self) -> int:
        return len(self.y)


def build_training_set(
    histories: Mapping[str, SymbolHistory], *, features: FeatureSet = DAILY, horizon: int = HORIZON
) -> TrainingSet:
    """Features and labels of many symbols' daily bars.

    histories: by symbol; all of their bars are used, so cut them at the range's end
    horizon:   sessions that a label spans, ≥ 1

    Raises InvalidInput for bars on a day without session, for fewer than two symbols, and when no
    row is left.
    """
    if len(histories) < 2 or horizon < 1:
        raise InvalidInput(
            f"{len(histories)} symbols and a horizon of {horizon} sessions",
            where="training set",
            remedy="Give at least two symbols (labels are relative to the session's mean) and one session.",
        )
    symbols = tuple(sorted(histories))
    market = _one_market(histories)
    sessions = _sessions([histories[symbol].daily for symbol in symbols])
    axis = np.array(sessions, dtype="datetime64[D]")
    shape = (len(sessions), len(symbols))
    X = np.full((*shape, len(features.names)), np.nan)
    label = np.full(shape, np.nan)
    traded = np.zeros(shape, dtype=np.bool_)
    for column, symbol in enumerate(symbols):
        daily = histories[symbol].daily
        split_ratio, cash = aligned_actions(histories[symbol].actions, daily.start_ns)
        at = _indices(axis, daily, symbol)
        X[at, column] = features.compute_bulk(daily, split_ratio, cash)
        index = np.full(len(sessions), np.nan)
        index[at] = total_return_index(daily.open, split_ratio, cash)
        label[: -1 - horizon, column] = index[1 + horizon :] / index[1:-horizon] - 1.0
        traded[at, column] = True

    featured = traded & np.isfinite(X).all(axis=2)
    labelled = featured & np.isfinite(label)
    kept = labelled & (labelled.sum(axis=1, keepdims=True) > 1)
    if not kept.any():
        raise InvalidInput(
            f"no row of {int(traded.sum())} bars has {features.lookback} bars of look-back, a label, "
            "and a second symbol in its session",
            where="training set",
            remedy="Give a longer range, or symbols whose ranges overlap.",
        )
    count = np.maximum(kept.sum(axis=1, keepdims=True), 1)
    relative = label - np.where(kept, label, 0.0).sum(axis=1, keepdims=True) / count
    session, symbol_code = np.nonzero(kept)
    return TrainingSet(
        X=frozen(X[kept]),
        y=frozen(relative[kept]),
        session=frozen(session.astype(np.int64)),
        symbol=frozen(symbol_code.astype(np.int64)),
        label_end=frozen(session.astype(np.int64) + 1 + horizon),
        sessions=sessions,
        symbols=symbols,
        sources=tuple(histories[symbol].source for symbol in symbols),
        feature_names=tuple(features.names),
        feature_identity=features.identity,
        horizon=horizon,
        dropped=Dropped(
            features=int((traded & ~featured).sum()),
            label=int((featured & ~labelled).sum()),
            alone=int((labelled & ~kept).sum()),
        ),
        market=market,
    )


def _one_market(histories: Mapping[str, SymbolHistory]) -> str:
    """Whose trades all of the bars are. Raises InvalidInput where they are not all the same's: the volume of
    one exchange is a thirtieth of the market's."""
    markets = {symbol: one.market for symbol, one in sorted(histories.items())}
    whole = [symbol for symbol, market in markets.items() if market == WHOLE_MARKET]
    others = [symbol for symbol, market in markets.items() if market != WHOLE_MARKET]
    if not others:
        return WHOLE_MARKET
    if not whole and set(markets.values()) == {IEX}:
        return IEX
    raise InvalidInput(
        f"daily bars of the whole market and of {IEX} alone together: {IEX} in {others[0]}"
        + (f" and {len(others) - 1} more" if len(others) > 1 else ""),
        where="training set",
        remedy=REMEDY,
    )


def total_return_index(
    open_: NDArray[np.float64], split_ratio: NDArray[np.float64], cash: NDArray[np.float64]
) -> NDArray[np.float64]:
    """The worth at each open of one share bought at the first, dividends reinvested at the ex-date's open.

    All arrays float64[n], raw opens; `split_ratio` (1: none) and `cash` (USD for each old share)
    stand at the bar of the ex-date. The first bar's own action happened before the first open.
    """
    index = np.ones(len(open_))
    index[1:] = np.cumprod((split_ratio[1:] * open_[1:] + cash[1:]) / open_[:-1])
    return index


def _sessions(all_bars: Sequence[Bars]) -> tuple[date, ...]:
    stamps = [bars.start_ns[end] for bars in all_bars if len(bars.start_ns) for end in (0, -1)]
    if not stamps:
        raise InvalidInput("no bars", where="training set", remedy="Give symbols that have daily bars.")
    day = Sessions().new_york_date
    return tuple(Sessions().between(day(int(min(stamps))), day(int(max(stamps)))))


def _indices(axis: NDArray[np.datetime64], daily: Bars, symbol: str) -> NDArray[np.int64]:
    """Where each bar's session stands on the axis. New York's date is UTC's for any start from 00:00
    to 19:00 New York time, so for a daily bar's whether it is stamped at midnight or at the open."""
    days = daily.start_ns.astype("datetime64[ns]").astype("datetime64[D]")
    at = np.searchsorted(axis, days)
    stray = axis[np.minimum(at, len(axis) - 1)] != days
    if stray.any() or bool(np.any(np.diff(at) <= 0)):
        raise InvalidInput(
            f"{symbol} has a daily bar on {days[stray][0]}, which is no session"
            if stray.any()
            else f"{symbol} has daily bars that do not ascend by session",
            where="training set",
            remedy="Give one bar for each session, ascending.",
        )
    return at.astype(np.int64)


def frozen(array: NDArray[Scalar]) -> NDArray[Scalar]:
    """Make the array read-only, and return it."""
    array.flags.writeable = False
    return array
