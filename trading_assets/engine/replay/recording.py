"""The replay's own history file: rows gathered by session and appended in batches.

The tables are those of the desk's history (`store/history.sql`), the book is "replay:<name>". A file is
written beside its place and moved there when the replay is over, so that a replay that fails or is done
again leaves nothing half-written.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import date
from math import isnan
from typing import Any

import numpy as np
import pyarrow as pa

from trading_assets.core.codes import CHECK_OF, CODE_COUNT, Code
from trading_assets.engine.inputs import SignalInput
from trading_assets.engine.replay.book import Instant, ReplayBook, ReplayFill, ReplayOrder
from trading_assets.engine.replay.limit_groups import WARNINGS
from trading_assets.engine.replay.risk import Risk
from trading_assets.engine.replay.session_limits import LimitResult
from trading_assets.engine.replay.tape import DayPrices
from trading_assets.store.history import History
from trading_assets.store.records import VerdictRecord

BATCH_ROWS = 20_000
ASSET = "replay"
_CODES = [code.name for code in Code]
_CHECKS = [int(CHECK_OF[code]) for code in Code]

_COLUMNS: Mapping[str, tuple[str, ...]] = {
    "signals": (
        "session", "tick_ns", "symbol", "value", "as_of_ns", "reference_price", "limit_price", "source",
        "decision_id", "kind", "model_version", "score", "outcome",
    ),
    "orders": (
        "session", "tick_ns", "client_order_id", "decision_id", "kind", "symbol", "side", "slice", "attempt",
        "qty", "limit_price", "reducing", "state", "filled_qty", "created_ns", "updated_ns", "detail",
    ),
    "fills": (
        "session", "tick_ns", "client_order_id", "symbol", "side", "qty", "price", "cum_qty", "at_ns",
        "activity_id",
    ),
    "positions": ("session", "tick_ns", "symbol", "qty", "avg_cost", "mark", "market_value"),
    "equity": (
        "session", "tick_ns", "at_ns", "equity", "e0", "cash", "session_peak", "unit_value", "unit_peak",
        "gross_exposure",
    ),
    "checks": ("session", "tick_ns", "asset", "check", "severity", "blocking", "passed", "detail"),
}  # fmt: skip


class Recording:
    """Rows on their way into one file. `flush` at the end, or what is pending is lost."""

    def __init__(self, history: History, book: str) -> None:
        self._history = history
        self._book = book
        self._rows: dict[str, list[tuple[Any, ...]]] = {table: [] for table in _COLUMNS}
        self._verdicts: list[tuple[date, VerdictRecord]] = []

    def signals(
        self,
        session: date,
        tick_ns: int,
        signals: Sequence[SignalInput],
        source: str,
        model_version: str,
        scores: Mapping[str, float],
        outcomes: Mapping[str, str],
    ) -> None:
        self._rows["signals"] += [
            (
                session, tick_ns, signal.symbol, signal.value, signal.as_of_ns,
                _known(signal.reference_price), _known(signal.limit_price), source, signal.decision_id,
                str(signal.kind), model_version, _known(scores[signal.symbol]),
                outcomes.get(signal.decision_id),
            )
            for signal in signals
        ]  # fmt: skip

    def verdicts(self, session: date, verdicts: Sequence[VerdictRecord]) -> None:
        self._verdicts += [(session, verdict) for verdict in verdicts]

    def state(self, at: Instant, book: ReplayBook, risk: Risk, prices: DayPrices) -> None:
        """Positions and equity as they stand."""
        gross = 0.0
        for symbol, held in book.held.items():
            mark = prices.mark(symbol, at.now_ns)
            gross += abs(held.qty) * mark
            self._rows["positions"].append(
                (at.session, at.tick_ns, symbol, held.qty, held.avg_cost, mark, held.qty * mark)
            )
        self._rows["equity"].append(
            (
                at.session, at.tick_ns, at.now_ns, risk.equity, risk.e0, book.ledger.cash_usd,
                risk.session_peak, risk.unit_value, risk.unit_peak, gross / risk.equity,
            )
        )  # fmt: skip

    def session(
        self,
        session: date,
        close_ns: int,
        orders: Sequence[ReplayOrder],
        fills: Sequence[ReplayFill],
        limits: Sequence[LimitResult],
    ) -> None:
        """What is known of a session once it is over; writes a batch when there is enough."""
        self._rows["orders"] += [_order(session, order) for order in orders]
        self._rows["fills"] += [_fill(session, fill) for fill in fills]
        self._rows["checks"] += [_check(session, close_ns, result) for result in limits]
        pending = sum(map(len, self._rows.values())) + CODE_COUNT * len(self._verdicts)
        if pending >= BATCH_ROWS:
            self.flush()

    def flush(self) -> None:
        """Append what is pending. Raises store.history.HistoryLocked."""
        for table, rows in self._rows.items():
            if rows:
                columns = dict(zip(_COLUMNS[table], map(list, zip(*rows, strict=True)), strict=True))
                self._append(table, pa.table(columns), len(rows))
                rows.clear()
        if self._verdicts:
            self._append("verdicts", _verdict_table(self._verdicts), CODE_COUNT * len(self._verdicts))
            self._verdicts.clear()

    def _append(self, table: str, rows: pa.Table, count: int) -> None:
        self._history.append(table, rows.append_column("book", pa.array([self._book] * count)))


def _verdict_table(verdicts: Sequence[tuple[date, VerdictRecord]]) -> pa.Table:
    """One row for each code of each verdict, the codes of one verdict together."""
    count = len(verdicts)
    each = pa.array(np.repeat(np.arange(count), CODE_COUNT))
    codes = pa.array(np.tile(np.arange(CODE_COUNT), count))
    found = [verdict for _, verdict in verdicts]
    failed = np.array([verdict.failed for verdict in found], dtype=np.uint64)
    bits = (failed[:, None] >> np.arange(CODE_COUNT, dtype=np.uint64)) & np.uint64(1)
    of_verdict = {
        "session": [session for session, _ in verdicts],
        "tick_ns": [verdict.tick_ns for verdict in found],
        "execution_id": [verdict.execution_id for verdict in found],
        "client_order_id": [verdict.client_order_id for verdict in found],
        "decision_id": [verdict.decision_id for verdict in found],
        "symbol": [verdict.symbol for verdict in found],
        "side": [int(verdict.side) for verdict in found],
        "qty": [float(verdict.qty) for verdict in found],
        "limit_price": [float(verdict.limit_price) for verdict in found],
        "reducing": [verdict.reducing for verdict in found],
        "at_ns": [verdict.at_ns for verdict in found],
    }
    return pa.table(
        {name: pa.array(values).take(each) for name, values in of_verdict.items()}
        | {
            "code": pa.array(_CODES).take(codes),
            "check": pa.array(_CHECKS).take(codes),
            "measured": np.array([verdict.measured for verdict in found]).ravel(),
            "limit": np.array([verdict.limits for verdict in found]).ravel(),
            "failed": bits.astype(np.bool_).ravel(),
        }
    )


def _order(session: date, order: ReplayOrder) -> tuple[Any, ...]:
    verdict = order.verdict
    return (
        session, verdict.tick_ns, verdict.client_order_id, verdict.decision_id, verdict.kind, verdict.symbol,
        int(verdict.side), verdict.slice, verdict.attempt, order.qty, order.limit_price, verdict.reducing,
        str(order.state), order.qty if order.is_filled else 0.0, verdict.at_ns, order.updated_ns,
        order.detail,
    )  # fmt: skip


def _fill(session: date, fill: ReplayFill) -> tuple[Any, ...]:
    verdict, qty = fill.order.verdict, fill.order.qty
    return (
        session, verdict.tick_ns, verdict.client_order_id, verdict.symbol, int(verdict.side), qty, fill.price,
        qty, fill.at_ns, f"{verdict.client_order_id}:1",
    )  # fmt: skip


def _check(session: date, close_ns: int, result: LimitResult) -> tuple[Any, ...]:
    severity = "WARN" if result.group in WARNINGS else "ERROR"
    measured = "" if isnan(result.measured) else f"measured {result.measured:.10g}, limit {result.limit:g}. "
    detail = measured + result.worst
    return session, close_ns, ASSET, result.key, severity, False, result.passed, detail


def _known(value: float) -> float | None:
    return None if isnan(value) else value
