"""Trade updates brought into the journal while no tick is at work. A service; nothing waits for it.

Its process hosts the watchdog too (`engine.operation.watchdog`), in a thread of its own: neither waits for
the other.

An update is a hint: the order and the account's activities are then read by REST and taken in as a tick
or a reconciliation takes them, and a connection that was lost and found is followed by a reconciliation.
What is being sent belongs to its sender; it is looked at again once the sender has written what the broker
answered.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterable
from queue import Empty, Queue

from trading_assets.broker.port import BrokerError, Connected, OrderChanged, OrderState, Rejected, Update
from trading_assets.broker.purpose import Purpose, asking_for
from trading_assets.config import LastGood, Settings
from trading_assets.core.orders import State, is_ours
from trading_assets.engine.book.desk import Desk
from trading_assets.engine.decision.preload import preload
from trading_assets.engine.evidence.catch_up import SENT_BEFORE_NS, orders_from, take_activities
from trading_assets.engine.evidence.order_states import apply_order_state
from trading_assets.engine.operation.asking import Ask
from trading_assets.engine.operation.watchdog import Watchdog
from trading_assets.engine.protection.protect import new_execution_id, protect_alone
from trading_assets.errors import TradingAssetsError
from trading_assets.log import get_logger
from trading_assets.store.journal import LeaseHeld
from trading_assets.store.order_journal import UnknownOrder

log = get_logger(__name__)

HOLDER = "listener"
AGAIN_SECONDS = 0.3  # between two looks at an order that is still being sent
PATIENCE_SECONDS = 10.0  # then it is left to the next reconciliation
WAKE_SECONDS = 0.5
END_SECONDS = 3.0  # that a protection which is on is waited for; the next one takes up what it began
BATCHES_AT_ONCE = 4  # a batch is about four requests, and the listener's share 40 a minute
SECONDS_A_BATCH = 8.0  # on a busy day
_BEING_SENT = frozenset({State.INTENT, State.SUBMITTING, State.UNKNOWN})


def serve(
    configured: LastGood,
    open_desk: Callable[[Settings], Desk],
    updates: Queue[Update],
    stop: threading.Event,
    *,
    ask_dagster: Ask | None = None,
    ask_sources: Ask | None = None,
) -> None:
    """Listen and watch until `stop` is set, both by the last good configuration.

    ask_dagster, ask_sources: as in `Watchdog`
    """
    preload()
    watchdog = Watchdog(configured, open_desk, ask_dagster=ask_dagster, ask_sources=ask_sources)
    watching = threading.Thread(target=watchdog.watch, args=(stop,), name="watchdog", daemon=True)
    watching.start()
    while not stop.is_set():
        try:
            listen(lambda: open_desk(configured.settings), updates, stop)
        except Exception:  # a fault over one update ends neither the service nor the watchdog
            log.exception("the listener met a fault, and goes on with the next update")
            stop.wait(1.0)
    watching.join(END_SECONDS)


def listen(open_desk: Callable[[], Desk], updates: Queue[Update], stop: threading.Event) -> None:
    """Take in updates until `stop` is set. A desk is opened for each batch and closed after it.

    What cannot be done now (a broker out of reach, a configuration being edited) is logged and left to
    the next reconciliation, which needs no update.
    """
    waiting: dict[OrderChanged, float] = {}  # until when its sender is waited for
    connections = 0
    pace = LookPace()
    while not stop.is_set():
        batch = _batch(updates, AGAIN_SECONDS if waiting else WAKE_SECONDS)
        if not batch and not waiting:
            continue
        stop.wait(pace.rest())
        batch += _at_hand(updates)
        before, connections = connections, connections + sum(isinstance(one, Connected) for one in batch)
        now = time.monotonic()
        changed = {update: now + PATIENCE_SECONDS for update in batch if isinstance(update, OrderChanged)}
        waiting = {update: until for update, until in (waiting | changed).items() if until > now}
        try:
            with asking_for(Purpose.LOOK), open_desk() as desk:
                if connections > max(before, 1):
                    _reconcile(desk)
                left = take_updates(desk, waiting)
        except TradingAssetsError as error:
            log.warning("trade updates not taken in", why=str(error))
            left = []
        waiting = {update: waiting[update] for update in left}


def take_updates(desk: Desk, updates: Iterable[OrderChanged]) -> list[OrderChanged]:
    """Look at the orders and the account's activities; returns the updates whose orders are still being
    sent. Raises BrokerError when the broker cannot be read."""
    updates = list(updates)
    if not updates or not desk.journal.opening(desk.book):
        return []  # a book that is not open yet takes everything in at its opening
    left = []
    listed = _listed(desk, updates)
    replacing = desk.journal.client_ids(desk.book, {update.order_id for update in updates})
    for update in updates:
        client_id = update.client_order_id
        if not is_ours(client_id):
            client_id = replacing.get(update.order_id, "")
            if not client_id:
                continue  # a person's order: its activities say what it did
        try:
            record = desk.journal.order(client_id)
        except UnknownOrder:
            continue  # foreign: the reconciliation judges it
        if State(record.state) in _BEING_SENT:
            left.append(update)
            continue
        try:
            state = listed.get(update.order_id) or desk.broker.order(update.order_id)
        except Rejected as error:  # of this order alone; what became of it the reconciliation finds out
            log.warning("order of an update not readable", order_id=update.order_id, why=str(error))
            continue
        apply_order_state(desk, record, state)
    take_activities(desk)
    return left


def _listed(desk: Desk, updates: Iterable[OrderChanged]) -> dict[str, OrderState]:
    """The orders of several updates by one list; none for one, which is asked for by itself."""
    names = {update.client_order_id for update in updates}
    known = desk.journal.named(names).values() if len(names) > 1 else ()
    sent = [record.submitted_ns for record in known if record.submitted_ns is not None]
    return {order.id: order for order in orders_from(desk, min(sent) - SENT_BEFORE_NS)} if sent else {}


def _reconcile(desk: Desk) -> None:
    try:
        protect_alone(desk, new_execution_id(), holder=HOLDER)
    except LeaseHeld as held:
        log.info("connected again while another reconciles", holder=str(held))
    except BrokerError as error:
        log.warning("connected again, and not reconciled", why=str(error))


class LookPace:
    """When the next batch is taken in: at once, but for one that follows several others. Meanwhile updates
    are gathered, so that a busy day keeps to the listener's share of the requests."""

    def __init__(self, now: Callable[[], float] = time.monotonic) -> None:
        self._now = now
        self._ready = float(BATCHES_AT_ONCE)
        self._at = now()

    def rest(self) -> float:
        """Seconds to wait before a batch that is at hand now; counts it."""
        now = self._now()
        ready = min(self._ready + (now - self._at) / SECONDS_A_BATCH, BATCHES_AT_ONCE)
        rest = max(1.0 - ready, 0.0) * SECONDS_A_BATCH
        self._ready, self._at = max(ready - 1.0, 0.0), now + rest
        return rest


def _batch(updates: Queue[Update], seconds: float) -> list[Update]:
    """What has come, waited for at most so long."""
    try:
        batch = [updates.get(timeout=seconds)]
    except Empty:
        return []
    return batch + _at_hand(updates)


def _at_hand(updates: Queue[Update]) -> list[Update]:
    batch = []
    while not updates.empty():
        batch.append(updates.get_nowait())
    return batch
