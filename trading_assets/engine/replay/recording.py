"""The replay's own history file: the tables of each session, gathered and written in batches.

The tables are those of the desk's history (`store/history.sql`), the book is "replay:<name>". A batch is one
transaction, with where the walk then stood: so a replay that died goes on from there (`checkpoint`).
"""

from __future__ import annotations

from datetime import date
from math import isnan
from typing import Any

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from trading_assets.core.codes import CHECK_OF, CODE_COUNT, Code
from trading_assets.core.orders import State
from trading_assets.core.walk_columns import Ended, OrderState
from trading_assets.engine.replay.limit_groups import WARNINGS
from trading_assets.engine.replay.predictions import Signals
from trading_assets.engine.replay.session_limits import LimitResult
from trading_assets.engine.replay.session_sheet import SessionSheet
from trading_assets.store.history import History

BATCH_ROWS = 400_000
ASSET = "replay"
_CODES = pa.array([code.name for code in Code])
_CHECKS = pa.array([int(CHECK_OF[code]) for code in Code])
_STATES = np.array([str(State[state.name]) if state else "" for state in OrderState], dtype=object)
_DETAIL_OF = {
    Ended.NOT: "",
    Ended.CLOSE: "not filled by the close",
    Ended.DAILY_LOSS: "daily loss",
    Ended.TIMEOUT: "execution timeout",
    Ended.STOP: "stop loss",
}
_DETAILS = np.array([_DETAIL_OF[why] for why in Ended], dtype=object)
_CREATE_STATE = "CREATE TABLE IF NOT EXISTS replay_state (state TEXT)"

Columns = dict[str, Any]


class Recording:
    """Sessions on their way into one file. `flush` at the end, or what is pending is lost."""

    def __init__(self, history: History, book: str) -> None:
        self._history = history
        self._book = book
        self._pending: dict[str, list[pa.Table]] = {}
        self.rows = 0  # pending

    def session(
        self, sheet: SessionSheet, limits: list[LimitResult], source: str, model_version: str
    ) -> None:
        """Take in one session."""
        self._add("signals", sheet.session, _signals(sheet, source, model_version))
        self._add("verdicts", sheet.session, _verdicts(sheet))
        self._add("orders", sheet.session, _orders(sheet))
        self._add("fills", sheet.session, _fills(sheet))
        self._add("positions", sheet.session, _positions(sheet))
        self._add("equity", sheet.session, _equity(sheet))
        self._add("checks", sheet.session, _checks(sheet, limits))

    def flush(self, state: str) -> None:
        """Append what is pending, and keep `state` in place of the one before: all of it or nothing.

        Raises store.history.HistoryLocked.
        """
        with self._history.writing() as connection:
            for table, parts in self._pending.items():
                connection.register("incoming", pa.concat_tables(parts, promote_options="permissive"))
                connection.execute(f'INSERT INTO "{table}" BY NAME SELECT * FROM incoming')
                connection.unregister("incoming")
            connection.execute(_CREATE_STATE)
            connection.execute("DELETE FROM replay_state")
            connection.execute("INSERT INTO replay_state VALUES (?)", [state])
        self._pending.clear()
        self.rows = 0

    def _add(self, table: str, session: date, columns: Columns) -> None:
        count = len(next(iter(columns.values())))
        if count:
            named = {"book": pa.array([self._book]), "session": pa.array([session])}
            first = pa.array(np.zeros(count, np.int64))
            repeated = {name: value.take(first) for name, value in named.items()}
            self._pending.setdefault(table, []).append(pa.table(repeated | columns))
            self.rows += count


def _signals(sheet: SessionSheet, source: str, model_version: str) -> Columns:
    parts = [_signal_columns(sheet, sheet.signals, sheet.outcomes)]
    if len(sheet.superseded.rows):
        superseded = ["SUPERSEDED"] * len(sheet.superseded.rows)
        parts.append(_signal_columns(sheet, sheet.superseded, superseded))
    whole = pa.concat_tables([pa.table(part) for part in parts], promote_options="permissive")
    same = {"source": source, "kind": str(sheet.kind), "model_version": model_version}
    named = {name: [value] * whole.num_rows for name, value in same.items()}
    return {name: whole.column(name) for name in whole.column_names} | named


def _signal_columns(sheet: SessionSheet, signals: Signals, outcomes: list[Any]) -> Columns:
    rows = signals.rows
    return {
        "tick_ns": np.array(sheet.tick_ns, dtype=np.int64)[signals.tick],
        "symbol": _named(sheet, rows["symbol"]),
        "value": _column(rows, "value"),
        "as_of_ns": _column(rows, "as_of_ns"),
        "reference_price": _known(rows["reference_price"]),
        "limit_price": _known(rows["limit_price"]),
        "score": _known(signals.scores),
        "decision_id": pa.array(signals.decision_ids, pa.string()),
        "outcome": pa.array(outcomes, pa.string()),
    }


