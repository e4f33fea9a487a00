"""The exchange's state as the fold of its events. No decision is made here, nothing is stored here."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from decimal import Decimal

from trading_assets.core.words import Side
from trading_assets.exchange import events as ev
from trading_assets.exchange.account import Account, Activity
from trading_assets.exchange.amounts import ZERO
from trading_assets.exchange.ids import seeded_uuid
from trading_assets.exchange.orders import Order, Status
from trading_assets.exchange.times import activity_prefix


@dataclass(frozen=True, slots=True)
class Override:
    """A person's quote for a symbol: two sides (0: absent), or another spread around the tape's price."""

    bid: Decimal | None
    ask: Decimal | None
    spread_bps: Decimal | None


@dataclass(slots=True)
class State:
    """`account` exists after the first AccountOpened, which is stored together with Opened."""

    now_ns: int = 0
    seed: int = 0
    accounts_opened: int = 0
    event_count: int = 0
    halted_since: dict[str, int] = field(default_factory=dict)
    overrides: dict[str, Override] = field(default_factory=dict)
    _account: Account | None = None

    @property
    def account(self) -> Account:
        assert self._account is not None, "the exchange was never opened"
        return self._account

    def next_order_id(self) -> str:
        return seeded_uuid(self.seed, self.accounts_opened, "order", len(self.account.orders))

    def apply(self, event: ev.Event) -> None:
        """Take the event into the state. `now_ns` never goes back. Raises TypeError for what is no event."""
        self.now_ns = max(self.now_ns, event.at_ns)
        self.event_count += 1
        match event:
            case ev.ClockMoved():
                pass  # `now_ns` has moved
            case ev.Opened(seed=seed):
                self.seed = seed
            case ev.AccountOpened():
                self._open_account(event)
            case ev.OrderAccepted():
                self.account.accept(_accepted(event, sequence=len(self.account.orders)))
            case ev.OrderWorking(at_ns, order_id):
                order = self.account.orders[order_id]
                self.account.put(replace(order, status=Status.NEW, working_ns=at_ns, updated_ns=at_ns))
            case ev.OrderFilled(at_ns, order_id, qty, price):
                order = self.account.fill(order_id, qty, price, at_ns)
                self._note("FILL", at_ns, symbol=order.symbol, order=order, qty=qty, price=price)
            case ev.OrderEnded(at_ns, order_id, status):
                order = self.account.orders[order_id]
                self.account.put(replace(order, status=Status(status), updated_ns=at_ns, ended_ns=at_ns))
            case ev.DividendPaid(at_ns, symbol, qty, per_share, amount):
                self.account.cash += amount
                self._note("DIV", at_ns, symbol=symbol, qty=qty, per_share=per_share, net_amount=amount)
            case ev.PositionSplit(at_ns, symbol, _, qty_change):
                self.account.split(symbol, qty_change)
                self._note("SPLIT", at_ns, symbol=symbol, qty=qty_change)
            case ev.Transferred(at_ns, amount):
                self.account.cash += amount
                self._note("CSD" if amount > 0 else "CSW", at_ns, net_amount=amount)
            case ev.SessionClosed(at_ns, equity):
                self.account.closing_equity, self.account.closing_ns = equity, at_ns
            case ev.SessionBegan():
                self.account.last_equity = self.account.closing_equity
                self.account.last_equity_ns = self.account.closing_ns
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
        self._account = Account(
            number=f"PA{self.accounts_opened:04d}",
            id=seeded_uuid(self.seed, "account", self.accounts_opened),
            opened_ns=event.at_ns,
            cash=event.cash,
            last_equity=event.cash,
            last_equity_ns=event.at_ns,
            closing_equity=event.cash,
            closing_ns=event.at_ns,
        )

    def _note(
        self,
        kind: str,
        at_ns: int,
        *,
        symbol: str | None = None,
        order: Order | None = None,
        qty: Decimal | None = None,
        price: Decimal | None = None,
        per_share: Decimal | None = None,
        net_amount: Decimal = ZERO,
    ) -> None:
        sequence = len(self.account.activities)
        unique = seeded_uuid(self.seed, self.accounts_opened, "activity", sequence)
        activity_id = f"{activity_prefix(at_ns)}::{unique}"
        self.account.note(
            Activity(activity_id, kind, at_ns, symbol, order, qty, price, per_share, net_amount)
        )


def _accepted(event: ev.OrderAccepted, *, sequence: int) -> Order:
    return Order(
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
        extended_hours=event.extended_hours,
        reserve_price=event.reserve_price,
        expires_ns=event.expires_ns,
        submitted_ns=event.at_ns,
        updated_ns=event.at_ns,
        working_ns=event.at_ns if event.working else None,
        status=Status.NEW if event.working else Status.ACCEPTED,
    )
