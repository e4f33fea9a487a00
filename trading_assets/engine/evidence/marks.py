"""The price at which a position is valued now, from the quote of its symbol. The rule is `core.prices`."""

from __future__ import annotations

from collections.abc import Sequence
from math import isnan

from trading_assets.core.prices import mark
from trading_assets.engine.book.desk import Desk


def marks(desk: Desk, symbols: Sequence[str]) -> dict[str, float]:
    """USD a share at which a position is valued now; a symbol without any price is left out."""
    prices = {
        symbol: float(
            mark(
                float(quote.bid or 0),
                float(quote.ask or 0),
                float(quote.last_trade or 0),
                float(quote.previous_close or 0),
            )
        )
        for symbol, quote in (desk.broker.quotes(symbols) if symbols else {}).items()
    }
    return {symbol: value for symbol, value in prices.items() if not isnan(value)}
