"""The life of an order: its states, the edges between them, and the ids that survive a crash.

Pure values only: the journal keeps the state of an order, and the engine decides when to move it.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from decimal import Decimal
from enum import StrEnum
from types import MappingProxyType
from typing import NamedTuple

from trading_assets.core.words import Side
from trading_assets.errors import TradingAssetsError


class State(StrEnum):
    """The state of an order of ours. Its exposure is reserved in every open state."""

    INTENT = "INTENT"  # approved and durable, not sent
    SUBMITTING = "SUBMITTING"  # may be on the wire
    UNKNOWN = "UNKNOWN"  # was sent, the outcome is not known
    ACCEPTED = "ACCEPTED"
    PARTIALLY_FILLED = "PARTIALLY_FILLED"
    PENDING_CANCEL = "PENDING_CANCEL"
    FILLED = "FILLED"
    CANCELED = "CANCELED"
    EXPIRED = "EXPIRED"
    REJECTED = "REJECTED"  # by the broker, never by the gate
    DROPPED = "DROPPED"  # an intent that was never sent
    ABANDONED = "ABANDONED"  # the broker does not have it, or a person has closed it


class Kind(StrEnum):
    """What an order was decided on."""

    MODEL = "model"
    EXTERNAL = "external"
    STOP = "stop"
    FLATTEN = "flatten"


def _edges() -> Mapping[State, frozenset[State]]:
    s = State
    late_fills = frozenset({s.PARTIALLY_FILLED, s.FILLED})
    return MappingProxyType(
        {
            s.INTENT: frozenset({s.SUBMITTING, s.DROPPED}),
            s.SUBMITTING: frozenset({s.ACCEPTED, s.REJECTED, s.UNKNOWN, s.PARTIALLY_FILLED, s.FILLED}),
            s.UNKNOWN: frozenset(
                {
                    s.ACCEPTED,
                    s.REJECTED,
                    s.PARTIALLY_FILLED,
                    s.FILLED,
                    s.CANCELED,
                    s.EXPIRED,
                    s.ABANDONED,
                    s.SUBMITTING,
                }
            ),
            s.ACCEPTED: frozenset(
                {s.PARTIALLY_FILLED, s.FILLED, s.PENDING_CANCEL, s.CANCELED, s.EXPIRED, s.REJECTED}
            ),
            s.PARTIALLY_FILLED: frozenset(
                {s.PARTIALLY_FILLED, s.FILLED, s.PENDING_CANCEL, s.CANCELED, s.EXPIRED}
            ),
            s.PENDING_CANCEL: frozenset(
                {s.CANCELED, s.PARTIALLY_FILLED, s.FILLED, s.EXPIRED, s.ACCEPTED, s.REJECTED}
            ),
            s.CANCELED: late_fills,
            s.EXPIRED: late_fills,
            s.ABANDONED: late_fills,
            s.FILLED: frozenset(),
            s.REJECTED: frozenset(),
            s.DROPPED: frozenset(),
        }
    )


TRANSITIONS: Mapping[State, frozenset[State]] = _edges()

OPEN_STATES = frozenset(
    {
        State.INTENT,
        State.SUBMITTING,
        State.UNKNOWN,
        State.ACCEPTED,
        State.PARTIALLY_FILLED,
        State.PENDING_CANCEL,
    }
)
TERMINAL_STATES = frozenset(State) - OPEN_STATES


class IllegalTransition(TradingAssetsError):
    """The evidence would move an order along an edge that the table does not have."""

    def __init__(self, current: State, new: State) -> None:
        self.current = current
        self.new = new
        super().__init__(current, new)

    def __str__(self) -> str:
        return f"an order in {self.current} cannot become {self.new}; compare it with the broker's"


def next_state(current: State, new: State) -> State:
    """The state after `current` when the evidence says `new`.

    The same state again is no edge and returns it. Raises IllegalTransition for an edge that is
    not in `TRANSITIONS`.
    """
    if new == current or new in TRANSITIONS[current]:
        return new
    raise IllegalTransition(current, new)


class Path(NamedTuple):
    """The states that an order goes through, and whether the table has every step."""

    steps: tuple[State, ...]
    in_table: bool


def path_on_evidence(current: State, new: State) -> Path:
    """The path of an order in `current` when the broker says that it is `new`.

    What is cancelled or expired while its submission has no answer yet had been accepted. A terminal word
    ends an open order also where the table has no such edge. Any other word that the table does not have
    leaves the order where it is.
    """
    if new is current:
        return Path((), True)
    if new in TRANSITIONS[current]:
        return Path((new,), True)
    if current in (State.SUBMITTING, State.UNKNOWN) and new in TRANSITIONS[State.ACCEPTED]:
        return Path((State.ACCEPTED, new), True)
    return Path((new,) if current in OPEN_STATES and new in TERMINAL_STATES else (), False)


class Evidence(NamedTuple):
    """What one answer of the broker says about an order.

    stamp_ns: the broker's own time of the order's last change. A broker may state equal ones, and
        the time of the submission where it has none.
    filled_qty: the cumulative quantity in shares
    """

    stamp_ns: int
    state: State
    filled_qty: Decimal


def is_overtaken(evidence: Evidence, newest: Evidence) -> bool:
    """Whether `evidence` is older than what the journal has taken in: then it changes nothing.

    More filled is always news, and so is the end of an open order: an order that has ended does not work
    later. Otherwise the stamps decide; where they are equal, fills only grow and the end comes last.
    """
    if evidence.filled_qty > newest.filled_qty or evidence.stamp_ns > newest.stamp_ns:
        return False
    if evidence.filled_qty < newest.filled_qty:
        return True
    if evidence.state in TERMINAL_STATES and newest.state in OPEN_STATES:
        return False
    if evidence.state in OPEN_STATES and newest.state in TERMINAL_STATES:
        return True
    return evidence.stamp_ns < newest.stamp_ns


def as_filled(state: State, filled_qty: float | Decimal, qty: float | Decimal) -> State:
    """The state of a working order by what it has filled: PARTIALLY_FILLED with something, FILLED with all of
    it. Any other state is what it is.

    filled_qty: the cumulative quantity in shares; qty: the order's quantity, 0 when not known
    """
    if state not in (State.ACCEPTED, State.PARTIALLY_FILLED):
        return state
    if 0 < qty <= filled_qty:
        return State.FILLED
    return State.PARTIALLY_FILLED if filled_qty > 0 else state


PREFIX = "ta-"
"""Every client order id of ours begins with it, and no other program's may."""


def decision_id(book: str, kind: Kind | str, symbol: str, key: str | int) -> str:
    """32 hex digits that name one decision; the same inputs give the same id for good.

    key: the tick in nanoseconds for a model's decision, the producer's id for an external one
    (else its source and `as_of`). The text "1" and the number 1 are different keys.
    """
    return _digest(book, Kind(kind).value, symbol, key)[:32]


def client_order_id(decision_id: str, side: int, slice: int, attempt: int) -> str:  # noqa: A002
    """The 43 characters under which the broker knows one attempt to send one slice."""
    return PREFIX + _digest(decision_id, Side(side).name, int(slice), int(attempt))[:40]


def is_ours(client_order_id: str) -> bool:
    """True for an id that bears our prefix, whether or not an intent of ours has it."""
    return client_order_id.startswith(PREFIX)


def _digest(*parts: str | int) -> str:
    # JSON keeps the parts apart: ("a", "bc") and ("ab", "c") are different texts.
    return hashlib.sha256(json.dumps(parts).encode()).hexdigest()
