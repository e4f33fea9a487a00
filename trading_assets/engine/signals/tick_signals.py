"""The signals of one tick: from the champion model where it is enabled, else from the inbox.

A signal from outside arrives in the journal at any time (`receive`), is taken by the next tick, and
is stored with that tick in the history whatever becomes of it. No order is sized here.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import date
from math import isfinite, isnan, nan, sqrt
from typing import TYPE_CHECKING, Any, Unpack

import numpy as np

from trading_assets.config import Settings
from trading_assets.core.orders import Kind, decision_id
from trading_assets.engine.book.desk import Desk, holding_history
from trading_assets.engine.decision.decide import newest_signals
from trading_assets.engine.decision.inputs import SignalInput
from trading_assets.engine.orders.signal_exits import ahead_of_others
from trading_assets.engine.signals.inbox import EarlierOpinions, SignalTerms, signal_record
from trading_assets.errors import InvalidInput
from trading_assets.features.daily import DAILY
from trading_assets.log import get_logger
from trading_assets.store.bar_history import minutes_held
from trading_assets.store.history import History
from trading_assets.store.journal import Journal
from trading_assets.store.records import SignalRecord
from trading_assets.store.tick_history import features_at, signals_at

if TYPE_CHECKING:
    from trading_assets.model.registry import LoadedModel

log = get_logger(__name__)

VOLATILITY_FEATURE = "volatility_20"
SESSIONS_PER_YEAR = 252


@dataclass(frozen=True, slots=True)
class SignalsReport:
    session: str
    tick_ns: int
    source: str  # "model" or "external"
    model_version: str
    signals: tuple[SignalInput, ...]
    scores: dict[str, float]
    passed_over: tuple[SignalInput, ...] = ()  # another signal of the symbol supersedes it


def external_signal(
    desk: Desk,
    symbol: str,
    value: float,
    **terms: Unpack[SignalTerms],
) -> SignalRecord:
    """One signal from outside as it goes into the inbox. Nothing is stored.

    value in [−1, 1]; as_of_ns defaults to now. Raises InvalidInput for a value out of range, a symbol
    that is not traded, or a price that is not above zero.
    """
    return signal_record(
        desk.book,
        desk.settings.symbols,
        symbol,
        value,
        now_ns=desk.now_ns(),
        **terms,
    )


def receive(
    desk: Desk,
    symbol: str,
    value: float,
    **terms: Unpack[SignalTerms],
) -> SignalRecord:
    """Take one signal from outside into the inbox. Raises InvalidInput as `external_signal` and
    `receive_all` do."""
    record = external_signal(desk, symbol, value, **terms)
    receive_all(desk, [record])
    return record


def receive_all(desk: Desk, records: Sequence[SignalRecord]) -> list[SignalRecord]:
    """Take signals into the inbox, all in one transaction; returns the newly stored.

    The same decision again changes nothing. Raises InvalidInput, and nothing is stored, where it now says
    something else: a decision is taken once.
    """
    earlier = EarlierOpinions(desk.journal)
    for record in records:
        earlier.refuse_other_words(record)
    new = desk.journal.record_signals(records)
    for record in new:
        log.info(
            "signal received",
            symbol=record.symbol,
            value=record.value,
            as_of_ns=record.as_of_ns,
            source=record.source,
        )
    return new


@holding_history
def store_signals(desk: Desk, session: date, tick_ns: int) -> SignalsReport:
    """Make the tick's signals and store them; doing it again changes nothing.

    Raises InvalidInput when the enabled model is missing or does not fit the features.
    """
    closes = {
        symbol: close
        for symbol, (_, close) in minutes_held(desk.history, desk.sessions.open_ns(session), tick_ns).items()
    }
    if desk.settings.model.enabled:
        report = _from_model(desk, session, tick_ns, closes)
    else:
        report = _from_inbox(desk, session, tick_ns, closes)
    desk.history.replace(
        "signals",
        {"book": desk.book, "session": session, "tick_ns": tick_ns},
        [_row(desk, session, tick_ns, signal, report) for signal in report.signals],
    )
    log.info("signals stored", session=report.session, source=report.source, signals=len(report.signals))
    return report


def stored_signals(desk: Desk, session: date, tick_ns: int) -> tuple[SignalInput, ...]:
    """What `store_signals` stored for the tick. Raises store.history.HistoryLocked."""
    return signals_in(desk.history, desk.book, session, tick_ns)


def waiting_signals(desk: Desk, session: date, tick_ns: int) -> tuple[SignalInput, ...]:
    """What the tick would take from the inbox, without the history: no reference price but the producer's."""
    return () if desk.settings.model.enabled else _from_inbox(desk, session, tick_ns, {}).signals


