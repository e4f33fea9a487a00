"""Files whose every row is possible and whose reading is wrong as a whole: refused, with the remedy."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from zoneinfo import ZoneInfo

import pyarrow as pa
import pyarrow.parquet
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from trading_assets.errors import InvalidInput
from trading_assets.market.bar_files.reading import BarFile, read_bars
from trading_assets.market.bar_files.shapes import Stamps
from trading_assets.market.bars import Interval
from trading_assets.market.sessions import NEW_YORK, Sessions

DAYS = [date(2024, 7, 2), date(2024, 7, 5), date(2024, 7, 8)]


def minutes_of(days: list[date], step: int = 1) -> Iterator[datetime]:
    """The starts of the minutes of these sessions, in UTC."""
    for day in days:
        begin = datetime.fromtimestamp(Sessions().open_ns(day) // 10**9, UTC)
        length = (Sessions().close_ns(day) - Sessions().open_ns(day)) // (60 * 10**9)
        yield from (begin + timedelta(minutes=k) for k in range(0, length, step))


def read(
    path: Path,
    stamps: list[str],
    *,
    marked: Stamps = Stamps.START,
    zone: str | None = None,
    price: str = "1",
) -> BarFile:
    rows = "".join(f"{stamp},{price},{price},{price},{price},100\n" for stamp in stamps)
    path.write_text(f"timestamp,open,high,low,close,volume\n{rows}")
    return read_bars(path, Interval.MINUTE, stamps=marked, symbol="AAPL", zone=zone)


def local(moment: datetime, zone: str) -> str:
    return f"{moment.astimezone(ZoneInfo(zone)):%Y-%m-%d %H:%M:%S}"


def test_stamps_of_the_other_end_are_refused_with_the_end_that_they_mark(tmp_path: Path) -> None:
    starts = list(minutes_of(DAYS))
    ends = [moment + timedelta(minutes=1) for moment in starts]
    with pytest.raises(InvalidInput, match="say --stamps end"):
        read(tmp_path / "bars.csv", [moment.isoformat() for moment in ends])
    with pytest.raises(InvalidInput, match="say --stamps start"):
        read(tmp_path / "bars.csv", [moment.isoformat() for moment in starts], marked=Stamps.END)
    assert read(tmp_path / "bars.csv", [m.isoformat() for m in ends], marked=Stamps.END).outside_hours == 0


@given(st.integers(2, 30))
@settings(deadline=None, max_examples=10)
def test_bars_of_another_length_are_refused(tmp_path_factory: pytest.TempPathFactory, step: int) -> None:
    path = tmp_path_factory.mktemp("longer") / "bars.csv"
    with pytest.raises(InvalidInput, match=f"the least step between its bars is {step} minutes"):
        read(path, [moment.isoformat() for moment in minutes_of(DAYS, step)])


def test_a_thin_stock_with_gaps_is_no_longer_bar(tmp_path: Path) -> None:
    stamps = [moment.isoformat() for k, moment in enumerate(minutes_of(DAYS)) if k % 7 in (0, 3)]
    assert read(tmp_path / "bars.csv", stamps).count == len(stamps)


def test_a_zone_without_daylight_saving_is_refused_in_summer_and_taken_in_winter(tmp_path: Path) -> None:
    summer = [local(moment, "America/New_York") for moment in minutes_of(DAYS)]
    with pytest.raises(InvalidInput, match=r"EST has no daylight saving.*--zone America/New_York"):
        read(tmp_path / "bars.csv", summer, zone="EST")
    winter = [local(moment, "America/New_York") for moment in minutes_of([date(2024, 1, 9)])]
    assert read(tmp_path / "bars.csv", winter, zone="EST").outside_hours == 0
    assert read(tmp_path / "bars.csv", summer, zone="America/New_York").outside_hours == 0


@pytest.mark.parametrize(("stated", "true"), [("UTC", "America/New_York"), ("America/New_York", "UTC")])
def test_a_zone_that_puts_whole_sessions_beside_the_market_is_refused(
    tmp_path: Path, stated: str, true: str
) -> None:
    stamps = [local(moment, true) for moment in minutes_of(DAYS)]
    with pytest.raises(InvalidInput, match=r"hours beside it\. Its zone is another"):
        read(tmp_path / "bars.csv", stamps, zone=stated)
    assert read(tmp_path / "bars.csv", stamps, zone=true).outside_hours == 0


def test_hours_before_and_after_the_session_are_no_other_zone(tmp_path: Path) -> None:
    begin = datetime(2024, 7, 2, 4, tzinfo=NEW_YORK)
    stamps = [(begin + timedelta(minutes=k)).isoformat() for k in range(16 * 60)]
    file = read(tmp_path / "bars.csv", stamps)
    assert (file.count, file.outside_hours) == (390, 16 * 60 - 390)


def test_prices_in_other_units_are_refused(tmp_path: Path) -> None:
    stamps = [moment.isoformat() for moment in minutes_of(DAYS[:1])]
    with pytest.raises(InvalidInput, match="look like fixed-point prices"):
        read(tmp_path / "bars.csv", stamps, price="187150000000")
    assert read(tmp_path / "bars.csv", stamps, price="620000").count == 390  # one share of BRK.A


def test_a_week_of_midnights_in_utc_is_a_week_of_dates(tmp_path: Path) -> None:
    path = tmp_path / "bars.csv"
    week = "".join(f"2024-01-{day:02}T00:00:00+00:00,1,1,1,1,1\n" for day in range(8, 13))
    path.write_text(f"Date,Open,High,Low,Close,Volume\n{week}")
    file = read_bars(path, Interval.DAY, symbol="AAPL")
    assert file.days == (date(2024, 1, 8), date(2024, 1, 12))
    assert file.missing_sessions == {"AAPL": 0}


@pytest.mark.parametrize("apart", [5, 21])
def test_bars_of_weeks_or_months_are_no_daily_bars(tmp_path: Path, apart: int) -> None:
    days = Sessions().between(date(2023, 1, 3), date(2024, 6, 28))[::apart]
    path = tmp_path / "bars.csv"
    head = "date,open,high,low,close,volume\n"
    path.write_text(head + "".join(f"{day},1,1,1,1,100\n" for day in days))
    with pytest.raises(InvalidInput, match="days: they are no daily bars"):
        read_bars(path, Interval.DAY, symbol="AAPL")
    path.write_text(head + "".join(f"{day},1,1,1,1,100\n" for day in days[:5]))
    assert read_bars(path, Interval.DAY, symbol="AAPL").count == 5


@pytest.mark.parametrize(
    ("column", "values", "message"),
    [
        ("timestamp", pa.array([1717421400.0]), "row 1: timestamp 1717421400.0 is no date or time"),
        (
            "timestamp",
            pa.array([datetime(1600, 1, 1, tzinfo=UTC)], pa.timestamp("us")),
            "its timestamps cannot be read",
        ),
        ("open", pa.array([[1.0]]), "open cannot be read as numbers"),
        (
            "open",
            pa.array([datetime(2024, 6, 3, tzinfo=UTC)], pa.timestamp("us")),
            "open cannot be read as numbers",
        ),
    ],
)
def test_a_parquet_column_of_a_strange_type_is_refused(
    tmp_path: Path, column: str, values: pa.Array, message: str
) -> None:
    columns = {"timestamp": pa.array([date(2024, 6, 3)]), "symbol": pa.array(["AAPL"])}
    columns |= {name: pa.array([1.0]) for name in ("open", "high", "low", "close", "volume")}
    path = tmp_path / "bars.parquet"
    pyarrow.parquet.write_table(pa.table({**columns, column: values}), path)
    with pytest.raises(InvalidInput) as refused:
        read_bars(path, Interval.DAY)
    assert message in str(refused.value)


def test_a_header_of_two_levels_is_told_as_one(tmp_path: Path) -> None:
    path = tmp_path / "bars.csv"
    path.write_text(
        "Price,Close,High,Low,Open,Volume\nTicker,AAPL,AAPL,AAPL,AAPL,AAPL\nDate,,,,,\n"
        "2024-06-03,10,11,9,10,100\n"
    )
    with pytest.raises(InvalidInput, match="two levels, as yfinance writes it") as refused:
        read_bars(path, Interval.DAY, symbol="AAPL")
    assert "multi_level_index=False" in refused.value.remedy


def test_days_at_midnight_of_utc_stay_days_beside_a_bar_of_today_so_far(tmp_path: Path) -> None:
    path = tmp_path / "bars.csv"
    stamps = [*(f"2024-06-0{day} 00:00:00+00:00" for day in (4, 5, 6)), "2024-06-07 15:12:00+00:00"]
    rows = "".join(f"{stamp},1,1,1,1,100\n" for stamp in stamps)
    path.write_text(f"timestamp,open,high,low,close,volume\n{rows}")
    days = read_bars(path, Interval.DAY, symbol="AAPL").day.tolist()
    assert days == [date(2024, 6, day).toordinal() for day in (4, 5, 6, 7)]
