"""The book's entries as evidence to fold, and checkpoints of the fold, so that a tick reads today's rows.

A checkpoint says what the entries before a moment come to. It is a shortcut and never evidence: an
entry that is stored later and belongs before that moment removes it in its own transaction. What a
checkpoint's state means is the engine's.
"""

from __future__ import annotations

from typing import Any, NamedTuple

from sqlalchemy import Column, Connection, Select, Table, and_, delete, func, insert, or_, select

from trading_assets.store.database import Database, as_record, as_row
from trading_assets.store.records import (
    AdjustmentRecord,
    CheckpointRecord,
    FillRecord,
    OpeningPositionRecord,
)
from trading_assets.store.schema import adjustments, fills, ledger_checkpoints, opening_positions

KEPT = 10
"""Checkpoints of a name that stay: an entry that comes later than their days has all folded again."""


class Evidence(NamedTuple):
    """What a book's ledger is folded from: everything, or a checkpoint and what came after it."""

    opening: list[OpeningPositionRecord]  # all of it, also where the checkpoint holds it
    checkpoint: CheckpointRecord | None
    fills: list[FillRecord]
    adjustments: list[AdjustmentRecord]
    newest: tuple[int, int]  # the last numbers of fills and adjustments at the time of reading


class LedgerCheckpoints(Database):
    """The journal's evidence of positions and cash."""

    def evidence(self, book: str, checkpoint: str | None = None) -> Evidence:
        """What the book's ledger follows from, in one consistent view.

        checkpoint: begin at the newest one of this name; None: everything. A bust or correction is
        part of the fill that it changes: where the checkpoint holds the fill it holds both.
        """
        with self._reading() as connection:
            kept = None
            if checkpoint is not None:
                row = connection.execute(_checkpoints(book, checkpoint).limit(1)).one_or_none()
                kept = None if row is None else as_record(CheckpointRecord, row)
            opening = select(opening_positions).where(opening_positions.c.book == book)
            since = 0 if kept is None else kept.through_ns
            filled = select(fills).where(fills.c.book == book, fills.c.at_ns >= since)
            entered = select(adjustments).where(
                adjustments.c.book == book, adjustments.c.at_ns >= since, adjustments.c.reverses == ""
            )
            return Evidence(
                opening=[
                    as_record(OpeningPositionRecord, row)
                    for row in connection.execute(opening.order_by(opening_positions.c.symbol))
                ],
                checkpoint=kept,
                fills=[as_record(FillRecord, row) for row in connection.execute(filled)],
                adjustments=[
                    as_record(AdjustmentRecord, row)
                    for query in (entered, _changes_since(book, since))
                    for row in connection.execute(query)
                ],
                newest=(_last(connection, fills), _last(connection, adjustments)),
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
            oldest = _checkpoints(record.book, record.name).with_only_columns(kept.through_ns).limit(KEPT)
            connection.execute(
                delete(ledger_checkpoints).where(*named, kept.through_ns.not_in(oldest.scalar_subquery()))
            )
        return True

    def checkpoint(self, book: str, name: str) -> CheckpointRecord | None:
        """The newest checkpoint of this name."""
        with self._reading() as connection:
            row = connection.execute(_checkpoints(book, name).limit(1)).one_or_none()
        return None if row is None else as_record(CheckpointRecord, row)

    def drop_checkpoints(self, book: str, name: str) -> None:
        """Forget the checkpoints of this name: the next fold begins at the opening."""
        kept = ledger_checkpoints.c
        with self._writing() as connection:
            connection.execute(delete(ledger_checkpoints).where(kept.book == book, kept.name == name))


def forget_checkpoints(connection: Connection, book: str, from_ns: int | None = None) -> None:
    """Remove the checkpoints that hold the time `from_ns`; all of them without one."""
    query = delete(ledger_checkpoints).where(ledger_checkpoints.c.book == book)
    if from_ns is not None:
        query = query.where(ledger_checkpoints.c.through_ns > from_ns)
    connection.execute(query)


def _checkpoints(book: str, name: str) -> Select[Any]:
    kept = ledger_checkpoints.c
    newest_first = kept.through_ns.desc()
    return select(ledger_checkpoints).where(kept.book == book, kept.name == name).order_by(newest_first)


def _changes_since(book: str, since_ns: int) -> Select[Any]:
    """Busts and corrections that take effect from `since_ns` on: at their fill's time, or at their own while
    the fill is not journaled."""
    of_book = and_(fills.c.book == adjustments.c.book, fills.c.activity_id == adjustments.c.reverses)
    takes_effect = func.coalesce(fills.c.at_ns, adjustments.c.at_ns)
    return (
        select(adjustments)
        .outerjoin(fills, of_book)
        .where(adjustments.c.book == book, adjustments.c.reverses > "", takes_effect >= since_ns)
    )


def _reversal(table: Table) -> list[Any]:
    """A bust or correction takes effect at its fill's time, whatever its own."""
    reverses: Column[str] | None = table.c.get("reverses")
    return [] if reverses is None else [reverses != ""]


def _last(connection: Connection, table: Table) -> int:
    return int(connection.execute(select(func.coalesce(func.max(table.c.sequence), 0))).scalar_one())
