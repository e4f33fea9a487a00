"""A traded session's decisions, derived again from what was stored, and held against what was stored.

Every stored input goes through `engine.decision.decide` once more; each verdict, order and projected line
must be what comes of it, field by field. Beside that, inputs are held against the signals that the tick had,
and feature rows against the bars as they had been received. Reads journal and history; no broker, no clock.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, fields, is_dataclass, replace
from datetime import date
from typing import Any

import numpy as np
from pydantic import ValidationError

from trading_assets.engine.decision.decide import decide
from trading_assets.engine.decision.inputs import (
    RULES_BY_ARRIVAL,
    RULES_SPREAD,
    DecisionInput,
    Phase,
    limits_not_in,
)
from trading_assets.engine.market_data.feature_rows import windows_at
from trading_assets.engine.records.projection import verdict_row
from trading_assets.engine.signals.tick_signals import as_received, signals_in
from trading_assets.errors import InvalidInput
from trading_assets.features.daily import DAILY
from trading_assets.market.sessions import new_york_time
from trading_assets.store.history import History, HistoryLocked
from trading_assets.store.journal import Journal
from trading_assets.store.records import TickInputRecord, VerdictRecord
from trading_assets.store.tick_history import feature_lines, projected_verdicts

Progress = Callable[[str], None]
_OF_THE_INPUT = ("book", "session", "tick_ns", "execution_id", "phase")
_OF_THE_VERDICT = (
    "decision_id",
    "kind",
    "symbol",
    "side",
    "slice",
    "attempt",
    "qty",
    "limit_price",
    "reducing",
    "tick_ns",
)


@dataclass(frozen=True, slots=True)
class Difference:
    """One thing that is not what is derived."""

    of: str  # input, verdict, order, projection, signal, features
    subject: str
    field: str
    stored: str
    derived: str

    def __str__(self) -> str:
        return f"{self.of} {self.subject}: {self.field} is stored as {self.stored}, derived as {self.derived}"


@dataclass(frozen=True, slots=True)
class VerifyReport:
    """What was looked at, and every difference. `not_read`: why the history was left out, or empty."""

    book: str
    session: str
    executions: int
    inputs: int
    verdicts: int
    orders: int
    signals: int
    projected: int
    feature_rows: int
    differences: tuple[Difference, ...]
    not_read: str

    @property
    def identical(self) -> bool:
        return not self.differences


def verify(
    journal: Journal,
    history: History,
    book: str,
    session: date,
    *,
    progress: Progress = lambda step: None,
) -> VerifyReport:
    """Derive every decision of the session again.

    Raises InvalidInput for a session in which the book decided nothing.
    """
    day = session.isoformat()
    inputs = journal.tick_inputs(book, session=day)
    verdicts = journal.verdicts(book, session=day)
    if not inputs and not verdicts:
        raise InvalidInput(
            f"the book {book} decided nothing on {day}",
            where="session",
            remedy="Name a session in which it traded; `trading-assets orders --session` shows one's orders.",
        )
    progress("decisions")
    differences: list[Difference] = []
    given: list[DecisionInput] = []
    derived: dict[str, VerdictRecord] = {}
    for record in inputs:
        try:
            one = DecisionInput.from_json(record.payload)
        except ValidationError as error:
            first = error.errors()[0]
            where = ".".join(map(str, first["loc"])) or "payload"
            differences.append(Difference("input", _named(record), where, first["msg"], "a readable input"))
            continue
        except ValueError as error:
            differences.append(Difference("input", _named(record), "version", str(error), "a readable input"))
            continue
        given.append(one)
        differences += _misfiled(record, one)
        for verdict in decide(one).verdicts:  # the journal keeps an id's first too
            derived.setdefault(verdict.verdict_id, _as_then(verdict, one, limits_not_in(record.payload)))
    differences += _verdict_differences(derived, verdicts)
    orders = journal.orders(book, session=day)
    differences += _order_differences(orders, verdicts)
    differences += _inbox_differences(journal, given)
    signals = projected = feature_rows = 0
    not_read = ""
    try:
        progress("signals")
        signals, differing = _signal_differences(journal, history, book, session, given)
        differences += differing
        projected, differing = _projection_differences(history, book, session, verdicts)
        differences += differing
        progress("features")
        feature_rows, differing = _feature_differences(history, book, session)
        differences += differing
    except HistoryLocked as error:
        not_read = str(error)
    return VerifyReport(
        book=book,
        session=day,
        executions=len({one.execution_id for one in given}),
        inputs=len(inputs),
        verdicts=len(verdicts),
        orders=len(orders),
        signals=signals,
        projected=projected,
        feature_rows=feature_rows,
        differences=tuple(differences),
        not_read=not_read,
    )


def _misfiled(record: TickInputRecord, given: DecisionInput) -> Iterator[Difference]:
    """The input's own columns in the journal, against what it says."""
    expected = {name: getattr(given, name) for name in _OF_THE_INPUT} | {"at_ns": given.now_ns}
    for name, derived in expected.items():
        yield from _differences("input", _named(record), name, getattr(record, name), derived)


