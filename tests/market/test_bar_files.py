"""Reading a person's own bars: what a file says becomes raw bars stamped with their start, or a refusal."""

from __future__ import annotations

from datetime import date
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet
import pytest

from trading_assets.errors import InvalidInput
from trading_assets.market.bar_files.adjusted import Adjusted
from trading_assets.market.bar_files.reading import BarFile, read_bars
from trading_assets.market.bar_files.shapes import Stamps
from trading_assets.market.bars import CorporateAction, Interval
from trading_assets.market.bundle import BundledTape
from trading_assets.market.sessions import MINUTE_NS, Sessions

SESSION = date(2012, 9, 11)
OPEN_NS = Sessions().open_ns(SESSION)
HEADER = "timestamp,symbol,open,high,low,close,volume"


def written(directory: Path, *rows: str, header: str = HEADER) -> Path:
    path = directory / "bars.csv"
    path.write_text("\n".join([header, *rows]) + "\n")
    return path


def daily(
    path: Path, *, adjusted: Adjusted = Adjusted.NO, stamps: Stamps = Stamps.START, **options: Any
) -> BarFile:
    return read_bars(path, Interval.DAY, stamps=stamps, adjusted=adjusted, **options)


def minutes(path: Path, *, stamps: Stamps = Stamps.START, **options: Any) -> BarFile:
    return read_bars(path, Interval.MINUTE, stamps=stamps, **options)


def test_daily_bars_go_from_the_session_s_open_to_its_close_in_any_order_of_rows(tmp_path: Path) -> None:
    path = written(
        tmp_path, "2012-09-12,IBM,3,4,2,3,20", "2012-09-11,IBM,1,2,1,2,10", "2012-09-11,BRK.B,5,5,5,5,0"
    )
    read = daily(path)
    assert list(read.bars) == ["BRK.B", "IBM"]
    ibm = read.bars["IBM"]
    assert ibm.start_ns.tolist() == [Sessions().open_ns(day) for day in (SESSION, date(2012, 9, 12))]
    assert ibm.end_ns.tolist() == [Sessions().close_ns(day) for day in (SESSION, date(2012, 9, 12))]
    assert ibm.close.tolist() == [2.0, 3.0]
    assert ibm.volume.tolist() == [10.0, 20.0]
    assert read.count == 3


def test_the_bundled_tape_written_to_a_file_is_read_back_the_same(tmp_path: Path) -> None:
    tape = BundledTape()
    bars = tape.daily("AAPL")
    days = [Sessions().new_york_date(int(start)) for start in bars.start_ns]
    names = ("open", "high", "low", "close", "volume")
    table = pa.table(
        {"date": pa.array(days), "Ticker": ["AAPL"] * len(days)} | {n: getattr(bars, n) for n in names}
    )
    path = tmp_path / "aapl.parquet"
    pyarrow.parquet.write_table(table, path)
    for column, read in zip(bars, daily(path).bars["AAPL"], strict=True):
        assert np.array_equal(column, read)


@pytest.mark.parametrize(
    ("stamps", "stamp"),
    [
        (Stamps.START, "2012-09-11T00:00:00-04:00"),
        (Stamps.START, "2012-09-11T13:30:00Z"),
        (Stamps.END, "2012-09-12T00:00:00-04:00"),
        (Stamps.END, "2012-09-11T20:00:00Z"),
        (Stamps.END, "2012-09-11"),
    ],
)
def test_a_daily_stamp_at_the_start_or_the_end_names_the_same_session(
    tmp_path: Path, stamps: Stamps, stamp: str
) -> None:
    read = daily(written(tmp_path, f"{stamp},IBM,1,2,1,2,10"), stamps=stamps)
    assert read.bars["IBM"].start_ns.tolist() == [OPEN_NS]


@pytest.mark.parametrize(
    ("stamps", "stamp", "zone"),
    [
        (Stamps.START, "2012-09-11T13:30:00Z", None),
        (Stamps.END, "2012-09-11T13:31:00Z", None),
        (Stamps.START, "2012-09-11 09:30:00", "America/New_York"),
        (Stamps.END, "2012-09-11T09:31:00-04:00", None),
    ],
)
def test_a_minute_stamp_at_the_start_or_the_end_is_the_same_bar(
    tmp_path: Path, stamps: Stamps, stamp: str, zone: str | None
) -> None:
    options = {} if zone is None else {"zone": zone}
    read = minutes(written(tmp_path, f"{stamp},IBM,1,2,1,2,10"), stamps=stamps, **options)
    assert read.bars["IBM"].start_ns.tolist() == [OPEN_NS]
    assert read.bars["IBM"].end_ns.tolist() == [OPEN_NS + MINUTE_NS]


