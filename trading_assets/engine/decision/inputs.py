"""What one decision is derived from, as values that go to JSON and come back identical.

A `DecisionInput` is stored with the tick before anything is decided; `engine.decision.decide` takes nothing
else. Reading the broker and the journal to build one is `engine.protection.snapshot`.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from functools import cache
from math import inf, nan
from typing import Any, ClassVar

from pydantic import ConfigDict, TypeAdapter

from trading_assets.core.codes import FIRST_CODE_COUNT
from trading_assets.core.limits import LIMIT_ROWS, Limits

RULES_BY_ARRIVAL, RULES_SPREAD = 2, 3
RULES = RULES_SPREAD
"""The rules of order by which decisions are made now. 1: of a symbol's signals with one stamp the one with
the greatest decision id is the newest, and entries go by symbol. 2: the last received is the newest, and the
entry with the strongest signal goes first. 3: of the day's exits each held symbol keeps its first."""

VERSION = 2
"""Of a stored input's form. 1: without a version and a number of codes, its limits as a list."""

LIMITS_OF_VERSION_1 = (
    "limit_offset",
    "max_slip_pct",
    "exit_collar_pct",
    "max_spread_bps",
    "max_symbol_move",
    "stale_signal_seconds",
    "stale_quote_seconds",
    "stale_account_seconds",
    "no_entry_seconds_after_open",
    "no_entry_minutes_before_close",
    "min_order_notional",
    "max_order_notional",
    "max_position_pct",
    "max_gross_exposure",
    "threshold",
    "max_orders_per_symbol_per_day",
    "max_orders_per_day",
    "max_orders_per_execution",
    "max_reject_streak",
    "max_exit_orders_per_day",
    "session_drawdown",
    "max_daily_loss",
    "max_drawdown",
    "stop_loss",
    "volatility_target",
    "use_margin",
    "fractional",
)
"""Their order in that list."""

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
    version: int = 1  # see VERSION
    codes: int = FIRST_CODE_COUNT  # that the gate had, with the numbers 0 and up
    rules: int = 1  # see RULES; what was stored before there were any was decided by the first
    incomplete: tuple[str, ...] = ()  # symbols whose bars have gaps: they are not entered on
    multiplier: float = nan  # of the account's buying power; 1: a cash account
    non_marginable_buying_power_usd: float = nan  # as the broker says it; nothing is decided on it
    superseded: tuple[str, ...] = ()  # decisions of signals that one of this tick or before supersedes
    waiting: tuple[str, ...] = ()  # decisions of signals whose next try to sell is not due

    def as_json(self) -> dict[str, Any]:
        """JSON values that `from_json` turns back into an equal input (NaN and infinity as text)."""
        import json

        payload = dict(json.loads(_adapter().dump_json(self)))
        return payload | {"limits": dict(zip(Limits._fields, payload["limits"], strict=True))}

    @staticmethod
    def from_json(payload: Mapping[str, Any]) -> DecisionInput:
        """The input as it was decided on: a limit that there was not yet bounds nothing.

        Raises pydantic.ValidationError on anything else that as_json() of this version or one before would
        not have written, and ValueError for a later version's.
        """
        import json

        if int(payload.get("version", 1)) > VERSION:
            raise ValueError(f"stored in version {payload['version']}, this program reads up to {VERSION}")
        absent = {name: str(LIMIT_ROWS[name].not_known) for name in limits_not_in(payload)}
        return _adapter().validate_json(json.dumps({**payload, "limits": _limits_in(payload) | absent}))


def limits_not_in(payload: Mapping[str, Any]) -> tuple[str, ...]:
    """The limits that there were not when the input was stored."""
    known = _limits_in(payload)
    return tuple(name for name in Limits._fields if name not in known)


def _limits_in(payload: Mapping[str, Any]) -> dict[str, Any]:
    stored = payload.get("limits", {})
    return dict(stored if isinstance(stored, Mapping) else zip(LIMITS_OF_VERSION_1, stored, strict=False))


@cache
def _adapter() -> TypeAdapter[DecisionInput]:
    return TypeAdapter(DecisionInput)
