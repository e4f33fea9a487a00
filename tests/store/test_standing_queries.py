"""A query that stands answers as SQLAlchemy does: rows, names, types, and what it refuses."""

from __future__ import annotations

from decimal import Decimal
from pathlib import Path
from typing import Any

import journal_samples as samples
import pytest
from journal_samples import BOOK
from sqlalchemy import Select, bindparam, insert, select

from trading_assets.core.orders import State
from trading_assets.store import (
    halt_journal,
    leases,
    ledger_checkpoints,
    ledger_journal,
    order_journal,
    tick_journal,
)
from trading_assets.store.journal import Journal
from trading_assets.store.schema import intents, marks, orders
from trading_assets.store.standing_queries import StandingConnection, StandingQuery

QUERIES = {
    f"{module.__name__.rpartition('.')[2]}.{name}": value
    for module in (halt_journal, leases, ledger_checkpoints, ledger_journal, order_journal, tick_journal)
    for name, value in vars(module).items()
    if type(value) is Select
}
VALUES: dict[str, Any] = {
    "book": BOOK,
    "broker_order_id": "b-1",
    "client_order_id": "ta-1",
    "cum_qty": Decimal(1),
    "ids": ["b-1", "b-2"],
    "names": ["ta-1"],
    "since": 0,
}


@pytest.fixture
def journal(tmp_path: Path) -> Journal:
    opened = Journal.open(tmp_path / "journal.sqlite")
    for name in ("ta-1", "ta-2"):
        samples.add_intent(opened, name)
    opened.record_halt(samples.halt("latch", "KILL", 2))
    opened.set_mark(BOOK, "limits", "{}", 1)
    opened.record_fills([samples.fill("1", broker_order_id="b-1"), samples.fill("2", broker_order_id="b-1")])
    opened.record_adjustments([samples.adjustment("a-1")])
    opened.record_opening([samples.opening("", "1000"), samples.opening("IBM", "7")])
    opened.record_equity(samples.equity(5))
    return opened


@pytest.mark.parametrize("name", sorted(QUERIES))
def test_a_query_of_the_journal_answers_as_before_once_it_stands(journal: Journal, name: str) -> None:
    statement = QUERIES[name]
    compiled = statement.compile()
    values = {key: VALUES.get(key, "x") for key, bind in compiled.binds.items() if bind.required}
    with journal._reading() as connection:
        assert isinstance(connection, StandingConnection)
        alchemy = super(StandingConnection, connection).execute(statement, values).mappings().all()
        for _ in range(3):  # before it stands, as it begins to, and after
            asked = connection.execute(statement, values).mappings().all()
            assert asked == alchemy
            assert [[type(value) for value in row.values()] for row in asked] == [
                [type(value) for value in row.values()] for row in alchemy
            ]


def test_decimals_and_structures_come_out_as_they_went_in(journal: Journal) -> None:
    query = select(intents.c.qty, intents.c.client_order_id).where(intents.c.qty == bindparam("qty"))
    with journal._reading() as connection:
        (qty,) = {row.qty for row in connection.execute(select(intents.c.qty))}
        assert isinstance(qty, Decimal)
        answers = [connection.execute(query, {"qty": qty}).all() for _ in range(3)]
    assert answers[0] == answers[1] == answers[2]
    assert len(answers[0]) == 2


def test_a_list_in_the_statement_stands_and_one_that_is_given_does_not(journal: Journal) -> None:
    listed = select(orders).where(orders.c.state.in_([State.INTENT.value, State.FILLED.value]))
    asked = select(orders).where(orders.c.client_order_id.in_(bindparam("names", expanding=True)))
    with journal._reading() as connection:
        assert StandingQuery.of(listed, connection.dialect) is not None
        assert StandingQuery.of(asked, connection.dialect) is None
        for _ in range(3):
            assert len(connection.execute(listed).all()) == 2
            assert len(connection.execute(asked, {"names": ["ta-2"]}).all()) == 1
            assert len(connection.execute(asked, {"names": ["ta-1", "ta-2"]}).all()) == 2


def test_a_value_in_the_statement_may_be_given_anew(journal: Journal) -> None:
    query = select(marks.c.value).where(marks.c.book == BOOK, marks.c.name == bindparam("name", "limits"))
    with journal._reading() as connection:
        for _ in range(3):
            assert connection.execute(query).scalar_one() == "{}"
            assert connection.execute(query, {"name": "none"}).scalar_one_or_none() is None


def test_a_query_without_its_value_is_refused(journal: Journal) -> None:
    query = select(marks.c.value).where(marks.c.name == bindparam("name"))
    with journal._reading() as connection:
        for _ in range(2):
            connection.execute(query, {"name": "limits"})
        with pytest.raises(KeyError, match="name"):
            connection.execute(query, {})


def test_a_query_sees_what_another_connection_has_committed_since(journal: Journal, tmp_path: Path) -> None:
    for _ in range(3):
        assert journal.mark(BOOK, "seen") is None
    with Journal.open(tmp_path / "journal.sqlite") as other:
        other.set_mark(BOOK, "seen", "yes", 1)
    assert journal.mark(BOOK, "seen") == "yes"


@pytest.mark.parametrize("with_alchemy", [False, True])
def test_an_error_ends_the_transaction_and_leaves_nothing_of_it(
    journal: Journal, tmp_path: Path, with_alchemy: bool
) -> None:
    for _ in range(3):
        journal.mark(BOOK, "limits")  # it stands by now

    def write() -> None:
        with journal._writing() as connection:
            if with_alchemy:
                row = {"book": BOOK, "name": "half", "value": "1", "at_ns": 1}
                connection.execute(insert(marks), row)
            connection.execute(tick_journal._MARK, {"book": BOOK, "name": "limits"}).scalar_one()
            raise RuntimeError("half way")

    with pytest.raises(RuntimeError, match="half way"):
        write()
    assert journal.mark(BOOK, "half") is None
    with Journal.open(tmp_path / "journal.sqlite", busy_seconds=0.05) as other:
        other.set_mark(BOOK, "half", "whole", 2)  # nothing holds the write lock any more
    assert journal.mark(BOOK, "half") == "whole"
    with journal._reading() as connection:
        assert isinstance(connection, StandingConnection)
        assert connection.driver.in_transaction
    assert not connection.driver.in_transaction


def test_one_view_lasts_for_the_whole_block_of_a_reading(journal: Journal, tmp_path: Path) -> None:
    asked = {"book": BOOK, "name": "seen"}
    for _ in range(3):
        journal.mark(BOOK, "seen")
    with journal._reading() as connection:
        assert connection.execute(tick_journal._MARK, asked).scalar_one_or_none() is None
        with Journal.open(tmp_path / "journal.sqlite") as other:
            other.set_mark(BOOK, "seen", "yes", 1)
        assert connection.execute(tick_journal._MARK, asked).scalar_one_or_none() is None
    assert journal.mark(BOOK, "seen") == "yes"