def _verdict_differences(
    derived: Mapping[str, VerdictRecord], verdicts: Sequence[VerdictRecord]
) -> Iterator[Difference]:
    stored = {verdict.verdict_id: verdict for verdict in verdicts}
    for key, verdict in stored.items():
        if key in derived:
            yield from _differences("verdict", key, "", verdict, derived[key])
        else:
            yield Difference("verdict", key, "verdict", _short(verdict), "nothing: no stored input gives it")
    for key in derived.keys() - stored.keys():
        yield Difference(
            "verdict",
            key,
            "verdict",
            "nothing: its execution was interrupted there, or it was removed",
            _short(derived[key]),
        )


def _as_then(verdict: VerdictRecord, given: DecisionInput, absent: Iterable[str]) -> VerdictRecord:
    """The verdict without what the gate did not know when its input was stored: limits that there were not
    (`absent`), codes with later numbers, a symbol's exits (`inputs.NOT_COUNTED`), those kept for others
    (`inputs.RULES`)."""
    gate_input = dict(verdict.gate_input)
    gate_input["limits"] = {name: v for name, v in gate_input["limits"].items() if name not in set(absent)}
    gate_input["activity"] = dict(gate_input["activity"])
    if gate_input["activity"]["symbol_exits_today"] < 0:
        del gate_input["activity"]["symbol_exits_today"]
    if given.rules < RULES_SPREAD:
        del gate_input["activity"]["exits_kept_for_others"]
    return replace(
        verdict,
        gate_input=gate_input,
        measured=verdict.measured[: given.codes],
        limits=verdict.limits[: given.codes],
    )


def _order_differences(orders: Iterable[Any], verdicts: Iterable[VerdictRecord]) -> Iterator[Difference]:
    """Every intent, against the verdict that let it pass."""
    by_id = {verdict.verdict_id: verdict for verdict in verdicts}
    for order in orders:
        intent = order.intent
        verdict = by_id.get(intent.verdict_id)
        if verdict is None or verdict.failed:
            verdict_words = "no verdict" if verdict is None else f"a refusal, {_short(verdict)}"
            yield Difference(
                "order", intent.client_order_id, "verdict", verdict_words, "a verdict that passed"
            )
            continue
        for name in _OF_THE_VERDICT:
            yield from _differences(
                "order", intent.client_order_id, name, getattr(intent, name), getattr(verdict, name)
            )


def _inbox_differences(journal: Journal, given: Iterable[DecisionInput]) -> Iterator[Difference]:
    """Signals from outside, against the inbox as they came in. It is never rewritten."""
    for one in given:
        for signal in one.signals:
            received = journal.signal(one.book, signal.decision_id)
            if received is None:
                continue  # the model's: the history has it
            sent: dict[str, object] = {
                "symbol": received.symbol,
                "value": received.value,
                "as_of_ns": received.as_of_ns,
            }
            for name in ("reference_price", "limit_price"):
                price = getattr(received, name)
                if price is not None:
                    sent[name] = float(price)
            subject = f"{signal.symbol} {signal.decision_id} in {one.execution_id} {one.phase}"
            for name, derived in sent.items():
                yield from _differences("signal", subject, name, getattr(signal, name), derived)


