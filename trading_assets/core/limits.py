"""Every limit of the desk, one row each: what it is, where it may lie, who enforces it and who checks it.

A row is an annotation of `Limits`, the tuple that gate, sizer and breakers are given. From the rows follow
the keys of config/execution.yaml, which of two values is the looser, the asset checks and the tables of the
docs. A new limit is a row here, a line in `core.gate`, and a row in `core.codes` where it refuses orders.
"""

from __future__ import annotations

import math
import typing
from collections.abc import Mapping
from enum import IntEnum
from typing import Annotated, Any, NamedTuple

from trading_assets.core.codes import Code

FUTURE_SIGNAL_SECONDS = 2.0
"""A signal stamped further ahead of its decision is as wrong as a stale one. No limit of a configuration."""


class Looser(IntEnum):
    """In which direction a limit lets more happen. A boolean limit is looser when it is true."""

    LOWER = -1
    HIGHER = 1


class LimitCheck(NamedTuple):
    """An asset check that compares a limit with what happened."""

    name: str  # "": only a replay keeps what it is measured of
    passes_when: str  # "": the sentence of another limit that shares the check
    measure: str = ""  # a member of core.sent_orders.SentOrders; "": measured where the check is evaluated
    of: str = "judged_entries"  # the orders that are measured, another member
    holdings: bool = False  # of what is held, instead of what was sent
    warns: bool = False


class LimitRow(NamedTuple):
    """Everything that the desk knows about one limit. Bounds are pydantic's: >, ≥ and ≤; None: no bound."""

    default: float | int | bool | None
    meaning: str
    looser: Looser
    codes: tuple[Code, ...] = ()  # with which the gate refuses by it
    checks: tuple[LimitCheck, ...] = ()
    gt: float | None = None
    ge: float | None = None
    le: float | None = None
    whole: bool = False  # a number of orders

    @property
    def not_known(self) -> float | bool:
        """The value for a decision that was made before this limit existed: no limit."""
        if isinstance(self.default, bool):
            return True
        return math.inf if self.looser is Looser.HIGHER else 0.0


def _row(default: float | int | bool | None, meaning: str, looser: Looser, *codes: Code, **more: Any) -> Any:
    return LimitRow(default, meaning, looser, codes, **more)


_LOWER, _HIGHER = Looser.LOWER, Looser.HIGHER
_SHARE: dict[str, float] = {"gt": 0, "le": 1}
_BPS: dict[str, float] = {"gt": 0, "le": 10_000}
_COUNT: dict[str, Any] = {"ge": 1, "whole": True}


