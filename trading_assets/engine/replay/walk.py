"""The walk: a range's ticks in their order, each as the live tick goes: protect, exits, entries.

Between intraday ticks the minute bars fill what rests and protection goes on, as the live desk's does
every `reconciliation_interval_seconds`; at the close DAY orders expire and the session is measured
against its limits. On daily bars a session is known at its tick and at its close, and nothing between:
stops and breakers look then, and an order that the opening price does not fill expires.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence
from datetime import date
from math import ceil, isnan

from trading_assets.config import Settings
from trading_assets.core.breakers import stop_hit
from trading_assets.core.matching import fill_price_at_quote, fill_price_in_bar
from trading_assets.core.orders import Kind, State, decision_id
from trading_assets.core.words import Limits
from trading_assets.engine.decide import decide
from trading_assets.engine.halts import Cause
from trading_assets.engine.inputs import DecisionInput, ForcedExit, Phase, SignalInput
from trading_assets.engine.replay.book import Instant, ReplayBook, ReplayOrder
from trading_assets.engine.replay.predictions import Predictions
from trading_assets.engine.replay.recording import Recording
from trading_assets.engine.replay.report import SessionResult, count_codes
from trading_assets.engine.replay.risk import Risk
from trading_assets.engine.replay.session_limits import SessionFacts, session_results
from trading_assets.engine.replay.spec import ModelSignals, ReplaySpec
from trading_assets.engine.replay.tape import DayPrices, RangeOfDays
from trading_assets.market.sessions import MINUTE_NS, Sessions

NS = 1_000_000_000
Watch = Callable[[DecisionInput], None]


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
        watch: Watch | None,
    ) -> None:
        self.book = ReplayBook.open(spec.book, limits, spec.cash_usd)
        self.risk = Risk(limits, spec.cash_usd)
        self.results: list[SessionResult] = []
        self.codes: Counter[str] = Counter()
        self.missing: Counter[str] = Counter()  # symbol → sessions without a bar
        self._spec = spec
        self._limits = limits
        self._patience_ns = int(settings.timeout_seconds * NS)
        self._protect_ns = ceil(settings.reconciliation_interval_seconds / 60) * MINUTE_NS
        self._sessions = sessions
        self._days = days
        self._signals = signals
        self._source = "model" if isinstance(spec.source, ModelSignals) else "external"
        self._recording = recording
        self._watch = watch
        self._attempts: dict[str, int] = {}  # decision id → the latest attempt that was sent
        self._refused = 0

    def session(self, day: date, ticks: Sequence[tuple[int, int]]) -> None:
        """Walk one session.

        ticks: (number in the range, time in ns), ascending
        """
        open_ns, close_ns = self._sessions.open_ns(day), self._sessions.close_ns(day)
        prices = self._days.day(day)
        facts = SessionFacts(day, open_ns, close_ns)
        self.missing.update(symbol for symbol, of_symbol in prices.days.items() if not of_symbol.close_ns)
        self._refused = 0
        self.book.begin_session(self._days.actions(day))
        self.risk.begin_session(day, open_ns, rearm=self._spec.rearm_daily)
        number_at = {at_ns: number for number, at_ns in ticks}
        times = list(number_at)
        if not self._spec.daily:
            times = sorted({*times, *range(open_ns + MINUTE_NS, close_ns, MINUTE_NS)})
        for now_ns in times:
            at = Instant(day, open_ns, close_ns, now_ns, now_ns)
            self._match_resting(prices, now_ns)
            if now_ns in number_at:
                self._tick(number_at[now_ns], at, prices, facts)
            elif (now_ns - open_ns) % self._protect_ns == 0 and (self.book.held or self.book.working):
                self._protect(at, prices, facts)
        self._close(Instant(day, open_ns, close_ns, close_ns, close_ns), prices, facts)

    def _tick(self, number: int, at: Instant, prices: DayPrices, facts: SessionFacts) -> None:
        sent = self._protect(at, prices, facts)
        signals = self._signals.at(number, prices)
        facts.signal_values.update((signal.decision_id, signal.value) for signal in signals)
        outcomes: dict[str, str] = {}
        bought: set[str] = set()
        for phase in (Phase.EXITS, Phase.ENTRIES):
            if not signals:
                continue
            orders, found = self._execute(at, phase, prices, signals=signals, sent_before=sent)
            sent += len(orders)
            bought |= {o.verdict.symbol for o in orders if o.is_filled and not o.verdict.reducing}
            # What an exit ordered or refused is not undone by the entries' pass holding.
            outcomes |= {key: value for key, value in found.items() if outcomes.get(key, "HELD") == "HELD"}
        self._observe(at, prices, facts, bought)
        self._recording.signals(
            at.session,
            at.tick_ns,
            signals,
            self._source,
            self._signals.model_version,
            {signal.symbol: self._signals.score(number, signal.symbol) for signal in signals},
            outcomes,
        )
        self._recording.state(at, self.book, self.risk, prices)

    def _close(self, at: Instant, prices: DayPrices, facts: SessionFacts) -> None:
        self._match_resting(prices, at.now_ns)
        for order in self.book.working:
            order.end(State.EXPIRED, at.now_ns, "not filled by the close")
        self._observe(at, prices, facts)
        facts.stops_unsold = tuple(sorted(self.book.stopped.keys() & self.book.held.keys()))
        self._recording.state(at, self.book, self.risk, prices)
        book, risk = self.book, self.risk
        limits = tuple(session_results(facts, book.orders, book.fills, self._limits))
        self._recording.session(at.session, at.close_ns, book.orders, book.fills, limits)
        self.results.append(
            SessionResult(
                session=at.session,
                close_ns=at.close_ns,
                equity=risk.equity,
                change=risk.equity / risk.e0 - 1.0,
                gross_exposure=sum(book.exposure(prices, at.now_ns).values()) / risk.equity,
                orders=len(book.orders),
                fills=len(book.fills),
                refused=self._refused,
                traded_usd=sum(fill.order.qty * fill.price for fill in book.fills),
                halt_causes=tuple(str(cause) for cause in risk.latched),
                limits=limits,
            )
        )

    def _protect(self, at: Instant, prices: DayPrices, facts: SessionFacts) -> int:
        """Breakers, what they cancel, timeouts, stops, unfilled exits. Returns the number of orders sent."""
        self._observe(at, prices, facts)
        for order in self.book.working:
            if Cause.DAILY_LOSS in self.risk.latched and not order.verdict.reducing:
                order.end(State.CANCELED, at.now_ns, "daily loss")
            elif at.now_ns - order.verdict.at_ns >= self._patience_ns:
                order.end(State.CANCELED, at.now_ns, "execution timeout")
        exits = [*self._stop_exits(at, prices), *self._unfilled_exits()]
        if not exits:
            return 0
        orders, _ = self._execute(at, Phase.PROTECT, prices, forced_exits=exits)
        return len(orders)

    def _stop_exits(self, at: Instant, prices: DayPrices) -> list[ForcedExit]:
        """The next attempt for each stopped position that has no order at work, new stops included."""
        book = self.book
        book.release_stops(at.session)
        for symbol in book.held.keys() - book.stopped.keys():
            price, cost = prices.at(symbol, at.now_ns), book.costs.holdings[symbol].avg_cost
            if stop_hit(
                price.bid,
                price.ask,
                price.quote_ns,
                price.last_trade,
                price.trade_ns,
                cost,
                at.now_ns,
                self._limits,
            ):
                book.stopped[symbol] = (at.now_ns, at.session)
        exits = []
        for symbol in sorted(book.stopped.keys() & book.held.keys()):
            of_symbol = [order for order in book.working if order.verdict.symbol == symbol]
            for order in of_symbol:
                if not order.verdict.reducing:
                    order.end(State.CANCELED, at.now_ns, "stop loss")
            if not any(order.is_open for order in of_symbol):
                identity = decision_id(book.key, Kind.STOP, symbol, book.stopped[symbol][0])
                exits.append(ForcedExit(symbol, Kind.STOP, identity, self._attempts.get(identity, 0) + 1))
        return exits

    def _unfilled_exits(self) -> list[ForcedExit]:
        """The next attempt for the shares that a symbol's last decision of the session was to sell, and
        did not."""
        book = self.book
        last = {order.verdict.symbol: order.verdict for order in book.orders}
        exits = []
        for symbol in sorted(last.keys() & book.held.keys() - book.stopped.keys()):
            decided = last[symbol]
            if not decided.reducing or decided.kind == Kind.STOP:
                continue
            attempt = self._attempts[decided.decision_id]
            slices = [
                order
                for order in book.orders
                if order.verdict.decision_id == decided.decision_id and order.verdict.attempt == attempt
            ]
            leaves = sum(order.qty for order in slices if not order.is_filled)
            if leaves and not any(order.is_open for order in slices):
                kind, identity = decided.kind, decided.decision_id
                exits.append(ForcedExit(symbol, kind, identity, attempt + 1, qty=leaves))
        return exits

    def _execute(
        self,
        at: Instant,
        phase: Phase,
        prices: DayPrices,
        *,
        signals: Sequence[SignalInput] = (),
        forced_exits: Sequence[ForcedExit] = (),
        sent_before: int = 0,
    ) -> tuple[list[ReplayOrder], dict[str, str]]:
        """Decide one phase and send what passed: it trades with the quote, or rests."""
        given = self.book.decision_input(
            at,
            phase,
            prices,
            self.risk.halts(),
            execution_id=str(at.tick_ns),
            signals=signals,
            forced_exits=forced_exits,
            execution_orders=sent_before,
        )
        if self._watch is not None:
            self._watch(given)
        decision = decide(given)
        self._recording.verdicts(at.session, decision.verdicts)
        count_codes(self.codes, decision.verdicts)
        approved = decision.approved
        self._refused += len(decision.verdicts) - len(approved)
        orders = [self.book.accept(v, prices.at(v.symbol, at.now_ns)) for v in approved]
        for order in orders:
            self._attempts[order.verdict.decision_id] = order.verdict.attempt
            self._match_with_quote(order, prices, at.now_ns)
        return orders, decision.outcomes

    def _match_with_quote(self, order: ReplayOrder, prices: DayPrices, now_ns: int) -> None:
        quote = prices.at(order.verdict.symbol, now_ns)
        price = fill_price_at_quote(order.verdict.side, order.limit_price, quote.bid, quote.ask)
        if not isnan(price):
            self.book.fill(order, price, now_ns)

    def _match_resting(self, prices: DayPrices, now_ns: int) -> None:
        """What rests meets the minute bar that ended now; an order sent within it, the quote after it."""
        for order in self.book.working:
            bar = prices.days[order.verdict.symbol].bar_that_ended(now_ns)
            if bar is None:
                continue
            start_ns, open_, high, low = bar
            if order.verdict.at_ns > start_ns:
                self._match_with_quote(order, prices, now_ns)
                continue
            price = fill_price_in_bar(order.verdict.side, order.limit_price, open_, high, low)
            if not isnan(price):
                self.book.fill(order, price, now_ns)

    def _observe(
        self, at: Instant, prices: DayPrices, facts: SessionFacts, bought: Sequence[str] | set[str] = ()
    ) -> None:
        """The book's equity to the breakers, and what it measures to the session's facts."""
        equity = self.book.equity(prices, at.now_ns)
        facts.see_losses(self.risk.observe(equity, at.now_ns))
        facts.lowest_cash = min(facts.lowest_cash, self.book.ledger.cash_usd)
        facts.see_exposure(self.book.exposure(prices, at.now_ns), equity, bought)
        facts.short |= {symbol for symbol, held in self.book.held.items() if held.qty < 0.0}
