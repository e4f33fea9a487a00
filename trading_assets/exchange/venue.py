"""The exchange without HTTP: what clients ask of it, and what the control plane does to it.

Each public method that changes something is one transaction (`recorder.py`): it stores its events durably
before it returns, or nothing has happened. One thread uses a venue. `acceptance.py`, `matcher.py` and
`quotes.py` have the rules, `tape_player.py` lets time pass, and `state.py` applies events.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from decimal import Decimal

from trading_assets.core.words import Side
from trading_assets.errors import InvalidInput
from trading_assets.exchange import events as ev
from trading_assets.exchange.acceptance import Entry
from trading_assets.exchange.account import VenueExecution
from trading_assets.exchange.amounts import shares, text
from trading_assets.exchange.configuration import read_changes
from trading_assets.exchange.fill_modes import FillMode
from trading_assets.exchange.ids import asset_id
from trading_assets.exchange.matcher import Matcher
from trading_assets.exchange.order_entry import OrderRequest, read_json, read_order
from trading_assets.exchange.orders import Status, VenueOrder
from trading_assets.exchange.quotes import VenueQuote, mark_of
from trading_assets.exchange.recorder import Listener, Recorder
from trading_assets.exchange.refusals import forbidden, malformed, not_found, unprocessable
from trading_assets.exchange.replacement import check_replaceable, read_replacement, replacing
from trading_assets.exchange.splits import Splits
from trading_assets.exchange.state import VenueState
from trading_assets.exchange.store import EventStore
from trading_assets.exchange.tape_player import TapePlayer
from trading_assets.exchange.tape_view import TapeView
from trading_assets.exchange.times import utc_text
from trading_assets.market.bars import Tape
from trading_assets.market.sessions import Sessions

_POSTED = re.compile(r"[A-Z]{2,8}")
_NOT_POSTED = frozenset({"FILL", "SPLIT", "JNLS", "CSD", "CSW"})  # they have an event of their own


@dataclass(frozen=True, slots=True)
class VenueSettings:
    """The settings that an exchange starts with. `start_ns`, `cash`, `seed`, `fill_mode` and `participation`
    count at its first start only; afterwards its journal has them.

    participation:   the share of a minute bar's volume that the fill mode `participation` lets trade
    bars:            which bars the tape has, as the journal keeps it: bundled, or history
    ragged_sessions: at the tape's end; a symbol whose bars end within them has not been delisted
    """

    start_ns: int
    cash: Decimal = Decimal(100_000)
    seed: int = 7
    spread_bps: Decimal = Decimal(2)
    not_fractionable: frozenset[str] = frozenset()
    fill_mode: str = "ideal"
    participation: Decimal = Decimal("0.1")
    bars: str = "bundled"
    ragged_sessions: int = 1


class Venue:
    def __init__(self, tape: Tape, sessions: Sessions, store: EventStore, settings: VenueSettings) -> None:
        """Raises InvalidInput for a fill mode or a participation that there is not."""
        self.view = TapeView(tape, sessions, ragged_sessions=settings.ragged_sessions)
        self.sessions = sessions
        self.settings = settings
        self._symbol_of_id = {asset_id(symbol): symbol for symbol in tape.symbols}
        self._recorder = Recorder(store)
        self._matcher = Matcher(self._recorder, self.view, settings.spread_bps)
        self._entry = Entry(self._recorder, self._matcher, self.view, settings.not_fractionable)
        self.splits = Splits(self._recorder, self._matcher, self.view)
        self._player = TapePlayer(self._recorder, self._matcher, self.splits, self.view, self._equity_at)
        if not self.state.event_count:
            self._open(settings)

    # What is asked

    @property
    def state(self) -> VenueState:
        return self._recorder.state

    @property
    def now_ns(self) -> int:
        return self.state.now_ns

    @property
    def is_open(self) -> bool:
        return self.sessions.is_open(self.now_ns)

    def quote(self, symbol: str) -> VenueQuote:
        return self._matcher.quote(symbol, self.now_ns)

    def mark(self, symbol: str) -> Decimal:
        """USD per share, for valuing a holding."""
        return mark_of(symbol, self.state, self.view, self.now_ns)

    def equity(self) -> Decimal:
        """Cash + Σ quantity × mark."""
        return self._equity_at(self.now_ns)

    def symbol_of(self, name: str) -> str | None:
        """The listed symbol for a symbol or an asset id."""
        symbol = self._symbol_of_id.get(name, name)
        return symbol if self.view.is_listed(symbol, self.now_ns) else None

    def is_fractionable(self, symbol: str) -> bool:
        return symbol not in self.settings.not_fractionable

    def order(self, order_id: str) -> VenueOrder:
        """Raises ApiRefusal 404."""
        order = self.state.account.orders.get(order_id)
        if order is None:
            raise not_found(f"order not found for {order_id}")
        return order

    def order_by_client_id(self, client_order_id: str) -> VenueOrder:
        """Raises ApiRefusal 404."""
        order_id = self.state.account.by_client_id.get(client_order_id)
        if order_id is None:
            raise not_found(f"order not found for {client_order_id}")
        return self.state.account.orders[order_id]

    def journal_bytes(self) -> bytes:
        return self._recorder.store.journal_bytes()

    def subscribe(self, listener: Listener) -> None:
        """Call `listener` after each stored transaction with what it recorded, in order. It runs in the
        transaction's own call: it must be quick, must not raise, and must not change the venue."""
        self._recorder.subscribe(listener)

    def close(self) -> None:
        """Close the store. The venue cannot be used afterwards."""
        self._recorder.store.close()

    # What is done to orders

    def submit(self, body: bytes) -> VenueOrder:
        """Enter the order in a request's body; returns it as it was accepted. In an open market it meets the
        quote at once, which the next read shows. Raises ApiRefusal."""
        request = read_order(read_json(body))
        return self._entry.enter(replace(request, symbol=self.symbol_of(request.symbol) or request.symbol))

    def replace(self, order_id: str, body: bytes) -> VenueOrder:
        """Replace an open order by another, as `submit` enters one; returns it. Raises ApiRefusal."""
        wanted = read_replacement(read_json(body))
        order = self.order(order_id)
        check_replaceable(order)
        return self._entry.enter(replacing(order, wanted), replaced=order)

    def cancel(self, order_id: str) -> None:
        """Raises ApiRefusal 404, or 422 for an order that is not open."""
        self.end(order_id, Status.CANCELED)

    def cancel_all(self) -> list[VenueOrder]:
        """Cancel every open order; returns the cancelled ones."""
        orders = list(self.state.account.open_orders())
        with self._recorder.transaction():
            for order in orders:
                self._matcher.end(order, Status.CANCELED, self.now_ns)
        return orders

    def end(self, order_id: str, status: Status) -> None:
        """End an open order: cancelled, or as the broker does by itself. Raises as `cancel` does."""
        order = self.order(order_id)
        if not order.is_open:
            raise unprocessable(f'order is already in "{order.status}" state')
        with self._recorder.transaction():
            self._matcher.end(order, status, self.now_ns)

    def close_position(
        self, symbol: str, *, qty: Decimal | None = None, percentage: Decimal | None = None
    ) -> VenueOrder:
        """Sell a position at the market: all of it, a number of shares, or a percentage. Raises
        ApiRefusal."""
        held = self.state.account.position_qty(symbol)
        if not held:
            raise not_found("position does not exist")
        if qty is not None and percentage is not None:
            raise malformed("qty cannot be used with percentage")
        if percentage is not None:
            if not 0 < percentage <= 100:
                raise malformed("percentage must be > 0 and <= 100")
            part = shares(held * percentage / 100)
            qty = part if held % 1 else part // 1
        if qty is None:
            qty = held
        if qty <= 0:
            raise unprocessable("qty must be > 0")
        return self._entry.enter(OrderRequest.at_market(symbol, Side.SELL, qty))

    def configure(self, body: bytes) -> None:
        """Change members of the account's configuration. Raises ApiRefusal 40010001."""
        changes = read_changes(read_json(body))
        if changes:
            with self._recorder.transaction():
                self._recorder.record(ev.ConfigurationChanged(self.now_ns, changes))

    # What the control plane does

    def move_clock(self, to_ns: int) -> None:
        """Play everything in (now, to_ns] in order and stand there. Raises InvalidInput for an earlier
        time."""
        if to_ns < self.now_ns:
            raise InvalidInput(
                f"the clock cannot go back from {utc_text(self.now_ns)} to {utc_text(to_ns)}",
                where="clock",
                remedy="Give a later time, or start another exchange.",
            )
        if to_ns == self.now_ns:
            return
        with self._recorder.transaction():
            self._player.advance(self.now_ns, to_ns)
            self._recorder.record(ev.ClockMoved(to_ns))

    def open_account(self, cash: Decimal) -> None:
        """Replace the present account, and all that it has, by a new one with a new number."""
        with self._recorder.transaction():
            self._recorder.record(ev.AccountOpened(self.now_ns, cash))

    def transfer(self, amount: Decimal) -> None:
        """Deposit (> 0) or withdraw (< 0) cash. Raises ApiRefusal for more than the buying power."""
        if -amount > self.state.account.buying_power:
            raise forbidden("withdrawal exceeds buying power")
        with self._recorder.transaction():
            self._recorder.record(ev.Transferred(self.now_ns, amount))

    def post_activity(
        self,
        kind: str,
        amount: Decimal,
        *,
        symbol: str | None = None,
        qty: Decimal | None = None,
        description: str = "",
    ) -> None:
        """Book cash under an activity type: FEE, INT, JNLC, … `amount` < 0 is paid by the account.

        Raises ApiRefusal 422 for a type that has a method of its own, 403 where the account cannot pay.
        """
        if not _POSTED.fullmatch(kind) or kind in _NOT_POSTED:
            raise malformed(f"activity type {kind!r} cannot be posted")
        with self._booking():
            self._recorder.record(ev.CashPosted(self.now_ns, kind, amount, symbol, qty, description))

    def move_shares(self, symbol: str, qty_change: Decimal) -> None:
        """Journal shares in (> 0) or out, at their mark. Raises ApiRefusal 403 for more than is available."""
        self._require_listed(symbol)
        with self._booking():
            self._recorder.record(ev.SharesMoved(self.now_ns, symbol, qty_change, self.mark(symbol)))

    def bust(self, activity_id: str) -> None:
        """Undo a fill. Raises ApiRefusal 404, 422 for a fill that was amended, 403 where the account no
        longer has the shares or the cash."""
        fill = self._amendable(activity_id)
        with self._booking():
            self._recorder.record(ev.FillBusted(self.now_ns, fill, activity_id))

    def correct(self, activity_id: str, price: Decimal) -> None:
        """Give a fill another price (USD per share). Raises ApiRefusal as `bust` does."""
        if price <= 0:
            raise malformed("price must be > 0")
        fill = self._amendable(activity_id)
        with self._booking():
            self._recorder.record(ev.FillCorrected(self.now_ns, fill, activity_id, price))

    def halt(self, symbol: str) -> None:
        """Orders in the symbol rest and its quote stands still until `resume`."""
        self._require_listed(symbol)
        if symbol not in self.state.halted_since:
            with self._recorder.transaction():
                self._recorder.record(ev.SymbolHalted(self.now_ns, symbol))

    def resume(self, symbol: str) -> None:
        self._require_listed(symbol)
        if symbol in self.state.halted_since:
            with self._recorder.transaction():
                self._recorder.record(ev.SymbolResumed(self.now_ns, symbol))
                self._entry.rematch(symbol)

    def override_quote(
        self, symbol: str, *, bid: Decimal | None, ask: Decimal | None, spread_bps: Decimal | None
    ) -> None:
        """Quote a symbol by hand: two sides (0: absent), or another spread. All None: back to the tape.

        While a person gives two sides, orders trade with them and not with the tape's bars.
        """
        self._require_listed(symbol)
        with self._recorder.transaction():
            self._recorder.record(ev.QuoteOverridden(self.now_ns, symbol, bid, ask, spread_bps))
            self._entry.rematch(symbol)

    # Small things

    def _open(self, settings: VenueSettings) -> None:
        if settings.fill_mode not in list(FillMode):
            raise InvalidInput(
                f"{settings.fill_mode!r} is no fill mode",
                where="fill mode",
                remedy=f"Give one of {', '.join(FillMode)}.",
            )
        participation = settings.participation if settings.fill_mode == FillMode.PARTICIPATION else None
        if participation is not None and not 0 < participation <= 1:
            raise InvalidInput(
                f"{participation} is no share of a bar's volume",
                where="participation",
                remedy="Give a number above 0, at most 1.",
            )
        with self._recorder.transaction():
            opened = ev.Opened(
                settings.start_ns, settings.seed, settings.fill_mode, participation, settings.bars
            )
            self._recorder.record(opened)
            self._recorder.record(ev.AccountOpened(settings.start_ns, settings.cash))

    @contextmanager
    def _booking(self) -> Iterator[None]:
        """A transaction that the account's cash and free shares must cover. Raises ApiRefusal 403."""
        with self._recorder.transaction():
            yield
            account = self.state.account
            if account.cash < account.reserved_cash:
                raise forbidden("insufficient buying power", cash=text(account.cash))
            for symbol in sorted(account.holdings.keys() | {order.symbol for order in account.open_orders()}):
                free = account.position_qty(symbol) - account.held_for_orders(symbol)
                if free < 0:
                    raise forbidden("insufficient qty available", symbol=symbol, available=text(free))

    def _amendable(self, activity_id: str) -> str:
        """The order id of a fill that was not amended yet."""
        account = self.state.account
        row = account.activity_rows.get(activity_id)
        activity = None if row is None else account.activities[row]
        if activity is None or activity.order is None:
            raise not_found(f"fill not found for {activity_id}")
        if activity.execution is VenueExecution.BUST or activity.id in account.amended:
            raise unprocessable(f"fill {activity_id} is already amended")
        return activity.order.id

    def _equity_at(self, at_ns: int) -> Decimal:
        account = self.state.account
        marked = account.long_market_value(lambda symbol: mark_of(symbol, self.state, self.view, at_ns))
        return account.cash + marked

    def _require_listed(self, symbol: str) -> None:
        if not self.view.is_listed(symbol, self.now_ns):
            raise not_found(f"asset not found for {symbol}")