class Limits(NamedTuple):
    """Every limit in force; names and defaults are those of config/execution.yaml."""

    limit_offset: Annotated[
        float,
        _row(
            0.001,
            "How far an entry's limit reaches beyond the far side, fraction.",
            _HIGHER,
            ge=0,
            le=1,
            checks=(
                LimitCheck(
                    "limit_offset",
                    "No entry's limit price reaches more than `limit_offset` beyond the far side of its "
                    "stored quote.",
                    "reach",
                ),
            ),
        ),
    ]
    max_slip_pct: Annotated[
        float,
        _row(
            0.005,
            "Most that an entry's limit, or the mid since the signal, may be off, fraction of price.",
            _HIGHER,
            Code.PRICE_COLLAR,
            Code.PRICE_DRIFT,
            **_SHARE,
            checks=(
                LimitCheck(
                    "entry_collar",
                    "|limit − mid|/mid ≤ `max_slip_pct` for every entry, mid being its stored quote's.",
                    "collar",
                ),
                LimitCheck(
                    "price_drift",
                    "|mid − reference|/reference ≤ `max_slip_pct` for every entry, reference being the price "
                    "that its signal saw.",
                    "drift",
                ),
            ),
        ),
    ]
    exit_collar_pct: Annotated[
        float,
        _row(
            0.05,
            "Most that an exit's limit may be off the mid, fraction of the mid.",
            _HIGHER,
            Code.PRICE_COLLAR,
            **_SHARE,
            checks=(
                LimitCheck(
                    "exit_collar",
                    "|limit − mid|/mid ≤ `exit_collar_pct` for every exit; the last trade stands in for the "
                    "mid of a quote that is not usable.",
                    "collar",
                    of="judged_exits",
                ),
            ),
        ),
    ]
    max_spread_bps: Annotated[
        float,
        _row(
            50.0,
            "Widest spread that is entered on, basis points of the mid.",
            _HIGHER,
            Code.SPREAD_TOO_WIDE,
            **_BPS,
            checks=(
                LimitCheck(
                    "spread",
                    "(ask − bid)/mid ≤ `max_spread_bps` in every entry's stored quote.",
                    "spread_bps",
                ),
            ),
        ),
    ]
    max_symbol_move: Annotated[
        float,
        _row(
            0.10,
            "Most that a symbol may have moved since the previous close, fraction.",
            _HIGHER,
            Code.SYMBOL_MOVE,
            **_SHARE,
            checks=(
                LimitCheck(
                    "symbol_move",
                    "|mid/previous close − 1| ≤ `max_symbol_move` for every entry.",
                    "move",
                ),
            ),
        ),
    ]
    stale_signal_seconds: Annotated[
        float,
        _row(
            120.0,
            "Oldest signal that is entered on, seconds.",
            _HIGHER,
            Code.STALE_SIGNAL,
            gt=0,
            checks=(
                LimitCheck(
                    "signal_age",
                    "Every entry's signal was stamped at most `stale_signal_seconds` before it was decided "
                    "on, and at most 2 s after.",
                    "signal_age",
                ),
            ),
        ),
    ]
    stale_quote_seconds: Annotated[
        float,
        _row(
            None,
            "Oldest quote that is entered on, seconds; null: 15 for sip, 120 for iex.",
            _HIGHER,
            Code.STALE_QUOTE,
            gt=0,
            checks=(
                LimitCheck(
                    "quote_age",
                    "Every entry's stored quote was at most `stale_quote_seconds` old.",
                    "quote_age",
                ),
            ),
        ),
    ]
    stale_account_seconds: Annotated[
        float,
        _row(
            60.0,
            "Oldest account reading that is entered on, seconds.",
            _HIGHER,
            Code.STALE_ACCOUNT,
            gt=0,
            checks=(
                LimitCheck(
                    "account_age",
                    "Every entry's stored account was at most `stale_account_seconds` old.",
                    "account_age",
                ),
            ),
        ),
    ]
    no_entry_seconds_after_open: Annotated[
        float,
        _row(
            70.0,
            "Seconds after the open without entries.",
            _LOWER,
            Code.NEAR_OPEN,
            ge=0,
            le=23_400,
            checks=(
                LimitCheck(
                    "after_open",
                    "No entry was journaled in the first `no_entry_seconds_after_open` of the session.",
                    "seconds_after_open",
                    of="entries_after_open",
                ),
            ),
        ),
    ]
    no_entry_minutes_before_close: Annotated[
        float,
        _row(
            5.0,
            "Minutes before the close without entries.",
            _LOWER,
            Code.NEAR_CLOSE,
            ge=0,
            le=390,
            checks=(
                LimitCheck(
                    "before_close",
                    "No entry was journaled in the last `no_entry_minutes_before_close` of the session.",
                    "minutes_before_close",
                    of="entries_before_close",
                ),
            ),
        ),
    ]
    min_order_notional: Annotated[
        float,
        _row(
            50.0,
            "Smallest entry, USD.",
            _LOWER,
            Code.NOTIONAL_BELOW_MIN,
            gt=0,
            checks=(
                LimitCheck(
                    "order_notional",
                    "Entries sent today lie between `min_order_notional` and `max_order_notional`, exits of "
                    "more than one share at most at the latter.",
                    "notional",
                    of="entries",
                ),
            ),
        ),
    ]
    max_order_notional: Annotated[
        float,
        _row(
            10_000.0,
            "Largest order, USD; a larger exit is cut into slices.",
            _HIGHER,
            Code.NOTIONAL_ABOVE_MAX,
            gt=0,
            checks=(LimitCheck("order_notional", "", "notional", of="cuttable"),),
        ),
    ]
    max_position_pct: Annotated[
        float,
        _row(
            0.05,
            "Largest exposure in one symbol, fraction of equity.",
            _HIGHER,
            Code.POSITION_LIMIT,
            **_SHARE,
            checks=(
                LimitCheck(
                    "position_limit",
                    "exposure/E ≤ `max_position_pct` in every symbol. A position that was inside at its last "
                    "entry's price, within `max_slip_pct`, and that the market has since carried above it "
                    "fails position_drift instead.",
                    holdings=True,
                ),
                LimitCheck(
                    "position_drift",
                    "No exposure/E above `max_position_pct` at today's marks.",
                    holdings=True,
                    warns=True,
                ),
            ),
        ),
    ]
    max_gross_exposure: Annotated[
        float,
        _row(
            0.60,
            "Largest exposure in all symbols together, fraction of equity.",
            _HIGHER,
            Code.GROSS_EXPOSURE,
            **_SHARE,
            checks=(
                LimitCheck(
                    "gross_exposure",
                    "Σ exposure/E ≤ `max_gross_exposure`. An exposure that only the market has carried above "
                    "it fails exposure_drift instead.",
                    holdings=True,
                ),
                LimitCheck(
                    "exposure_drift",
                    "Σ exposure/E not above `max_gross_exposure` at today's marks.",
                    holdings=True,
                    warns=True,
                ),
            ),
        ),
    ]
    threshold: Annotated[
        float,
        _row(
            0.1,
            "Weakest signal that is acted on, absolute value.",
            _LOWER,
            **_SHARE,
            checks=(LimitCheck("", "", "strength"),),
        ),
    ]
    max_orders_per_symbol_per_day: Annotated[
        float,
        _row(
            5,
            "Orders sent for one symbol in a session, exits counted; then no entry.",
            _HIGHER,
            Code.SYMBOL_ORDER_COUNT,
            **_COUNT,
            checks=(
                LimitCheck(
                    "orders_per_symbol",
                    "Every entry sent today is among the first `max_orders_per_symbol_per_day` orders of its "
                    "symbol, exits counted.",
                    "place_in_symbol",
                    of="entries",
                ),
            ),
        ),
    ]
    max_orders_per_day: Annotated[
        float,
        _row(
            200,
            "Orders sent in a session, exits counted; then no entry.",
            _HIGHER,
            Code.DAILY_ORDER_COUNT,
            **_COUNT,
            checks=(
                LimitCheck(
                    "orders_per_day",
                    "Every entry sent today is among the session's first `max_orders_per_day` orders, exits "
                    "counted.",
                    "place_in_session",
                    of="entries",
                ),
            ),
        ),
    ]
    max_orders_per_execution: Annotated[
        float,
        _row(
            10,
            "Orders sent in one execution, exits counted; then no entry.",
            _HIGHER,
            Code.EXECUTION_ORDER_COUNT,
            **_COUNT,
            checks=(
                LimitCheck(
                    "orders_per_execution",
                    "Every entry sent today is among the first `max_orders_per_execution` orders of its "
                    "execution, exits counted.",
                    "place_in_execution",
                    of="entries",
                ),
            ),
        ),
    ]
    max_reject_streak: Annotated[
        float,
        _row(
            5,
            "Broker rejections without an acceptance between, after which entries stop.",
            _HIGHER,
            Code.REJECT_STREAK,
            **_COUNT,
            checks=(
                LimitCheck(
                    "reject_streak",
                    "Broker rejections since the last rearm, without an acceptance between, "
                    "< `max_reject_streak`.",
                    warns=True,
                ),
            ),
        ),
    ]
    max_exit_orders_per_day: Annotated[
        float,
        _row(
            400,
            "Exits sent in a session; one symbol's at most a tenth.",
            _HIGHER,
            Code.DAILY_ORDER_COUNT,
            **_COUNT,
            checks=(
                LimitCheck(
                    "exit_orders_per_day",
                    "Exits sent today ≤ `max_exit_orders_per_day`, one symbol's ≤ a tenth; no flatten's.",
                    "exits_sent",
                ),
            ),
        ),
    ]
    session_drawdown: Annotated[
        float,
        _row(
            0.01,
            "Loss from the session's peak that stops entries for the session, fraction.",
            _HIGHER,
            Code.SESSION_DRAWDOWN,
            **_SHARE,
            checks=(
                LimitCheck(
                    "session_drawdown", "(session peak − E)/peak < `session_drawdown`.", holdings=True
                ),
            ),
        ),
    ]
    max_daily_loss: Annotated[
        float,
        _row(
            0.02,
            "Loss since the previous close that stops entries until a rearm, fraction.",
            _HIGHER,
            Code.DAILY_LOSS,
            **_SHARE,
            checks=(
                LimitCheck(
                    "daily_loss", "(E0 − E)/E0, transfers taken out, < `max_daily_loss`.", holdings=True
                ),
            ),
        ),
    ]
    max_drawdown: Annotated[
        float,
        _row(
            0.10,
            "Drawdown from the peak that stops entries until a rearm, fraction.",
            _HIGHER,
            Code.MAX_DRAWDOWN,
            **_SHARE,
            checks=(
                LimitCheck(
                    "max_drawdown",
                    "Drawdown of the unitised equity from its peak < `max_drawdown`.",
                    holdings=True,
                ),
            ),
        ),
    ]
    stop_loss: Annotated[
        float,
        _row(
            0.05,
            "Loss on a position's average cost at which it is sold, fraction.",
            _HIGHER,
            **_SHARE,
            checks=(
                LimitCheck(
                    "stop_loss",
                    "No position is held that was at its stop before protection last looked: bid ≤ (1 − "
                    "`stop_loss`) × average cost, confirmed by a trade, at this check and at an earlier one; "
                    "or a stop in force. HALTED holds stops back, which this shows.",
                    holdings=True,
                ),
            ),
        ),
    ]
    volatility_target: Annotated[
        float,  # NaN: off, which is the loosest: nothing is scaled down
        _row(
            None,
            "Annualised volatility that a position is scaled down to, fraction; null: off.",
            _HIGHER,
            gt=0,
        ),
    ]
    use_margin: Annotated[
        bool,
        _row(
            False,
            "Spend the broker's buying power beyond settled cash.",
            _HIGHER,
            Code.INSUFFICIENT_BUYING_POWER,
            checks=(
                LimitCheck(
                    "buying_power",
                    "Buying power ≥ 0, settled cash too unless `use_margin: true`.",
                    holdings=True,
                ),
            ),
        ),
    ]
    fractional: Annotated[
        bool,
        _row(
            False,
            "Trade fractions of shares where the asset allows it.",
            _HIGHER,
            checks=(
                LimitCheck(
                    "whole_shares",
                    "Entries sent today are of whole shares, unless `fractional: true`.",
                    "fraction",
                    of="entries",
                ),
            ),
        ),
    ]


def _rows() -> dict[str, LimitRow]:
    hints = typing.get_type_hints(Limits, include_extras=True)
    return {name: hints[name].__metadata__[0] for name in Limits._fields}


LIMIT_ROWS: Mapping[str, LimitRow] = _rows()


def looser_limits(in_force: Limits, wanted: Limits) -> tuple[str, ...]:
    """Names of the limits in which `wanted` is looser than `in_force`, in the order of `Limits`."""
    return tuple(
        name
        for name in Limits._fields
        if _looseness(name, getattr(wanted, name)) > _looseness(name, getattr(in_force, name))
    )


def tightened(in_force: Limits, wanted: Limits) -> Limits:
    """The tighter of both, limit by limit: what holds until a person's rearm accepts `wanted`."""
    return wanted._replace(**{name: getattr(in_force, name) for name in looser_limits(in_force, wanted)})


def _looseness(name: str, value: float) -> float:
    return math.inf if math.isnan(value) else LIMIT_ROWS[name].looser * value
