"""Checks of what was sent against the limits of size, hours, age, price and count, measured again.

No verdict's word is taken: quantity, price and time of an order are its intent's, hours the calendar's,
and what it was decided on is the input stored with its verdict. An order without a verdict is
`each_has_a_verdict`'s to name. What is measured stands beside each limit in `core.limits`.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from datetime import date
from math import nan
from typing import Any

import numpy as np

from trading_assets.core.limits import LIMIT_ROWS, Limits
from trading_assets.core.orders import Kind
from trading_assets.core.sent_orders import Measured, SentOrders
from trading_assets.engine.book.desk import Desk
from trading_assets.engine.book.halts import REARMED_MARK
from trading_assets.engine.checks.table import CheckOutcome, in_order, outcome
from trading_assets.store.records import IntentRecord, OrderRecord, VerdictRecord


def order_limit_checks(
    desk: Desk, session: date, sent: Sequence[OrderRecord], verdicts: Iterable[VerdictRecord]
) -> list[CheckOutcome]:
    """The checks of gated_orders that have a limit. `sent`: the session's orders, oldest first."""
    intents = [order.intent for order in sent]
    hours = desk.sessions.open_ns(session), desk.sessions.close_ns(session)
    orders = sent_orders(intents, verdicts, *hours)
    measured = _measured(orders, intents, desk.limits)
    return in_order([*measured, _market_hours(desk, sent), _reject_streak(desk)])


def sent_orders(
    intents: Sequence[IntentRecord], verdicts: Iterable[VerdictRecord], open_ns: int, close_ns: int
) -> SentOrders:
    """The records as columns; what is not stored is NaN."""
    of_id = {verdict.verdict_id: verdict for verdict in verdicts}
    given = [of_id.get(intent.verdict_id) for intent in intents]

    def stored(word: str, name: str) -> Any:
        numbers = (nan if one is None else one.gate_input.get(word, {}).get(name, nan) for one in given)
        return np.fromiter(numbers, np.float64, len(given))

    def stamped(word: str) -> Any:
        stamps = stored(word, "as_of_ns")
        return np.where(stamps == 0.0, nan, stamps)

    def floats(values: Iterable[float]) -> Any:
        return np.fromiter(values, np.float64, len(intents))

    return SentOrders(
        symbol=_numbered(intent.symbol for intent in intents),
        execution=_numbered(intent.verdict_id.partition(":")[2] for intent in intents),
        side=np.array([intent.side for intent in intents], np.int64),
        qty=floats(float(intent.qty) for intent in intents),
        limit_price=floats(float(intent.limit_price) for intent in intents),
        reducing=np.array([intent.reducing for intent in intents], np.bool_),
        flatten=np.array([intent.kind == Kind.FLATTEN for intent in intents], np.bool_),
        journaled_ns=floats(intent.created_ns for intent in intents),
        open_ns=floats(open_ns for _ in intents),
        close_ns=floats(close_ns for _ in intents),
        judged=np.array([one is not None for one in given], np.bool_),
        decided_ns=floats(nan if one is None else one.at_ns for one in given),
        bid=stored("quote", "bid"),
        ask=stored("quote", "ask"),
        last_trade=stored("quote", "last_trade"),
        previous_close=stored("quote", "previous_close"),
        quote_ns=stamped("quote"),
        account_ns=stamped("account"),
        signal_ns=floats(intent.signal_as_of_ns or nan for intent in intents),
        reference_price=stored("signal", "reference_price"),
        signal=floats(nan for _ in intents),
    )


def _numbered(names: Iterable[str]) -> Any:
    numbers: dict[str, int] = {}
    return np.array([numbers.setdefault(name, len(numbers)) for name in names], np.int64)


def _measured(orders: SentOrders, intents: Sequence[IntentRecord], limits: Limits) -> Iterator[CheckOutcome]:
    """An outcome for each check that a limit names. Two limits that share a check are told by their orders
    alone: it has no one measure."""
    of_check: dict[str, list[Measured]] = {}
    for name, row in LIMIT_ROWS.items():
        for check in row.checks:
            if check.name and check.measure:
                measured = orders.measured(row, check, getattr(limits, name))
                of_check.setdefault(check.name, []).append(measured)
    for name, measures in of_check.items():
        problems = [problem for one in measures for problem in _beyond(one, intents)]
        only = measures[0] if len(measures) == 1 else None
        worst = None if only is None else only.worst
        yield outcome(
            f"gated_orders.{name}",
            problems,
            measured=None if only is None or worst is None else float(only.values[worst]),
            limit=None if only is None or worst is None else only.limit,
            detail=f"{max(len(one.rows) for one in measures)} orders"
            + ("" if only is None or worst is None else f", the worst {_name(intents[only.rows[worst]])}"),
        )


def _beyond(measured: Measured, intents: Sequence[IntentRecord]) -> Iterator[str]:
    for row, value, within in zip(measured.rows, measured.values, measured.within, strict=True):
        if not within:
            yield f"{_name(intents[row])}: {value:g}"


def _market_hours(desk: Desk, sent: Iterable[OrderRecord]) -> CheckOutcome:
    closed = []
    for order in sent:
        is_open = desk.sessions.is_extended if order.intent.extended_hours else desk.sessions.is_open
        if order.submitted_ns is None or not is_open(order.submitted_ns):
            closed.append(_name(order.intent))
    return outcome("gated_orders.market_hours", closed)


def _reject_streak(desk: Desk) -> CheckOutcome:
    rearmed_ns = int(desk.journal.mark(desk.book, REARMED_MARK) or 0)
    streak = desk.journal.reject_streak(desk.book, since_ns=rearmed_ns)
    limit = desk.limits.max_reject_streak
    return outcome(
        "gated_orders.reject_streak",
        passed=streak < limit,
        measured=float(streak),
        limit=limit,
        detail="broker rejections in a row",
    )


def _name(intent: IntentRecord) -> str:
    return f"{intent.symbol} {intent.client_order_id}"
