"""The journal's tables and schema version. The queries are in the module of each subject.

Dialect-neutral SQLAlchemy Core. Times are BIGINT nanoseconds; quantities, money and structures are
text, see `store.columns`. Every table has `book`.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from decimal import Decimal
from typing import Any

from sqlalchemy import (
    BigInteger,
    Boolean,
    Column,
    Connection,
    Float,
    Index,
    Integer,
    MetaData,
    Table,
    Text,
    UniqueConstraint,
    insert,
    inspect,
    select,
    update,
)

from trading_assets.store.columns import DecimalText, JsonText, NumbersText
from trading_assets.store.errors import SchemaTooNew

VERSION = 3
"""The schema this code reads and writes."""

METADATA = MetaData()


def _text(name: str, **options: Any) -> Column[str]:
    return Column(name, Text, nullable=False, **options)


def _ns(name: str, *, nullable: bool = False) -> Column[int]:
    return Column(name, BigInteger, nullable=nullable)


def _integer(name: str) -> Column[int]:
    return Column(name, Integer, nullable=False)


def _decimal(name: str, *, finite: bool = True, nullable: bool = False) -> Column[Decimal]:
    return Column(name, DecimalText(finite=finite), nullable=nullable)


def _sequence() -> Column[int]:
    """A number that grows with each row, in the order in which rows were written."""
    # SQLite numbers rows by itself only where the key is INTEGER.
    wide = BigInteger().with_variant(Integer, "sqlite")
    return Column("sequence", wide, primary_key=True, autoincrement=True)


schema_version = Table("schema_version", METADATA, Column("version", Integer, nullable=False))

leases = Table(
    "leases",
    METADATA,
    _text("book", primary_key=True),
    _text("holder"),
    _text("token"),
    _text("host"),
    _integer("pid"),
    _text("process_start"),  # what tells a process from a later one with its pid; "" where not known
    _ns("acquired_ns"),
    _ns("expires_ns"),
)

verdicts = Table(
    "verdicts",
    METADATA,
    _sequence(),
    _text("verdict_id", unique=True),
    _text("book"),
    _text("session"),
    _ns("tick_ns"),
    _text("execution_id"),
    _text("client_order_id", index=True),
    _text("decision_id"),
    _text("kind"),
    _text("symbol"),
    _integer("side"),
    _integer("slice"),
    _integer("attempt"),
    _decimal("qty", finite=False),
    _decimal("limit_price", finite=False),
    Column("reducing", Boolean, nullable=False),
    _ns("at_ns"),
    _ns("failed"),  # one bit for each code: 34 of them
    _text("cause"),
    Column("measured", NumbersText, nullable=False),
    Column("limits", NumbersText, nullable=False),
    Column("gate_input", JsonText, nullable=False),
    Index("verdicts_by_tick", "book", "session", "tick_ns"),
)

intents = Table(
    "intents",
    METADATA,
    _text("client_order_id", primary_key=True),
    _text("verdict_id", unique=True),
    _text("book"),
    _text("session"),
    _ns("tick_ns"),
    _text("decision_id", index=True),
    _text("kind"),
    _text("symbol"),
    _integer("side"),
    _integer("slice"),
    _integer("attempt"),
    _decimal("qty"),
    _decimal("limit_price"),
    Column("reducing", Boolean, nullable=False),
    Column("extended_hours", Boolean, nullable=False),
    _ns("signal_as_of_ns", nullable=True),
    _ns("created_ns"),
    Index("intents_by_session", "book", "session"),
    Index("intents_by_symbol", "book", "symbol"),
)

orders = Table(
    "orders",
    METADATA,
    _sequence(),
    _text("client_order_id", unique=True),
    _text("book"),
    _text("state"),
    Column("broker_order_id", Text),
    _decimal("filled_qty"),
    _ns("submitted_ns", nullable=True),
    _ns("updated_ns"),
    _text("detail"),
    _ns("evidence_ns", nullable=True),
    Index("orders_by_state", "book", "state"),
)

order_events = Table(
    "order_events",
    METADATA,
    _sequence(),
    _text("book"),
    _text("client_order_id", index=True),
    _ns("at_ns"),
    Column("from_state", Text),
    _text("to_state"),
    Column("broker_order_id", Text),
    _text("detail"),
    Index("order_events_by_state", "book", "to_state", "sequence"),
)

fills = Table(
    "fills",
    METADATA,
    _sequence(),
    _text("book"),
    _text("session"),
    _text("broker_order_id"),
    Column("client_order_id", Text, index=True),
    _text("symbol"),
    _integer("side"),
    _decimal("qty"),
    _decimal("price"),
    _decimal("cum_qty"),
    _ns("at_ns"),
    _text("activity_id"),
    _ns("received_ns"),
    UniqueConstraint("book", "broker_order_id", "cum_qty"),
    Index("fills_by_time", "book", "at_ns"),
    Index("fills_by_activity", "book", "activity_id"),
    Index("fills_by_session", "book", "session"),
)

opening_positions = Table(
    "opening_positions",
    METADATA,
    _text("book", primary_key=True),
    _text("symbol", primary_key=True),
    _decimal("qty"),
    _decimal("avg_cost"),
    _ns("at_ns"),
    _text("author"),
    _text("reason"),
)

adjustments = Table(
    "adjustments",
    METADATA,
    _sequence(),
    _text("book"),
    _text("adjustment_id"),
    _text("kind"),
    _text("symbol"),
    _decimal("qty_delta"),
    _decimal("cash_delta"),
    _ns("at_ns"),
    _text("author"),
    _text("reason"),
    _text("reverses", server_default=""),  # the fill that a bust or correction changes
    _decimal("cost_delta", nullable=True),
    UniqueConstraint("book", "adjustment_id"),
    Index("adjustments_by_time", "book", "at_ns"),
    Index("adjustments_by_reversed", "book", "reverses"),
)

ledger_checkpoints = Table(
    "ledger_checkpoints",
    METADATA,
    _text("book", primary_key=True),
    _text("name", primary_key=True),
    Column("through_ns", BigInteger, primary_key=True, autoincrement=False),
    Column("state", JsonText, nullable=False),
)

halts = Table(
    "halts",
    METADATA,
    _sequence(),
    _text("book"),
    _ns("at_ns"),
    _text("session"),
    _text("action"),
    _text("cause"),
    _integer("state"),
    _text("author"),
    _text("reason"),
    Index("halts_by_cause", "book", "cause", "sequence"),
)

flattens = Table(
    "flattens",
    METADATA,
    _sequence(),
    _text("book"),
    _ns("at_ns"),
    _text("author"),
    _text("reason"),
    _ns("ended_ns", nullable=True),
    Column("end_reason", Text),
    Index("flattens_in_force", "book", "ended_ns"),
)

foreign_orders = Table(
    "foreign_orders",
    METADATA,
    _sequence(),
    _text("book"),
    _text("finding"),
    _ns("first_ns"),
    _ns("acknowledged_ns", nullable=True),
    Column("acknowledged_by", Text),
    Column("acknowledge_reason", Text),
    UniqueConstraint("book", "finding"),
)

locks = Table(
    "locks",
    METADATA,
    _sequence(),
    _text("book"),
    _text("symbol"),
    _text("cause"),
    _ns("at_ns"),
    _text("reason"),
    _ns("released_ns", nullable=True),
    Column("released_by", Text),
    Column("release_reason", Text),
    Index("locks_in_force", "book", "released_ns"),
)

signals = Table(
    "signals",
    METADATA,
    _sequence(),
    _text("book"),
    _text("decision_id"),
    _text("symbol"),
    Column("value", Float, nullable=False),
    _ns("as_of_ns"),
    _decimal("reference_price", nullable=True),
    _decimal("limit_price", nullable=True),
    _text("source"),
    _ns("received_ns"),
    _ns("consumed_tick_ns", nullable=True),
    UniqueConstraint("book", "decision_id", "symbol"),
    Index("signals_pending", "book", "consumed_tick_ns"),
)

tick_inputs = Table(
    "tick_inputs",
    METADATA,
    _sequence(),
    _text("book"),
    _text("session"),
    _ns("tick_ns"),
    _text("execution_id"),
    _text("phase"),
    _ns("at_ns"),
    Column("payload", JsonText, nullable=False),
    Index("tick_inputs_by_tick", "book", "session", "tick_ns"),
)

gate_checks = Table(
    "gate_checks",
    METADATA,
    _text("book", primary_key=True),
    Column("tick_ns", BigInteger, primary_key=True, autoincrement=False),
    _text("check", primary_key=True),
    Column("passed", Boolean, nullable=False),
    _ns("at_ns"),
    _text("detail"),
)

equity = Table(
    "equity",
    METADATA,
    _text("book", primary_key=True),
    Column("at_ns", BigInteger, primary_key=True, autoincrement=False),
    _text("session"),
    _decimal("equity"),
    _decimal("e0"),
    _decimal("cash"),
    _decimal("transfers_today"),
    Column("unit_value", Float, nullable=False),
    _decimal("session_peak"),
    Column("unit_peak", Float, nullable=False),
    Index("equity_by_session", "book", "session"),
)

breaks = Table(
    "breaks",
    METADATA,
    _sequence(),
    _text("book"),
    _text("kind"),
    _text("subject"),
    _text("ours"),
    _text("theirs"),
    _ns("first_ns"),
    _ns("last_ns"),
    _integer("sightings"),
    _ns("resolved_ns", nullable=True),
    Index("breaks_open", "book", "resolved_ns"),
)

marks = Table(
    "marks",
    METADATA,
    _text("book", primary_key=True),
    _text("name", primary_key=True),
    _text("value"),
    _ns("at_ns"),
)

outbox = Table(
    "outbox",
    METADATA,
    _sequence(),
    _text("key", unique=True),
    _text("book"),
    _ns("at_ns"),
    _text("severity"),
    _text("title"),
    _text("body"),
    _ns("sent_ns", nullable=True),
    Index("outbox_pending", "sent_ns"),
)


def _to_2(connection: Connection) -> None:
    """Checkpoints of the ledger, corrected fills, foreign orders that a person has seen."""
    connection.exec_driver_sql("ALTER TABLE adjustments ADD COLUMN reverses TEXT NOT NULL DEFAULT ''")
    for table in (ledger_checkpoints, foreign_orders):
        table.create(connection)
    for table in (fills, adjustments):
        for index in table.indexes:
            index.create(connection, checkfirst=True)


def _to_3(connection: Connection) -> None:
    """The broker's stamp of an order's newest evidence, the cost of shares, flattens that last."""
    connection.exec_driver_sql("ALTER TABLE orders ADD COLUMN evidence_ns BIGINT")
    connection.exec_driver_sql("ALTER TABLE adjustments ADD COLUMN cost_delta TEXT")
    flattens.create(connection)


MIGRATIONS: Mapping[int, Callable[[Connection], None]] = {1: _to_2, 2: _to_3}
"""From version n to n + 1, run in the transaction that opens the journal."""


def version_of(connection: Connection) -> int:
    """The schema version of the open database; 0 when it has none of our tables."""
    if not inspect(connection).has_table(schema_version.name):
        return 0
    return int(connection.execute(select(schema_version.c.version)).scalar_one())


def migrate(connection: Connection, where: str) -> None:
    """Create the schema or bring it to VERSION, in the caller's transaction. Raises SchemaTooNew."""
    stored = version_of(connection)
    if stored > VERSION:
        raise SchemaTooNew(where, stored, VERSION)
    if stored == 0:
        METADATA.create_all(connection)
        connection.execute(insert(schema_version).values(version=VERSION))
    elif stored < VERSION:
        for version in range(stored, VERSION):
            MIGRATIONS[version](connection)
        connection.execute(update(schema_version).values(version=VERSION))