def test_minutes_outside_regular_hours_are_left_out_and_counted(tmp_path: Path) -> None:
    stamps = ("09:29", "09:30", "15:59", "16:00", "18:00")
    path = written(tmp_path, *(f"2012-09-11T{at}:00-04:00,IBM,1,2,1,2,10" for at in stamps))
    read = minutes(path)
    assert read.count == 2
    assert read.outside_hours == 3


def test_parquet_times_with_nanoseconds_are_read(tmp_path: Path) -> None:
    at = pa.array([OPEN_NS, OPEN_NS + MINUTE_NS], pa.timestamp("ns", tz="UTC"))
    prices = {name: [1.0, 2.0] for name in ("open", "high", "low", "close", "volume")}
    path = tmp_path / "minutes.parquet"
    pyarrow.parquet.write_table(pa.table({"timestamp": at, **prices}), path)
    assert minutes(path, symbol="IBM").bars["IBM"].start_ns.tolist() == [OPEN_NS, OPEN_NS + MINUTE_NS]


def test_sessions_without_a_bar_are_counted(tmp_path: Path) -> None:
    read = daily(written(tmp_path, "2012-09-10,IBM,1,2,1,2,10", "2012-09-13,IBM,1,2,1,2,10"))
    assert read.missing_sessions == {"IBM": 2}


def test_splits_and_dividends_are_taken_from_their_columns(tmp_path: Path) -> None:
    header = f"{HEADER},split_ratio,cash_usd"
    path = written(
        tmp_path,
        "2012-09-10,IBM,1,2,1,2,10,1,0",
        "2012-09-11,IBM,1,2,1,2,10,2,0",
        "2012-09-12,IBM,1,2,1,2,10,1,0.5",
        header=header,
    )
    assert daily(path).actions["IBM"] == (
        CorporateAction("IBM", SESSION, 2.0, 0.0),
        CorporateAction("IBM", date(2012, 9, 12), 1.0, 0.5),
    )


def test_adjusted_prices_are_taken_back_to_what_traded_with_the_actions_that_they_imply(
    tmp_path: Path,
) -> None:
    path = written(
        tmp_path,
        "2012-09-10,IBM,10,12,9,11,10,22",
        "2012-09-11,IBM,11,13,10,12.345,10,12.345",
        header=f"{HEADER},raw_close",
    )
    read = daily(path, adjusted=Adjusted.EITHER)
    assert read.bars["IBM"].open.tolist() == [20.0, 11.0]
    assert read.bars["IBM"].high.tolist() == [24.0, 13.0]
    assert read.bars["IBM"].close.tolist() == [22.0, 12.345]
    assert read.actions["IBM"] == (CorporateAction("IBM", SESSION, 2.0, 0.0),)


def test_an_adjustment_that_is_neither_split_nor_dividend_asks_for_the_actions(tmp_path: Path) -> None:
    rows = ("2012-09-10,IBM,10,12,9,11,10,10.5", "2012-09-11,IBM,11,13,10,12,10,12")
    path = written(tmp_path, *rows, header=f"{HEADER},raw_close")
    with pytest.raises(InvalidInput, match=r"no split.* and no dividend.*split_ratio and cash_usd"):
        daily(path, adjusted=Adjusted.EITHER)


GOOD = "2012-09-11,IBM,1,2,1,2,10"


