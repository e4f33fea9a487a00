"""The exchange without its HTTP faces: orders in, fills out, and a clock that plays the tape.

Each public method that changes something is one transaction: its events are stored durably before it
returns, or nothing has happened. One thread uses a venue. Where the rules live: `order_entry.py`,
`admission.py`, `quotes.py`, `core.matching`; what an event does: `state.py`.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from datetime import date, timedelta
from decimal import Decimal

from trading_assets.core.matching import fill_price_at_quote, fill_price_in_bar
from trading_assets.core.words import Side
from trading_assets.errors import InvalidInput
from trading_assets.exchange import events as ev
from trading_assets.exchange.admission import admit, reserve_price
from trading_assets.exchange.amounts import cents, price_of, shares
from trading_assets.exchange.ids import seeded_uuid
from trading_assets.exchange.order_entry import check_rules, read_json, read_order
from trading_assets.exchange.orders import Order, Status
from trading_assets.exchange.quotes import Quote, mark_of, quote_of
from trading_assets.exchange.refusals import forbidden, malformed, not_found, unprocessable
from trading_assets.exchange.state import State
from trading_assets.exchange.store import EventStore
from trading_assets.exchange.tape_view import Bar, TapeView, ratio_of
from trading_assets.exchange.times import midnight_ns
from trading_assets.market.bars import Tape
from trading_assets.market.sessions import Sessions

GTC_DAYS = 90


@dataclass(frozen=True, slots=True)
class VenueSettings:
    """What an exchange is started with. `start_ns`, `cash` and `seed` count at its first start only:
    afterwards they are in its journal."""

    start_ns: int
    cash: Decimal = Decimal(100_000)
    seed: int = 7
    spread_bps: Decimal = Decimal(2)
    not_fractionable: frozenset[str] = frozenset()


class Venue:
    def __init__(self, tape: Tape, sessions: Sessions, store: EventStore, settings: VenueSettings) -> None:
        self.view = TapeView(tape, sessions)
        self.sessions = sessions
        self.settings = settings
        self._store = store
        self._pending: list[ev.Event] = []
        self.state = self._folded()
        if not self.state.event_count:
            with self._transaction():
                self._record(ev.Opened(settings.start_ns, settings.seed))
                self._record(ev.AccountOpened(settings.start_ns, settings.cash))

    # What is asked

    @property
    def now_ns(self) -> int:
        return self.state.now_ns

    @property
    def is_open(self) -> bool:
        return self.sessions.is_open(self.now_ns)

    def quote(self, symbol: str) -> Quote:
        return self._quote_at(symbol, self.now_ns)

    def mark(self, symbol: str) -> Decimal:
        """USD per share, for valuing a holding."""
        return mark_of(symbol, self.state, self.view, self.now_ns)

    def equity(self) -> Decimal:
        """Cash + Σ quantity × mark."""
        return self._equity_at(self.now_ns)

    def is_fractionable(self, symbol: str) -> bool:
        return symbol not in self.settings.not_fractionable

    def order(self, order_id: str) -> Order:
        """Raises Refusal 404."""
        order = self.state.account.orders.get(order_id)
        if order is None:
            raise not_found(f"order not found for {order_id}")
        return order

    def order_by_client_id(self, client_order_id: str) -> Order:
        """Raises Refusal 404."""
        order_id = self.state.account.by_client_id.get(client_order_id)
        if order_id is None:
            raise not_found(f"order not found for {client_order_id}")
        return self.state.account.orders[order_id]

    def journal_bytes(self) -> bytes:
        return self._store.journal_bytes()

    def close(self) -> None:
        """Let go of the store. The venue is of no use afterwards."""
        self._store.close()

    # What is done to orders

    def submit(self, body: bytes) -> Order:
        """Enter the order in a request's body; returns it as it was accepted. In an open market it is
        then matched with the quote at once, which the next read shows. Raises Refusal."""
        request = read_order(read_json(body))
        account, symbol = self.state.account, request.symbol
        if not self.view.is_listed(symbol, self.now_ns):
            raise malformed(f"asset {symbol} not found")
        if request.client_order_id in account.by_client_id:
            raise malformed("client_order_id must be unique")
        check_rules(request)
        price = reserve_price(request, self.quote(symbol), market_open=self.is_open)
        admit(request, price, account, fractionable=self.is_fractionable(symbol))
        order_id = self.state.next_order_id()
        with self._transaction():
            self._record(
                ev.OrderAccepted(
                    self.now_ns,
                    order_id=order_id,
                    client_order_id=request.client_order_id or seeded_uuid(order_id, "client"),
                    symbol=symbol,
                    side=int(request.side),
                    qty=request.qty,
                    notional=request.notional,
                    type=request.type,
                    time_in_force=request.time_in_force,
                    limit_price=request.limit_price,
                    extended_hours=request.extended_hours,
                    reserve_price=price,
                    expires_ns=self._expiry(request.time_in_force),
                    working=self.is_open,
                )
            )
            accepted = self.state.account.orders[order_id]
            if self.is_open:
                self._match_with_quote(accepted, self.now_ns)
        return replace(accepted, status=Status.PENDING_NEW) if self.is_open else accepted

    def cancel(self, order_id: str) -> None:
        """Raises Refusal 404, or 422 for an order that is not open."""
        order = self.order(order_id)
        if not order.is_open:
            raise unprocessable(f'order is already in "{order.status}" state')
        with self._transaction():
            self._end(order, Status.CANCELED, self.now_ns)

    def cancel_all(self) -> list[Order]:
        """Cancel every open order; returns those that were."""
        orders = list(self.state.account.open_orders())
        with self._transaction():
            for order in orders:
                self._end(order, Status.CANCELED, self.now_ns)
        return orders

    # What the control plane does

    def move_clock(self, to_ns: int) -> None:
        """Play everything in (now, to_ns] in order and stand there. Raises InvalidInput for going back."""
        if to_ns < self.now_ns:
            raise InvalidInput(
                f"the clock cannot go back from {self.now_ns} to {to_ns}",
                where="clock",
                remedy="Give a later time, or start another exchange.",
            )
        if to_ns == self.now_ns:
            return
        from_ns, day = self.now_ns, self.sessions.new_york_date
        with self._transaction():
            for session in self.sessions.between(day(from_ns), day(to_ns)):
                self._play_session(session, from_ns, to_ns)
            self._record(ev.ClockMoved(to_ns))

    def open_account(self, cash: Decimal) -> None:
        """A new account with a new number replaces the present one and all that it had."""
        with self._transaction():
            self._record(ev.AccountOpened(self.now_ns, cash))

    def transfer(self, amount: Decimal) -> None:
        """Deposit (> 0) or withdraw (< 0) cash. Raises Refusal for more than the buying power."""
        if -amount > self.state.account.buying_power:
            raise forbidden("withdrawal exceeds buying power")
        with self._transaction():
            self._record(ev.Transferred(self.now_ns, amount))

    def halt(self, symbol: str) -> None:
        """Orders in the symbol rest and its quote stands still until `resume`."""
        self._require_listed(symbol)
        if symbol not in self.state.halted_since:
            with self._transaction():
                self._record(ev.SymbolHalted(self.now_ns, symbol))

    def resume(self, symbol: str) -> None:
        self._require_listed(symbol)
        if symbol in self.state.halted_since:
            with self._transaction():
                self._record(ev.SymbolResumed(self.now_ns, symbol))
                self._rematch(symbol)

    def override_quote(
        self, symbol: str, *, bid: Decimal | None, ask: Decimal | None, spread_bps: Decimal | None
    ) -> None:
        """Quote a symbol by hand: two sides (0: absent), or another spread. All None: back to the tape.

        While two sides are given by hand orders trade with them and not with the tape's bars.
        """
        self._require_listed(symbol)
        with self._transaction():
            self._record(ev.QuoteOverridden(self.now_ns, symbol, bid, ask, spread_bps))
            self._rematch(symbol)

    # How the tape is played

    def _play_session(self, session: date, from_ns: int, to_ns: int) -> None:
        def due(at_ns: int) -> bool:
            return from_ns < at_ns <= to_ns

        open_ns, close_ns = self.sessions.open_ns(session), self.sessions.close_ns(session)
        if due(midnight_ns(session)):
            self._begin_session(session, midnight_ns(session))
        if due(open_ns):
            self._open_session(session, open_ns)
        for symbol, bar in self._minutes_of_open_orders(session, from_ns, to_ns):
            self._match_with_bar(symbol, bar, bar.end_ns)
        if due(close_ns):
            self._close_session(close_ns)

    def _minutes_of_open_orders(self, session: date, from_ns: int, to_ns: int) -> Iterator[tuple[str, Bar]]:
        """The minute bars that ended in (from, to] of symbols with open orders, in order of their end."""
        symbols = list(dict.fromkeys(order.symbol for order in self.state.account.open_orders()))
        bars = {symbol: self.view.minutes(symbol, session) for symbol in symbols}
        rows = sorted(
            (end_ns, rank, symbol, row)
            for rank, symbol in enumerate(symbols)
            for row, end_ns in enumerate(bars[symbol].end_ns.tolist())
            if from_ns < end_ns <= to_ns
        )
        for _, _, symbol, row in rows:
            yield symbol, Bar(*(column[row].item() for column in bars[symbol]))

    def _begin_session(self, session: date, at_ns: int) -> None:
        """Midnight: the last close's equity becomes last_equity; then dividends and splits, per old share."""
        self._record(ev.SessionBegan(at_ns))
        account = self.state.account
        involved = set(account.holdings) | {order.symbol for order in account.open_orders()}
        for symbol in sorted(involved):
            action = self.view.action(symbol, session)
            if action is None:
                continue
            held, cash, ratio = account.position_qty(symbol), price_of(action.cash_usd), ratio_of(action)
            if held and cash:
                self._record(ev.DividendPaid(at_ns, symbol, held, cash, cents(held * cash)))
            if ratio == 1:
                continue
            for order in account.open_orders(symbol):
                self._end(order, Status.CANCELED, at_ns)
            if held:
                self._record(ev.PositionSplit(at_ns, symbol, ratio, shares(held * ratio) - held))

    def _open_session(self, session: date, at_ns: int) -> None:
        """Waiting orders start to work, and all meet the opening price."""
        account = self.state.account
        for order in account.open_orders():
            if order.working_ns is None:
                self._record(ev.OrderWorking(at_ns, order.id))
        for symbol in dict.fromkeys(order.symbol for order in account.open_orders()):
            bars = self.view.minutes(symbol, session)
            if len(bars.start_ns) and bars.start_ns[0] == at_ns:
                price = float(bars.open[0])
                opening = Bar(at_ns, at_ns, price, price, price, price, 0.0)
                self._match_with_bar(symbol, opening, at_ns)

    def _close_session(self, at_ns: int) -> None:
        for order in self.state.account.open_orders():
            if order.expires_ns <= at_ns:
                self._end(order, Status.EXPIRED, at_ns)
        self._record(ev.SessionClosed(at_ns, self._equity_at(at_ns)))

    # How orders are matched

    def _match_with_bar(self, symbol: str, bar: Bar, at_ns: int) -> None:
        """An order that worked before the bar began trades in it; any other only with the quote after it."""
        override = self.state.overrides.get(symbol)
        by_hand = override is not None and override.spread_bps is None
        for order in self.state.account.open_orders(symbol):
            if by_hand or order.working_ns is None or order.working_ns > bar.start_ns:
                self._match_with_quote(order, at_ns)
            elif symbol not in self.state.halted_since:
                price = fill_price_in_bar(order.side, order.match_limit, bar.open, bar.high, bar.low)
                self._fill(order, price, at_ns)

    def _match_with_quote(self, order: Order, at_ns: int) -> None:
        if order.symbol in self.state.halted_since or order.working_ns is None:
            return
        quote = self._quote_at(order.symbol, at_ns)
        price = fill_price_at_quote(order.side, order.match_limit, float(quote.bid), float(quote.ask))
        self._fill(order, price, at_ns)

    def _rematch(self, symbol: str) -> None:
        if self.is_open:
            for order in self.state.account.open_orders(symbol):
                self._match_with_quote(order, self.now_ns)

    def _fill(self, order: Order, at_price: float, at_ns: int) -> None:
        """Trade the whole order. A buy that has become dearer than what is free is rejected (a market
        order that waited for the open)."""
        if math.isnan(at_price):
            return
        account, price = self.state.account, price_of(at_price)
        qty = order.leaves_qty
        if order.notional is not None:
            bought = shares(order.notional / price)
            qty = bought if order.side is Side.BUY else min(bought, qty)
        free = account.cash - account.reserved_cash + order.reserved_cash
        if order.side is Side.BUY and qty * price > free:
            self._end(order, Status.REJECTED, at_ns)
        else:
            self._record(ev.OrderFilled(at_ns, order.id, qty, price))

    # Small things

    def _end(self, order: Order, status: Status, at_ns: int) -> None:
        self._record(ev.OrderEnded(at_ns, order.id, status.value))

    def _expiry(self, time_in_force: str) -> int:
        """DAY: the close of this session, or of the next once this one is over. GTC: 90 days."""
        today = self.sessions.new_york_date(self.now_ns)
        if time_in_force == "gtc":
            return self.sessions.close_ns(self.sessions.previous(today + timedelta(days=GTC_DAYS + 1)))
        if self.sessions.is_session(today) and self.now_ns < self.sessions.close_ns(today):
            return self.sessions.close_ns(today)
        return self.sessions.close_ns(self.sessions.next(today))

    def _quote_at(self, symbol: str, at_ns: int) -> Quote:
        return quote_of(symbol, self.state, self.view, self.settings.spread_bps, at_ns)

    def _equity_at(self, at_ns: int) -> Decimal:
        account = self.state.account
        marked = account.long_market_value(lambda symbol: mark_of(symbol, self.state, self.view, at_ns))
        return account.cash + marked

    def _require_listed(self, symbol: str) -> None:
        if not self.view.is_listed(symbol, self.now_ns):
            raise not_found(f"asset not found for {symbol}")

    # How it is stored

    def _folded(self) -> State:
        state = State()
        for event in self._store.events():
            state.apply(event)
        return state

    def _record(self, event: ev.Event) -> None:
        self.state.apply(event)
        self._pending.append(event)

    @contextmanager
    def _transaction(self) -> Iterator[None]:
        """Store what the block records, all or none; on failure the state is that of the store again."""
        try:
            yield
            if self._pending:
                self._store.append(self._pending)
        except BaseException:
            if self._pending:
                self.state = self._folded()
            raise
        finally:
            self._pending = []
