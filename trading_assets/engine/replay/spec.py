"""What is replayed: range, ticks, source of signals, cash, limits. Nothing is read or computed here."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import date
from math import inf, isinf, isnan, nan
from pathlib import Path
from typing import Literal, NamedTuple

from pydantic import ValidationError

from trading_assets import config
from trading_assets.config import Settings
from trading_assets.core.limits import LIMIT_ROWS, Limits, Looser
from trading_assets.errors import InvalidInput

DAILY_TICKS = "daily"
MINUTE_SECONDS = 60.0
SESSION_SECONDS = 23_400.0
MOST_CASH_USD = 1e9
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]{0,63}")
_NEVER_INFINITE = frozenset({"limit_offset", "use_margin", "fractional"})


class ExternalSignal(NamedTuple):
    """One signal from outside.

    at: the producer's stamp in UTC nanoseconds, or a session, which stands for its first tick
    """

    symbol: str
    value: float  # in [−1, 1]
    at: int | date
    reference_price: float = nan  # the price that the producer saw, NaN: the price at the tick
    limit_price: float = nan  # the worst price that the producer accepts, NaN: none


@dataclass(frozen=True, slots=True)
class ModelSignals:
    """Signals of a registered model at every tick."""

    model_path: Path
    features_path: Path


@dataclass(frozen=True, slots=True)
class ExternalSignals:
    """Signals from outside, each taken by the first tick at or after its stamp, as the live inbox is."""

    signals: tuple[ExternalSignal, ...]


@dataclass(frozen=True, slots=True)
class ReplaySpec:
    """A replay. The same spec over the same bars gives the same rows.

    first, last:  both included; days without session are passed over
    source:       where signals come from
    name:         names the book ("replay:<name>") and its files; "" is the range, "2011-01-03_2012-12-31"
    interval:     "daily", one tick a session just after `no_entry_seconds_after_open` that sees the bars
                  through the session before and trades at the open, or a number of minutes between ticks
    bars:         "bundled", or "history": what the desk's history has received by now
    cash_usd:     starting cash, 1 to 1 000 000 000: beyond it a float64 does not hold micro-dollars exactly
    limits:       in place of the configuration's, by name; infinity lifts a limit, which only a replay may
    spread_bps:   assumed around the bars' prices; None: the configuration's `quote_spread_bps`
    fill_mode:    ideal: what trades, trades in full and at once (`core.matching`); next_open: what the gate
                  passes trades in full at the next minute bar's open whatever its limit price, as other
                  backtesters fill, for comparisons with them
    usd_per_share, cost_bps:  costs of each fill, on its shares and on its notional
    sale_fees:    sales pay what the SEC and FINRA charge, at the rates of their day (`market.sale_fees`)
    continues:    take up the book where the replay of this name ended, in the session before `first`,
                  instead of beginning it anew; all else must be as it was then
    rearm_daily:  a person is taken to rearm before each session what a loss has latched; otherwise a
                  daily loss or a maximum drawdown holds until the end of the range
    settlement:   the account has multiplier 1: what was sold buys nothing before it has settled

    Raises InvalidInput for what cannot be replayed.
    """

    first: date
    last: date
    source: ModelSignals | ExternalSignals
    name: str = ""
    interval: Literal["daily"] | int = "daily"
    bars: Literal["bundled", "history"] = "bundled"
    cash_usd: float = 100_000.0
    limits: Mapping[str, float] = field(default_factory=dict)
    spread_bps: float | None = None
    fill_mode: Literal["ideal", "next_open"] = "ideal"
    usd_per_share: float = 0.0
    cost_bps: float = 0.0
    sale_fees: bool = True
    continues: bool = False
    rearm_daily: bool = False
    settlement: bool = False

    def __post_init__(self) -> None:
        _require(
            not self.continues or bool(self.name),
            "a book without a name",
            "continues",
            "Name the replay to go on with.",
        )
        if not self.name:
            object.__setattr__(self, "name", f"{self.first}_{self.last}")
        _require(
            _NAME.fullmatch(self.name) is not None,
            f"{self.name!r} cannot name a file",
            "name",
            "Use letters, digits, '-', '_' and '.', at most 64 of them, a letter or digit first.",
        )
        _require(
            self.first <= self.last,
            f"{self.first} is after {self.last}",
            "range",
            "Give the first day first.",
        )
        minutes = self.interval
        _require(
            minutes == DAILY_TICKS or (isinstance(minutes, int) and 1 <= minutes <= 389),
            f"ticks of {minutes!r}",
            "interval",
            f"Give {DAILY_TICKS!r}, or minutes from 1 to 389.",
        )
        _require(self.bars in ("bundled", "history"), f"{self.bars!r}", "bars", "Give bundled or history.")
        _require(
            self.fill_mode in (("ideal",) if self.daily else ("ideal", "next_open")),
            f"{self.fill_mode!r} on {'daily' if self.daily else 'intraday'} ticks",
            "fill_mode",
            "Give ideal, or next_open with minutes between ticks.",
        )
        _require(
            0.0 <= self.usd_per_share < inf and 0.0 <= self.cost_bps <= 10_000,
            f"{self.usd_per_share} USD a share and {self.cost_bps} basis points",
            "costs",
            "Give USD a share from 0 on, and basis points from 0 to 10000.",
        )
        _require(
            1.0 <= self.cash_usd <= MOST_CASH_USD,
            f"{self.cash_usd} USD",
            "starting cash",
            f"Give USD from 1 to {MOST_CASH_USD:,.0f}.",
        )
        spread = self.spread_bps
        _require(
            spread is None or 0 < spread <= 10_000,
            f"{spread} basis points",
            "spread",
            "Give basis points above 0 and at most 10000.",
        )

    @property
    def book(self) -> str:
        return f"replay:{self.name}"

    @property
    def daily(self) -> bool:
        return self.interval == DAILY_TICKS

    @property
    def minutes(self) -> int:
        """Between two ticks. Raises ValueError for daily ticks."""
        return int(self.interval)


def limits_of(settings: Settings, spec: ReplaySpec) -> Limits:
    """The limits in force in the replay: the configuration's with the spec's in their place.

    `stale_quote_seconds` is one bar unless the spec says otherwise. Raises InvalidInput for an unknown
    limit, one that the configuration would refuse, and infinity where it does not lift a limit.
    """
    lifted = {name for name, value in spec.limits.items() if isinf(value) and value > 0}
    for name, value in spec.limits.items():
        _require(
            name in Limits._fields,
            "there is no such limit",
            f"limit {name!r}",
            f"The limits are {', '.join(Limits._fields)}.",
        )
        _require(not isnan(value), "NaN", f"limit {name!r}", "Give a number, or infinity to lift it.")
        may_be_lifted = LIMIT_ROWS[name].looser is Looser.HIGHER and name not in _NEVER_INFINITE
        _require(
            name not in lifted or may_be_lifted,
            "infinity does not lift it",
            f"limit {name!r}",
            "Give a finite number.",
        )
    finite = {name: _as_configured(name, v) for name, v in spec.limits.items() if name not in lifted}
    try:
        changed = Settings.model_validate({**settings.model_dump(), **finite})
    except ValidationError as error:
        first = error.errors()[0]
        raise InvalidInput(
            first["msg"],
            where=f"replay, limit {'.'.join(map(str, first['loc'])) or 'values'}",
            remedy="Give a value that the configuration would accept, or infinity to lift a limit.",
        ) from error
    limits = Limits(**{**config.limits(changed)._asdict(), **dict.fromkeys(lifted, inf)})
    if "stale_quote_seconds" in spec.limits:
        return limits
    return limits._replace(stale_quote_seconds=SESSION_SECONDS if spec.daily else MINUTE_SECONDS)


def _as_configured(name: str, value: float) -> float | int | bool:
    """The configuration is strict: a count is an integer there, a switch true or false."""
    kind = Settings.model_fields[name].annotation
    if kind is bool and value in (0, 1):
        return bool(value)
    if kind is int and float(value).is_integer():
        return int(value)
    return value


def _require(holds: bool, what: str, where: str, remedy: str) -> None:
    if not holds:
        raise InvalidInput(what, where=f"replay, {where}", remedy=remedy)
