"""The daily feature set: names, meanings, and how rows of it are computed.

`features.daily_kernel` has the arithmetic; `features.window` chooses the bars of a tick.
"""

from __future__ import annotations

import hashlib
import inspect
from collections.abc import Callable
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from trading_assets.errors import InvalidInput
from trading_assets.features import daily_kernel
from trading_assets.market.bars import Bars

Floats = NDArray[np.float64]


class Feature(NamedTuple):
    name: str
    meaning: str


@dataclass(frozen=True, slots=True)
class FeatureSet:
    """Features with one finite look-back. A row depends on the last `lookback` bars and on nothing else.

    identity: changes with a name, their order or the arithmetic; a model accepts only rows with its own
    fill:     writes the rows of a (7, n) table of raw bars and actions into an (n, k) array
    """

    features: tuple[Feature, ...]
    lookback: int
    identity: str
    fill: Callable[[Floats, Floats], None]

    @property
    def names(self) -> tuple[str, ...]:
        return tuple(feature.name for feature in self.features)

    def compute_bulk(self, bars: Bars, split_ratio: Floats, cash_usd: Floats) -> Floats:
        """The rows of n bars, (n, k): row i is what `compute_last` gives for the bars through i.

        bars:        raw daily bars of one symbol, ascending; the last may be partial
        split_ratio: (n,) new shares per old share on the bar's ex-date, 1 for none (market.actions)
        cash_usd:    (n,) dividend per old share, 0 for none

        A row is NaN throughout where fewer than `lookback` bars end with it or one of them cannot be
        right. Raises InvalidInput when lengths differ.
        """
        columns = (bars.open, bars.high, bars.low, bars.close, bars.volume, split_ratio, cash_usd)
        lengths = {len(column) for column in columns}
        if len(lengths) != 1:
            raise InvalidInput(
                f"columns of {sorted(lengths)} entries",
                where="bars, split_ratio and cash_usd",
                remedy="Give one entry for each bar; market.actions.aligned_actions makes the last two.",
            )
        table = np.array(columns, dtype=np.float64)
        out = np.empty((table.shape[1], len(self.features)))
        self.fill(table, out)
        return out

    def compute_last(self, bars: Bars, split_ratio: Floats, cash_usd: Floats) -> Floats:
        """The row of the last bar, (k,), from the last `lookback` bars; NaN where there are fewer."""
        if len(bars.start_ns) < self.lookback:
            return np.full(len(self.features), np.nan)
        window = Bars._make(column[-self.lookback :] for column in bars)
        rows = self.compute_bulk(window, split_ratio[-self.lookback :], cash_usd[-self.lookback :])
        last: Floats = rows[-1]
        return last


_FEATURES = (
    Feature("return_1", "return since the previous close"),
    Feature("return_5", "return over 5 sessions"),
    Feature("return_20", "return over 20 sessions: one month's reversal and momentum (Jegadeesh 1990)"),
    Feature("return_60", "return over 60 sessions (Jegadeesh and Titman 1993)"),
    Feature("overnight_gap", "today's open over the previous close, less one"),
    Feature("intraday_return", "the last price over today's open, less one"),
    Feature("sma_10", "the last price over its 10-session mean, less one"),
    Feature("sma_50", "the last price over its 50-session mean, less one (Brock et al. 1992)"),
    Feature("volatility_20", "standard deviation of the last 20 completed one-session returns"),
    Feature("volatility_ratio_5_20", "the same over 5 sessions, over that of 20"),
    Feature("atr_14", "mean true range of 14 completed sessions over their last close (Wilder 1978)"),
    Feature("rsi_14", "gains over gains and losses of 14 changes, 0 to 1 (Wilder 1978, Cutler's mean)"),
    Feature("from_high_60", "the last price over the 60-session high, less one (George and Hwang 2004)"),
    Feature("from_low_60", "the last price over the 60-session low, less one"),
    Feature("stochastic_14", "place of the last price in the 14-session range, 0 to 1 (Lane's %K)"),
    Feature("volume_ratio_20", "last completed session's volume over the mean of the 20 before it"),
    Feature("illiquidity_20", "mean |return| per million USD traded, 20 completed sessions (Amihud 2002)"),
    Feature("max_return_20", "largest of the last 20 completed returns (Bali, Cakici and Whitelaw 2011)"),
)


def _identity() -> str:
    digest = hashlib.sha256(inspect.getsource(daily_kernel).encode())
    for feature in _FEATURES:
        digest.update(f"\0{feature.name}".encode())
    return f"daily-{digest.hexdigest()[:16]}"


DAILY = FeatureSet(_FEATURES, daily_kernel.LOOKBACK, _identity(), daily_kernel.daily_rows)
