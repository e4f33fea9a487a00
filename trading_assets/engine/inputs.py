"""What one decision is derived from, as values that go to JSON and come back identical.

A `DecisionInput` is stored with the tick before anything is decided; `engine.decide` takes nothing
else. Reading the broker and the journal to build one is `engine.snapshot`.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from functools import cache
from math import inf, nan
from typing import Any, ClassVar

from pydantic import ConfigDict, TypeAdapter

from trading_assets.core.words import Limits

RULES_BY_ARRIVAL, RULES_SPREAD = 2, 3
RULES = RULES_SPREAD
"""The rules of order by which decisions are made now. 1: of a symbol's signals with one stamp the one with
the greatest decision id is the newest, and entries go by symbol. 2: the last received is the newest, and the
entry with the strongest signal goes first. 3: of the day's exits each held symbol keeps its first."""

_JSON = ConfigDict(ser_json_inf_nan="strings", extra="forbid")

NOT_COUNTED = -(10**9)
"""Exits of a symbol in an input that was stored before each had a share of the day's cap: fewer than can be,
so that the cap of all decides as it did."""


class Phase(StrEnum):
    """The passes of one execution: what protects goes first, buys last with confirmed buying power."""

    PROTECT = "protect"
    EXITS = "exits"
    ENTRIES = "entries"


@dataclass(frozen=True, slots=True)
class SymbolInput:
    """One symbol as the broker and the journal see it at the snapshot. USD, shares, NaN: missing."""

    __pydantic_config__: ClassVar[ConfigDict] = _JSON
    symbol: str
    qty: float  # signed, at the broker
    reserved_qty: float  # claimed by our open exits
    open_entry_usd: float  # Σ remaining quantity × limit price of our open entries
    bid: float
    ask: float
    quote_ns: int
    last_trade: float  # where there is none, what stands in for it: last close, the broker's mark
    previous_close: float  # adjusted for today's split and dividend
    tradable: bool
    fractionable: bool
    halted: bool
    locked: bool
    in_flight: int  # unresolved orders of ours
    lowest_sell_limit: float  # of our open sells, NaN: none
    highest_buy_limit: float  # of our open buys, NaN: none
    orders_today: int
    exits_today: int = NOT_COUNTED  # a flatten's left out


@dataclass(frozen=True, slots=True)
class SignalInput:
    __pydantic_config__: ClassVar[ConfigDict] = _JSON
    symbol: str
    value: float
    as_of_ns: int
    reference_price: float
    limit_price: float  # the worst price the producer accepts, NaN: none
    volatility: float  # annualised, NaN: unknown
    kind: str  # core.orders.Kind
    decision_id: str
    attempt: int = 1
    received_ns: int = 0  # by the inbox; 0: it came from no inbox
    sequence: int = 0  # of its arrival in the journal


@dataclass(frozen=True, slots=True)
class ForcedExit:
    """A position that must be sold whatever the signal says: a stop, the operator's flatten, or what an
    exit before it did not fill."""

    symbol: str
    kind: str  # core.orders.Kind
    decision_id: str
    attempt: int
    qty: float = inf  # shares at most; the whole free position where there are fewer


@dataclass(frozen=True, slots=True)
class DecisionInput:
    __pydantic_config__: ClassVar[ConfigDict] = _JSON
    book: str
    session: str
    tick_ns: int
    execution_id: str
    phase: Phase
    now_ns: int
    equity_usd: float
    buying_power_usd: float
    settled_cash_usd: float  # less what our open entries will take
    account_ns: int
    open_ns: int
    close_ns: int
    calendar_open: bool
    broker_open: bool
    halt_state: int
    halt_causes: tuple[str, ...]
    reconciling: bool
    orders_today: int
    execution_orders: int
    exit_orders_today: int  # a flatten's left out
    reject_streak: int
    symbols: tuple[SymbolInput, ...]
    signals: tuple[SignalInput, ...]
    forced_exits: tuple[ForcedExit, ...]
    sent_ids: tuple[str, ...]  # client order ids of this session's intents, sent or dropped
    limits: Limits
    rules: int = 1  # see RULES; what was stored before there were any was decided by the first
    incomplete: tuple[str, ...] = ()  # symbols whose bars have gaps: they are not entered on
    multiplier: float = nan  # of the account's buying power; 1: a cash account
    non_marginable_buying_power_usd: float = nan  # as the broker says it; nothing is decided on it
    superseded: tuple[str, ...] = ()  # decisions of signals that one of this tick or before supersedes
    waiting: tuple[str, ...] = ()  # decisions of signals whose next try to sell is not due

    def as_json(self) -> dict[str, Any]:
        """JSON values that `from_json` turns back into an equal input (NaN and infinity as text)."""
        import json

        return dict(json.loads(_adapter().dump_json(self)))

    @staticmethod
    def from_json(payload: dict[str, Any]) -> DecisionInput:
        """Raises pydantic.ValidationError on anything that as_json() would not have written."""
        import json

        return _adapter().validate_json(json.dumps(payload))


@cache
def _adapter() -> TypeAdapter[DecisionInput]:
    return TypeAdapter(DecisionInput)
