"""Rows of signals: each is a signal or refused by name, whatever stands in it."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from math import isfinite
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from trading_assets.engine.signals.rows import (
    FIELDS,
    REPLAYED,
    Row,
    csv_rows,
    json_rows,
    near,
    printable,
    said_time,
    signal_row,
)
from trading_assets.errors import InvalidInput

NOW = 1_347_372_000_000_000_000  # 2012-09-11T10:00:00-04:00
EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


def row(**cells: Any) -> Row:
    return Row(1, tuple(({"symbol": "AAPL", "value": "0.5"} | cells).items()), None)


def time_of(as_of: Any) -> int | None:
    return signal_row(row(as_of=as_of), near(NOW)).as_of_ns


@pytest.mark.parametrize(
    ("as_of", "why"),
    [
        ("0001-01-01T00:00:00Z", "no time near now, 2012-09-11 14:00:00 UTC"),
        ("0001-01-01T00:00:00+14:00", "no time near now"),
        ("9999-12-31T23:59:59Z", "no time near now"),
        ("9999-12-31T23:59:59-14:00", "no time near now"),
        (1_347_372_600, "no time near now, .*: seconds\\?"),
        (1_347_372_600.5, "seconds\\?"),
        ("1347372600000", "milliseconds\\?"),
        (Decimal("1347372600000000"), "microseconds\\?"),
        ("1.3473726e12", "milliseconds\\?"),
        ("20120911", "no time near now"),
        (0, "no time near now"),
        (True, "as_of is 'True'"),
        ("9" * 5000, "as_of is "),
        (Decimal("1e999"), "as_of is "),
        ("-1347372600000000000", "as_of is "),
        ("2012-09-11T10:00:00", "no offset from UTC"),
        ("11/09/2012", "as_of is "),
    ],
)
def test_a_time_that_is_not_near_now_is_refused_with_the_unit_that_it_may_be_in(as_of: Any, why: str) -> None:
    with pytest.raises(InvalidInput, match=why):
        time_of(as_of)


@pytest.mark.parametrize("as_of", [NOW, str(NOW), Decimal(NOW), "1.347372e18", float(NOW)])
def test_nanoseconds_are_taken_in_every_form_in_which_numbers_are_written(as_of: Any) -> None:
    assert time_of(as_of) == NOW


@pytest.mark.parametrize(
    ("unit", "ns"), [("seconds", 10**9), ("milliseconds", 10**6), ("microseconds", 1000)]
)
@given(after=st.integers(-300 * 86_400, 80_000))
def test_every_time_near_now_in_another_unit_is_named_and_never_taken(unit: str, ns: int, after: int) -> None:
    with pytest.raises(InvalidInput, match=f": {unit}\\?"):
        time_of((NOW + after * 10**9) // ns)


@given(st.datetimes(timezones=st.timezones()))
def test_a_time_is_near_or_refused_and_exact_to_the_microsecond(moment: datetime) -> None:
    try:
        result = time_of(moment.isoformat())
    except InvalidInput:
        assert abs((moment - EPOCH) - timedelta(microseconds=NOW // 1000)) >= timedelta(days=1)
    else:
        assert result == (moment - EPOCH) // timedelta(microseconds=1) * 1000


def test_an_object_is_one_signal_or_one_for_each_symbol_and_no_key_is_lost() -> None:
    def cells_of(text: str) -> list[tuple[tuple[str, Any], ...]]:
        return [result.cells for result in json_rows(text.encode(), "a.json").rows]

    one = (("symbol", "AAPL"), ("value", Decimal("0.15")), ("reference_price", Decimal("660.1")))
    assert cells_of('{"symbol": "AAPL", "value": 0.15, "reference_price": 660.1}') == [one]
    assert cells_of('{"AAPL": 0.15, "IBM": 1, "AAPL": -1}') == [
        (("symbol", "AAPL"), ("value", Decimal("0.15")), ("value", Decimal(-1))),
        (("symbol", "IBM"), ("value", Decimal(1))),
    ]
    twice = json_rows(b'{"AAPL": 0.1, "IBM": 1, " AAPL": 0.2}', "a.json")
    with pytest.raises(InvalidInput, match=r"'AAPL'.*value is given twice, as '0\.1' and as '0\.2'"):
        signal_row(twice.rows[0], near(NOW))
    assert signal_row(twice.rows[1], near(NOW)).symbol == "IBM"
    twice = json_rows(b'[{"symbol": "AAPL", "value": 0.1, "value": 0.2}]', "a.json")
    with pytest.raises(InvalidInput, match="value is given twice"):
        signal_row(twice.rows[0], near(NOW))
    assert json.loads(twice.text(twice.rows), object_pairs_hook=list) == [
        [("symbol", "AAPL"), ("value", 0.1), ("value", 0.2)]
    ]


@given(st.lists(st.tuples(st.sampled_from(["AAPL", "IBM", "MSFT"]), st.sampled_from(["-1", "0.1", "0.10"]))))
def test_an_object_that_names_a_symbol_twice_is_a_signal_only_where_it_says_the_same_of_it(
    of_symbol: list[tuple[str, str]],
) -> None:
    text = ", ".join(f'"{symbol}": {value}' for symbol, value in [*of_symbol, ("GE", "1")])
    values = {
        symbol: {Decimal(value) for one, value in of_symbol if one == symbol} for symbol, _ in of_symbol
    }
    result, refused = {}, []
    for row in json_rows(f"{{{text}}}".encode(), "a.json").rows:
        try:
            signal = signal_row(row, near(NOW))
        except InvalidInput as error:
            refused.append(str(error))
        else:
            result[signal.symbol] = signal.value
    assert result == {
        symbol: float(*of_symbol) for symbol, of_symbol in values.items() if len(of_symbol) == 1
    } | {"GE": 1.0}
    assert len(refused) == len(values) + 1 - len(result)
    assert all("value is given twice" in why for why in refused)


def test_a_fault_of_a_csv_row_costs_that_row() -> None:
    content = b"symbol, value ,source\nAAPL,0.5,a\nIBM,0.5,\xff\nIBM,0.5,a,more\n\nMSFT,0.5\n"
    read = csv_rows(content, "a.csv")
    reasons = []
    for result in read.rows:
        try:
            reasons.append(signal_row(result, near(NOW)).symbol)
        except InvalidInput as error:
            reasons.append(error.what)
    assert reasons == ["AAPL", r"source is '\udcff'", "unknown field 'more than the header'", "MSFT"]
    assert read.text(read.rows[1:3]).encode(errors="surrogateescape") == (
        b"symbol, value ,source\nIBM,0.5,\xff\nIBM,0.5,a,more\n"
    )


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: (
        st.lists(inner, max_size=3) | st.dictionaries(st.text() | st.sampled_from(FIELDS), inner, max_size=5)
    ),
)
CELLS = st.lists(st.tuples(st.sampled_from(FIELDS) | st.text(max_size=5), JSON), max_size=9)


@given(CELLS)
def test_a_row_is_a_signal_or_refused_by_name(cells: list[tuple[str, Any]]) -> None:
    members = ", ".join(f"{json.dumps(name)}: {json.dumps(value)}" for name, value in cells)
    refused: list[str] = []
    signal_before = '{"symbol": "AAPL", "value": 0.5}'  # or the file is of something else, and refused whole
    for result in json_rows(f"[{signal_before}, {{{members}}}]".encode(), "a.json").rows[1:]:
        try:
            signal = signal_row(result, REPLAYED)
        except InvalidInput as error:
            refused.append(printable(str(error)))
        else:
            assert dict(cells)["symbol"].strip() == signal.symbol
            assert signal.as_of_ns is None or REPLAYED.holds(signal.as_of_ns)
            assert isfinite(signal.value) or abs(Decimal(str(dict(cells)["value"]))) > 1
    assert all(why.encode() for why in refused)  # no lone surrogate: it can be stored and sent


def test_a_time_in_no_calendar_can_be_said() -> None:
    assert said_time(NOW) == "2012-09-11 14:00:00 UTC"
    assert said_time(-(10**20)) == "before the year 1"
    assert said_time(10**30) == "after the year 9999"
