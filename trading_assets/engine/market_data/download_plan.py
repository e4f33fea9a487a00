"""What a download has to ask: the days that are not there yet, in parts that are stored one by one.

A part holds about as many rows as ten pages of an answer. It is what a killed download loses at most.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from datetime import date, timedelta
from typing import NamedTuple

from trading_assets.market.bars import Interval
from trading_assets.market.sessions import Sessions
from trading_assets.store.downloads import ACTIONS, Covered, DownloadOutcome

ROWS_OF_A_PART = 100_000
SYMBOLS_OF_MINUTES = 50  # in one part: more would make it shorter than the sessions of a week
BARS_A_SESSION = {Interval.DAY: 1, Interval.MINUTE: 390}
ACTIONS_A_SESSION = 0.03  # of one symbol: four dividends a year, some monthly
ROWS_OF_ACTIONS = 5_000  # in one part; one question reads all of its pages

Span = tuple[date, date]  # both ends included


class DownloadPart(NamedTuple):
    """One thing to ask and to store: bars of an interval, or corporate actions."""

    what: str
    symbols: tuple[str, ...]
    first: date
    last: date


def parts_to_ask(
    what: str,
    symbols: Sequence[str],
    first: date,
    last: date,
    there: Iterable[Covered],
    in_urls: Callable[[Sequence[str]], Iterable[tuple[str, ...]]],
) -> list[DownloadPart]:
    """The parts of what is missing, by symbol and then by day.

    there: what was asked for before; the days of what was refused are asked for again
    """
    covered: dict[str, list[Span]] = {}
    for one in there:
        if one.outcome is not DownloadOutcome.REFUSED:
            covered.setdefault(one.symbol, []).append((one.first, one.last))
    alike: dict[tuple[Span, ...], list[str]] = {}
    for symbol in symbols:
        spans = tuple(missing(covered.get(symbol, ()), first, last))
        alike.setdefault(spans, []).append(symbol)
    return [
        part for spans, some in alike.items() for span in spans for part in _parts(what, some, span, in_urls)
    ]


def missing(covered: Iterable[Span], first: date, last: date) -> Iterator[Span]:
    """The days of first … last that no span covers, ascending, without those that hold no session."""
    begin = first
    for covered_first, covered_last in [*sorted(covered), (last + timedelta(days=1), last)]:
        if covered_first > begin:
            end = min(covered_first - timedelta(days=1), last)
            if Sessions().between(begin, end):
                yield begin, end
        begin = max(begin, covered_last + timedelta(days=1))


def _parts(
    what: str,
    symbols: Sequence[str],
    span: Span,
    in_urls: Callable[[Sequence[str]], Iterable[tuple[str, ...]]],
) -> Iterator[DownloadPart]:
    sessions = Sessions().between(*span)
    if what == ACTIONS:
        most_symbols = len(symbols)
        most_sessions = max(1, int(ROWS_OF_ACTIONS / (ACTIONS_A_SESSION * max(map(len, in_urls(symbols))))))
    elif what == Interval.DAY:
        most_sessions = min(len(sessions), ROWS_OF_A_PART)
        most_symbols = max(1, ROWS_OF_A_PART // most_sessions)
    else:
        most_symbols = min(len(symbols), SYMBOLS_OF_MINUTES)
        most_sessions = max(1, ROWS_OF_A_PART // (BARS_A_SESSION[Interval.MINUTE] * most_symbols))
    for of_url in in_urls(symbols):
        for begin in range(0, len(of_url), most_symbols):
            some = of_url[begin : begin + most_symbols]
            for at in range(0, len(sessions), most_sessions):
                ends = at + most_sessions >= len(sessions)
                # the parts cover every day of the span, its days without a session too
                first = span[0] if at == 0 else sessions[at]
                last = span[1] if ends else sessions[at + most_sessions] - timedelta(days=1)
                yield DownloadPart(what, some, first, last)


def by_class(symbols: Iterable[str], there: Iterable[Covered]) -> Mapping[DownloadOutcome, list[str]]:
    """Each symbol once: refused where any of its days was, empty where none of them has a bar."""
    bars: dict[str, int] = {}
    refused: set[str] = set()
    for one in there:
        bars[one.symbol] = bars.get(one.symbol, 0) + one.bars
        if one.outcome is DownloadOutcome.REFUSED:
            refused.add(one.symbol)
    classes: dict[DownloadOutcome, list[str]] = {outcome: [] for outcome in DownloadOutcome}
    for symbol in symbols:
        if symbol in refused:
            classes[DownloadOutcome.REFUSED].append(symbol)
        elif symbol in bars:
            classes[DownloadOutcome.COMPLETE if bars[symbol] else DownloadOutcome.EMPTY].append(symbol)
    return classes
