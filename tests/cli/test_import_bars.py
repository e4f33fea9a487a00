"""`import-bars` on files and directories as people have them: what is planned, stored, refused and told."""

from __future__ import annotations

from datetime import date
from pathlib import Path

import duckdb
import pytest
from support.command import command

from trading_assets.market.sessions import Sessions

DAYS = Sessions().between(date(2024, 6, 3), date(2024, 7, 31))
YAHOO = "Date,Open,High,Low,Close,Adj Close,Volume\n"


@pytest.fixture
def config(tmp_path: Path) -> Path:
    path = tmp_path / "config" / "execution.yaml"
    path.parent.mkdir()
    path.write_text("mode: paper\n")
    return path


def vendor_file(path: Path, price: float = 10.0) -> Path:
    path.parent.mkdir(exist_ok=True)
    rows = (f"{day},{price},{price + 2},{price - 1},{price + 1},{price},1000" for day in DAYS)
    path.write_text(YAHOO + "\n".join(rows) + "\n")
    return path


def stored(config: Path, query: str) -> list[tuple[object, ...]]:
    with duckdb.connect(str(config.parents[1] / "var" / "history.duckdb"), read_only=True) as history:
        return list(history.execute(query).fetchall())


DAILY = ("--interval", "1d", "--adjusted", "no")


def test_a_plan_shows_how_a_file_would_be_read_and_stores_nothing(config: Path, tmp_path: Path) -> None:
    file = vendor_file(tmp_path / "aapl.csv")
    ended = command("import-bars", file, *DAILY, "--symbol", "AAPL", "--plan", config=config)
    assert ended.status == 0, ended.err
    for words in ("Yahoo", "AAPL", "sessions 2024-06-03 to 2024-07-31", "Adj Close", "Nothing is stored"):
        assert words in ended.out
    assert not (tmp_path / "var" / "history.duckdb").exists()


def test_a_directory_is_stored_file_by_file_and_one_that_is_refused_holds_no_other(
    config: Path, tmp_path: Path
) -> None:
    for name, price in (("AAPL", 10.0), ("BRK.B", 400.0), ("MSFT", 50.0)):
        vendor_file(tmp_path / "vendor" / f"{name}.csv", price)
    broken = vendor_file(tmp_path / "vendor" / "ZZZ.csv")
    broken.write_text(broken.read_text().replace("10.0,12.0", "10.0,1.0"))
    ended = command("import-bars", tmp_path / "vendor", *DAILY, config=config)
    assert ended.status == 1
    assert f"{3 * len(DAYS)} bars of AAPL, BRK.B, MSFT read from 3 files" in ended.out
    assert "REFUSED: " in ended.out
    assert "ZZZ.csv, row 2: ZZZ 2024-06-03 (Monday): open, low or close lies above high" in ended.out
    assert stored(config, "SELECT symbol, count(*) FROM bars GROUP BY symbol ORDER BY symbol") == [
        (name, len(DAYS)) for name in ("AAPL", "BRK.B", "MSFT")
    ]
    again = command("import-bars", tmp_path / "vendor", *DAILY, "--json", config=config)
    assert again.json["stored"] == 0
    assert len(again.json["refused"]) == 1


def test_a_file_a_day_with_every_symbol_in_it_is_one_row_of_bars(config: Path, tmp_path: Path) -> None:
    for day in DAYS[:5]:
        path = tmp_path / "flat" / f"{day}.csv"
        path.parent.mkdir(exist_ok=True)
        at = Sessions().open_ns(day)
        rows = "".join(f"{symbol},100,10,11,12,9,{at},5\n" for symbol in ("AAPL", "MSFT"))
        path.write_text(f"ticker,volume,open,close,high,low,window_start,transactions\n{rows}")
    ended = command("import-bars", tmp_path / "flat", *DAILY, "--json", config=config)
    assert ended.status == 0, ended.err
    assert (ended.json["bars"], ended.json["stored"], ended.json["symbols"]) == (10, 10, ["AAPL", "MSFT"])
    assert stored(config, "SELECT count(*), max(version) FROM bars") == [(10, 1)]


def test_days_that_are_asked_for_alone_are_stored(config: Path, tmp_path: Path) -> None:
    file = vendor_file(tmp_path / "aapl.csv")
    days = ("--from", "2024-07-01", "--to", "2024-07-03")
    ended = command("import-bars", file, *DAILY, "--symbol", "AAPL", *days, config=config)
    assert ended.status == 0, ended.err
    assert f"{len(DAYS) - 3} bars of days that were not asked for left out" in ended.out
    assert stored(config, "SELECT min(session), max(session) FROM bars") == [
        (date(2024, 7, 1), date(2024, 7, 3))
    ]


def test_a_row_that_is_wrong_is_told_stored_apart_and_reported(config: Path, tmp_path: Path) -> None:
    file = vendor_file(tmp_path / "aapl.csv")
    file.write_text(file.read_text().replace("2024-06-05,10.0,12.0", "2024-06-05,10.0,1.0"))
    ended = command("import-bars", file, *DAILY, "--symbol", "AAPL", config=config)
    assert ended.status == 0, ended.err
    assert "quarantined: AAPL 2024-06-05, row 4: open, low or close lies above high" in ended.out
    assert stored(config, "SELECT count(*) FROM bars") == [(len(DAYS) - 1,)]
    report = command("data", "report", config=config)
    assert f"file:aapl.csv: {len(DAYS) - 1} bars of 1d, 1 symbols, 2024-06-03 to 2024-07-31" in report.out
    assert "1 rows quarantined: open, low or close lies above high" in report.out
    assert "AAPL 2024-06-05, file:aapl.csv row 4" in report.out
    refused = command(
        "import-bars", file, *DAILY, "--symbol", "AAPL", "--on-defect", "refuse", config=config
    ).failed_with_one_message()
    assert "row 4: AAPL 2024-06-05 (Wednesday)" in refused