def _verdicts(sheet: SessionSheet) -> Columns:
    """One row for each code of each verdict, the codes of one verdict together."""
    proposals, orders, count = sheet.proposals, sheet.orders, len(sheet.proposals)
    bits = (proposals["failed"][:, None] >> np.arange(CODE_COUNT, dtype=np.uint64)) & np.uint64(1)
    each = pa.array(np.repeat(np.arange(count), CODE_COUNT))
    codes = pa.array(np.tile(np.arange(CODE_COUNT), count))
    at_ns = pa.array(_column(orders, "at_ns"))
    of_verdict = {
        "tick_ns": at_ns,
        "execution_id": at_ns.cast(pa.string()),
        "client_order_id": pa.array(sheet.client_ids, pa.string()),
        "decision_id": pa.array(sheet.decision_ids, pa.string()),
        "symbol": _named(sheet, orders["symbol"]),
        "side": pa.array(_column(proposals, "side")),
        "qty": pa.array(_column(proposals, "qty")),
        "limit_price": pa.array(_column(proposals, "limit_price")),
        "reducing": pa.array(_column(proposals, "reducing")),
        "at_ns": at_ns,
    }
    return {name: values.take(each) for name, values in of_verdict.items()} | {
        "code": _CODES.take(codes),
        "check": _CHECKS.take(codes),
        "measured": sheet.sheet.proposals.measured[:count].ravel(),
        "limit": sheet.sheet.proposals.limit[:count].ravel(),
        "failed": bits.astype(np.bool_).ravel(),
    }


def _orders(sheet: SessionSheet) -> Columns:
    sent = sheet.sent
    proposals, orders = sheet.proposals[sent], sheet.orders[sent]
    at_ns, qty = _column(orders, "at_ns"), _column(proposals, "qty")
    kinds = np.where(orders["decision"] >= 0, str(sheet.kind), "stop").astype(object)
    return {
        "tick_ns": at_ns,
        "client_order_id": [sheet.client_ids[row] for row in sent],
        "decision_id": [sheet.decision_ids[row] for row in sent],
        "kind": pa.array(kinds, pa.string()),
        "symbol": _named(sheet, orders["symbol"]),
        "side": _column(proposals, "side"),
        "slice": _column(proposals, "slice"),
        "attempt": _column(orders, "attempt"),
        "qty": qty,
        "limit_price": _column(proposals, "limit_price"),
        "reducing": _column(proposals, "reducing"),
        "state": pa.array(_STATES[orders["state"]], pa.string()),
        "filled_qty": np.where(orders["state"] == OrderState.FILLED, qty, 0.0),
        "created_ns": at_ns,
        "updated_ns": _column(orders, "updated_ns"),
        "detail": pa.array(_DETAILS[orders["ended"]], pa.string()),
    }


def _fills(sheet: SessionSheet) -> Columns:
    """Fills of orders; and positions closed because their symbols are gone, by no order, marked as such."""
    fills, gone = sheet.fills, sheet.delisted
    rows = fills["order"]
    proposals, orders = sheet.proposals[rows], sheet.orders[rows]
    client_ids = [sheet.client_ids[row] for row in rows]
    qty = [*(abs(closed.qty) for closed in gone), *proposals["qty"].tolist()]
    return {
        "tick_ns": [sheet.open_ns] * len(gone) + orders["at_ns"].tolist(),
        "client_order_id": pa.array([None] * len(gone) + client_ids, pa.string()),
        "symbol": [closed.symbol for closed in gone] + [sheet.symbols[row] for row in orders["symbol"]],
        "side": [-1 if closed.qty > 0.0 else 1 for closed in gone] + proposals["side"].tolist(),
        "qty": qty,
        "price": [closed.price for closed in gone] + fills["price"].tolist(),
        "cum_qty": qty,
        "at_ns": [sheet.open_ns] * len(gone) + fills["at_ns"].tolist(),
        "activity_id": [f"DELISTED:{closed.symbol}:{sheet.session}" for closed in gone]
        + [f"{client_id}:1" for client_id in client_ids],
    }


def _positions(sheet: SessionSheet) -> Columns:
    positions = sheet.positions
    qty, mark = _column(positions, "qty"), _column(positions, "mark")
    return {
        "tick_ns": sheet.states["at_ns"][positions["state"]],
        "symbol": _named(sheet, positions["symbol"]),
        "qty": qty,
        "avg_cost": _column(positions, "avg_cost"),
        "mark": mark,
        "market_value": qty * mark,
    }


def _equity(sheet: SessionSheet) -> Columns:
    columns = {name: _column(sheet.states, name) for name in sheet.states.dtype.names or ()}
    return columns | {"tick_ns": columns["at_ns"]}


def _checks(sheet: SessionSheet, limits: list[LimitResult]) -> Columns:
    return {
        "tick_ns": [sheet.close_ns] * len(limits),
        "asset": [ASSET] * len(limits),
        "check": [result.key for result in limits],
        "severity": ["WARN" if result.group in WARNINGS else "ERROR" for result in limits],
        "blocking": [False] * len(limits),
        "passed": [result.passed for result in limits],
        "detail": [_detail(result) for result in limits],
    }


def _detail(result: LimitResult) -> str:
    measured = "" if isnan(result.measured) else f"measured {result.measured:.10g}, limit {result.limit:g}. "
    return measured + result.worst


def _named(sheet: SessionSheet, rows: NDArray[np.int64]) -> pa.Array:
    return pa.array(sheet.symbols).take(pa.array(np.ascontiguousarray(rows)))


def _column(rows: NDArray[np.void], name: str) -> NDArray[Any]:
    return np.ascontiguousarray(rows[name])


def _known(values: NDArray[np.float64]) -> pa.Array:
    """NaN is NULL."""
    return pa.array(np.ascontiguousarray(values), mask=np.isnan(values))
