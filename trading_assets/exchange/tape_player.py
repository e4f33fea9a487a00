"""What happens at the exchange while its clock moves: sessions, minutes and mornings, in their order.

A session's day: midnight (dividends, splits, delistings), 04:00 (extended hours), open, minutes, close,
20:00 (end of extended hours). `matcher.py` trades orders on the way.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from datetime import date
from decimal import Decimal

from trading_assets.exchange import events as ev
from trading_assets.exchange.amounts import cents, price_of
from trading_assets.exchange.matcher import Matcher
from trading_assets.exchange.orders import Status
from trading_assets.exchange.recorder import Recorder
from trading_assets.exchange.splits import Splits
from trading_assets.exchange.tape_view import Bar, TapeView, ratio_of
from trading_assets.exchange.times import midnight_ns


class TapePlayer:
    """`equity_at` values the account at an instant (ns)."""

    def __init__(
        self,
        recorder: Recorder,
        matcher: Matcher,
        splits: Splits,
        view: TapeView,
        equity_at: Callable[[int], Decimal],
    ) -> None:
        self._recorder = recorder
        self._matcher = matcher
        self._splits = splits
        self._view = view
        self._sessions = view.sessions
        self._equity_at = equity_at

    def advance(self, from_ns: int, to_ns: int) -> None:
        """Play all that is due in (from, to], inside the caller's transaction."""
        day = self._sessions.new_york_date
        for session in self._sessions.between(day(from_ns), day(to_ns)):
            self._advance_session(session, from_ns, to_ns)

    def _advance_session(self, session: date, from_ns: int, to_ns: int) -> None:
        def due(at_ns: int) -> bool:
            return from_ns < at_ns <= to_ns

        open_ns, close_ns = self._sessions.open_ns(session), self._sessions.close_ns(session)
        early_ns, late_ns = self._sessions.extended_hours(session)
        if due(midnight_ns(session)):
            self._begin_session(session, midnight_ns(session))
        if due(early_ns):
            self._begin_extended_hours(early_ns)
        if due(open_ns):
            self._open_session(session, open_ns)
        for symbol, bar in self._minutes_of_open_orders(session, from_ns, to_ns):
            self._matcher.meet_bar(symbol, bar, bar.end_ns)
        if due(close_ns):
            self._expire(close_ns)
            self._recorder.record(ev.SessionClosed(close_ns, self._equity_at(close_ns)))
        if due(late_ns):
            self._expire(late_ns)

    def _minutes_of_open_orders(self, session: date, from_ns: int, to_ns: int) -> Iterator[tuple[str, Bar]]:
        """The minute bars that ended in (from, to] of symbols with open orders, in order of their end."""
        open_orders = self._recorder.state.account.open_orders()
        symbols = list(dict.fromkeys(order.symbol for order in open_orders))
        bars = {symbol: self._view.minutes(symbol, session) for symbol in symbols}
        rows = sorted(
            (end_ns, rank, symbol, row)
            for rank, symbol in enumerate(symbols)
            for row, end_ns in enumerate(bars[symbol].end_ns.tolist())
            if from_ns < end_ns <= to_ns
        )
        for _, _, symbol, row in rows:
            yield symbol, Bar(*(column[row].item() for column in bars[symbol]))

    def _begin_session(self, session: date, at_ns: int) -> None:
        """Midnight: the last close's equity becomes last_equity; then dividends and splits, per old share.
        Open orders end where a split or a delisting leaves their prices without meaning."""
        record, account = self._recorder.record, self._recorder.state.account
        record(ev.SessionBegan(at_ns))
        involved = set(account.holdings) | {order.symbol for order in account.open_orders()}
        for symbol in sorted(involved):
            action = self._view.action(symbol, session)
            held, ratio = account.position_qty(symbol), Decimal(1)
            if action is not None:
                cash, ratio = price_of(action.cash_usd), ratio_of(action)
                if held and cash:
                    record(ev.DividendPaid(at_ns, symbol, held, cash, cents(held * cash)))
            if ratio != 1 or not self._view.is_active(symbol, at_ns):
                for order in account.open_orders(symbol):
                    self._matcher.end(order, Status.CANCELED, at_ns)
            if action is not None and ratio != 1 and held:
                self._splits.begin_ex_date(action, at_ns)

    def _begin_extended_hours(self, at_ns: int) -> None:
        """Orders for extended hours start to work and meet the morning's quote."""
        account = self._recorder.state.account
        for order in account.open_orders():
            if order.extended_hours:
                if order.working_ns is None:
                    self._recorder.record(ev.OrderWorking(at_ns, order.id))
                self._matcher.meet_quote(account.orders[order.id], at_ns)

    def _open_session(self, session: date, at_ns: int) -> None:
        """Waiting orders start to work, and all meet the opening price."""
        account = self._recorder.state.account
        for order in account.open_orders():
            if order.working_ns is None:
                self._recorder.record(ev.OrderWorking(at_ns, order.id))
        for symbol in dict.fromkeys(order.symbol for order in account.open_orders()):
            bars = self._view.minutes(symbol, session)
            if len(bars.start_ns) and bars.start_ns[0] == at_ns:
                price = float(bars.open[0])
                opening = Bar(at_ns, at_ns, price, price, price, price, float(bars.volume[0]))
                self._matcher.meet_bar(symbol, opening, at_ns)

    def _expire(self, at_ns: int) -> None:
        for order in self._recorder.state.account.open_orders():
            if order.expires_ns <= at_ns:
                self._matcher.end(order, Status.EXPIRED, at_ns)
