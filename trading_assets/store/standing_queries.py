"""Queries that a process asks again and again, on SQLite's driver itself.

SQLAlchemy takes longer to execute one of the journal's SELECTs than SQLite does, most of it to find again
what it knows of the statement. A SELECT that is asked a second time, the very same object, is therefore
compiled by SQLAlchemy once and for all: its text, how each value goes in, how each column comes out. The
answer is a Result of SQLAlchemy's as ever. Everything else, and every other database, goes the usual way.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any, NamedTuple
from weakref import WeakKeyDictionary, WeakSet

from sqlalchemy import BindParameter, ColumnElement, Connection, Dialect, Result, Select
from sqlalchemy.engine import IteratorResult
from sqlalchemy.engine.result import SimpleResultMetaData
from sqlalchemy.sql.compiler import SQLCompiler

Converter = Callable[[Any], Any]


class _Value(NamedTuple):
    """One value that a statement is executed with."""

    key: str
    standing: Any  # where the statement has it in itself
    is_given: bool  # it is a parameter
    convert: Converter | None


def _into(bind: BindParameter[Any], dialect: Dialect) -> Converter | None:
    return bind.type.dialect_impl(dialect).bind_processor(dialect)


def _out_of(column: ColumnElement[Any], dialect: Dialect) -> Converter | None:
    return column.type.dialect_impl(dialect).result_processor(dialect, None)


class StandingQuery:
    """A SELECT as SQLite's driver executes it."""

    def __init__(
        self, statement: Select[Any], compiled: SQLCompiler, given: Collection[str], dialect: Dialect
    ) -> None:
        expanded = compiled.construct_expanded_state(dict.fromkeys(given))
        self._sql = expanded.statement
        self._values = []
        for name in expanded.positiontup or ():
            standing = expanded.parameters[name]
            bind = compiled.binds.get(name)
            if bind is None:  # one of a list that the statement has in itself
                self._values.append(_Value(name, standing, False, None))
            else:
                self._values.append(_Value(bind.key, standing, bind.key in given, _into(bind, dialect)))
        columns = statement.selected_columns
        self._answers: SimpleResultMetaData | None = None  # the names of the columns, once they are known
        converters: list[Converter | None] = [_out_of(column, dialect) for column in columns]
        self._converters = converters if any(converters) else None

    @staticmethod
    def of(statement: Select[Any], dialect: Dialect) -> StandingQuery | None:
        """None for one whose text depends on its values."""
        compiled = statement.compile(dialect=dialect)
        assert isinstance(compiled, SQLCompiler)
        given = {bind.key for bind in compiled.binds.values() if bind.required}
        lists = compiled.post_compile_params | compiled.literal_execute_params
        if any(one.key in given or _into(one, dialect) is not None for one in lists):
            return None
        return StandingQuery(statement, compiled, given, dialect)

    def ask(self, driver: sqlite3.Connection, parameters: Mapping[str, Any]) -> Result[Any]:
        """Raises sqlite3.Error, and KeyError for a value that is not given."""
        values = []
        for key, standing, is_given, convert in self._values:
            value = parameters[key] if is_given else parameters.get(key, standing)
            values.append(value if convert is None else convert(value))
        rows = driver.execute(self._sql, values)  # read as they are asked for, as by SQLAlchemy
        if self._answers is None:
            self._answers = SimpleResultMetaData([name for name, *_ in rows.description])
        return IteratorResult(self._answers, rows if self._converters is None else self._converted(rows))

    def _converted(self, rows: Iterator[Sequence[Any]]) -> Iterator[Sequence[Any]]:
        assert self._converters is not None
        for row in rows:
            yield [
                value if convert is None else convert(value)
                for value, convert in zip(row, self._converters, strict=True)
            ]


_asked: WeakSet[Select[Any]] = WeakSet()
_queries: WeakKeyDictionary[Select[Any], StandingQuery | None] = WeakKeyDictionary()


def _standing(statement: Select[Any], dialect: Dialect) -> StandingQuery | None:
    """The query, from the second time on that it is asked; None: not one that stands."""
    if statement in _queries:
        return _queries[statement]
    if statement not in _asked:
        _asked.add(statement)  # it may be one of the many that are made as they are needed
        return None
    query = _queries[statement] = StandingQuery.of(statement, dialect)
    return query


class StandingConnection(Connection):
    """A connection to SQLite that knows the standing queries of its process."""

    @property
    def driver(self) -> sqlite3.Connection:
        driver = self.connection.driver_connection
        assert isinstance(driver, sqlite3.Connection)
        return driver

    @contextmanager
    def begun(self, begin: str) -> Iterator[None]:
        """One transaction: committed at the end, rolled back on error. SQLAlchemy has a part in it only where
        something else than standing queries was executed."""
        driver = self.driver
        driver.execute(begin)
        try:
            yield
            (self if self.in_transaction() else driver).commit()
        except BaseException:
            (self if self.in_transaction() else driver).rollback()
            raise

    def execute(self, statement: Any, parameters: Any = None, *, execution_options: Any = None) -> Any:
        """As `Connection.execute`."""
        if type(statement) is Select and not execution_options and not isinstance(parameters, list):
            query = _standing(statement, self.dialect)
            if query is not None:
                return query.ask(self.driver, parameters or {})
        return super().execute(statement, parameters, execution_options=execution_options)
