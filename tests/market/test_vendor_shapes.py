"""Files as vendors write them, with numbers of our own: each is read as what it means."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, date, datetime
from decimal import Decimal
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet
import pytest
from hypothesis import given
from hypothesis import strategies as st

from trading_assets.errors import InvalidInput
from trading_assets.market.bar_files.reading import BarFile, read_bars
from trading_assets.market.bar_files.shapes import NAMES, SHAPES, folded, shape_of
from trading_assets.market.bar_files.table import files_of, read_table, symbol_of_name
from trading_assets.market.bars import CorporateAction, Interval
from trading_assets.market.quarantine.rules import BarRule, OnDefect
from trading_assets.market.sessions import MINUTE_NS, Sessions

FIRST, SECOND = date(2024, 7, 2), date(2024, 7, 3)
OPEN_NS = Sessions().open_ns(FIRST)
VALUES = [[10, 11], [12, 13], [9, 10], [11, 12], [100, 200]]  # open, high, low, close, volume of both


def read(path: Path, text: str, interval: str = "1d", **options: Any) -> BarFile:
    path.write_text(text)
    return read_bars(path, Interval(interval), **options)


DAILY: dict[str, tuple[str, dict[str, str]]] = {
    "Yahoo": (
        (
            "Date,Open,High,Low,Close,Adj Close,Volume\n"
            "2024-07-02,10,12,9,11,10.9,100\n2024-07-03,11,13,10,12,11.9,200\n"
        ),
        {"symbol": "AAPL"},
    ),
    "yfinance": (
        (
            "Date,Open,High,Low,Close,Volume,Dividends,Stock Splits\n"
            "2024-07-02 00:00:00-04:00,10,12,9,11,100,0.0,0.0\n"
            "2024-07-03 00:00:00-04:00,11,13,10,12,200,0.25,0.0\n"
        ),
        {"symbol": "AAPL"},
    ),
    "Stooq": (
        (
            "<TICKER>,<PER>,<DATE>,<TIME>,<OPEN>,<HIGH>,<LOW>,<CLOSE>,<VOL>,<OPENINT>\n"
            "AAPL.US,D,20240702,000000,10,12,9,11,100,0\nAAPL.US,D,20240703,000000,11,13,10,12,200,0\n"
        ),
        {},
    ),
    "Tiingo": (
        (
            "date,close,high,low,open,volume,adjClose,adjHigh,adjLow,adjOpen,adjVolume,divCash,splitFactor\n"
            "2024-07-02T00:00:00.000Z,11,12,9,10,100,1,1,1,1,1,0.0,1.0\n"
            "2024-07-03T00:00:00.000Z,12,13,10,11,200,1,1,1,1,1,0.25,1.0\n"
        ),
        {"symbol": "AAPL"},
    ),
    "zipline": (
        (
            "date,open,high,low,close,volume,dividend,split\n"
            "2024-07-02,10,12,9,11,100,0.0,1.0\n2024-07-03,11,13,10,12,200,0.25,1.0\n"
        ),
        {"symbol": "AAPL"},
    ),
    "Alpaca": (
        (
            "symbol,timestamp,open,high,low,close,volume,trade_count,vwap\n"
            "AAPL,2024-07-02 04:00:00+00:00,10,12,9,11,100,7,10.5\n"
            "AAPL,2024-07-03 04:00:00+00:00,11,13,10,12,200,7,11.5\n"
        ),
        {},
    ),
    "columns named as here": (
        (
            "Date, Open, High, Low, Close, Volume, Ticker\n"
            "07/02/2024, 10, 12, 9, 11, 100, AAPL\n07/03/2024, 11, 13, 10, 12, 200, AAPL\n"
        ),
        {},
    ),
}


@pytest.mark.parametrize("name", DAILY)
def test_daily_files_of_each_vendor_are_the_same_bars(tmp_path: Path, name: str) -> None:
    text, options = DAILY[name]
    file = read(tmp_path / "bars.csv", text, **options)
    assert file.shape.name == name
    assert file.symbols == ("AAPL",)
    assert file.days == (FIRST, SECOND)
    assert [column.tolist() for column in file.rows[2:]] == VALUES
    paid = (CorporateAction("AAPL", SECOND, 1.0, 0.25),) if name in ("yfinance", "Tiingo", "zipline") else ()
    assert file.actions["AAPL"] == paid


MINUTES: dict[str, tuple[str, dict[str, str]]] = {
    "Polygon flat files": (
        (
            "ticker,volume,open,close,high,low,window_start,transactions\n"
            f"AAPL,100,10,11,12,9,{OPEN_NS},5\nAAPL,200,11,12,13,10,{OPEN_NS + MINUTE_NS},6\n"
        ),
        {},
    ),
    "Databento": (
        (
            "ts_event,rtype,publisher_id,instrument_id,open,high,low,close,volume,symbol\n"
            f"{OPEN_NS},33,2,38,10000000000,12000000000,9000000000,11000000000,100,AAPL\n"
            f"{OPEN_NS + MINUTE_NS},33,2,38,11000000000,13000000000,10000000000,12000000000,200,AAPL\n"
        ),
        {},
    ),
    "Kibot: no header; date, time, open, high, low, close, volume": (
        "07/02/2024,09:30,10,12,9,11,100\n07/02/2024,09:31,11,13,10,12,200\n",
        {"symbol": "AAPL"},
    ),
    "FirstRate: no header; timestamp, open, high, low, close, volume": (
        "2024-07-02 09:30:00,10,12,9,11,100\n2024-07-02 09:31:00,11,13,10,12,200\n",
        {"symbol": "AAPL"},
    ),
    "Alpaca's JSON": (
        "t,o,h,l,c,v,n,vw\n2024-07-02T13:30:00Z,10,12,9,11,100,3,10\n2024-07-02T13:31:00Z,11,13,10,12,200,3,11\n",
        {"symbol": "AAPL"},
    ),
    "columns named as here": (
        "Date;Time;Open;High;Low;Close;Vol\n2024-07-02;0930;10;12;9;11;100\n2024-07-02;0931;11;13;10;12;200\n",
        {"symbol": "AAPL", "zone": "America/New_York", "stamps": "start"},
    ),
}


@pytest.mark.parametrize("name", MINUTES)
def test_minute_files_of_each_vendor_are_the_same_bars(tmp_path: Path, name: str) -> None:
    text, options = MINUTES[name]
    file = read(tmp_path / "bars.txt", text, "1m", **options)
    assert file.shape.name == name
    assert file.rows.start_ns.tolist() == [OPEN_NS, OPEN_NS + MINUTE_NS]
    assert [column.tolist() for column in file.rows[2:]] == VALUES


def test_what_is_not_read_is_named(tmp_path: Path) -> None:
    text, options = DAILY["Alpaca"]
    assert read(tmp_path / "bars.csv", text, **options).unread == ("trade_count", "vwap")
    text, options = DAILY["Yahoo"]
    assert read(tmp_path / "bars.csv", text, **options).unread == ("Adj Close",)


def test_a_split_of_each_vendor_s_column_counts_as_new_shares_for_an_old_one(tmp_path: Path) -> None:
    for split in ("split_ratio", "Stock Splits", "splitFactor", "split"):
        head = f"Date,Open,High,Low,Close,Volume,{split}\n"
        text = head + "2024-07-02,10,12,9,11,100,1\n2024-07-03,5,6,4,5,200,2\n"
        file = read(tmp_path / "bars.csv", text, symbol="AAPL")
        assert file.actions["AAPL"] == (CorporateAction("AAPL", SECOND, 2.0, 0.0),), split


@pytest.mark.parametrize("unit", ["s", "ms", "us", "ns"])
def test_counts_since_1970_are_read_in_each_unit(tmp_path: Path, unit: str) -> None:
    at = OPEN_NS // {"s": 10**9, "ms": 10**6, "us": 10**3, "ns": 1}[unit]
    file = read(
        tmp_path / "bars.csv",
        f"timestamp,symbol,open,high,low,close,volume\n{at},AAPL,10,12,9,11,100\n",
        "1m",
        stamps="start",
    )
    assert file.rows.start_ns.tolist() == [OPEN_NS]


def parquet(path: Path, stamps: pa.Array, **columns: Sequence[Any] | pa.Array) -> Path:
    prices = {"open": [10.0], "high": [12.0], "low": [9.0], "close": [11.0], "volume": [100]}
    pyarrow.parquet.write_table(
        pa.table({"timestamp": stamps, "symbol": ["AAPL"], **prices, **columns}), path
    )
    return path


@pytest.mark.parametrize(
    "stamp",
    [
        pa.array([FIRST], pa.date32()),
        pa.array([datetime(2024, 7, 2)], pa.timestamp("us")),  # noqa: DTZ001  pandas writes dates so
        pa.array([datetime(2024, 7, 2, tzinfo=UTC)], pa.timestamp("ms", "UTC")),
        pa.array([datetime(2024, 7, 2, 4, tzinfo=UTC)], pa.timestamp("ns", "America/New_York")),
        pa.array(["2024-07-02"]),
        pa.array(["20240702"]),
    ],
)
def test_dates_of_each_type_of_parquet_name_their_session(tmp_path: Path, stamp: pa.Array) -> None:
    file = read_bars(parquet(tmp_path / "bars.parquet", stamp), Interval.DAY)
    assert file.days == (FIRST, FIRST)


def test_decimals_and_dictionaries_of_parquet_are_read(tmp_path: Path) -> None:
    path = parquet(
        tmp_path / "bars.parquet",
        pa.array([FIRST], pa.date32()),
        close=pa.array([Decimal("11.25")], pa.decimal128(12, 4)),
        symbol=pa.array(["AAPL"]).dictionary_encode(),
    )
    file = read_bars(path, Interval.DAY)
    assert file.rows.close.tolist() == [11.25]
    assert file.symbols == ("AAPL",)


def test_a_prefix_or_suffix_that_every_ticker_has_is_left_out_and_told(tmp_path: Path) -> None:
    head = "ticker,date,open,high,low,close,volume\n"
    both = "{0},2024-07-02,10,12,9,11,100\n{1},2024-07-02,10,12,9,11,100\n"
    file = read(tmp_path / "bars.csv", head + both.format("AAPL.US", "BRK.B.US"))
    assert (file.symbols, file.ticker_affix) == (("AAPL", "BRK.B"), ".US")
    file = read(tmp_path / "bars.csv", head + both.format("NASDAQ:AAPL", "NASDAQ:MSFT"))
    assert (file.symbols, file.ticker_affix) == (("AAPL", "MSFT"), "NASDAQ:")
    file = read(tmp_path / "bars.csv", head + both.format("AAPL", "BRK.B"))
    assert (file.symbols, file.ticker_affix) == (("AAPL", "BRK.B"), "")


def test_days_that_are_not_asked_for_are_left_out_and_counted(tmp_path: Path) -> None:
    rows = "1989-12-29,1,1,1,1,1\n1990-01-02,2,2,2,2,2\n1990-01-03,3,3,3,3,3\n"
    text = "Date,Open,High,Low,Close,Volume\n" + rows
    with pytest.raises(InvalidInput, match=r"row 2: 1989-12-29 is outside the calendar.*--from 1990-01-02"):
        read(tmp_path / "bars.csv", text, symbol="AAPL")
    file = read(tmp_path / "bars.csv", text, symbol="AAPL", first=date(1990, 1, 1), last=date(1990, 1, 2))
    assert (file.days, file.left_out) == ((date(1990, 1, 2), date(1990, 1, 2)), 2)


def test_the_order_of_day_and_month_is_the_same_in_all_of_a_file(tmp_path: Path) -> None:
    head = "Date,Open,High,Low,Close,Volume\n"
    file = read(tmp_path / "bars.csv", head + "02/07/2024,1,1,1,1,1\n15/07/2024,1,1,1,1,1\n", symbol="AAPL")
    assert file.days == (FIRST, date(2024, 7, 15))
    with pytest.raises(InvalidInput, match="day and month change places"):
        read(tmp_path / "bars.csv", head + "07/15/2024,1,1,1,1,1\n15/07/2024,1,1,1,1,1\n", symbol="AAPL")


def test_directories_are_read_in_depth_and_files_name_their_symbols(tmp_path: Path) -> None:
    (tmp_path / "a").mkdir()
    for name in ("a/aapl.us.txt", "MSFT_1min.csv", "brk.b.csv", "readme.md"):
        (tmp_path / name).write_text("x")
    assert [path.name for path in files_of([tmp_path])] == ["MSFT_1min.csv", "aapl.us.txt", "brk.b.csv"]
    assert symbol_of_name(tmp_path / "MSFT_1min.csv") == "MSFT"
    assert symbol_of_name(tmp_path / "brk.b.csv") == "BRK.B"
    text, _ = DAILY["Yahoo"]
    path = tmp_path / "a" / "aapl.us.txt"
    file = read(path, text, named_after=symbol_of_name(path))
    assert (file.symbols, file.ticker_affix) == (("AAPL",), ".US")
    (tmp_path / "none").mkdir()
    with pytest.raises(InvalidInput, match="no file in it ends in"):
        files_of([tmp_path / "none"])


def test_every_shape_is_told_by_its_own_columns() -> None:
    for shape in SHAPES:
        assert shape_of(shape.told_by) is shape
        known = {NAMES[name] for name in shape.told_by if name in NAMES}
        assert {"open", "high", "low", "close"} <= known, shape.name


@given(st.sampled_from(sorted(NAMES)), st.sampled_from(["{}", "<{}>", " {} ", "_{}", "{}."]))
def test_names_are_compared_without_case_and_signs(name: str, form: str) -> None:
    assert folded(form.format(name).upper()) == name


def test_a_file_that_is_more_than_one_thing_says_so(tmp_path: Path) -> None:
    path = tmp_path / "bars.csv"
    path.write_text("date,close,c\n2024-07-02,1,1\n")
    with pytest.raises(InvalidInput, match="two columns are its close"):
        read_table(path)


def test_a_vendor_s_rows_of_what_is_no_stock_are_left_out_by_name_and_rows_keep_their_numbers(
    tmp_path: Path,
) -> None:
    head = "ticker,volume,open,close,high,low,window_start,transactions\n"
    rows = [f"{name},100,10,11,12,9,{OPEN_NS},5" for name in ("AAPL", "ACHR.WS.A", "BACpB", "MSFT", "TSLA")]
    file = read(tmp_path / "bars.csv", head + "\n".join(rows) + "\n", "1m")
    assert (file.symbols, file.other_tickers) == (("AAPL", "MSFT", "TSLA"), ("ACHR.WS.A", "BACpB"))
    rows[3] = rows[3].replace("MSFT,100", "MSFT,x")
    with pytest.raises(InvalidInput, match="row 5: volume 'x' is no number"):
        read(tmp_path / "bars.csv", head + "\n".join(rows) + "\n", "1m")


def test_words_for_no_value_are_empty_values(tmp_path: Path) -> None:
    text = "Date,Open,High,Low,Close,Volume\n2024-07-02,1,1,1,1,1\n2024-07-03,null,null,null,null,null\n"
    file = read(tmp_path / "bars.csv", text, symbol="AAPL", on_defect=OnDefect.QUARANTINE)
    assert [(fault.session, fault.rule) for fault in file.faults] == [(SECOND, BarRule.EMPTY)]
