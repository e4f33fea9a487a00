"""What happened to the account: opening positions, fills, adjustments, equity and breaks.

Fills and adjustments are append-only. `core.ledger` folds them into positions; the engine compares the result
with the broker.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from decimal import Decimal
from functools import cache
from typing import Any

from sqlalchemy import Connection, Select, Update, bindparam, delete, insert, select, update

from trading_assets.log import get_logger
from trading_assets.store.database import as_record, as_row, given, insert_all, same
from trading_assets.store.ledger_checkpoints import OPENING, LedgerCheckpoints, forget_checkpoints
from trading_assets.store.records import (
    AdjustmentRecord,
    BreakRecord,
    EquityRecord,
    FillRecord,
    OpeningPositionRecord,
)
from trading_assets.store.schema import adjustments, breaks, equity, fills, opening_positions

log = get_logger(__name__)


class LedgerJournal(LedgerCheckpoints):
    """The journal's record of the account."""

    def record_opening(self, opening: Sequence[OpeningPositionRecord]) -> list[OpeningPositionRecord]:
        """Store what the account held when its book began; returns those that were new.

        A book's opening entries are never changed: one that is stored already stays.
        """
        with self._writing() as connection:
            new = []
            for record in opening:
                known = select(opening_positions.c.symbol).where(
                    opening_positions.c.book == record.book, opening_positions.c.symbol == record.symbol
                )
                if connection.execute(known).first() is None:
                    connection.execute(insert(opening_positions).values(as_row(record)))
                    forget_checkpoints(connection, record.book)
                    new.append(record)
        return new

    def opening(self, book: str) -> list[OpeningPositionRecord]:
        """Opening positions by symbol, cash ("") first; empty: the book has not begun."""
        with self._reading() as connection:
            rows = connection.execute(OPENING, {"book": book})
            return [as_record(OpeningPositionRecord, row) for row in rows]

    def record_fills(self, received: Sequence[FillRecord]) -> list[FillRecord]:
        """Store each fill once; returns the newly stored, by the cumulative quantity of their order.

        A fill is known by (book, broker order id, cumulative quantity). One that says otherwise than
        the stored fill of that key is logged as an error and the stored one stays; one that came before
        its order's broker id was known is given its order when it comes again.
        """
        if not received:
            return []
        new = []
        with self._writing() as connection:
            for fill in sorted(received, key=_fill_order):
                stored = _stored_fill(connection, fill)
                if stored is None:
                    connection.execute(insert(fills), as_row(fill))
                    changed = connection.execute(_CHANGES, _changed(fill)).first() is not None
                    forget_checkpoints(connection, fill.book, None if changed else fill.at_ns)
                    new.append(fill)
                elif _facts(stored) != _facts(fill):
                    log.error("fill contradicts the stored one", stored=stored, received=fill)
                elif stored.client_order_id is None and fill.client_order_id is not None:
                    connection.execute(_this(fill).values(client_order_id=fill.client_order_id))
        return new

    def fills(
        self,
        book: str,
        *,
        session: str | None = None,
        since_ns: int | None = None,
        client_order_id: str | None = None,
        broker_order_id: str | None = None,
    ) -> list[FillRecord]:
        """Fills in the order in which they happened, however late they were received."""
        wanted = given(
            book=book, session=session, client_order_id=client_order_id, broker_order_id=broker_order_id
        )
        query = _fills(*wanted, since=since_ns is not None)
        with self._reading() as connection:
            rows = connection.execute(query, wanted | given(since=since_ns))
            return sorted((as_record(FillRecord, row) for row in rows), key=_fill_order)

    def filled(self, book: str, broker_order_ids: Collection[str]) -> dict[str, Decimal]:
        """Shares of the fills of each of these orders, by the broker's id; 0 where there is none."""
        quantities = dict.fromkeys(broker_order_ids, Decimal(0))
        with self._reading() as connection:
            for row in connection.execute(_FILLED, {"book": book, "ids": sorted(quantities)}):
                quantities[row.broker_order_id] += row.qty
        return quantities

    def record_adjustments(self, entries: Sequence[AdjustmentRecord]) -> list[AdjustmentRecord]:
        """Store each adjustment once, by (book, adjustment id); returns the newly stored."""
        if not entries:
            return []
        new = []
        with self._writing() as connection:
            for entry in entries:
                row = as_row(entry)
                if connection.execute(_ADJUSTMENT, row).first() is None:
                    connection.execute(insert(adjustments), row)
                    forget_checkpoints(connection, entry.book, None if entry.reverses else entry.at_ns)
                    new.append(entry)
        return new

    def adjustments_named(self, book: str, ids: Collection[str]) -> dict[str, AdjustmentRecord]:
        """Those of these ids that are stored, by id."""
        if not ids:
            return {}
        with self._reading() as connection:
            rows = connection.execute(_NAMED, {"book": book, "ids": sorted(ids)})
            entries = [as_record(AdjustmentRecord, row) for row in rows]
        return {entry.adjustment_id: entry for entry in entries}

    def changed_fill(self, book: str, activity_id: str) -> tuple[FillRecord, list[AdjustmentRecord]] | None:
        """A fill with the busts and corrections that have changed it, found by its activity, by the
        execution in that activity's id, or by one of those changes; None for what is not journaled."""
        named = adjustments.c.adjustment_id == activity_id
        with self._reading() as connection:
            change = connection.execute(
                select(adjustments.c.reverses).where(adjustments.c.book == book, named)
            ).scalar_one_or_none()
            wanted = change or activity_id
            ids = (
                fills.c.activity_id == wanted,
                fills.c.activity_id.endswith(f"::{wanted}", autoescape=True),
            )
            for which in ids:
                row = connection.execute(select(fills).where(fills.c.book == book, which)).first()
                if row is not None:
                    fill = as_record(FillRecord, row)
                    changes = connection.execute(_CHANGES, _changed(fill))
                    return fill, [as_record(AdjustmentRecord, row) for row in changes]
        return None

    def adjustments(
        self, book: str, *, since_ns: int | None = None, kind: str | None = None
    ) -> list[AdjustmentRecord]:
        """Adjustments by time, then in the order of writing."""
        wanted = given(book=book, kind=kind)
        query = _adjustments(*wanted, since=since_ns is not None)
        with self._reading() as connection:
            rows = connection.execute(query, wanted | given(since=since_ns))
            return [as_record(AdjustmentRecord, row) for row in rows]

    def record_equity(self, record: EquityRecord) -> None:
        """Store the figures of one moment; they replace earlier figures of that moment."""
        with self._writing() as connection:
            row = as_row(record)
            connection.execute(_NOT_THAT_EQUITY, row)
            connection.execute(insert(equity), row)

    def latest_equity(self, book: str) -> EquityRecord | None:
        """The latest figures of any session."""
        with self._reading() as connection:
            row = connection.execute(_LATEST_EQUITY, {"book": book}).one_or_none()
        return None if row is None else as_record(EquityRecord, row)

    def equity(self, book: str, session: str | None = None) -> list[EquityRecord]:
        """Figures, ascending by time."""
        wanted = given(book=book, session=session)
        query = select(equity).where(*same(equity, *wanted)).order_by(equity.c.at_ns)
        with self._reading() as connection:
            return [as_record(EquityRecord, row) for row in connection.execute(query, wanted)]

    def record_sightings(
        self,
        book: str,
        at_ns: int,
        sightings: Sequence[tuple[str, str, str, str]],
        *,
        not_looked_at: Collection[str] = (),
    ) -> list[BreakRecord]:
        """Store the breaks that one reconciliation saw; returns all that are then open.

        sightings:     (kind, subject, ours, theirs)
        not_looked_at: subjects left out this time; their open breaks stay as they are
        A break seen again counts one sighting more (once per `at_ns`); one not seen is resolved.
        """
        seen = {(kind, subject): (ours, theirs) for kind, subject, ours, theirs in sightings}
        with self._writing() as connection:
            for row in connection.execute(_OPEN_BREAKS, {"book": book}).all():
                this = update(breaks).where(breaks.c.sequence == row.sequence)
                values = seen.pop((row.kind, row.subject), None)
                if values is not None:
                    again = row.sightings + (1 if at_ns > row.last_ns else 0)
                    ours, theirs = values
                    this = this.values(ours=ours, theirs=theirs, last_ns=at_ns, sightings=again)
                elif row.subject in not_looked_at:
                    continue
                else:
                    this = this.values(resolved_ns=at_ns)
                connection.execute(this)
            insert_all(
                connection,
                breaks,
                (
                    BreakRecord(book, kind, subject, ours, theirs, at_ns, at_ns, 1, None)
                    for (kind, subject), (ours, theirs) in seen.items()
                ),
            )
            return _open_breaks(connection, book)

    def open_breaks(self, book: str) -> list[BreakRecord]:
        """Breaks not resolved, in the order in which they were first seen."""
        with self._reading() as connection:
            return _open_breaks(connection, book)


