"""The walk: a range's sessions in their order, on one book. Each day's is compiled (`core.walk.session`).

On daily bars a session is known at its tick and at its close, and nothing between: stops and breakers look
then, and an order that the opening price does not fill expires. With minute ticks the minute bars fill what
rests, and protection goes on every `reconciliation_interval_seconds`, as the live desk's does.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import date
from math import ceil

import numpy as np

from trading_assets.config import Settings
from trading_assets.core.limits import Limits
from trading_assets.core.sizing import NO_TRADE_BAND
from trading_assets.core.walk.columns import (
    EQUITY,
    FACT_COSTS_USD,
    FACT_FEES_USD,
    Book,
    Schedule,
    Sheet,
    Terms,
)
from trading_assets.core.walk.session import walk_session
from trading_assets.engine.decision.decide import as_compiled
from trading_assets.engine.market_data.incomplete_bars import vetoes_all
from trading_assets.engine.replay.book import close_delisted, take_actions
from trading_assets.engine.replay.predictions import Predictions
from trading_assets.engine.replay.recording import Recording
from trading_assets.engine.replay.report import SessionResult, count_codes
from trading_assets.engine.replay.risk import BREAKERS, HaltEvent, begin_session, tripped
from trading_assets.engine.replay.session_limits import session_results
from trading_assets.engine.replay.session_sheet import SessionSheet
from trading_assets.engine.replay.spec import ModelSignals, ReplaySpec
from trading_assets.engine.replay.tape import RangeOfDays
from trading_assets.market.sale_fees import NO_FEES, sale_fees
from trading_assets.market.sessions import MINUTE_NS, Sessions
from trading_assets.market.settlement import settlement_date

NS = 1_000_000_000
EVER_NS = 1 << 60
FEWEST_VERDICTS = 64


@dataclass(slots=True)
class Progress:
    """What a walk has to show: all that a report is made of."""

    results: list[SessionResult] = field(default_factory=list)
    codes: Counter[str] = field(default_factory=Counter)
    missing: Counter[str] = field(default_factory=Counter)  # symbol → sessions without a bar
    halts: list[HaltEvent] = field(default_factory=list)
    delisted: dict[str, date] = field(default_factory=dict)


class Walk:
    """The book on its way through the range; `session` takes it one session further."""

    def __init__(
        self,
        settings: Settings,
        spec: ReplaySpec,
        limits: Limits,
        sessions: Sessions,
        days: RangeOfDays,
        signals: Predictions,
        recording: Recording,
        book: Book,
        progress: Progress,
    ) -> None:
        self.book = book
        self.progress = progress
        self._spec = spec
        self._limits = limits
        self._patience_ns = int(settings.timeout_seconds * NS)
        self._protect_ns = ceil(settings.reconciliation_interval_seconds / 60) * MINUTE_NS
        spread_bps = settings.quote_spread_bps if spec.spread_bps is None else spec.spread_bps
        self._max_share = settings.max_incomplete_share
        self._half_spread = spread_bps / 20_000.0
        self._sessions = sessions
        self._days = days
        self._rows = {symbol: row for row, symbol in enumerate(days.symbols)}
        self._signals = signals
        self._source = "model" if isinstance(spec.source, ModelSignals) else "external"
        self.recording = recording
        self._room = FEWEST_VERDICTS

    def session(self, session: date, ticks: Sequence[tuple[int, int]]) -> int:
        """Walk one session. Returns the number of bars that it had.

        ticks: (number in the range, time in ns), consecutive
        """
        book, days, progress = self.book, self._days, self.progress
        open_ns = self._sessions.open_ns(session)
        dividends_usd = take_actions(book, self._rows, days.actions(session))
        gone = tuple(close_delisted(book, self._rows, days.last_prices_of_gone(session)))
        progress.delisted.update((closed.symbol, session) for closed in gone)
        progress.halts += begin_session(book, session, open_ns, rearm=self._spec.rearm_daily)
        first = ticks[0][0] if ticks else 0
        signals, superseded = self._signals.between(first, first + len(ticks))
        sheet = SessionSheet(
            book_key=self._spec.book,
            session=session,
            open_ns=open_ns,
            close_ns=self._sessions.close_ns(session),
            symbols=days.symbols,
            kind=self._signals.kind,
            ids=self._signals.ids,
            day=days.day(session),
            signals=signals,
            superseded=superseded,
            tick_ns=tuple(at_ns for _, at_ns in ticks),
            delisted=gone,
            sheet=Sheet.of(0, 0, 0, 0),
            book=book,
        )
        self._walk(sheet)
        self._conclude(sheet, dividends_usd)
        return len(sheet.day.bars) or len(days.symbols)

    def _walk(self, session: SessionSheet) -> None:
        """The compiled session, with twice the room for verdicts as long as it was not enough."""
        schedule, terms = self._schedule(session), self._terms(session)
        limits = as_compiled(self._limits)
        before, done = self.book, False
        while not done:
            self.book = before.copied()
            sheet = Sheet.of(
                self._room, len(session.symbols), len(session.signals.rows), len(session.tick_ns)
            )
            signals = session.signals.rows.copy()
            done = walk_session(session.day, schedule, signals, terms, limits, self.book, sheet)
            if not done:
                self._room *= 2
        session.signals.rows[:] = signals
        object.__setattr__(session, "sheet", sheet)
        object.__setattr__(session, "book", self.book)

    def _schedule(self, session: SessionSheet) -> Schedule:
        ticks = np.array(session.tick_ns, dtype=np.int64)
        at_ns = ticks
        if not self._spec.daily:
            minutes = np.arange(session.open_ns + MINUTE_NS, session.close_ns, MINUTE_NS)
            at_ns = np.union1d(ticks, minutes)
        tick = np.full(len(at_ns), -1)
        tick[np.searchsorted(at_ns, ticks)] = np.arange(len(ticks))
        incomplete, symbols = self._days.incomplete(session.session, session.day, session.tick_ns)
        vetoed = [vetoes_all(count, symbols, self._max_share) for count in incomplete.sum(axis=1).tolist()]
        # a break of one symbol's own says nothing of the feed
        incomplete = incomplete | self._days.before_break(session.session)
        return Schedule(
            at_ns,
            tick,
            np.searchsorted(session.signals.tick, np.arange(len(ticks) + 1)),
            incomplete if incomplete.any() else incomplete[:0],
            np.array(vetoed, dtype=np.bool_),
        )

    def _unsettled_sessions(self, session: date) -> int:
        """Of how many sessions, this one included, sales settle after it."""
        day, count = session, 0
        while settlement_date(self._sessions, day) > session:
            day, count = self._sessions.previous(day), count + 1
        return count

    def _terms(self, session: SessionSheet) -> Terms:
        spec = self._spec
        fees = sale_fees(session.session) if spec.sale_fees else NO_FEES
        return Terms(
            session=session.session.toordinal(),
            open_ns=session.open_ns,
            close_ns=session.close_ns,
            patience_ns=self._patience_ns,
            protect_ns=EVER_NS if spec.daily else self._protect_ns,
            last_price_ns=EVER_NS if spec.daily else MINUTE_NS,
            half_spread=self._half_spread,
            next_open=spec.fill_mode == "next_open",
            usd_per_share=float(spec.usd_per_share),
            usd_per_usd=spec.cost_bps / 10_000.0,
            sale_usd_per_usd=fees.usd_per_usd,
            sale_usd_per_share=fees.usd_per_share,
            sale_most_usd=fees.most_usd,
            no_trade_band=NO_TRADE_BAND,
            unsettled_sessions=self._unsettled_sessions(session.session) if spec.settlement else 0,
        )

    def _conclude(self, sheet: SessionSheet, dividends_usd: float) -> None:
        """What the session was, to the record and to the progress."""
        progress, book, day = self.progress, self.book, sheet.session
        without = np.flatnonzero(sheet.day.symbols["close_ns"] == 0)
        progress.missing.update(sheet.symbols[row] for row in without)
        progress.halts += tripped(sheet.sheet, book, day, self._limits)
        count_codes(progress.codes, sheet.proposals["failed"])
        limits = session_results(sheet, self._limits, next_open=self._spec.fill_mode == "next_open")
        self.recording.session(sheet, limits, self._source, self._signals.model_version)
        fills, last = sheet.fills, sheet.states[-1]
        traded = float((sheet.proposals["qty"][fills["order"]] * fills["price"]).sum())
        equity = float(book.figures[EQUITY])
        progress.results.append(
            SessionResult(
                session=day,
                close_ns=sheet.close_ns,
                equity=equity,
                change=equity / float(last["e0"]) - 1.0,
                gross_exposure=float(last["gross_exposure"]),
                orders=len(sheet.sent),
                fills=len(fills) + len(sheet.delisted),
                refused=len(sheet.proposals) - len(sheet.sent),
                traded_usd=traded + sum(abs(closed.qty) * closed.price for closed in sheet.delisted),
                costs_usd=float(sheet.sheet.facts[FACT_COSTS_USD]),
                fees_usd=float(sheet.sheet.facts[FACT_FEES_USD]),
                dividends_usd=dividends_usd,
                halt_causes=tuple(str(cause) for cause, on in zip(BREAKERS, book.latched, strict=True) if on),
                limits=tuple(limits),
            )
        )
