"""Signals from outside as files: read whole, or refused with file, line and reason."""

from __future__ import annotations

from datetime import UTC, date, datetime
from math import isnan
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from trading_assets.engine.replay.signal_file import read_signals
from trading_assets.errors import InvalidInput


def written(root: Path, text: str) -> Path:
    path = root / "signals.csv"
    path.write_text(text, encoding="utf-8")
    return path


def test_a_session_stands_for_its_first_tick(tmp_path: Path) -> None:
    (signal,) = read_signals(written(tmp_path, "symbol,value,session\nAAPL,0.15,2012-07-03\n"))
    assert signal[:3] == ("AAPL", 0.15, date(2012, 7, 3))
    assert isnan(signal.reference_price)
    assert isnan(signal.limit_price)


def test_a_time_is_read_to_the_microsecond_in_any_offset(tmp_path: Path) -> None:
    text = (
        "symbol,value,as_of,reference_price,limit_price\n"
        "AAPL,0.15,2012-07-03T10:00:00.000001-04:00,600.5,601\n"
        "IBM,-1,2012-07-03T14:00:00+00:00,,\n"
    )
    aapl, ibm = read_signals(written(tmp_path, text))
    assert aapl.at == 1_341_324_000_000_001_000
    assert ibm.at == 1_341_324_000_000_000_000
    assert (aapl.reference_price, aapl.limit_price) == (600.5, 601.0)
    assert isnan(ibm.limit_price)


def test_parquet_says_the_same(tmp_path: Path) -> None:
    path = tmp_path / "signals.parquet"
    moment = datetime(2012, 7, 3, 14, tzinfo=UTC)
    pq.write_table(pa.table({"symbol": ["IBM"], "value": [-1.0], "as_of": [moment]}), path)
    (signal,) = read_signals(path)
    assert signal[:3] == ("IBM", -1.0, 1_341_324_000_000_000_000)


@pytest.mark.parametrize(
    "kind", [pa.timestamp("us"), pa.timestamp("ns"), pa.date32(), pa.timestamp("us", "UTC")]
)
def test_a_session_that_a_table_wrote_as_a_midnight_is_its_date(tmp_path: Path, kind: pa.DataType) -> None:
    path = tmp_path / "signals.parquet"
    days = pa.array([datetime(2012, 7, 3), None], pa.timestamp("us")).cast(kind)  # noqa: DTZ001 - of no zone
    times = pa.array([None, datetime(2012, 7, 3, 14, tzinfo=UTC)])
    pq.write_table(
        pa.table({"symbol": ["IBM"] * 2, "value": [-1.0] * 2, "session": days, "as_of": times}), path
    )
    assert [signal.at for signal in read_signals(path)] == [date(2012, 7, 3), 1_341_324_000_000_000_000]
    for text in ("2012-07-03 00:00:00", "2012-07-03T00:00:00Z", "2012-07-03T00:00"):
        assert read_signals(written(tmp_path, f"symbol,value,session\nIBM,1,{text}\n"))[0].at == date(
            2012, 7, 3
        )


def test_what_the_inbox_takes_can_be_replayed_and_one_id_says_one_thing(tmp_path: Path) -> None:
    header = "symbol,value,as_of,id,source\n"
    row = "AAPL,0.5,2012-07-03T10:00:00-04:00,x1,mine\n"
    other = "AAPL,-0.5,2012-07-03T10:00:00-04:00,,mine\n"
    signals = read_signals(written(tmp_path, header + row + other + row))
    assert [signal.value for signal in signals] == [
        0.5,
        -0.5,
    ]  # the same id and words again are the same signal
    with pytest.raises(InvalidInput, match=r"line 3: id 'x1' of AAPL said 0\.5"):
        read_signals(written(tmp_path, header + row + row.replace("0.5", "0.6")))
    json_file = tmp_path / "signals.json"
    json_file.write_text('{"symbol": "AAPL", "value": 0.5, "session": "2012-07-03"}')
    assert read_signals(json_file)[0][:3] == ("AAPL", 0.5, date(2012, 7, 3))


@pytest.mark.parametrize(
    ("text", "what"),
    [
        ("", "no signal"),
        ("symbol,value,session\n", "no signal"),
        ("symbol,value\nAAPL,1\n", "line 2: neither session nor as_of"),
        ("symbol,value,session,as_of\nAAPL,1,2012-07-03,x\n", "line 2: both session and as_of"),
        ("symbol,value,session,size\nAAPL,1,2012-07-03,5\n", "unknown field 'size'"),
        ("symbol,value,session\nAAPL,much,2012-07-03\n", "line 2"),
        ("symbol,value,session\nAAPL,1,2012-07-03\nIBM,1,yesterday\n", "line 3"),
        ("symbol,value,as_of\nAAPL,1,2012-07-03T10:00:00\n", "no offset"),
        ("symbol,value,session\nAAPL,1\n", "line 2"),
        ('symbol,value,session\n"AAPL,1,2012-07-03\n', "no CSV"),
        ("symbol,value,session,session\nAAPL,1,2012-07-03,2012-07-05\n", "'session' is there twice"),
        ("symbol,value,session\nAAPL,1,2012-07-03T09:30:00\n", "line 2: session is .* no date"),
        ("symbol,value,as_of\nAAPL,1,1341324000000\n", "line 2: as_of is .*: milliseconds\\?"),
        ("symbol,value,as_of\nAAPL,1,9999-12-31T23:59:59Z\n", "line 2: as_of is .*9999"),
    ],
)
def test_a_file_that_cannot_be_used_is_refused_whole(tmp_path: Path, text: str, what: str) -> None:
    with pytest.raises(InvalidInput, match=what) as caught:
        read_signals(written(tmp_path, text))
    assert "signals.csv" in str(caught.value)


def test_an_object_that_gives_a_symbol_two_values_is_refused_as_the_inbox_does(tmp_path: Path) -> None:
    output = '[{"symbol": "AAPL", "value": 0.1, "value": -1, "session": "2012-07-03"}]'
    path = tmp_path / "signals.json"
    path.write_text(output)
    with pytest.raises(InvalidInput, match=r"AAPL.*value is given twice, as '0\.1' and as '-1'"):
        read_signals(path)


def test_a_file_that_is_not_there_is_named(tmp_path: Path) -> None:
    with pytest.raises(InvalidInput, match=r"gone\.csv"):
        read_signals(tmp_path / "gone.csv")
