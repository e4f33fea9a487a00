"""How open orders meet quotes and bars. `core.matching` says at what price, `fill_modes.py` how much.

Everything here happens inside the caller's transaction.
"""

from __future__ import annotations

import math
from decimal import Decimal

from trading_assets.core.matching import fill_price_at_quote, fill_price_in_bar, stop_price_in_bar
from trading_assets.core.words import Side
from trading_assets.exchange import events as ev
from trading_assets.exchange.amounts import ZERO, price_of, shares
from trading_assets.exchange.fill_modes import FillMode, paper_qty, participation_qty
from trading_assets.exchange.orders import Status, VenueOrder
from trading_assets.exchange.quotes import VenueQuote, quote_of
from trading_assets.exchange.recorder import Recorder
from trading_assets.exchange.tape_view import Bar, TapeView


class Matcher:
    def __init__(self, recorder: Recorder, view: TapeView, spread_bps: Decimal) -> None:
        self._recorder = recorder
        self._view = view
        self._spread_bps = spread_bps

    def quote(self, symbol: str, at_ns: int) -> VenueQuote:
        return quote_of(symbol, self._recorder.state, self._view, self._spread_bps, at_ns)

    def meet_bar(self, symbol: str, bar: Bar, at_ns: int) -> None:
        """An order that worked before the bar began trades in it; any other only with the quote after it. A
        bar without volume fills nothing, except from a person's quote."""
        state = self._recorder.state
        by_hand = self._is_quoted_by_hand(symbol)
        if not (bar.volume > 0.0 or by_hand):
            return
        for order in state.account.open_orders(symbol):
            if by_hand or not order.worked_before(bar.start_ns):
                self.meet_quote(order, at_ns)
            elif symbol not in state.halted_since:
                self._trade(*self._price_in_bar(order, bar, at_ns), at_ns)

    def meet_quote(self, order: VenueOrder, at_ns: int) -> None:
        if order.symbol in self._recorder.state.halted_since or order.working_ns is None:
            return
        quote = self.quote(order.symbol, at_ns)
        if order.awaits_election:
            if not self._is_reached(order, quote, at_ns):
                return
            order = self._elect(order, at_ns)
        price = fill_price_at_quote(int(order.side), order.match_limit, float(quote.bid), float(quote.ask))
        self._trade(order, price, at_ns)

    def end(self, order: VenueOrder, status: Status, at_ns: int) -> None:
        self._recorder.record(ev.OrderEnded(at_ns, order.id, status.value))

    def _price_in_bar(self, order: VenueOrder, bar: Bar, at_ns: int) -> tuple[VenueOrder, float]:
        """The order, elected where the bar does that, and the price at which it trades (NaN: it does not).

        A stop trades with the trade that elects it where its limit allows that. What comes after it in the
        same bar is not known, so a limit that does not rests until the next bar.
        """
        if not order.awaits_election:
            return order, fill_price_in_bar(int(order.side), order.match_limit, bar.open, bar.high, bar.low)
        assert order.stop_price is not None
        price = stop_price_in_bar(int(order.side), float(order.stop_price), bar.open, bar.high, bar.low)
        if math.isnan(price):
            return order, price
        order = self._elect(order, at_ns)
        return order, fill_price_at_quote(int(order.side), order.match_limit, price, price)

    def _is_reached(self, order: VenueOrder, quote: VenueQuote, at_ns: int) -> bool:
        """Whether a stop's price is reached: by the last trade, or, as a quote by hand comes without
        trades, by the side that the order would take."""
        assert order.stop_price is not None
        if self._is_quoted_by_hand(order.symbol):
            price = quote.ask if order.side is Side.BUY else quote.bid
        else:
            print_ = self._view.last_print(order.symbol, at_ns)
            price = ZERO if print_ is None else print_.price
        return bool(price) and (price - order.stop_price) * order.side >= 0

    def _is_quoted_by_hand(self, symbol: str) -> bool:
        override = self._recorder.state.overrides.get(symbol)
        return override is not None and override.spread_bps is None

    def _elect(self, order: VenueOrder, at_ns: int) -> VenueOrder:
        self._recorder.record(ev.OrderElected(at_ns, order.id))
        return self._recorder.state.account.orders[order.id]

    def _trade(self, order: VenueOrder, at_price: float, at_ns: int) -> None:
        """Trade what the fill mode lets. A buy that has become dearer than what is free is rejected, or
        cancelled once it is partly filled (a market order whose price ran away)."""
        if math.isnan(at_price):
            return
        account, price = self._recorder.state.account, price_of(at_price)
        wanted = order.leaves_qty
        if order.notional is not None:
            bought = shares(order.leaves_notional / price)
            wanted = bought if order.side is Side.BUY else min(bought, wanted)
        qty = self._at_once(order, wanted, at_ns)
        if not qty:
            return
        free = account.cash - account.reserved_cash + order.reserved_cash
        if order.side is Side.BUY and qty * price > free:
            self.end(order, Status.CANCELED if order.filled_qty else Status.REJECTED, at_ns)
        else:
            self._recorder.record(ev.OrderFilled(at_ns, order.id, qty, price, qty == wanted))

    def _at_once(self, order: VenueOrder, wanted: Decimal, at_ns: int) -> Decimal:
        state = self._recorder.state
        if state.fill_mode is FillMode.ALPACA_PAPER:
            return paper_qty(order, wanted, state.seed)
        if state.fill_mode is FillMode.PARTICIPATION:
            minute = self._view.minute_of_session(order.symbol, at_ns)
            if minute is None:
                return ZERO
            traded = state.account.traded_since(order.symbol, minute.end_ns)
            return participation_qty(wanted, minute.volume, state.participation, traded)
        return wanted
