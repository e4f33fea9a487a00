"""An order that a person replaced at the broker, read along its whole chain: what stands for ours now, how
much the whole chain has filled, and which of the broker's ids were ours. The desk replaces no order itself.
Nothing is journaled here.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from decimal import Decimal

from trading_assets.broker.port import BrokerError, NotFound, OrderState
from trading_assets.core.orders import as_filled, is_ours
from trading_assets.engine.book.desk import Desk
from trading_assets.store.records import OrderRecord

LONGEST_CHAIN = 200
"""Orders. A person who moves a price by hand does not come near it."""


class BrokenChain(BrokerError):
    """What replaced an order cannot be found out from the broker. `gone`: it says itself that the
    replacement does not exist."""

    def __init__(self, message: str, *, gone: bool) -> None:
        self.gone = gone
        super().__init__(message)


@dataclass(frozen=True, slots=True)
class Chain:
    """The order that stands for ours, with quantity and fills of the whole chain, and the ids before it."""

    order: OrderState
    earlier_ids: tuple[str, ...] = ()


def followed(
    desk: Desk, record: OrderRecord, state: OrderState, listed: Mapping[str, OrderState] | None = None
) -> Chain:
    """The broker's answer on our order, or on one that replaced it, as the state of its whole chain.

    A replacement is for what the order before it had left. So the chain has filled what all of them have,
    and its quantity is that of the last one and what was filled before. Raises BrokerError when a link
    cannot be read, and BrokenChain when the links lead nowhere.

    listed: orders that were just read, by the broker's id
    """
    at_hand = {**(listed or {}), state.id: state}
    first = state
    if not is_ours(state.client_order_id):
        client_id = record.intent.client_order_id
        successor = next((one for one in at_hand.values() if one.client_order_id == client_id), None)
        if successor is None:
            successor = desk.broker.order_by_client_id(client_id)
        if successor is None:
            return Chain(state)  # all that is left to read; fills that are known do not fall
        first = successor
    links = [first]
    while (following := links[-1].replaced_by) is not None:
        if following in {link.id for link in links}:
            raise BrokenChain(f"order {following} replaced itself", gone=False)
        if len(links) == LONGEST_CHAIN:
            raise BrokenChain(f"order {first.id} was replaced more than {LONGEST_CHAIN} times", gone=False)
        try:
            links.append(at_hand[following] if following in at_hand else desk.broker.order(following))
        except NotFound as error:
            raise BrokenChain(
                f"order {links[-1].id} was replaced by {following}: {error}", gone=True
            ) from error
    *earlier, last = links
    before = sum((link.filled_qty for link in earlier), Decimal(0))
    qty, filled = last.qty + before, last.filled_qty + before
    whole = replace(last, qty=qty, filled_qty=filled, state=as_filled(last.state, filled, qty))
    return Chain(whole, tuple(link.id for link in earlier))


def replacement_at_work(record: OrderRecord, at_broker: Iterable[OrderState]) -> OrderState | None:
    """Of the broker's open orders the one that took the place of ours, None where none did."""
    ours = record.broker_order_id
    if ours is None:
        return None
    return next(
        (one for one in at_broker if not is_ours(one.client_order_id) and ours in (one.id, one.replaces)),
        None,
    )
