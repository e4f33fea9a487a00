"""Text and datetimes as nanoseconds since 1970 in UTC, and back. The clock knows what time it is."""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta, tzinfo

EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
SECOND_NS = 1_000_000_000
_FRACTION = re.compile(r"(?<=:\d\d)[.,](\d+)", re.ASCII)


class ZoneMissing(ValueError):
    """A time without an offset from UTC, where none may be assumed."""


def ns_of(moment: datetime) -> int:
    """An aware datetime, exact to its microsecond. Raises ZoneMissing for a naive one."""
    if moment.tzinfo is None:
        raise ZoneMissing(f"{moment} has no offset from UTC")
    return (moment - EPOCH) // timedelta(microseconds=1) * 1000


def parse_ns(text: str, zone: tzinfo | None = None) -> int:
    """A time of ISO 8601, exact to the ninth decimal of its seconds; further decimals are dropped.

    zone: of a text without an offset. Raises ZoneMissing where it is None, ValueError for what is no time.
    """
    fraction = _FRACTION.search(text)
    whole = text if fraction is None else text[: fraction.start()] + text[fraction.end() :]
    if "." in whole or "," in whole:
        raise ValueError(f"{text!r} is no time")
    moment = datetime.fromisoformat(whole)
    if moment.tzinfo is None and zone is not None:
        moment = moment.replace(tzinfo=zone)
    return ns_of(moment) + int("0" if fraction is None else fraction[1][:9].ljust(9, "0"))


def utc_time(ns: int) -> datetime:
    """To the second. Raises OverflowError outside the calendar."""
    return EPOCH + timedelta(seconds=ns // SECOND_NS)
