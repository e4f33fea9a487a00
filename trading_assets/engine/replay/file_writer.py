"""A replay's file in the writing: its rows go in on a thread of their own, while the walk goes on.

The rows since the last commit are one transaction with the state that they led to: all of them are in the
file or none. What the rows are is `recording`.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import ExitStack, suppress
from types import MappingProxyType, TracebackType

import duckdb
import pyarrow as pa

from trading_assets.store.history import History

MOST_STEPS = 4
"""Taken in and not done yet: while a commit is written, the walk fills the next ones."""

_CREATE_STATE = "CREATE TABLE IF NOT EXISTS replay_state (state TEXT)"


class _NotCommitted(Exception):
    """Ends a transaction that nothing is to come of."""


class FileWriter:
    """Takes steps in while it does those before. One that fails is raised by a later one or by the end of the
    block, and none after it is done: store.history.HistoryLocked, and what DuckDB raises.

    What was inserted and not committed is dropped at the end of the block.
    """

    def __init__(self, history: History) -> None:
        self._history = history
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="replay-file")
        self._under_way: deque[Future[None]] = deque()
        self._last_commit: Future[None] | None = None
        self._failed = False
        self._transaction: ExitStack | None = None  # the thread's, like the connection
        self._connection: duckdb.DuckDBPyConnection

    def __enter__(self) -> FileWriter:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        try:
            if error is None:
                self._wait_for(0)
        finally:
            self._thread.submit(self._drop).result()
            self._thread.shutdown()

    def insert(
        self, tables: Mapping[str, Sequence[pa.Table]], selected: Mapping[str, str] = MappingProxyType({})
    ) -> None:
        """Append rows to the tables so named.

        selected: what SQL selects of a table's rows, where it is not their columns as they are
        """
        self._next(lambda: self._insert(tables, selected))

    def commit(self, state: str) -> None:
        """Commit what was inserted, with `state` in place of the one before. The commit before this one has
        been made when it returns."""
        if self._last_commit is not None:
            self._last_commit.result()
        self._last_commit = self._next(lambda: self._commit(state))

    def _next(self, step: Callable[[], None]) -> Future[None]:
        self._wait_for(MOST_STEPS - 1)
        self._under_way.append(self._thread.submit(self._do, step))
        return self._under_way[-1]

    def _wait_for(self, most: int) -> None:
        while len(self._under_way) > most:
            self._under_way.popleft().result()

    def _do(self, step: Callable[[], None]) -> None:
        if self._failed:
            return
        try:
            step()
        except BaseException:
            self._failed = True
            raise

    def _insert(self, tables: Mapping[str, Sequence[pa.Table]], selected: Mapping[str, str]) -> None:
        with self._resumed() as transaction:
            for table, parts in tables.items():
                self._connection.register("incoming", pa.concat_tables(parts, promote_options="permissive"))
                columns = selected.get(table, "*")
                self._connection.execute(f'INSERT INTO "{table}" BY NAME SELECT {columns} FROM incoming')
                self._connection.unregister("incoming")
            self._transaction = transaction.pop_all()

    def _commit(self, state: str) -> None:
        with self._resumed():
            self._connection.execute(_CREATE_STATE)
            self._connection.execute("DELETE FROM replay_state")
            self._connection.execute("INSERT INTO replay_state VALUES (?)", [state])

    def _drop(self) -> None:
        if self._transaction is not None:
            with suppress(_NotCommitted), self._resumed():
                raise _NotCommitted

    def _resumed(self) -> ExitStack:
        """The open transaction, or a new one. Its end commits it; an error drops it."""
        transaction, self._transaction = self._transaction, None
        if transaction is None:
            with ExitStack() as begun:
                self._connection = begun.enter_context(self._history.writing(one_thread=True))
                transaction = begun.pop_all()
        return transaction