def _fill_order(fill: FillRecord) -> tuple[object, ...]:
    return fill.at_ns, fill.broker_order_id, fill.cum_qty


def _facts(fill: FillRecord) -> tuple[object, ...]:
    return fill.symbol, fill.side, fill.qty, fill.price


def _this(fill: FillRecord) -> Update:
    """An update of the stored fill."""
    return update(fills).where(
        fills.c.book == fill.book,
        fills.c.broker_order_id == fill.broker_order_id,
        fills.c.cum_qty == fill.cum_qty,
    )


def _stored_fill(connection: Connection, fill: FillRecord) -> FillRecord | None:
    row = connection.execute(_FILL, as_row(fill)).one_or_none()
    return None if row is None else as_record(FillRecord, row)


def _changed(fill: FillRecord) -> dict[str, str]:
    """The values of _CHANGES for a fill."""
    return {"book": fill.book, "reverses": fill.activity_id}


def _open_breaks(connection: Connection, book: str) -> list[BreakRecord]:
    return [as_record(BreakRecord, row) for row in connection.execute(_OPEN_BREAKS, {"book": book})]


@cache
def _fills(*wanted: str, since: bool) -> Select[Any]:
    query = select(fills).where(*same(fills, *wanted))
    return query.where(fills.c.at_ns >= bindparam("since")) if since else query