def _signal_differences(
    journal: Journal, history: History, book: str, session: date, given: Iterable[DecisionInput]
) -> tuple[int, list[Difference]]:
    """What the last execution of each tick decided on, against the signals that the history has for it: an
    earlier execution's are replaced when a tick is run again."""
    last: dict[tuple[int, Phase], DecisionInput] = {}
    for one in given:
        if one.phase is not Phase.PROTECT:
            last[one.tick_ns, one.phase] = one
    differences: list[Difference] = []
    count = 0
    with history.reading():  # one opening of the file for all ticks
        for (tick_ns, phase), one in sorted(last.items()):
            held = signals_in(history, book, session, tick_ns)
            if one.rules >= RULES_BY_ARRIVAL:  # before, their arrival was no part of the input
                held = as_received(journal, book, held)
            stored = {signal.decision_id: signal for signal in held}
            used = {signal.decision_id: replace(signal, attempt=1) for signal in one.signals}
            count += len(used) if phase is Phase.EXITS else 0
            if not stored and all(journal.signal(book, key) for key in used):
                continue  # the tick went on without a history, from the inbox
            for key in sorted(stored.keys() | used.keys()):
                subject = f"{key} at {new_york_time(tick_ns)} {phase}"
                differences += _differences("signal", subject, "", used.get(key), stored.get(key))
    return count, differences


def _projection_differences(
    history: History, book: str, session: date, verdicts: Iterable[VerdictRecord]
) -> tuple[int, list[Difference]]:
    """Every projected verdict, against the journal's. What was not projected yet is missing."""
    rows = {
        (verdict.execution_id, verdict.client_order_id): verdict_row(session, verdict) for verdict in verdicts
    }
    projected = projected_verdicts(history, book, session)
    differences: list[Difference] = []
    for row in projected:
        key = row["execution_id"], row["client_order_id"]
        differences += _differences("projection", " ".join(key), "", row, rows.get(key))
    return len(projected), differences


def _feature_differences(history: History, book: str, session: date) -> tuple[int, list[Difference]]:
    """Every feature row of today's feature set, against one computed again from the bars received by then."""
    differences: list[Difference] = []
    lines = feature_lines(history, book, session, DAILY.identity)
    with history.reading():
        for tick_ns in sorted({line["tick_ns"] for line in lines}):
            rows = {line["symbol"]: line for line in lines if line["tick_ns"] == tick_ns}
            as_of_ns = max(row["computed_at_ns"] for row in rows.values())
            windows = windows_at(history, tuple(rows), session, tick_ns, as_of_ns)
            for symbol, window in windows.items():
                derived = DAILY.compute_last(*window).tolist()
                stored = dict(zip(DAILY.names, rows[symbol]["values"], strict=False))
                again = dict(zip(DAILY.names, derived, strict=True))
                differences += _differences(
                    "features", f"{symbol} at {new_york_time(tick_ns)}", "", stored, again
                )
    return len(lines), differences


def _differences(of: str, subject: str, at: str, stored: Any, derived: Any) -> Iterator[Difference]:
    """Field by field, down to the numbers. NaN equals NaN; a list is a tuple, as JSON has it."""
    stored, derived = _opened(stored), _opened(derived)
    if isinstance(stored, Mapping) and isinstance(derived, Mapping):
        for name in [*stored, *(name for name in derived if name not in stored)]:
            inner = f"{at}.{name}" if at else str(name)
            if name in stored and name in derived:
                yield from _differences(of, subject, inner, stored[name], derived[name])
            else:
                yield Difference(of, subject, inner, _as_text(stored.get(name)), _as_text(derived.get(name)))
    elif isinstance(stored, list) and isinstance(derived, list) and len(stored) == len(derived):
        for number, pair in enumerate(zip(stored, derived, strict=True)):
            yield from _differences(of, subject, f"{at}[{number}]", *pair)
    elif stored != derived and not (stored != stored and derived != derived):
        yield Difference(of, subject, at or "all of it", _as_text(stored), _as_text(derived))


def _opened(value: Any) -> Any:
    if is_dataclass(value) and not isinstance(value, type):
        return {field.name: getattr(value, field.name) for field in fields(value)}
    if isinstance(value, tuple):
        named = getattr(value, "_asdict", None)
        return named() if named else list(value)
    return value.item() if isinstance(value, np.generic) else value


def _as_text(value: Any) -> str:
    return "nothing" if value is None else str(value)


def _short(verdict: VerdictRecord) -> str:
    order = f"{verdict.symbol} side {verdict.side} {verdict.qty} @ {verdict.limit_price}"
    return f"{order} failed {verdict.failed:#x}"


def _named(record: TickInputRecord) -> str:
    return f"{record.execution_id} {record.phase} at {new_york_time(record.tick_ns)}"
