"""How an order enters the market: every rule, in the order of the refusals' codes, then acceptance.

`order_entry.py`, `replacement.py` and `admission.py` have the rules. Each entry is one transaction.
"""

from __future__ import annotations

from dataclasses import replace
from datetime import date, timedelta

from trading_assets.exchange.admission import admit, check_position_intent, reserve_price
from trading_assets.exchange.events import OrderAccepted, OrderReplaced
from trading_assets.exchange.ids import seeded_uuid
from trading_assets.exchange.matcher import Matcher
from trading_assets.exchange.order_entry import OrderRequest, check_rules
from trading_assets.exchange.orders import Status, VenueOrder
from trading_assets.exchange.recorder import Recorder
from trading_assets.exchange.refusals import malformed, unprocessable
from trading_assets.exchange.tape_view import TapeView

GTC_DAYS = 90


class Entry:
    def __init__(
        self, recorder: Recorder, matcher: Matcher, view: TapeView, not_fractionable: frozenset[str]
    ) -> None:
        self._recorder = recorder
        self._matcher = matcher
        self._view = view
        self._sessions = view.sessions
        self._not_fractionable = not_fractionable

    def enter(self, request: OrderRequest, *, replaced: VenueOrder | None = None) -> VenueOrder:
        """Accept the order, instead of `replaced` where that is given; returns it as it was accepted. An
        order that may trade now meets the quote at once. Raises ApiRefusal."""
        state = self._recorder.state
        account, symbol, now_ns = state.account, request.symbol, state.now_ns
        if not self._view.is_listed(symbol, now_ns):
            raise malformed(f"asset {symbol} not found")
        if request.client_order_id in account.by_client_id:
            raise malformed("client_order_id must be unique")
        check_rules(request)
        check_position_intent(request, account)
        if not self._view.is_active(symbol, now_ns):
            raise unprocessable(f"asset {symbol} is not active")
        is_open = self._sessions.is_open(now_ns)
        price = reserve_price(request, self._matcher.quote(symbol, now_ns), market_open=is_open)
        fractionable = symbol not in self._not_fractionable
        admit(request, price, account, fractionable=fractionable, replaced=replaced)
        order_id, working = state.next_order_id(), self.trades_now(request.extended_hours)
        with self._recorder.transaction():
            if replaced is not None:
                self._recorder.record(OrderReplaced(now_ns, replaced.id, order_id))
            self._recorder.record(
                OrderAccepted(
                    now_ns,
                    order_id=order_id,
                    client_order_id=request.client_order_id or seeded_uuid(order_id, "client"),
                    symbol=symbol,
                    side=int(request.side),
                    qty=request.qty,
                    notional=request.notional,
                    type=request.type,
                    time_in_force=request.time_in_force,
                    limit_price=request.limit_price,
                    stop_price=request.stop_price,
                    extended_hours=request.extended_hours,
                    reserve_price=price,
                    expires_ns=self._expiry(request, now_ns),
                    working=working,
                    replaces=None if replaced is None else replaced.id,
                )
            )
            accepted = account.orders[order_id]
            if working:
                self._matcher.meet_quote(accepted, now_ns)
        return replace(accepted, status=Status.PENDING_NEW) if working else accepted

    def rematch(self, symbol: str) -> None:
        """Let the symbol's open orders meet a changed quote, inside the caller's transaction."""
        state = self._recorder.state
        for order in state.account.open_orders(symbol):
            if self.trades_now(order.extended_hours):
                self._matcher.meet_quote(order, state.now_ns)

    def trades_now(self, extended_hours: bool) -> bool:
        """Whether an order may trade at this time of the day."""
        now_ns = self._recorder.state.now_ns
        return self._sessions.is_open(now_ns) or (extended_hours and self._sessions.is_extended(now_ns))

    def _expiry(self, request: OrderRequest, now_ns: int) -> int:
        """DAY: the end of this session's hours, or of the next's once they are over. GTC: 90 days."""
        sessions = self._sessions

        def end_ns(day: date) -> int:
            return sessions.extended_hours(day)[1] if request.extended_hours else sessions.close_ns(day)

        today = sessions.new_york_date(now_ns)
        if request.time_in_force == "gtc":
            return sessions.close_ns(sessions.previous(today + timedelta(days=GTC_DAYS + 1)))
        if sessions.is_session(today) and now_ns < end_ns(today):
            return end_ns(today)
        return end_ns(sessions.next(today))
