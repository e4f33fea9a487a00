"""Files as people have them lying about: packed, with comments, with points in dates, with a hyphen in a
ticker, with several tickers across, and several files with the same bars."""

from __future__ import annotations

import gzip
from datetime import date
from pathlib import Path
from typing import Any

import pytest

from trading_assets.errors import InvalidInput
from trading_assets.market.bar_files.overlap import FirstFiles
from trading_assets.market.bar_files.reading import BarFile, read_bars
from trading_assets.market.bar_files.shapes import Stamps
from trading_assets.market.bar_files.table import files_of, symbol_of_name
from trading_assets.market.bars import Interval
from trading_assets.market.quarantine.rules import OnDefect
from trading_assets.market.sessions import MINUTE_NS, Sessions

HEADER = "date,open,high,low,close,volume\n"
ROWS = ("10,12,9,11,100", "11,13,10,12,200", "12,14,11,13,300")
DAYS = Sessions().between(date(2024, 7, 10), date(2024, 7, 12))


def read(path: Path, interval: Interval = Interval.DAY, **options: Any) -> BarFile:
    return read_bars(path, interval, **{"symbol": "AAPL", **options})


def days_of(file: BarFile) -> list[date]:
    return [date.fromordinal(day) for day in file.day.tolist()]


def written(path: Path, *stamps: str, header: str = HEADER) -> Path:
    path.write_text(header + "".join(f"{at},{row}\n" for at, row in zip(stamps, ROWS, strict=False)))
    return path


@pytest.mark.parametrize("name", ["bars.csv.gz", "bars.txt.gz", "BARS.CSV.GZ"])
def test_a_packed_csv_is_read_as_the_one_inside(tmp_path: Path, name: str) -> None:
    plain = written(tmp_path / "bars.csv", *map(str, DAYS))
    packed = tmp_path / name
    packed.write_bytes(gzip.compress(plain.read_bytes()))
    assert read(packed).bars["AAPL"].close.tolist() == read(plain).bars["AAPL"].close.tolist() == [11, 12, 13]


def test_packed_files_of_a_directory_are_found_and_named_after_their_symbols(tmp_path: Path) -> None:
    for name in ("AAPL.csv.gz", "BRK.B.txt.gz", "notes.gz", "MSFT.parquet.gz"):
        (tmp_path / name).write_bytes(gzip.compress(b"x"))
    assert [path.name for path in files_of([tmp_path])] == ["AAPL.csv.gz", "BRK.B.txt.gz"]
    assert symbol_of_name(tmp_path / "BRK.B.txt.gz") == "BRK.B"


