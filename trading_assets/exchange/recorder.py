"""The one way in which the exchange's state changes: events are stored in transactions, and then passed to
the listeners. The callers decide what to record, and why.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from decimal import Decimal
from typing import NamedTuple

from trading_assets.exchange.amounts import ZERO
from trading_assets.exchange.events import Event
from trading_assets.exchange.orders import VenueOrder
from trading_assets.exchange.state import VenueState
from trading_assets.exchange.store import EventStore


class Recorded(NamedTuple):
    """A stored event; the order that it changed, as it was right after it (None: it changed none); and the
    position in that order's symbol at that moment."""

    event: Event
    order: VenueOrder | None
    position_qty: Decimal


Listener = Callable[[Sequence[Recorded]], None]


class Recorder:
    """`state` is the fold of the stored events, and within a transaction of those recorded so far."""

    def __init__(self, store: EventStore) -> None:
        self.store = store
        self._pending: list[Recorded] = []
        self._listeners: list[Listener] = []
        self.state = self._folded()

    def subscribe(self, listener: Listener) -> None:
        self._listeners.append(listener)

    def record(self, event: Event) -> None:
        """Apply the event to the state. The transaction around this call stores it at its end."""
        self.state.apply(event)
        order_id, order, held = getattr(event, "order_id", None), None, ZERO
        if order_id is not None:
            order = self.state.account.orders[order_id]
            held = self.state.account.position_qty(order.symbol)
        self._pending.append(Recorded(event, order, held))

    @contextmanager
    def transaction(self) -> Iterator[None]:
        """Store what the block records, all or nothing; after a failure the state is again that of the
        store."""
        try:
            yield
            if self._pending:
                self.store.append([recorded.event for recorded in self._pending])
        except BaseException:
            if self._pending:
                self.state = self._folded()
            raise
        else:
            stored, self._pending = self._pending, []
            for listener in self._listeners if stored else ():
                listener(stored)
        finally:
            self._pending = []

    def _folded(self) -> VenueState:
        state = VenueState()
        for event in self.store.events():
            state.apply(event)
        return state
