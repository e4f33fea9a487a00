"""The table `downloads`: which days of a symbol the history has from the broker, of which feed.

A row is written in one transaction with the bars or corporate actions that it tells of: a download that was
killed goes on where it was, and asks nothing twice.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import date
from enum import StrEnum
from typing import NamedTuple

import pyarrow as pa

from trading_assets.store.bar_history import Appended, FileRows, append_in
from trading_assets.store.history import History

ACTIONS = "actions"  # what is downloaded beside "1d" and "1m"

_COLUMNS = pa.schema(
    [
        ("symbol", pa.string()),
        ("what", pa.string()),
        ("feed", pa.string()),
        ("first", pa.date32()),
        ("last", pa.date32()),
        ("outcome", pa.string()),
        ("bars", pa.int64()),
        ("detail", pa.string()),
        ("received_at_ns", pa.int64()),
    ]
)
_COVERED = """
SELECT symbol, "first", "last", outcome, bars, detail FROM downloads
WHERE what = ? AND list_contains(?, feed) AND list_contains(?, symbol) AND "first" <= ? AND "last" >= ?
ORDER BY symbol, "first"
"""
_FORGET = """
DELETE FROM downloads USING incoming
WHERE downloads.symbol = incoming.symbol AND downloads.what = incoming.what
  AND downloads.feed = incoming.feed AND downloads."first" <= incoming."last"
  AND downloads."last" >= incoming."first"
  AND (
      downloads.outcome = 'refused'
      OR downloads."first" >= incoming."first" AND downloads."last" <= incoming."last"
  )
"""


class DownloadOutcome(StrEnum):
    """What came of asking for a symbol's days."""

    COMPLETE = "complete"
    EMPTY = "empty"  # the broker has nothing of these days
    REFUSED = "refused"  # by the broker, or by the checks: these days are asked for again


class Covered(NamedTuple):
    """Days of a symbol that were asked for, both ends included."""

    symbol: str
    first: date
    last: date
    outcome: DownloadOutcome
    bars: int
    detail: str = ""


def covered(
    history: History, what: str, feeds: Sequence[str], symbols: Sequence[str], first: date, last: date
) -> list[Covered]:
    """What was asked for before that touches these days, ascending by symbol and first day."""
    lines = history.query(_COVERED, [what, list(feeds), list(symbols), last, first]).to_pylist()
    return [Covered(**line | {"outcome": DownloadOutcome(line["outcome"])}) for line in lines]


def store_unit(
    history: History,
    what: str,
    feed: str,
    rows: Sequence[FileRows],
    outcomes: Sequence[Covered],
    *,
    received_ns: int | None,
    at_ns: int,
) -> Appended:
    """Store bars or actions and what they cover, all or nothing. received_ns: as for `append_files`"""
    lines: list[Mapping[str, object]] = [
        {**one._asdict(), "outcome": str(one.outcome), "what": what, "feed": feed, "received_at_ns": at_ns}
        for one in outcomes
    ]
    with history.writing() as connection:
        appended = append_in(connection, rows, received_ns=received_ns)
        connection.register("incoming", pa.Table.from_pylist(lines, schema=_COLUMNS))
        connection.execute(_FORGET)
        connection.execute("INSERT INTO downloads BY NAME SELECT * FROM incoming")
        connection.unregister("incoming")
    return appended
