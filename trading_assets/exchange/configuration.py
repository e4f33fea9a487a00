"""The account's configuration: what its holder may set, and how the exchange reads a change.

Two members have an effect here, `suspend_trade` and `fractional_trading` (`admission.py`); the exchange
stores and shows the others. It does not know the day-trade members that Alpaca withdrew.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from decimal import Decimal
from typing import Any

from trading_assets.exchange.refusals import malformed

_CHOICES = {"trade_confirm_email": ("all", "none"), "max_margin_multiplier": ("1", "2", "4")}
_LEVELS = (0, 1, 2, 3)


@dataclass(frozen=True, slots=True)
class Configuration:
    disable_overnight_trading: bool = False
    fractional_trading: bool = True
    max_margin_multiplier: str = "1"
    max_options_trading_level: int = 0
    no_shorting: bool = True
    ptp_no_exception_entry: bool = False
    suspend_trade: bool = False
    trade_confirm_email: str = "all"


_MEMBERS = asdict(Configuration())


def read_changes(members: Mapping[str, Any]) -> dict[str, bool | int | str]:
    """The members that a request sets, without null and unknown ones. Raises ApiRefusal 40010001."""
    return {name: _value(name, members[name]) for name in _MEMBERS if members.get(name) is not None}


def _value(name: str, value: Any) -> bool | int | str:
    if name in _CHOICES and isinstance(value, str) and value in _CHOICES[name]:
        return value
    if name == "max_options_trading_level" and isinstance(value, Decimal) and value in _LEVELS:
        return int(value)
    if isinstance(_MEMBERS[name], bool) and isinstance(value, bool):
        return value
    raise malformed(f"invalid {name}")
