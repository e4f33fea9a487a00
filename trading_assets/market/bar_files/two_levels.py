"""A CSV whose header has two levels, as yfinance writes several tickers: prices across, one column a ticker.

    Price,Close,Close,High,High,…          Ticker,AAPL,AAPL,…,MSFT,…
    Ticker,AAPL,MSFT,AAPL,MSFT,…     or    Price,Open,High,…,Open,…
    Date,,,,,…                             Date,,,…

It is read as one row a ticker and day, where the ticker has one.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

LEVELS = ("Price", "Ticker")
HEADER_LINES = 3


def has_two_levels(lines: Sequence[Sequence[str]]) -> bool:
    """Whether these are the header's lines. lines: the cells of the file's first three"""
    if len(lines) < HEADER_LINES or not all(lines):
        return False
    names = {lines[0][0], lines[1][0]}
    return names == set(LEVELS) and len(lines[0]) == len(lines[1]) and not any(lines[2][1:])


def one_row_a_ticker(
    lines: Sequence[Sequence[str]], read: Callable[[Sequence[str]], pa.Table]
) -> tuple[pa.Table, NDArray[np.int64]]:
    """Columns named as the file names them, with Ticker; and of each row its place among the file's.

    read: reads the rows below the header as text under these names
    """
    prices, tickers = (lines[0], lines[1]) if lines[0][0] == LEVELS[0] else (lines[1], lines[0])
    columns = read([str(number) for number in range(len(prices))])
    stamps = columns.column(0)
    parts: list[pa.Table] = []
    places: list[NDArray[np.int64]] = []
    fields = list(dict.fromkeys(prices[1:]))
    for ticker in dict.fromkeys(tickers[1:]):
        of_ticker = {
            price: columns.column(number)
            for number, (price, name) in enumerate(zip(prices, tickers, strict=True))
            if number and name == ticker
        }
        there = np.zeros(columns.num_rows, np.bool_)
        for column in of_ticker.values():
            there |= column.is_valid().to_numpy()
        nothing = pa.nulls(columns.num_rows, pa.string())
        table = pa.table(
            {
                lines[2][0]: stamps,
                "Ticker": pa.array([ticker] * columns.num_rows, pa.string()),
                **{price: of_ticker.get(price, nothing) for price in fields},
            }
        )
        parts.append(table.filter(pa.array(there)))
        places.append(np.flatnonzero(there))
    return pa.concat_tables(parts), np.concatenate(places)