@pytest.mark.parametrize("content", [b"no gzip", gzip.compress(b"date,open\n" * 100)[:-20]])
def test_a_damaged_packed_file_is_refused_in_one_sentence(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "bars.csv.gz"
    path.write_bytes(content)
    with pytest.raises(InvalidInput, match="cannot be read"):
        read(path)


def test_comments_before_the_header_are_left_out_and_rows_are_counted_with_them(tmp_path: Path) -> None:
    header = "# made by somebody\n\n# prices in USD, raw\n" + HEADER
    path = written(tmp_path / "bars.csv", *map(str, DAYS), header=header)
    assert days_of(read(path)) == DAYS
    path.write_text(path.read_text().replace("11,13,10,12", "11,1,10,12"))
    with pytest.raises(InvalidInput, match=r"bars\.csv, row 6: AAPL 2024-07-11"):
        read(path)


def test_dates_with_points_are_read_where_the_column_tells_the_day(tmp_path: Path) -> None:
    told_day = written(tmp_path / "b.csv", "03.07.2024", "08.07.2024", "15.07.2024")
    assert days_of(read(told_day)) == [date(2024, 7, 3), date(2024, 7, 8), date(2024, 7, 15)]
    month_first = written(tmp_path / "c.csv", "07.03.2024", "07.15.2024")
    assert days_of(read(month_first)) == [date(2024, 7, 3), date(2024, 7, 15)]


@pytest.mark.parametrize(
    ("stamps", "why"),
    [
        (("03.07.2024", "08.07.2024"), "such as 03.07.2024, do not tell the day from the month"),
        (("15.07.2024", "07.15.2024"), "day and month change places"),
    ],
)
def test_dates_with_points_that_could_be_others_are_refused(
    tmp_path: Path, stamps: tuple[str, ...], why: str
) -> None:
    with pytest.raises(InvalidInput, match=why):
        read(written(tmp_path / "bars.csv", *stamps))


def test_times_behind_dates_with_points_are_read_too(tmp_path: Path) -> None:
    path = tmp_path / "bars.csv"
    path.write_text("date,time,open,high,low,close,volume\n15.07.2024,09:30,10,12,9,11,100\n")
    file = read(path, Interval.MINUTE, zone="America/New_York", stamps=Stamps.START)
    assert file.rows.start_ns.tolist() == [Sessions().open_ns(date(2024, 7, 15))]


@pytest.mark.parametrize("number", ["1,234", "1,234,567.5", "1 234"])
def test_separators_of_thousands_are_refused_by_name(tmp_path: Path, number: str) -> None:
    path = tmp_path / "bars.csv"
    path.write_text(f'{HEADER}2024-07-10,10,12,9,11,"{number}"\n')
    with pytest.raises(InvalidInput, match="has separators of thousands"):
        read(path)


def test_a_share_class_with_a_hyphen_is_read_with_a_point(tmp_path: Path) -> None:
    path = tmp_path / "bars.csv"
    path.write_text(
        "symbol,"
        + HEADER
        + "".join(f"{name},2024-07-10,10,12,9,11,100\n" for name in ("BRK-B", "AAPL", "BF-B"))
    )
    file = read_bars(path, Interval.DAY)
    assert file.symbols == ("AAPL", "BF.B", "BRK.B")
    assert file.with_point == ("BF-B", "BRK-B")
    assert read(written(tmp_path / "one.csv", "2024-07-10"), symbol="BRK-B").symbols == ("BRK.B",)
    for name in ("BTC-USD", "BAC-PL", "ES=F"):
        with pytest.raises(InvalidInput, match="is no ticker"):
            read(written(tmp_path / "other.csv", "2024-07-10"), symbol=name)


PRICE_FIRST = (
    "Price,Close,Close,High,High,Low,Low,Open,Open,Volume,Volume\n"
    "Ticker,AAPL,BRK-B,AAPL,BRK-B,AAPL,BRK-B,AAPL,BRK-B,AAPL,BRK-B\n"
    "Date,,,,,,,,,,\n"
    "2024-07-10,11,51,12,52,9,49,10,50,100,500\n"
    "2024-07-11,12,,13,,10,,11,,200,\n"
    "2024-07-12,13,53,14,54,11,51,12,52,300,700\n"
)
TICKER_FIRST = (
    "Ticker,AAPL,AAPL,AAPL,AAPL,AAPL,BRK-B,BRK-B,BRK-B,BRK-B,BRK-B\n"
    "Price,Open,High,Low,Close,Volume,Open,High,Low,Close,Volume\n"
    "Date,,,,,,,,,,\n"
    "2024-07-10,10,12,9,11,100,50,52,49,51,500\n"
    "2024-07-11,11,13,10,12,200,,,,,\n"
    "2024-07-12,12,14,11,13,300,52,54,51,53,700\n"
)


@pytest.mark.parametrize("text", [PRICE_FIRST, TICKER_FIRST])
def test_yfinances_header_of_two_levels_is_read_a_ticker_at_a_time(tmp_path: Path, text: str) -> None:
    path = tmp_path / "bars.csv"
    path.write_text(text)
    file = read_bars(path, Interval.DAY)
    assert file.symbols == ("AAPL", "BRK.B")
    assert file.bars["AAPL"].close.tolist() == [11, 12, 13]
    assert file.bars["BRK.B"].open.tolist() == [50, 52]  # it has no bar of the second day
    assert file.bars["BRK.B"].volume.tolist() == [500, 700]
    assert file.faults == ()
    path.write_text(text.replace("54", "1"))
    (fault,) = read_bars(path, Interval.DAY, on_defect=OnDefect.QUARANTINE).faults
    assert (fault.symbol, fault.session, fault.row) == ("BRK.B", DAYS[2], 6)


def test_one_ticker_under_two_levels_is_read_too(tmp_path: Path) -> None:
    path = tmp_path / "bars.csv"
    path.write_text(
        "Price,Close,High,Low,Open,Volume\nTicker,AAPL,AAPL,AAPL,AAPL,AAPL\nDate,,,,,\n"
        "2024-07-10,11,12,9,10,100\n"
    )
    assert read_bars(path, Interval.DAY).bars["AAPL"].close.tolist() == [11]


def test_of_two_files_with_a_symbols_day_the_first_ones_bars_count(tmp_path: Path) -> None:
    first_files = FirstFiles()
    a = read(written(tmp_path / "a.csv", "2024-07-10", "2024-07-11"))
    b = read(written(tmp_path / "b.csv", "2024-07-11", "2024-07-12"))
    other = read(written(tmp_path / "c.csv", "2024-07-10"), symbol="MSFT")
    assert first_files.without_repeats(a, "a.csv") == (a, {})
    kept, again = first_files.without_repeats(b, "b.csv")
    assert (days_of(kept), again) == ([DAYS[2]], {("AAPL", "a.csv"): 1})
    assert first_files.without_repeats(other, "c.csv")[1] == {}
    nothing, again = first_files.without_repeats(b, "d.csv")
    assert (nothing.count, again) == (0, {("AAPL", "a.csv"): 1, ("AAPL", "b.csv"): 1})


def test_minutes_of_one_day_in_two_files_are_taken_from_both(tmp_path: Path) -> None:
    open_ns = Sessions().open_ns(DAYS[0])

    def minutes(name: str, first: int, count: int) -> BarFile:
        path = tmp_path / name
        rows = (f"{open_ns + n * MINUTE_NS},10,12,9,11,100\n" for n in range(first, first + count))
        path.write_text(HEADER.replace("date", "timestamp") + "".join(rows))
        return read(path, Interval.MINUTE, stamps=Stamps.START)

    first_files = FirstFiles()
    first_files.without_repeats(minutes("morning.csv", 0, 100), "morning.csv")
    kept, again = first_files.without_repeats(minutes("rest.csv", 90, 300), "rest.csv")
    assert (kept.count, again) == (290, {("AAPL", "morning.csv"): 10})
