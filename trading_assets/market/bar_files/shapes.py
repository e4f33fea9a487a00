"""What vendors call the columns of bars, and what a file of theirs says without saying it. One row a shape.

A shape is recognised by its columns alone. It gives names, the zone of times that state none, and whether a
stamp is the start of its bar; what a person states on the command line goes before it. Names are compared as
letters and digits in lower case: `Stock Splits`, `stock_splits` and `<STOCKSPLITS>` are one.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from enum import StrEnum

NEW_YORK = "America/New_York"
_HYPHENATED = re.compile(r"[A-Z]{1,5}-[A-Z]")


class Stamps(StrEnum):
    """What a bar's stamp says. A date alone names the session either way."""

    START = "start"
    END = "end"


NAMES: Mapping[str, str] = {
    **dict.fromkeys(
        ("timestamp", "datetime", "t", "windowstart", "tsevent", "caldt", "bartime"), "timestamp"
    ),
    **dict.fromkeys(("date", "day", "session", "tradingday", "dt"), "date"),
    **dict.fromkeys(("time", "hour"), "time"),
    **dict.fromkeys(("symbol", "ticker", "sym"), "symbol"),
    **dict.fromkeys(("open", "o"), "open"),
    **dict.fromkeys(("high", "h"), "high"),
    **dict.fromkeys(("low", "l"), "low"),
    **dict.fromkeys(("close", "c"), "close"),
    **dict.fromkeys(("volume", "vol", "v"), "volume"),
    **dict.fromkeys(("splitratio", "split", "splits", "splitfactor", "stocksplits"), "split_ratio"),
    **dict.fromkeys(("cashusd", "dividend", "dividends", "divcash"), "cash_usd"),
    "rawclose": "raw_close",
}
"""Theirs, folded, to ours. `date` and `time` together are one timestamp."""


@dataclass(frozen=True, slots=True)
class Shape:
    """A vendor's way to write bars."""

    name: str
    told_by: frozenset[str]  # folded names that only its files have all of
    names: Mapping[str, str] = field(default_factory=dict)  # beside NAMES
    zone: str | None = None  # of times that state none
    stamps: Stamps | None = None
    fixed_point: float = 1.0  # USD of 1 in an integer column of prices
    zero_is_no_split: bool = False
    lists_all: bool = False  # preferred shares, warrants and units too, under names that are no tickers here
    about: str = ""  # what a person should know of it
    options: str = "--interval 1d --adjusted no"  # of `import-bars`, for a file of it as it comes


def _columns(text: str) -> frozenset[str]:
    return frozenset(text.split())


OWN = Shape("columns named as here", frozenset())
SHAPES: tuple[Shape, ...] = (
    Shape(
        "yfinance",
        _columns("date open high low close dividends stocksplits"),
        zone=NEW_YORK,
        stamps=Stamps.START,
        zero_is_no_split=True,
        about="with actions=True and auto_adjust=False: adjusted for every split up to the download, which "
        "its column takes back; what is adjusted for dividends too cannot be taken back",
        options="--interval 1d --adjusted split",
    ),
    Shape(
        "yfinance, intraday",
        _columns("datetime open high low close dividends stocksplits"),
        zone=NEW_YORK,
        stamps=Stamps.START,
        zero_is_no_split=True,
        about="adjusted for every split up to the download: take days after the last one",
        options="--interval 1m --adjusted no",
    ),
    Shape(
        "Yahoo",
        _columns("date open high low close adjclose volume"),
        zone=NEW_YORK,
        stamps=Stamps.START,
        about="adjusted for every split up to the download: add a column Stock Splits, or take days after "
        "the last one and say --adjusted no",
        options="--interval 1d --adjusted split",
    ),
    Shape(
        "Stooq",
        _columns("ticker per date time open high low close vol openint"),
        stamps=Stamps.START,
        about="adjusted for splits and dividends up to the download: take days after the last; times of day "
        "need --zone",
        options="--interval 1d --adjusted no",
    ),
    Shape(
        "Polygon flat files",
        _columns("ticker volume open close high low windowstart transactions"),
        zone="UTC",
        stamps=Stamps.START,
        lists_all=True,
        about="rows of preferred shares, warrants and units are left out by name",
        options="--interval 1m --adjusted no",
    ),
    Shape(
        "Databento",
        _columns("tsevent open high low close volume"),
        zone="UTC",
        stamps=Stamps.START,
        fixed_point=1e-9,
        options="--interval 1m --adjusted no",
    ),
    Shape(
        "Tiingo",
        _columns("date close high low open volume adjclose divcash splitfactor"),
        zone="UTC",
        stamps=Stamps.START,
        about="open to volume are as traded, and so are read; the columns adj… are not",
    ),
    Shape(
        "zipline",
        _columns("date open high low close volume dividend split"),
        zone="UTC",
        stamps=Stamps.START,
    ),
    Shape(
        "Alpaca",
        _columns("timestamp open high low close volume tradecount vwap"),
        zone="UTC",
        stamps=Stamps.START,
    ),
    Shape("Alpaca's JSON", _columns("t o h l c v n vw"), zone="UTC", stamps=Stamps.START),
)
"""Of two that fit the one with more columns is taken."""

KIBOT = Shape(
    "Kibot: no header; date, time, open, high, low, close, volume",
    frozenset(),
    zone=NEW_YORK,
    stamps=Stamps.START,
    about="its pages call the zone EST; it is New York's, with daylight saving",
    options="--interval 1m --adjusted no --symbol AAPL",
)
FIRST_RATE = Shape(
    "FirstRate: no header; timestamp, open, high, low, close, volume",
    frozenset(),
    zone=NEW_YORK,
    stamps=Stamps.START,
    options="--interval 1m --adjusted no --symbol AAPL",
)
HEADERS: Mapping[str, tuple[str, ...]] = {
    KIBOT.name: ("date", "time", "open", "high", "low", "close", "volume"),
    FIRST_RATE.name: ("timestamp", "open", "high", "low", "close", "volume"),
}
"""The columns of a file that has no header, in its order."""

TICKER_PREFIXES = ("NASDAQ:", "NYSE:", "AMEX:", "ARCA:", "BATS:", "US.", "US:")
TICKER_SUFFIXES = (".US", "-US", " US", ".O", ".N", ".XNAS", ".XNYS")


def folded(name: str) -> str:
    """A column's name as letters and digits in lower case."""
    return re.sub(r"[^a-z0-9]", "", name.lower())


def shape_of(columns: Iterable[str]) -> Shape:
    """The shape that a header tells; `OWN` where it is nobody's in particular."""
    known = frozenset(map(folded, columns))
    fitting = [shape for shape in SHAPES if shape.told_by <= known]
    return max(fitting, key=lambda shape: len(shape.told_by), default=OWN)


def with_point(ticker: str) -> str:
    """Yahoo writes a share class with a hyphen, BRK-B, and Alpaca with a point, BRK.B. Of other names the
    same."""
    return ticker.replace("-", ".") if _HYPHENATED.fullmatch(ticker) else ticker