@pytest.mark.parametrize(
    ("row", "message"),
    [
        ("2012-09-12,IBM,1,2,1,2,x", "row 3: volume 'x' is no number"),
        ("2012-09-12,IBM,,2,1,2,10", "row 3: IBM 2012-09-12 .*: a price or the volume is empty"),
        (
            "2012-09-12,IBM,0,2,0,2,10",
            "row 3: IBM 2012-09-12 .*: a price is not a positive finite number",
        ),
        (
            "2012-09-12,IBM,1,inf,1,2,10",
            "row 3: IBM 2012-09-12 .*: a price is not a positive finite number",
        ),
        (
            "2012-09-12,IBM,nan,2,1,2,10",
            "row 3: IBM 2012-09-12 .*: a price is not a positive finite number",
        ),
        ("2012-09-12,IBM,1,2,1,2,-1", "row 3: IBM 2012-09-12 .*: the volume is negative"),
        (
            "2012-09-12,IBM,1,2,1,2.01,10",
            "row 3: IBM 2012-09-12 .*: open, low or close lies above high",
        ),
        (
            "2012-09-12,IBM,1,2,1.5,2,10",
            "row 3: IBM 2012-09-12 .*: open, high or close lies below low",
        ),
        ("2012-09-15,IBM,1,2,1,2,10", r"row 3: IBM 2012-09-15 \(Saturday\): that day is no XNYS session"),
        ("2012-09-11,IBM,1,2,1,2,10", r"row 3: IBM 2012-09-11 \(Tuesday\): a second bar at the same time"),
        ("yesterday,IBM,1,2,1,2,10", "row 3: timestamp 'yesterday' is no date or time"),
        ("2012-09-12T13:30:00,IBM,1,2,1,2,10", "row 3: 2012-09-12T13:30:00 has no time zone"),
        ("2012-09-12,ibm,1,2,1,2,10", "row 3: 'ibm' is no ticker in capitals"),
        ("1890-01-02,IBM,1,2,1,2,10", "1890-01-02"),
    ],
)
def test_a_row_that_cannot_be_right_is_named(tmp_path: Path, row: str, message: str) -> None:
    with pytest.raises(InvalidInput, match=message):
        daily(written(tmp_path, GOOD, row))


@pytest.mark.parametrize(
    ("stamp", "message"),
    [
        ("2012-09-11", "is no time of day"),
        ("2012-09-11T13:30:30Z", "is no whole minute"),
        ("2012-09-15T13:30:00Z", "that day is no XNYS session"),
    ],
)
def test_a_minute_s_stamp_that_cannot_be_right_is_named(tmp_path: Path, stamp: str, message: str) -> None:
    with pytest.raises(InvalidInput, match=message):
        minutes(written(tmp_path, f"{stamp},IBM,1,2,1,2,10"))


def test_what_a_file_declares_must_fit_it(tmp_path: Path) -> None:
    path = written(tmp_path, GOOD)
    with pytest.raises(InvalidInput, match="without a raw_close column"):
        daily(path, adjusted=Adjusted.EITHER)
    with pytest.raises(InvalidInput, match="adjusted minute bars"):
        read_bars(path, Interval.MINUTE, stamps=Stamps.START, adjusted=Adjusted.EITHER)
    with pytest.raises(InvalidInput, match="has a symbol column, and --symbol is given"):
        daily(path, symbol="IBM")
    with pytest.raises(InvalidInput, match="'Mars' is no time zone"):
        daily(path, zone="Mars")
    with pytest.raises(InvalidInput, match="two columns are its timestamp"):
        daily(written(tmp_path, GOOD + ",x", header=f"{HEADER},Date"))


def test_a_file_that_is_no_bars_at_all_is_refused(tmp_path: Path) -> None:
    with pytest.raises(InvalidInput, match="cannot be read"):
        daily(tmp_path / "none.csv")
    with pytest.raises(InvalidInput, match=r"Give a \.csv, \.csv\.gz or \.parquet file"):
        daily(tmp_path / "bars.xlsx")
    (tmp_path / "bars.parquet").write_text("no parquet")
    with pytest.raises(InvalidInput, match="cannot be read"):
        daily(tmp_path / "bars.parquet")
    with pytest.raises(InvalidInput, match="holds no bars"):
        daily(written(tmp_path))
    empty = tmp_path / "empty.csv"
    empty.write_text("")
    with pytest.raises(InvalidInput, match="cannot be read"):
        daily(empty)
    integers = tmp_path / "integers.parquet"
    values = {name: [1] for name in ("open", "high", "low", "close", "volume")}
    pyarrow.parquet.write_table(pa.table({"timestamp": [20_120_911], "symbol": ["IBM"], **values}), integers)
    with pytest.raises(InvalidInput, match="is no date or time"):
        daily(integers)
