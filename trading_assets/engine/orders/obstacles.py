"""Orders that are in an exit's way, ours or a person's: cancelled, waited for, and told of while they stay.

They hold the shares that are to be sold, could buy what is sold, or may not work at all (a kill). Our own are
followed in the journal by `engine.orders.follow`; what a person or another program sent is known to the
broker alone.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence

from trading_assets.broker.port import BrokerError, OrderState, Rejected
from trading_assets.core.orders import State, is_ours
from trading_assets.core.words import Side
from trading_assets.engine.book.alerts import tell
from trading_assets.engine.book.desk import Desk
from trading_assets.engine.orders.follow import POLLS_WHILE_TIME_STANDS, cancel
from trading_assets.log import get_logger
from trading_assets.store.records import OrderRecord

log = get_logger(__name__)

PATIENCE_SECONDS = 5.0  # for the broker to say that a person's order is gone
PAUSE_SECONDS = 0.1
ORDERS_TOLD_OF = 10  # each on its own
ESCALATIONS_NS = tuple(
    minutes * 60 * 10**9 for minutes in (1, 5, 30, 120)
)  # a person is told again after each

Which = Callable[[OrderState], bool]


def cancel_account(
    desk: Desk, *, spare: Sequence[OrderRecord], why: str, unseen: bool = False
) -> list[OrderRecord]:
    """Cancel every open order of the account but `spare`, in one call where nothing is spared.

    unseen: ask for it without a look at what is open, as who kills does. Never raises a BrokerError: what
    could not be asked is told to a person, and asked again by who looks next.
    Returns our orders as they stand after a bounded wait.
    """
    spared = {record.intent.client_order_id for record in spare}
    ours = [o for o in desk.journal.open_orders(desk.book) if o.intent.client_order_id not in spared]
    if not (spared or ours or unseen) and _open_orders(desk, lambda _: True) == []:
        return []
    kept = _names(spare)
    requests = {} if spared else _cancel_in_bulk(desk)
    _tell_of_persons(desk, requests, ours, why)
    followed = cancel(desk, ours, asked_already=requests)
    kept |= _names(record for record in followed if State(record.state) is not State.ACCEPTED)
    cancel_others(desk, lambda order: kept.isdisjoint((order.client_order_id, order.id)), why=why)
    return followed


def free_shares(desk: Desk, symbols: Collection[str], *, why: str, buys: Collection[str] = ()) -> None:
    """Cancel what a person has at work that holds the symbols' shares: sell orders and stops.

    buys: symbols in which a person's buy goes too: the broker refuses a sale that could trade with it
    """
    if symbols:
        cancel_others(
            desk,
            lambda order: (
                order.symbol in symbols
                and not is_ours(order.client_order_id)
                and (order.side == Side.SELL or order.symbol in buys)
            ),
            why=why,
        )


def cancel_others(desk: Desk, which: Which, *, why: str) -> None:
    """Cancel open orders by the broker's list, and wait a bounded time until they are gone. Those that stay
    are told to a person at once, and again from time to time. Never raises a BrokerError."""
    orders = _open_orders(desk, which)
    if not orders:
        return
    refused: dict[str, BrokerError] = {}
    silent, until = False, time.monotonic() + PATIENCE_SECONDS
    for order in orders:
        if silent and time.monotonic() >= until:
            log.warning("cancel not asked", order_id=order.id)
            continue
        try:
            desk.broker.cancel(order.id)
        except BrokerError as error:  # it may be gone already, as the other leg of a pair is
            refused[order.id] = error
            silent = silent or not isinstance(error, Rejected)
        else:
            _tell_cancelled(desk, order, why)
    for order in _still_open(desk, orders, which):
        _tell_stuck(desk, order, refused.get(order.id), why)


def _cancel_in_bulk(desk: Desk) -> Mapping[str, int]:
    """The broker's ids of the orders whose cancel was asked; none where the call failed."""
    try:
        answers = desk.broker.cancel_all()
    except BrokerError as error:
        log.warning("cancel in one call failed, going on one by one", why=str(error))
        return {}
    return {order_id: status for order_id, status in answers.items() if 200 <= status < 300}


