"""The book's entries as evidence to fold, and checkpoints of the fold, so that a tick reads today's rows.

A checkpoint holds what the entries before a moment add up to. It is a shortcut and never evidence: an entry
that is stored later and belongs before that moment removes it in its own transaction. The engine knows what a
checkpoint's state means.
"""

from __future__ import annotations

from typing import Any, NamedTuple

from sqlalchemy import (
    BindParameter,
    Column,
    Connection,
    Table,
    and_,
    bindparam,
    delete,
    func,
    insert,
    or_,
    select,
)

from trading_assets.store.database import Database, as_record, as_row, same
from trading_assets.store.records import (
    AdjustmentRecord,
    CheckpointRecord,
    FillRecord,
    OpeningPositionRecord,
)
from trading_assets.store.schema import adjustments, fills, ledger_checkpoints, opening_positions

KEPT = 10
"""Checkpoints of a name that stay: an entry that comes later than their days has all folded again."""


class LedgerEvidence(NamedTuple):
    """The entries that a book's ledger is folded from: all of them, or a checkpoint and those after it."""

    opening: list[OpeningPositionRecord]  # all of it, also where the checkpoint holds it
    checkpoint: CheckpointRecord | None
    fills: list[FillRecord]
    adjustments: list[AdjustmentRecord]
    newest: tuple[int, int]  # the last numbers of fills and adjustments at the time of reading


class LedgerCheckpoints(Database):
    """The journal's evidence of positions and cash."""

    def evidence(self, book: str, checkpoint: str | None = None) -> LedgerEvidence:
        """The entries of the book's ledger, in one consistent view.

        checkpoint: begin at the newest one of this name; None: everything. A bust or correction is
        part of the fill that it changes: where the checkpoint holds the fill it holds both.
        """
        with self._reading() as connection:
            kept = None
            if checkpoint is not None:
                kept = _newest(connection, book, checkpoint)
            since = {"book": book, "since": 0 if kept is None else kept.through_ns}
            return LedgerEvidence(
                opening=[
                    as_record(OpeningPositionRecord, row)
                    for row in connection.execute(OPENING, {"book": book})
                ],
                checkpoint=kept,
                fills=[as_record(FillRecord, row) for row in connection.execute(_FILLS_SINCE, since)],
                adjustments=[
                    as_record(AdjustmentRecord, row)
                    for query in (_ENTERED_SINCE, _CHANGES_SINCE)
                    for row in connection.execute(query, since)
                ],
                newest=(
                    int(connection.execute(_LAST_FILL).scalar_one()),
                    int(connection.execute(_LAST_ADJUSTMENT).scalar_one()),
                ),
            )

    def keep_checkpoint(self, record: CheckpointRecord, newest: tuple[int, int]) -> bool:
        """Store a checkpoint that was folded from evidence with these newest numbers.

        False, and nothing stored, when an entry of its time has been written since.
        """
        with self._writing() as connection:
            for table, number in zip((fills, adjustments), newest, strict=True):
                late = select(table.c.sequence).where(
                    table.c.sequence > number,
                    table.c.book == record.book,
                    or_(table.c.at_ns < record.through_ns, *_reversal(table)),
                )
                if connection.execute(late.limit(1)).first() is not None:
                    return False
            kept = ledger_checkpoints.c
            named = (kept.book == record.book, kept.name == record.name)
            connection.execute(delete(ledger_checkpoints).where(*named, kept.through_ns >= record.through_ns))
            connection.execute(insert(ledger_checkpoints).values(as_row(record)))
            newest_ones = select(kept.through_ns).where(*named).order_by(kept.through_ns.desc()).limit(KEPT)
            connection.execute(
                delete(ledger_checkpoints).where(
                    *named, kept.through_ns.not_in(newest_ones.scalar_subquery())
                )
            )
        return True

    def checkpoint(self, book: str, name: str) -> CheckpointRecord | None:
        """The newest checkpoint of this name."""
        with self._reading() as connection:
            return _newest(connection, book, name)

    def drop_checkpoints(self, book: str, name: str) -> None:
        """Forget the checkpoints of this name: the next fold begins at the opening."""
        kept = ledger_checkpoints.c
        with self._writing() as connection:
            connection.execute(delete(ledger_checkpoints).where(kept.book == book, kept.name == name))


def forget_checkpoints(connection: Connection, book: str, from_ns: int | None = None) -> None:
    """Remove the checkpoints that cover the time `from_ns`; without a time, all of them."""
    query = delete(ledger_checkpoints).where(ledger_checkpoints.c.book == book)
    if from_ns is not None:
        query = query.where(ledger_checkpoints.c.through_ns > from_ns)
    connection.execute(query)


def _newest(connection: Connection, book: str, name: str) -> CheckpointRecord | None:
    row = connection.execute(_NEWEST, {"book": book, "name": name}).one_or_none()
    return None if row is None else as_record(CheckpointRecord, row)


OPENING = (
    select(opening_positions).where(*same(opening_positions, "book")).order_by(opening_positions.c.symbol)
)
"""A book's opening entries, cash first."""
_NEWEST = (
    select(ledger_checkpoints)
    .where(*same(ledger_checkpoints, "book", "name"))
    .order_by(ledger_checkpoints.c.through_ns.desc())
    .limit(1)
)
_SINCE: BindParameter[int] = bindparam("since")
_FILLS_SINCE = select(fills).where(*same(fills, "book"), fills.c.at_ns >= _SINCE)
_ENTERED_SINCE = select(adjustments).where(
    *same(adjustments, "book"), adjustments.c.at_ns >= _SINCE, adjustments.c.reverses == ""
)
_CHANGES_SINCE = (
    # busts and corrections take effect at their fill's time, or at their own while the fill is not journaled
    select(adjustments)
    .outerjoin(fills, and_(fills.c.book == adjustments.c.book, fills.c.activity_id == adjustments.c.reverses))
    .where(
        *same(adjustments, "book"),
        adjustments.c.reverses > "",
        func.coalesce(fills.c.at_ns, adjustments.c.at_ns) >= _SINCE,
    )
)
_LAST_FILL, _LAST_ADJUSTMENT = (
    select(func.coalesce(func.max(table.c.sequence), 0)) for table in (fills, adjustments)
)


def _reversal(table: Table) -> list[Any]:
    """A bust or correction takes effect at its fill's time, whatever its own."""
    reverses: Column[str] | None = table.c.get("reverses")
    return [] if reverses is None else [reverses != ""]
