"""The rows of a replay's own history file: those of each session, on their way to the file's writer.

The tables are those of the desk's history (`store/history.sql`), the book is "replay:<name>". What is
committed comes with where the walk then stood: so a replay that died goes on from there (`checkpoint`).
"""

from __future__ import annotations

from datetime import date
from math import isnan
from typing import Any

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from trading_assets.core.decision.columns import Outcome
from trading_assets.core.orders import State
from trading_assets.core.walk.columns import Ended, WalkedOrder
from trading_assets.engine.replay.decision_ids import SELECT_SIGNALS, SELECT_VERDICTS
from trading_assets.engine.replay.file_writer import FileWriter
from trading_assets.engine.replay.limit_groups import WARNINGS
from trading_assets.engine.replay.predictions import Signals
from trading_assets.engine.replay.session_limits import LimitResult
from trading_assets.engine.replay.session_sheet import SessionSheet

ROWS_AT_ONCE = 300_000  # pending; four times as many more may be with the writer
ROWS_OF_A_COMMIT = 1_000_000  # each writes anew the last, unfilled group of every column
ASSET = "replay"
_OUTCOMES = pa.array([outcome.name for outcome in Outcome] + ["SUPERSEDED"])
_SUPERSEDED = len(Outcome)
_STATES = np.array([str(State[state.name]) if state else "" for state in WalkedOrder], dtype=object)
_DETAIL_OF = {
    Ended.NOT: "",
    Ended.CLOSE: "not filled by the close",
    Ended.DAILY_LOSS: "daily loss",
    Ended.TIMEOUT: "execution timeout",
    Ended.STOP: "stop loss",
    Ended.EXIT: "the last signal sells",
}
_DETAILS = np.array([_DETAIL_OF[why] for why in Ended], dtype=object)

_SELECTED = {"signals": SELECT_SIGNALS, "gate_verdicts": SELECT_VERDICTS}

Columns = dict[str, Any]


class Recording:
    """Sessions on their way into one file. `commit` at the end, or what came since the last one is lost."""

    def __init__(self, writer: FileWriter, book: str) -> None:
        self._writer = writer
        self._book = book
        self._pending: dict[str, list[pa.Table]] = {}
        self._rows = 0  # pending
        self.uncommitted = 0  # rows

    def session(
        self, sheet: SessionSheet, limits: list[LimitResult], source: str, model_version: str
    ) -> None:
        """Take in one session. Raises what the writer does."""
        self._add("signals", sheet.session, _signals(sheet, source, model_version))
        self._add("gate_verdicts", sheet.session, _verdicts(sheet))
        self._add("orders", sheet.session, _orders(sheet))
        self._add("fills", sheet.session, _fills(sheet))
        self._add("positions", sheet.session, _positions(sheet))
        self._add("equity", sheet.session, _equity(sheet))
        self._add("checks", sheet.session, _checks(sheet, limits))
        if self._rows >= ROWS_AT_ONCE:
            self._hand_over()

    def commit(self, state: str) -> None:
        """Have all rows so far in the file, and `state` in place of the one before: all of it or nothing.
        Done in the writer's time. Raises what the writer does."""
        self._hand_over()
        self._writer.commit(state)
        self.uncommitted = 0

    def _hand_over(self) -> None:
        self._writer.insert(self._pending, _SELECTED)
        self._pending, self._rows = {}, 0

    def _add(self, table: str, session: date, columns: Columns) -> None:
        count = len(next(iter(columns.values())))
        if count:
            day = pa.array(np.full(count, np.datetime64(session)))
            named = {"book": _repeated(self._book, count), "session": day}
            self._pending.setdefault(table, []).append(pa.table(named | columns))
            self._rows += count
            self.uncommitted += count


def _signals(sheet: SessionSheet, source: str, model_version: str) -> Columns:
    parts = [_signal_columns(sheet, sheet.signals, sheet.sheet.outcomes)]
    if len(sheet.superseded.rows):
        superseded = np.full(len(sheet.superseded.rows), _SUPERSEDED, np.int8)
        parts.append(_signal_columns(sheet, sheet.superseded, superseded))
    whole = pa.concat_tables([pa.table(part) for part in parts], promote_options="permissive")
    same = {"source": source, "kind": str(sheet.kind), "model_version": model_version}
    named = {name: _repeated(value, whole.num_rows) for name, value in same.items()}
    return {name: whole.column(name) for name in whole.column_names} | named