def _tell_of_persons(desk: Desk, requests: Mapping[str, int], ours: Iterable[OrderRecord], why: str) -> None:
    """Say which of the orders that one call cancelled were not ours."""
    known = {record.broker_order_id for record in ours} | desk.journal.client_ids(desk.book, requests).keys()
    strangers = sorted(requests.keys() - known)
    if len(strangers) > ORDERS_TOLD_OF:  # to read each would use up the rate limit
        title = f"{len(strangers)} orders of a person are cancelled"
        desk.alert(f"cancelled:{strangers[0]}", title, f"{why}: {', '.join(strangers)}")
        return
    for order_id in strangers:
        try:
            order = desk.broker.order(order_id)
        except BrokerError as error:
            log.warning("cancelled order not readable", order_id=order_id, why=str(error))
            desk.alert(
                f"cancelled:{order_id}", "An order of a person is cancelled", f"order {order_id}: {why}"
            )
            continue
        _tell_cancelled(desk, order, why)


def _tell_cancelled(desk: Desk, order: OrderState, why: str) -> None:
    if not is_ours(order.client_order_id):
        desk.alert(
            f"cancelled:{order.id}",
            f"{order.symbol}: a person's order is cancelled",
            f"order {order.client_order_id}: {why}",
        )


def _names(records: Iterable[OrderRecord]) -> set[str | None]:
    return {name for record in records for name in (record.intent.client_order_id, record.broker_order_id)}


def _open_orders(desk: Desk, which: Which) -> list[OrderState] | None:
    """None: the broker does not say, and a person is told."""
    try:
        return [order for order in desk.broker.open_orders() if which(order)]
    except BrokerError as error:
        title = "Open orders could not be read to cancel them"
        tell(desk.journal, desk.book, "open_orders_unread", title, str(error), now_ns=desk.now_ns())
        log.warning("open orders not readable", why=str(error))
        return None


def _still_open(desk: Desk, orders: Sequence[OrderState], which: Which) -> list[OrderState]:
    """Those of `found` that the broker still lists after a bounded wait: one list a look."""
    ids, left = {order.id for order in orders}, list(orders)
    until, looks = time.monotonic() + PATIENCE_SECONDS, 0
    while True:
        looks += 1
        try:
            left = [order for order in desk.broker.open_orders() if order.id in ids and which(order)]
        except BrokerError as error:
            log.warning("open orders not readable", why=str(error))
        if not left or time.monotonic() >= until or (desk.clock.stands and looks >= POLLS_WHILE_TIME_STANDS):
            return left
        time.sleep(PAUSE_SECONDS)


def _tell_stuck(desk: Desk, order: OrderState, refused: BrokerError | None, why: str) -> None:
    """An alert when a person's order is first found stuck, and after each stage."""
    state = f"the broker refused the cancel ({refused})" if refused else f"it is still {order.status_word!r}"
    escalation = escalation_of(desk, f"in_the_way:{order.id}")
    desk.alert(
        f"in_the_way:{order.id}:{desk.session_text()}:{escalation}",
        f"{order.symbol}: cancel {'refused' if refused else 'not confirmed'}",
        f"order {order.client_order_id} of {order.qty - order.filled_qty} shares: {state}. It must go: {why}"
        ". Its cancel is asked again at each look; if it stays, cancel it at the broker",
    )


def tell_own_stuck(desk: Desk, records: Iterable[OrderRecord]) -> None:
    """Tell a person of orders of ours whose cancel does not take, in the same stages but the first."""
    for record in records:
        if State(record.state) is not State.PENDING_CANCEL or record.broker_order_id is None:
            continue
        if escalation := escalation_of(desk, f"in_the_way:{record.broker_order_id}"):
            intent = record.intent
            desk.alert(
                f"in_the_way:{record.broker_order_id}:{desk.session_text()}:{escalation}",
                f"{intent.symbol}: cancel not confirmed",
                f"our order {intent.client_order_id} of {intent.qty - record.filled_qty} shares does not "
                f"end, and until it does nothing else is sent for {intent.symbol}. Its cancel is asked again "
                "at each look. Look it up at the broker; what does not work there any more ends by "
                f"`trading-assets close-order {intent.client_order_id} --reason …`",
            )


def escalation_of(desk: Desk, mark: str) -> int:
    """How many stages have passed since this was first asked for `mark`."""
    now = desk.now_ns()
    first = desk.journal.mark(desk.book, mark)
    if first is None:
        desk.journal.set_mark(desk.book, mark, str(now), now)
    return sum(now - int(first or now) >= after_ns for after_ns in ESCALATIONS_NS)
