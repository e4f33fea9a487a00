"""Splits in the account: booked at midnight of their ex-date, or when the control plane says so.

A real broker may book a split early, hours late, or in two lines (the old shares leave, the new ones come
later), and pay cash for a fraction. Prices move on the ex-date all the same. The shares held then wait until
the split is booked: what is sold meanwhile comes from them first, what is bought meanwhile is already in new
shares.
"""

from __future__ import annotations

from collections.abc import Iterator
from datetime import date, timedelta

from trading_assets.exchange import events as ev
from trading_assets.exchange.amounts import ZERO, cents, shares
from trading_assets.exchange.matcher import Matcher
from trading_assets.exchange.orders import Status
from trading_assets.exchange.quotes import mark_of
from trading_assets.exchange.recorder import Recorder
from trading_assets.exchange.refusals import not_found
from trading_assets.exchange.tape_view import TapeView, ratio_of
from trading_assets.market.bars import CorporateAction

CASH_IN_LIEU = "CIL"
ANNOUNCED_AHEAD = timedelta(days=15)


class Splits:
    def __init__(self, recorder: Recorder, matcher: Matcher, view: TapeView) -> None:
        self._recorder = recorder
        self._matcher = matcher
        self._view = view

    def begin_ex_date(self, action: CorporateAction, at_ns: int) -> None:
        """At midnight of a split's ex-date, inside the caller's transaction: book the split, or let it wait
        from now on. What was booked ahead of it is in new shares."""
        state = self._recorder.state
        account, symbol, ratio = state.account, action.symbol, ratio_of(action)
        due = account.splits.get(symbol)
        ahead = due is not None and due.ex_date == action.ex_date
        old = account.position_qty(symbol) - (due.booked if due is not None and ahead else ZERO)
        if not old:
            return
        if symbol in state.splits_held_back or (due is not None and ahead and due.is_waiting):
            self._recorder.record(ev.SplitDue(at_ns, symbol, action.ex_date.isoformat(), ratio, old))
        else:
            self._recorder.record(ev.PositionSplit(at_ns, symbol, ratio, shares(old * ratio) - old))

    def hold_back(self, symbol: str, *, held_back: bool) -> None:
        """Say whether the symbol's splits wait for `book` from now on. Raises ApiRefusal 404 for an unknown
        symbol."""
        self._require_listed(symbol)
        if held_back != (symbol in self._recorder.state.splits_held_back):
            with self._recorder.transaction():
                self._recorder.record(ev.SplitsHeldBack(self._recorder.state.now_ns, symbol, held_back))

    def announce(self, symbol: str) -> None:
        """List the symbol's next split ahead of its ex-date; what is held of it may be booked from now on.
        Raises ApiRefusal 404 where none is near."""
        self._require_listed(symbol)
        state, today = self._recorder.state, self._view.sessions.new_york_date(self._recorder.state.now_ns)
        ahead = (
            self._view.action(symbol, today + timedelta(days=n + 1)) for n in range(ANNOUNCED_AHEAD.days)
        )
        action = next((one for one in ahead if one is not None and one.split_ratio != 1.0), None)
        held = state.account.position_qty(symbol)
        if action is None:
            raise not_found(f"no split of {symbol} in the next {ANNOUNCED_AHEAD.days} days")
        with self._recorder.transaction():
            self._recorder.record(
                ev.SplitDue(state.now_ns, symbol, action.ex_date.isoformat(), ratio_of(action), held)
            )

    def book(self, symbol: str, *, in_two_lines: bool = False, in_lieu: bool = False) -> bool:
        """Book the next line of a split that waits; returns whether there was one.

        in_two_lines: the old shares leave now, the new ones come with the next call
        in_lieu:      a fraction of a new share is paid in cash, at the symbol's mark, when they come
        """
        self._require_listed(symbol)
        state = self._recorder.state
        due = state.account.splits.get(symbol)
        if due is None or not due.is_waiting:
            return False
        now_ns = state.now_ns
        with self._recorder.transaction():
            for order in state.account.open_orders(symbol):
                self._matcher.end(order, Status.CANCELED, now_ns)
            new = due.coming or shares(due.qty * due.ratio)
            if in_two_lines and due.qty:
                self._recorder.record(ev.PositionSplit(now_ns, symbol, due.ratio, -due.qty, new))
                return True
            whole = new // 1 if in_lieu else new
            self._recorder.record(ev.PositionSplit(now_ns, symbol, due.ratio, whole - due.qty))
            if new != whole:
                paid = cents((new - whole) * mark_of(symbol, state, self._view, now_ns))
                self._recorder.record(
                    ev.CashPosted(now_ns, CASH_IN_LIEU, paid, symbol, None, "cash in lieu of a fraction")
                )
        return True

    def _require_listed(self, symbol: str) -> None:
        if not self._view.is_listed(symbol, self._recorder.state.now_ns):
            raise not_found(f"asset not found for {symbol}")

    def announced(self, symbol: str, first: date, last: date) -> Iterator[CorporateAction]:
        """The symbol's split that is listed before its ex-date, where that lies within [first, last]."""
        due = self._recorder.state.account.splits.get(symbol)
        today = self._view.sessions.new_york_date(self._recorder.state.now_ns)
        if due is not None and today < due.ex_date and first <= due.ex_date <= last:
            action = self._view.action(symbol, due.ex_date)
            if action is not None:
                yield action
