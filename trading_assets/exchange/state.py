"""The exchange's state as the fold of its events. This module decides nothing and stores nothing."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from datetime import date
from decimal import Decimal
from typing import Any

from trading_assets.core.words import Side
from trading_assets.exchange import events as ev
from trading_assets.exchange.account import DueSplit, VenueAccount, VenueActivity, VenueExecution
from trading_assets.exchange.amounts import ZERO
from trading_assets.exchange.fill_modes import FillMode
from trading_assets.exchange.ids import seeded_uuid
from trading_assets.exchange.orders import Status, VenueOrder
from trading_assets.exchange.times import activity_prefix


@dataclass(frozen=True, slots=True)
class Override:
    """A person's quote for a symbol: two sides (0: absent), or another spread around the tape's price."""

    bid: Decimal | None
    ask: Decimal | None
    spread_bps: Decimal | None


@dataclass(slots=True)
class VenueState:
    """`account` exists after the first AccountOpened, which is stored together with Opened."""

    now_ns: int = 0
    seed: int = 0
    fill_mode: FillMode = FillMode.IDEAL
    participation: Decimal = ZERO  # share of a minute's volume, where the fill mode asks for it
    accounts_opened: int = 0
    event_count: int = 0  # those that are kept: a move of the clock takes the place of one right before it
    halted_since: dict[str, int] = field(default_factory=dict)
    overrides: dict[str, Override] = field(default_factory=dict)
    splits_held_back: frozenset[str] = frozenset()
    _account: VenueAccount | None = None
    _clock_moved: bool = False  # whether the last event was a move of the clock

    @property
    def account(self) -> VenueAccount:
        assert self._account is not None, "the exchange was never opened"
        return self._account

    def next_order_id(self) -> str:
        return seeded_uuid(self.seed, self.accounts_opened, "order", len(self.account.orders))

    def apply(self, event: ev.Event) -> None:
        """Apply the event to the state. `now_ns` never goes back. Raises TypeError for anything but an
        event."""
        self.now_ns = max(self.now_ns, event.at_ns)
        moved, self._clock_moved = self._clock_moved, isinstance(event, ev.ClockMoved)
        self.event_count += not (moved and self._clock_moved)
        match event:
            case ev.ClockMoved():
                pass  # `now_ns` has moved
            case ev.Opened():
                self.seed, self.fill_mode = event.seed, FillMode(event.fill_mode)
                self.participation = event.participation or ZERO
            case ev.AccountOpened():
                self._open_account(event)
            case ev.OrderAccepted():
                self.account.accept(_accepted(event, sequence=len(self.account.orders)))
            case ev.OrderWorking(at_ns, order_id):
                self._update(order_id, at_ns, status=Status.NEW, working_ns=at_ns)
            case ev.OrderElected(at_ns, order_id):
                self._update(order_id, at_ns, elected_ns=at_ns)
            case ev.OrderReplaced(at_ns, order_id, by):
                self._update(order_id, at_ns, status=Status.REPLACED, ended_ns=at_ns, replaced_by=by)
            case ev.OrderEnded(at_ns, order_id, status):
                self._update(order_id, at_ns, status=Status(status), ended_ns=at_ns)
            case ev.OrderFilled(at_ns, order_id, qty, price, complete):
                order = self.account.fill(order_id, qty, price, at_ns, complete=complete)
                self._note(
                    "FILL",
                    at_ns,
                    symbol=order.symbol,
                    order=order,
                    qty=qty,
                    price=price,
                    cash_change=-order.side * qty * price,
                    qty_change=order.side * qty,
                )
            case ev.FillBusted(at_ns, order_id, activity_id):
                self._amend(at_ns, order_id, activity_id, None)
            case ev.FillCorrected(at_ns, order_id, activity_id, price):
                self._amend(at_ns, order_id, activity_id, price)
            case ev.DividendPaid(at_ns, symbol, qty, per_share, amount):
                self._pay("DIV", at_ns, amount, symbol=symbol, qty=qty, per_share=per_share)
            case ev.SplitsHeldBack(_, symbol, held_back):
                self.splits_held_back = self.splits_held_back - {symbol} | ({symbol} if held_back else set())
            case ev.SplitDue(_, symbol, ex_date, ratio, qty):
                self.account.splits[symbol] = DueSplit(date.fromisoformat(ex_date), ratio, qty)
            case ev.PositionSplit(at_ns, symbol, _, qty_change, coming):
                self.account.split(symbol, qty_change, coming)
                self._note("SPLIT", at_ns, symbol=symbol, qty=qty_change, qty_change=qty_change)
            case ev.SharesMoved(at_ns, symbol, qty_change, price):
                self._move_shares(at_ns, symbol, qty_change, price)
            case ev.Transferred(at_ns, amount):
                self._pay("CSD" if amount > 0 else "CSW", at_ns, amount)
            case ev.CashPosted(at_ns, kind, amount, symbol, qty, description):
                self._pay(kind, at_ns, amount, symbol=symbol, qty=qty, description=description)
            case ev.ConfigurationChanged():
                changes: dict[str, Any] = event.changes
                self.account.configuration = replace(self.account.configuration, **changes)
            case ev.SessionClosed(at_ns, equity):
                self.account.closings.append((at_ns, equity))
            case ev.SessionBegan():
                if self.account.closings:
                    self.account.last_equity_ns, self.account.last_equity = self.account.closings[-1]
            case ev.SymbolHalted(at_ns, symbol):
                self.halted_since[symbol] = at_ns
            case ev.SymbolResumed(_, symbol):
                del self.halted_since[symbol]
            case ev.QuoteOverridden(_, symbol, bid, ask, spread_bps):
                self.overrides.pop(symbol, None)
                if (bid, ask, spread_bps) != (None, None, None):
                    self.overrides[symbol] = Override(bid, ask, spread_bps)
            case _:
                raise TypeError(f"{type(event).__name__} is not an event of the exchange")

    def _open_account(self, event: ev.AccountOpened) -> None:
        self.accounts_opened += 1
        self._account = VenueAccount(
            number=f"PA{self.accounts_opened:04d}",
            id=seeded_uuid(self.seed, "account", self.accounts_opened),
            opened_ns=event.at_ns,
            cash=event.cash,
            last_equity=event.cash,
            last_equity_ns=event.at_ns,
        )

    def _update(self, order_id: str, at_ns: int, **changes: Any) -> None:
        self.account.put(replace(self.account.orders[order_id], updated_ns=at_ns, **changes))

    def _pay(self, kind: str, at_ns: int, amount: Decimal, **details: Any) -> None:
        """Cash comes (> 0) or goes."""
        self.account.cash += amount
        self._note(kind, at_ns, net_amount=amount, cash_change=amount, **details)

    def _move_shares(self, at_ns: int, symbol: str, qty_change: Decimal, price: Decimal) -> None:
        """Shares come at what they are worth; those that go take their part of the cost along."""
        holding = self.account.holdings.get(symbol)
        if qty_change > 0 or holding is None:
            cost_change = qty_change * price
        else:
            cost_change = holding.sold(-qty_change).cost - holding.cost
        self.account.adjust(symbol, qty_change, cost_change)
        self._note("JNLS", at_ns, symbol=symbol, qty=qty_change, price=price, qty_change=qty_change)

    def _amend(self, at_ns: int, order_id: str, activity_id: str, price: Decimal | None) -> None:
        """Undo a fill, and do it again at another price where there is one."""
        account = self.account
        amended = account.activities[account.activity_rows[activity_id]]
        order, qty, old = account.orders[order_id], amended.qty, amended.price
        assert qty is not None
        assert old is not None
        qty_change = -order.side * qty if price is None else ZERO
        cash_change = order.side * qty * (old if price is None else old - price)
        account.cash += cash_change
        account.adjust(order.symbol, qty_change, ZERO if order.side is Side.SELL and price else -cash_change)
        self._note(
            "FILL",
            at_ns,
            symbol=order.symbol,
            order=order,
            qty=qty,
            price=old if price is None else price,
            execution=VenueExecution.BUST if price is None else VenueExecution.CORRECTION,
            amends=activity_id,
            cash_change=cash_change,
            qty_change=qty_change,
        )

    def _note(self, kind: str, at_ns: int, **details: Any) -> None:
        sequence = len(self.account.activities)
        unique = seeded_uuid(self.seed, self.accounts_opened, "activity", sequence)
        self.account.note(VenueActivity(f"{activity_prefix(at_ns)}::{unique}", kind, at_ns, **details))


def _accepted(event: ev.OrderAccepted, *, sequence: int) -> VenueOrder:
    return VenueOrder(
        sequence=sequence,
        id=event.order_id,
        client_order_id=event.client_order_id,
        symbol=event.symbol,
        side=Side(event.side),
        qty=event.qty,
        notional=event.notional,
        type=event.type,
        time_in_force=event.time_in_force,
        limit_price=event.limit_price,
        stop_price=event.stop_price,
        extended_hours=event.extended_hours,
        reserve_price=event.reserve_price,
        expires_ns=event.expires_ns,
        submitted_ns=event.at_ns,
        updated_ns=event.at_ns,
        working_ns=event.at_ns if event.working else None,
        status=Status.NEW if event.working else Status.ACCEPTED,
        replaces=event.replaces,
    )
