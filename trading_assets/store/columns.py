"""How the journal writes values that SQL has no type for: decimals, and structures that contain NaN."""

from __future__ import annotations

import json
import math
import re
from collections.abc import Mapping
from decimal import Decimal
from typing import Any

from sqlalchemy import Dialect, Text, TypeDecorator


def decimal_text(value: Decimal) -> str:
    """One spelling for one number, so that 10, 10.0 and 1E+1 are the same key. NaN stays NaN."""
    text = format(value, "f")
    if value.is_finite() and "." in text:
        text = text.rstrip("0").rstrip(".")
    return "0" if text == "-0" else text


_NON_FINITE = re.compile(r"\\*(NaN|-?Infinity)")


def to_json(value: Any) -> str:
    """JSON text that `from_json` turns back into an equal value, except that tuples come back as lists.

    NaN and the infinities, which JSON does not have, are written "NaN", "Infinity" and "-Infinity";
    a text that reads like one of them is written with one backslash more.
    """
    return json.dumps(_finite(value), allow_nan=False, separators=(",", ":"))


def from_json(text: str) -> Any:
    """The value that `to_json` wrote."""
    return _restored(json.loads(text))


def _finite(value: Any) -> Any:
    if isinstance(value, str):
        return "\\" + value if _NON_FINITE.fullmatch(value) else value
    if isinstance(value, float) and not math.isfinite(value):
        return "NaN" if math.isnan(value) else "Infinity" if value > 0 else "-Infinity"
    if isinstance(value, Mapping):
        if not all(isinstance(key, str) for key in value):
            raise TypeError(f"JSON has text keys only, not {sorted(map(repr, value))}")
        return {key: _finite(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_finite(item) for item in value]
    return value


def _restored(value: Any) -> Any:
    if isinstance(value, str) and _NON_FINITE.fullmatch(value):
        return value[1:] if value.startswith("\\") else float(value)
    if isinstance(value, dict):
        return {key: _restored(item) for key, item in value.items()}
    if isinstance(value, list):
        return [_restored(item) for item in value]
    return value


class DecimalText(TypeDecorator[Decimal]):
    """A Decimal as text. Refuses NaN and infinity unless `finite` is False."""

    impl = Text
    cache_ok = True

    def __init__(self, *, finite: bool = True) -> None:
        super().__init__()
        self.finite = finite

    def process_bind_param(self, value: Decimal | None, dialect: Dialect) -> str | None:
        if value is None:
            return None
        if self.finite and not value.is_finite():
            raise ValueError(f"the journal keeps finite quantities and money here, not {value}")
        return decimal_text(value)

    def process_result_value(self, value: str | None, dialect: Dialect) -> Decimal | None:
        return None if value is None else Decimal(value)


class JsonText(TypeDecorator[Any]):
    """A structure as JSON text."""

    impl = Text
    cache_ok = True

    def process_bind_param(self, value: Any, dialect: Dialect) -> str:
        return to_json(value)

    def process_result_value(self, value: str | None, dialect: Dialect) -> Any:
        return None if value is None else from_json(value)


class NumbersText(JsonText):
    """A tuple of floats as JSON text."""

    cache_ok = True

    def process_result_value(self, value: str | None, dialect: Dialect) -> tuple[float, ...] | None:
        return None if value is None else tuple(from_json(value))
