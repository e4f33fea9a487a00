"""One reading of times as text: exact to the nanosecond, never without a zone."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta, timezone

import pytest
from hypothesis import given
from hypothesis import strategies as st

from trading_assets.market.timestamps import ZoneMissing, ns_of, parse_ns, utc_time


@pytest.mark.parametrize(
    ("text", "ns"),
    [
        ("1970-01-01T00:00:00Z", 0),
        ("2012-09-11T10:00:00-04:00", 1_347_372_000 * 10**9),
        ("2012-09-11T14:00:00.5Z", 1_347_372_000 * 10**9 + 500_000_000),
        ("2012-09-11 14:00:00.123456789+00:00", 1_347_372_000 * 10**9 + 123_456_789),
        ("2012-09-11T14:00:00,1234567899Z", 1_347_372_000 * 10**9 + 123_456_789),
        ("20120911T140000Z", 1_347_372_000 * 10**9),
        ("1969-12-31T23:59:59.999999999Z", -1),
        ("0001-01-01T00:00:00Z", -62_135_596_800 * 10**9),
    ],
)
def test_a_time_is_read_to_the_nanosecond(text: str, ns: int) -> None:
    assert parse_ns(text) == ns


def test_a_time_without_a_zone_is_refused_or_takes_the_one_that_is_given() -> None:
    with pytest.raises(ZoneMissing, match="no offset"):
        parse_ns("2012-09-11T10:00:00")
    with pytest.raises(ZoneMissing, match="no offset"):
        ns_of(datetime.fromisoformat("2012-09-11T10:00:00"))
    east = timezone(timedelta(hours=-4))
    assert parse_ns("2012-09-11T10:00:00.25", east) == parse_ns("2012-09-11T14:00:00.25Z")


@pytest.mark.parametrize(
    "text",
    ["", "now", "2012-13-01T00:00:00Z", "2012-09-11T10:00:00.Z", "2012-09-11T10:00:00.5.5Z", "10:00:00.5Z"],
)
def test_what_is_no_time_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match=r".+"):
        parse_ns(text)


@given(st.datetimes(timezones=st.just(UTC)), st.integers(0, 999))
def test_what_is_written_is_read_back(moment: datetime, rest: int) -> None:
    ns = ns_of(moment) + rest
    assert parse_ns(f"{moment:%Y-%m-%dT%H:%M:%S}".rjust(19, "0") + f".{ns % 10**9:09d}Z") == ns
    assert utc_time(ns) == moment.replace(microsecond=0)
