"""Signals decided and sent on a real exchange, with what the wire does to them scripted."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from decimal import Decimal
from math import nan
from pathlib import Path

from support.trading_floor import TradingFloor

from trading_assets import config
from trading_assets.broker.port import BrokerError, NewOrder, OrderState
from trading_assets.core.orders import Kind, decision_id
from trading_assets.engine.book.desk import Desk
from trading_assets.engine.decision.decide import Decision, decide
from trading_assets.engine.decision.inputs import DecisionInput, Phase, SignalInput
from trading_assets.engine.orders.send import send_approved
from trading_assets.engine.orders.submit import recover
from trading_assets.engine.protection.protect import new_execution_id
from trading_assets.engine.protection.snapshot import take_snapshot
from trading_assets.engine.reconciliation.reconcile import reconcile
from trading_assets.store.records import OrderRecord

BELOW_THE_MARKET = Decimal("0.996")  # rests there, inside the price collar


def new_account(floor: TradingFloor, data_dir: Path, *, environ: dict[str, str] | None = None) -> Desk:
    """A reconciled desk on a new account of the floor's exchange, with a journal of its own."""
    floor.control("/account/reset", cash="100000")
    settings = config.load(floor.config_path).model_copy(update={"data_dir": data_dir})
    desk = Desk.open(settings, environ={} if environ is None else environ)
    reconcile(desk)
    return desk


def signal(
    desk: Desk, symbol: str = "AAPL", value: float = 1.0, *, resting: bool = False, key: str = "1"
) -> SignalInput:
    """A fresh signal from outside; `resting`: with a limit below the market."""
    quote = desk.broker.quotes([symbol])[symbol]
    assert quote.bid is not None
    assert quote.ask is not None
    return SignalInput(
        symbol=symbol,
        value=value,
        as_of_ns=desk.now_ns(),
        reference_price=float((quote.bid + quote.ask) / 2),
        limit_price=float(quote.bid * BELOW_THE_MARKET) if resting else nan,
        volatility=nan,
        kind=Kind.EXTERNAL,
        decision_id=decision_id(desk.book, Kind.EXTERNAL, symbol, key),
    )


def look(desk: Desk, *signals: SignalInput, phase: Phase = Phase.ENTRIES) -> DecisionInput:
    """The full input of one decision, now."""
    return take_snapshot(desk, desk.today(), desk.now_ns(), new_execution_id(), phase, signals=signals)


def decided(desk: Desk, *signals: SignalInput, phase: Phase = Phase.ENTRIES) -> Decision:
    """A decision that approved something."""
    decision = decide(look(desk, *signals, phase=phase))
    assert decision.approved
    return decision


def send(desk: Desk, decision: Decision) -> list[OrderRecord]:
    with desk.journal.lease(desk.book, "test") as lease:
        return send_approved(desk, lease, decision)


def recovered(desk: Desk) -> list[OrderRecord]:
    """What the next execution's recovery makes of the open orders."""
    with desk.journal.lease(desk.book, "test"):
        return recover(desk)


class Posts:
    """The broker's `submit` with scripted failures, one a call; afterwards it answers truly.

    landed: whether the order reaches the broker before the answer is lost
    """

    def __init__(self, real: Callable[[NewOrder], OrderState], *steps: tuple[bool, BrokerError]) -> None:
        self._real = real
        self._steps = list(steps)
        self.sent: list[NewOrder] = []

    def __call__(self, order: NewOrder) -> OrderState:
        self.sent.append(order)
        if not self._steps:
            return self._real(order)
        landed, error = self._steps.pop(0)
        if landed:
            self._real(order)
        raise error

    @property
    def ids(self) -> list[str]:
        return [order.client_order_id for order in self.sent]


def failing(error: BrokerError) -> Callable[..., OrderState]:
    """A call that always ends in `error`."""

    def call(*_: object) -> OrderState:
        raise error

    return call


def at_broker(desk: Desk) -> Sequence[OrderState]:
    """Every order that the broker has."""
    return desk.broker.orders_since(0)


def locked(desk: Desk) -> set[tuple[str, str]]:
    return {(record.symbol, record.cause) for record in desk.journal.locks(desk.book)}


def states(desk: Desk, client_order_id: str) -> list[str]:
    """Where the order has been, in order."""
    return [event.to_state for event in desk.journal.events(client_order_id)]
