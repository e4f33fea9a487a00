"""Reads a request's query: words, counts, times. Each API refuses a bad value in its own way."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping
from datetime import date
from decimal import Decimal

from trading_assets.exchange.amounts import parse
from trading_assets.exchange.refusals import ApiRefusal
from trading_assets.exchange.times import parse_ns


class Query:
    """`refuse` makes the refusal: 422 in the trading API, 400 in the data API."""

    def __init__(self, members: Mapping[str, str], refuse: Callable[[str], ApiRefusal]) -> None:
        self._members = members
        self._refuse = refuse

    def text(self, name: str) -> str | None:
        """None where it is absent or empty."""
        return self._members.get(name) or None

    def word(self, name: str, known: Collection[str], default: str) -> str:
        value = self.text(name) or default
        if value not in known:
            raise self._refuse(f"invalid {name}: {value!r}; one of {', '.join(sorted(known))}")
        return value

    def words(self, name: str) -> list[str]:
        """A comma-separated list, each word once."""
        return list(dict.fromkeys(word for word in (self.text(name) or "").split(",") if word))

    def symbols(self) -> list[str]:
        """The required list of symbols."""
        symbols = self.words("symbols")
        if not symbols:
            raise self._refuse("symbols is required")
        return symbols

    def count(self, name: str, default: int, *, largest: int) -> int:
        value = self.text(name)
        if value is None:
            return default
        if not value.isascii() or not value.isdigit() or not 1 <= int(value[:9]) <= largest:
            raise self._refuse(f"invalid {name}: {value!r}; a whole number from 1 to {largest}")
        return int(value)

    def amount(self, name: str) -> Decimal | None:
        """A number with at most nine decimals."""
        value = self.text(name)
        return None if value is None else parse(name, value)

    def time_ns(self, name: str) -> int | None:
        value = self.text(name)
        if value is None:
            return None
        try:
            return parse_ns(value)
        except ValueError as error:
            raise self._refuse(f"invalid {name}: {error}") from error

    def day(self, name: str) -> date | None:
        """A date; of a stamp the date alone."""
        value = self.text(name)
        if value is None:
            return None
        try:
            parse_ns(value)
            return date.fromisoformat(value[:10])
        except ValueError as error:
            raise self._refuse(f"invalid {name}: {error}") from error

    def is_day(self, name: str) -> bool:
        """Whether the value is a date without a time of day."""
        return len(self.text(name) or "") == len("YYYY-MM-DD")