@cache
def _adjustments(*wanted: str, since: bool) -> Select[Any]:
    query = select(adjustments).where(*same(adjustments, *wanted))
    query = query.order_by(adjustments.c.at_ns, adjustments.c.sequence)
    return query.where(adjustments.c.at_ns >= bindparam("since")) if since else query


_FILL = select(fills).where(*same(fills, "book", "broker_order_id", "cum_qty"))
_FILLED = select(fills.c.broker_order_id, fills.c.qty).where(
    *same(fills, "book"), fills.c.broker_order_id.in_(bindparam("ids", expanding=True))
)
_ADJUSTMENT = select(adjustments.c.sequence).where(*same(adjustments, "book", "adjustment_id"))
_NAMED = select(adjustments).where(
    *same(adjustments, "book"), adjustments.c.adjustment_id.in_(bindparam("ids", expanding=True))
)
_CHANGES = select(adjustments).where(*same(adjustments, "book", "reverses")).order_by(adjustments.c.sequence)
_LATEST_EQUITY = select(equity).where(*same(equity, "book")).order_by(equity.c.at_ns.desc()).limit(1)
_NOT_THAT_EQUITY = delete(equity).where(*same(equity, "book", "at_ns"))
_OPEN_BREAKS = (
    select(breaks).where(*same(breaks, "book"), breaks.c.resolved_ns.is_(None)).order_by(breaks.c.sequence)
)
