"""The broker's lines of splits in the journal, as an exit under way needs them: what came since it began."""

from __future__ import annotations

from decimal import Decimal

from trading_assets.core.activities import ActivityKind
from trading_assets.engine.book.accounting import listed_mark
from trading_assets.engine.book.desk import Desk
from trading_assets.market.sessions import new_york_midnight_ns


def booked_since(desk: Desk, symbol: str, since_ns: int) -> Decimal:
    """Shares that lines of splits have brought."""
    lines = desk.journal.adjustments(desk.book, since_ns=since_ns, kind=ActivityKind.SPLIT)
    return sum((line.qty_delta for line in lines if line.symbol == symbol), Decimal(0))


def dated_since(desk: Desk, symbol: str, since_ns: int) -> bool:
    """Whether a split's line was first read since then of which only the date is known: how much of what is
    held it brought since nobody can say."""
    midnight_ns = new_york_midnight_ns(desk.today())
    lines = desk.journal.adjustments(desk.book, since_ns=min(since_ns, midnight_ns), kind=ActivityKind.SPLIT)
    marks = (desk.journal.mark(desk.book, listed_mark(x.adjustment_id)) for x in lines if x.symbol == symbol)
    return any(mark is not None and int(mark) >= since_ns for mark in marks)
