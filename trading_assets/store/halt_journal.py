"""What restricts the book or a symbol: halts, flattens, locks and foreign orders, each act with author and
reason.

The engine says which state follows from the latched causes; the gate enforces it.
"""

from __future__ import annotations

from collections.abc import Sequence

from sqlalchemy import Connection, func, insert, select, update

from trading_assets.store.database import Database, as_record, as_row, same
from trading_assets.store.records import FlattenRecord, HaltRecord, LockRecord
from trading_assets.store.schema import flattens, foreign_orders, halts, locks

LATCH = "latch"
CLEAR = "clear"


class HaltJournal(Database):
    """The journal's halts and locks."""

    def record_halt(self, act: HaltRecord) -> bool:
        """Store an act on the halt state. False, and no row, when it changes nothing: a cause latched
        already at this tightness, or cleared while not latched."""
        with self._writing() as connection:
            latched = {record.cause: record for record in _latched(connection, act.book)}
            current = latched.get(act.cause)
            if act.action == LATCH:
                changes = current is None or act.state > current.state
            elif act.action == CLEAR:
                changes = current is not None
            else:
                raise ValueError(f"an act on the halt state is {LATCH!r} or {CLEAR!r}, not {act.action!r}")
            if changes:
                row = as_row(act)
                del row["sequence"]
                connection.execute(insert(halts).values(row))
        return changes

    def halts(self, book: str) -> list[HaltRecord]:
        """Every act, in the order in which they were stored."""
        with self._reading() as connection:
            return [as_record(HaltRecord, row) for row in connection.execute(_HALTS, {"book": book})]

    def latched(self, book: str) -> list[HaltRecord]:
        """The causes latched and not cleared since, each as it was latched last."""
        with self._reading() as connection:
            return _latched(connection, book)

    def latch_flatten(self, record: FlattenRecord) -> FlattenRecord:
        """Store a flatten, in force until it is ended. If one is in force already, it stays and is
        returned."""
        with self._writing() as connection:
            row = connection.execute(_FLATTEN, {"book": record.book}).first()
            if row is not None:
                return as_record(FlattenRecord, row)
            connection.execute(insert(flattens), as_row(record))
        return record

    def flatten_in_force(self, book: str) -> FlattenRecord | None:
        """The flatten that has not ended, if any."""
        with self._reading() as connection:
            row = connection.execute(_FLATTEN, {"book": book}).first()
            return None if row is None else as_record(FlattenRecord, row)

    def end_flatten(self, book: str, *, at_ns: int, reason: str) -> bool:
        """End the flatten in force. False when there is none."""
        with self._writing() as connection:
            ended = connection.execute(
                update(flattens)
                .where(flattens.c.book == book, flattens.c.ended_ns.is_(None))
                .values(ended_ns=at_ns, end_reason=reason)
            )
            return ended.rowcount > 0

    def lock(self, record: LockRecord) -> bool:
        """Lock a symbol. False when this cause has locked it already; then the first record stays."""
        with self._writing() as connection:
            row = as_row(record)
            if connection.execute(_LOCK, row).first() is not None:
                return False
            connection.execute(insert(locks), row)
        return True

    def unlock(self, book: str, symbol: str, cause: str, at_ns: int, author: str, reason: str) -> bool:
        """Release one cause's lock on a symbol. False when that cause does not lock it."""
        with self._writing() as connection:
            released = connection.execute(
                update(locks)
                .where(
                    locks.c.book == book,
                    locks.c.symbol == symbol,
                    locks.c.cause == cause,
                    locks.c.released_ns.is_(None),
                )
                .values(released_ns=at_ns, released_by=author, release_reason=reason)
            )
            return released.rowcount > 0

    def locks(self, book: str) -> list[LockRecord]:
        """Locks in force, oldest first."""
        with self._reading() as connection:
            return [as_record(LockRecord, row) for row in connection.execute(_LOCKS, {"book": book})]

    def record_foreign(self, book: str, findings: Sequence[str], at_ns: int) -> list[str]:
        """Store each foreign finding once; returns those that no person has acknowledged."""
        if not findings:
            return []
        query = select(foreign_orders.c.finding, foreign_orders.c.acknowledged_ns).where(
            foreign_orders.c.book == book, foreign_orders.c.finding.in_(findings)
        )
        with self._writing() as connection:
            known = {row.finding: row.acknowledged_ns for row in connection.execute(query)}
            for finding in dict.fromkeys(findings):
                if finding not in known:
                    connection.execute(
                        insert(foreign_orders).values(book=book, finding=finding, first_ns=at_ns)
                    )
        return [finding for finding in findings if known.get(finding) is None]

    def acknowledge_foreign(self, book: str, *, at_ns: int, author: str, reason: str) -> list[str]:
        """Record that a person has seen all foreign findings so far; returns those that were new."""
        waiting = (foreign_orders.c.book == book, foreign_orders.c.acknowledged_ns.is_(None))
        with self._writing() as connection:
            query = select(foreign_orders.c.finding).where(*waiting).order_by(foreign_orders.c.sequence)
            ids = list(connection.execute(query).scalars())
            connection.execute(
                update(foreign_orders)
                .where(*waiting)
                .values(acknowledged_ns=at_ns, acknowledged_by=author, acknowledge_reason=reason)
            )
        return ids


_HALTS = select(halts).where(*same(halts, "book")).order_by(halts.c.sequence)
_LAST_OF_EACH_CAUSE = select(func.max(halts.c.sequence)).where(*same(halts, "book")).group_by(halts.c.cause)
_LATCHED = (
    select(halts)
    .where(halts.c.sequence.in_(_LAST_OF_EACH_CAUSE), halts.c.action == LATCH)
    .order_by(halts.c.sequence)
)
_FLATTEN = select(flattens).where(*same(flattens, "book"), flattens.c.ended_ns.is_(None))
_LOCK = select(locks.c.sequence).where(*same(locks, "book", "symbol", "cause"), locks.c.released_ns.is_(None))
_LOCKS = select(locks).where(*same(locks, "book"), locks.c.released_ns.is_(None)).order_by(locks.c.sequence)


def _latched(connection: Connection, book: str) -> list[HaltRecord]:
    return [as_record(HaltRecord, row) for row in connection.execute(_LATCHED, {"book": book})]