def signals_in(history: History, book: str, session: date, tick_ns: int) -> tuple[SignalInput, ...]:
    """The signals that the history has for a book's tick, as a decision takes them: attempt 1.
    Raises store.history.HistoryLocked."""
    with history.held(read_only=True):
        lines = signals_at(history, book, session, tick_ns)
        features = features_at(history, book, session, tick_ns, DAILY.identity)
    column = DAILY.names.index(VOLATILITY_FEATURE)
    volatility = {symbol: values[column] * sqrt(SESSIONS_PER_YEAR) for symbol, values in features}
    return tuple(
        SignalInput(
            symbol=line["symbol"],
            value=line["value"],
            as_of_ns=line["as_of_ns"],
            reference_price=_or_nan(line["reference_price"]),
            limit_price=_or_nan(line["limit_price"]),
            volatility=volatility.get(line["symbol"], nan),
            kind=line["kind"],
            decision_id=line["decision_id"],
        )
        for line in lines
    )


def as_received(journal: Journal, book: str, signals: Sequence[SignalInput]) -> tuple[SignalInput, ...]:
    """The same signals with their places in the order in which the inbox received them."""
    arrivals = journal.arrivals(
        book, [signal.decision_id for signal in signals if signal.kind == Kind.EXTERNAL]
    )
    records = []
    for signal in signals:
        received_ns, sequence = arrivals.get(signal.decision_id, (0, 0))
        records.append(replace(signal, received_ns=received_ns, sequence=sequence))
    return tuple(records)


def champion(settings: Settings) -> LoadedModel:
    """The configured model. Raises InvalidInput when it is missing, altered, or does not fit the features."""
    from trading_assets.model.registry import load

    if settings.model_path is None or settings.features_path is None:
        raise InvalidInput(
            "model.enabled without both model_path and features_path",
            where="configuration",
            remedy="Set both paths, or disable the model.",
        )
    return load(settings.model_path, settings.features_path)


def _from_model(desk: Desk, session: date, tick_ns: int, closes: dict[str, float]) -> SignalsReport:
    model = champion(desk.settings)
    stored = features_at(desk.history, desk.book, session, tick_ns, DAILY.identity)
    rows = [(symbol, values) for symbol, values in stored if all(map(isfinite, values))]
    if not rows:
        return SignalsReport(session.isoformat(), tick_ns, "model", model.version, (), {})
    scores = model.score(np.array([values for _, values in rows], dtype=np.float64))
    values = model.signal(scores)
    signals = tuple(
        SignalInput(
            symbol=symbol,
            value=float(values[index]),
            as_of_ns=tick_ns,
            reference_price=closes.get(symbol, nan),
            limit_price=nan,
            volatility=nan,
            kind=Kind.MODEL,
            decision_id=decision_id(desk.book, Kind.MODEL, symbol, tick_ns),
        )
        for index, (symbol, _) in enumerate(rows)
    )
    named = {symbol: float(scores[index]) for index, (symbol, _) in enumerate(rows)}
    return SignalsReport(session.isoformat(), tick_ns, "model", model.version, signals, named)


def _from_inbox(desk: Desk, session: date, tick_ns: int, closes: dict[str, float]) -> SignalsReport:
    """What waits in the inbox, and what this tick took before (a step done again)."""
    waiting: Sequence[SignalRecord] = [
        record
        for record in desk.journal.signals_for_tick(desk.book, tick_ns)
        if record.symbol in desk.settings.symbols
    ]
    signals = tuple(
        SignalInput(
            symbol=record.symbol,
            value=record.value,
            as_of_ns=record.as_of_ns,
            reference_price=float(record.reference_price)
            if record.reference_price is not None
            else closes.get(record.symbol, nan),
            limit_price=nan if record.limit_price is None else float(record.limit_price),
            volatility=nan,
            kind=Kind.EXTERNAL,
            decision_id=record.decision_id,
        )
        for record in waiting
    )
    signals = as_received(desk.journal, desk.book, signals)
    ahead = ahead_of_others(desk, signals, desk.now_ns())
    _, older = newest_signals(signal for signal in signals if signal not in ahead)
    return SignalsReport(session.isoformat(), tick_ns, "external", "", signals, {}, (*older, *ahead))


def _row(
    desk: Desk, session: date, tick_ns: int, signal: SignalInput, report: SignalsReport
) -> dict[str, Any]:
    return {
        "book": desk.book,
        "session": session,
        "tick_ns": tick_ns,
        "symbol": signal.symbol,
        "value": signal.value,
        "as_of_ns": signal.as_of_ns,
        "reference_price": _or_none(signal.reference_price),
        "limit_price": _or_none(signal.limit_price),
        "source": report.source,
        "decision_id": signal.decision_id,
        "kind": str(signal.kind),
        "model_version": report.model_version,
        "score": report.scores.get(signal.symbol),
        "outcome": None,
    }


def _or_none(value: float) -> float | None:
    return None if isnan(value) else value


def _or_nan(value: float | None) -> float:
    return nan if value is None else value
