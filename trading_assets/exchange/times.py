"""Times as the API writes and reads them. The exchange's clock knows what time it is."""

from __future__ import annotations

import re
from datetime import UTC, date, datetime, time

from trading_assets.market import timestamps
from trading_assets.market.sessions import NEW_YORK

_SECOND_NS = 1_000_000_000
_FORM = re.compile(r"\d{4}-\d\d-\d\d([Tt ]\d\d:\d\d:\d\d(\.\d{1,9})?([Zz]|[+-]\d\d:\d\d)?)?", re.ASCII)


def _fraction(ns: int) -> str:
    digits = f"{ns % _SECOND_NS:09d}".rstrip("0")
    return f".{digits}" if digits else ""


def utc_text(ns: int) -> str:
    """RFC 3339 in UTC with as many decimals as needed, up to nanoseconds: 2012-10-01T13:30:00.5Z."""
    moment = datetime.fromtimestamp(ns // _SECOND_NS, UTC)
    return f"{moment:%Y-%m-%dT%H:%M:%S}{_fraction(ns)}Z"


def new_york_text(ns: int) -> str:
    """RFC 3339 with New York's offset: 2012-10-01T09:30:00.5-04:00."""
    moment = datetime.fromtimestamp(ns // _SECOND_NS, UTC).astimezone(NEW_YORK)
    offset = moment.strftime("%z")
    return f"{moment:%Y-%m-%dT%H:%M:%S}{_fraction(ns)}{offset[:3]}:{offset[3:]}"


def activity_prefix(ns: int) -> str:
    """The first part of an activity's id: New York local time to the millisecond, 17 digits."""
    moment = datetime.fromtimestamp(ns // _SECOND_NS, UTC).astimezone(NEW_YORK)
    return f"{moment:%Y%m%d%H%M%S}{ns % _SECOND_NS // 1_000_000:03d}"


def midnight_ns(day: date) -> int:
    """The first instant of a day in New York, which is also the stamp of its daily bar."""
    return int(datetime.combine(day, time(), NEW_YORK).timestamp()) * _SECOND_NS


def parse_ns(text: str) -> int:
    """A date (midnight UTC) or an RFC 3339 stamp (UTC where it has no offset), to the nanosecond.

    Raises ValueError for anything else.
    """
    if _FORM.fullmatch(text) is None:
        raise ValueError(f"{text!r} is neither YYYY-MM-DD nor RFC 3339")
    return timestamps.parse_ns(text.upper(), UTC)