def _signal_columns(sheet: SessionSheet, signals: Signals, outcomes: NDArray[np.int8]) -> Columns:
    rows = signals.rows
    return {
        "tick_ns": np.array(sheet.tick_ns, dtype=np.int64)[signals.tick],
        "symbol": _named(sheet, rows["symbol"]),
        "value": _column(rows, "value"),
        "as_of_ns": _column(rows, "as_of_ns"),
        "reference_price": _known(rows["reference_price"]),
        "limit_price": _known(rows["limit_price"]),
        "score": _known(signals.scores),
        **_decided(sheet, rows["symbol"], rows["as_of_ns"]),
        "outcome": _among(_OUTCOMES, outcomes, outcomes == Outcome.NONE),
    }


def _verdicts(sheet: SessionSheet) -> Columns:
    proposals, orders, count = sheet.proposals, sheet.orders, len(sheet.proposals)
    at_ns = pa.array(_column(orders, "at_ns"))
    return {
        "tick_ns": at_ns,
        "execution_id": at_ns.cast(pa.string()),
        **_decided(sheet, *sheet.decided),
        "symbol": _named(sheet, orders["symbol"]),
        **{name: _column(proposals, name) for name in ("side", "slice", "qty", "limit_price", "reducing")},
        "attempt": _column(orders, "attempt"),
        "at_ns": at_ns,
        "failed": _column(proposals, "failed").astype(np.int64),
        "measured": _lists(sheet.sheet.proposals.measured[:count]),
        "limits": _lists(sheet.sheet.proposals.limit[:count]),
    }


def _orders(sheet: SessionSheet) -> Columns:
    sent = sheet.sent
    proposals, orders = sheet.proposals[sent], sheet.orders[sent]
    at_ns, qty = _column(orders, "at_ns"), _column(proposals, "qty")
    kinds = np.where(orders["decision"] >= 0, str(sheet.kind), "stop").astype(object)
    return {
        "tick_ns": at_ns,
        "client_order_id": pa.array(sheet.client_ids, pa.string()),
        "decision_id": pa.array(sheet.decision_ids, pa.string()),
        "kind": pa.array(kinds, pa.string()),
        "symbol": _named(sheet, orders["symbol"]),
        "side": _column(proposals, "side"),
        "slice": _column(proposals, "slice"),
        "attempt": _column(orders, "attempt"),
        "qty": qty,
        "limit_price": _column(proposals, "limit_price"),
        "reducing": _column(proposals, "reducing"),
        "state": pa.array(_STATES[orders["state"]], pa.string()),
        "filled_qty": np.where(orders["state"] == WalkedOrder.FILLED, qty, 0.0),
        "created_ns": at_ns,
        "updated_ns": _column(orders, "updated_ns"),
        "detail": pa.array(_DETAILS[orders["ended"]], pa.string()),
    }


def _fills(sheet: SessionSheet) -> Columns:
    """Fills of orders; and positions closed because their symbols are gone, by no order, marked as such."""
    fills, gone = sheet.fills, sheet.delisted
    rows = fills["order"]
    proposals, orders = sheet.proposals[rows], sheet.orders[rows]
    client_ids = [sheet.client_ids[row] for row in np.searchsorted(sheet.sent, rows).tolist()]
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


def _decided(sheet: SessionSheet, number: NDArray[np.int64], at_ns: NDArray[np.int64]) -> Columns:
    """What DuckDB makes the decisions' ids of."""
    rows = number.astype(np.int32)
    begun, ended = (_among(pa.array(texts), rows) for texts in (sheet.ids.begun, sheet.ids.ended))
    return {"begun": begun, "decided_ns": np.ascontiguousarray(at_ns), "ended": ended}


def _named(sheet: SessionSheet, rows: NDArray[np.int64]) -> pa.Array:
    return _among(pa.array(sheet.symbols, pa.string()), rows.astype(np.int32))


def _among(
    texts: pa.Array, rows: NDArray[np.signedinteger[Any]], missing: NDArray[np.bool_] | None = None
) -> pa.DictionaryArray:
    """The texts of those numbers. DuckDB takes them as they are: no text is written twice on the way."""
    return pa.DictionaryArray.from_arrays(pa.array(rows, mask=missing), texts)


def _lists(rows: NDArray[np.float64]) -> pa.ListArray:
    """One list for each row. A copy: a view would keep the sheet's spare room too."""
    count, each = rows.shape
    offsets = pa.array(np.arange(0, (count + 1) * each, each, dtype=np.int32))
    return pa.ListArray.from_arrays(offsets, pa.array(rows.flatten()))


def _repeated(text: str, count: int) -> pa.DictionaryArray:
    return _among(pa.array([text]), np.zeros(count, np.int32))


def _column(rows: NDArray[np.void], name: str) -> NDArray[Any]:
    return np.ascontiguousarray(rows[name])


def _known(values: NDArray[np.float64]) -> pa.Array:
    """NaN is NULL."""
    return pa.array(np.ascontiguousarray(values), mask=np.isnan(values))
