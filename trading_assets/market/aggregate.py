"""Several bars made into one longer bar."""

from __future__ import annotations

from trading_assets.errors import InvalidInput
from trading_assets.market.bars import Bars


def aggregate(bars: Bars) -> Bars:
    """The one bar (arrays of shape (1,)) that n ≥ 1 successive bars make. Raises InvalidInput for none."""
    if len(bars.start_ns) == 0:
        raise InvalidInput("no bars to aggregate", where="bars", remedy="Give at least one bar.")
    return Bars(
        start_ns=bars.start_ns[:1],
        end_ns=bars.end_ns[-1:],
        open=bars.open[:1],
        high=bars.high.max(keepdims=True),
        low=bars.low.min(keepdims=True),
        close=bars.close[-1:],
        volume=bars.volume.sum(keepdims=True),
    )
