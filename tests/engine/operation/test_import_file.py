"""A file's bars in the history: once each, revised as versions, seen from when they were received."""

from __future__ import annotations

from datetime import date
from pathlib import Path

import duckdb
import pytest

from trading_assets.engine.market_data.bars import import_files
from trading_assets.market.bar_files.reading import BarFile, read_bars
from trading_assets.market.bar_files.shapes import Stamps
from trading_assets.market.bars import CorporateAction, Interval
from trading_assets.market.quarantine.rules import OnDefect
from trading_assets.market.sessions import Sessions, new_york_midnight_ns
from trading_assets.store import bar_history, bar_quarantine
from trading_assets.store.bar_history import actions_until, newest_bars
from trading_assets.store.history import History

LAST = date(2012, 9, 12)
NOW_NS = Sessions().close_ns(LAST) + 10**12


@pytest.fixture
def history(tmp_path: Path) -> History:
    return History(tmp_path / "history.duckdb")


def bars(tmp_path: Path, close: str, split: str = "1") -> BarFile:
    path = tmp_path / "bars.csv"
    path.write_text(
        "date,symbol,open,high,low,close,volume,split_ratio\n"
        "2012-09-10,IBM,10,12,9,11,100,1\n"
        f"2012-09-11,IBM,11,13,10,{close},100,{split}\n"
        "2012-09-11,MSFT,30,31,29,30,100,1\n"
    )
    return read_bars(path, Interval.DAY, stamps=Stamps.START)


def closes(history: History, as_of_ns: int) -> list[float]:
    newest = newest_bars(history, ["IBM"], Interval.DAY, since_ns=0, as_of_ns=as_of_ns)
    return newest["IBM"].close.tolist()


def test_a_file_imported_again_stores_nothing_and_a_revision_becomes_a_version(
    history: History, tmp_path: Path
) -> None:
    assert import_files(history, [("file:a", bars(tmp_path, "12"))], received_ns=NOW_NS).bars == 3
    assert import_files(history, [("file:a", bars(tmp_path, "12"))], received_ns=NOW_NS + 1).bars == 0
    assert import_files(history, [("file:a", bars(tmp_path, "12.5"))], received_ns=NOW_NS + 2).bars == 1
    assert closes(history, NOW_NS - 1) == []
    assert closes(history, NOW_NS + 1) == [11.0, 12.0]
    assert closes(history, NOW_NS + 2) == [11.0, 12.5]
    versions = history.query("SELECT version, count(*) AS n FROM bars GROUP BY version ORDER BY version")
    assert versions.to_pylist() == [{"version": 1, "n": 3}, {"version": 2, "n": 1}]


def test_without_a_time_of_receipt_a_bar_was_there_when_it_became_available(
    history: History, tmp_path: Path
) -> None:
    import_files(history, [("file:a", bars(tmp_path, "12", split="2"))], received_ns=None)
    first_close = Sessions().close_ns(date(2012, 9, 10))
    assert closes(history, first_close - 1) == []
    assert closes(history, first_close) == [11.0]
    split = (CorporateAction("IBM", date(2012, 9, 11), 2.0, 0.0),)
    morning = new_york_midnight_ns(date(2012, 9, 11))
    assert actions_until(history, ["IBM"], LAST, as_of_ns=morning - 1)["IBM"] == ()
    assert actions_until(history, ["IBM"], LAST, as_of_ns=morning)["IBM"] == split
    import_files(history, [("file:a", bars(tmp_path, "12", split="3"))], received_ns=None)
    (corrected,) = actions_until(history, ["IBM"], LAST, as_of_ns=NOW_NS)["IBM"]
    assert corrected.split_ratio == 3.0


def test_corporate_actions_received_again_are_not_doubled(history: History, tmp_path: Path) -> None:
    for later in range(3):
        file = bars(tmp_path, "12", split="2")
        import_files(history, [("file:a", file)], received_ns=NOW_NS + later)
    (split,) = actions_until(history, ["IBM"], LAST, as_of_ns=NOW_NS + 9)["IBM"]
    assert split.split_ratio == 2.0
    assert history.query("SELECT count(*) AS n FROM corporate_actions").to_pylist() == [{"n": 1}]


def test_bars_are_not_stored_when_the_corporate_actions_cannot_be(
    history: History, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(bar_history, "_APPEND_ACTIONS", "INSERT INTO no_such_table SELECT * FROM incoming")
    with pytest.raises(duckdb.CatalogException):
        import_files(history, [("file:a", bars(tmp_path, "12", split="2"))], received_ns=NOW_NS)
    assert history.query("SELECT count(*) AS n FROM bars").to_pylist() == [{"n": 0}]


def test_an_action_counts_once_however_many_files_bring_it_and_the_last_word_on_a_day_counts(
    history: History, tmp_path: Path
) -> None:
    for received_ns in (None, NOW_NS):
        for source in ("file:a", "file:b", "file:c"):
            import_files(history, [(source, bars(tmp_path, "12", split="2"))], received_ns=received_ns)
            (split,) = actions_until(history, ["IBM"], LAST, as_of_ns=NOW_NS)["IBM"]
            assert split.split_ratio == 2.0
    import_files(history, [("file:a", bars(tmp_path, "12", split="3"))], received_ns=NOW_NS)
    (split,) = actions_until(history, ["IBM"], LAST, as_of_ns=NOW_NS)["IBM"]
    assert split.split_ratio == 3.0


def test_the_rows_that_are_wrong_are_stored_once_and_gone_when_the_file_is_mended(
    history: History, tmp_path: Path
) -> None:
    def imported(close: str) -> None:
        path = tmp_path / "bars.csv"
        of_day = {10: "12", 11: close, 12: "12"}
        rows = "".join(f"2012-09-{day},IBM,11,13,10,{last},100\n" for day, last in of_day.items())
        path.write_text(f"date,symbol,open,high,low,close,volume\n{rows}")
        file = read_bars(path, Interval.DAY, on_defect=OnDefect.QUARANTINE)
        import_files(history, [("file:a", file)], received_ns=NOW_NS)

    for _ in range(2):
        imported("99")
        (fault,) = bar_quarantine.quarantined(history)
        assert (fault["symbol"], fault["session"], fault["rule"]) == ("IBM", date(2012, 9, 11), "ABOVE_HIGH")
        assert (fault["measured"], fault["limit"], fault["file"], fault["row"]) == (99.0, 13.0, "file:a", 3)
    assert closes(history, NOW_NS) == [12.0, 12.0]
    imported("12.5")
    assert bar_quarantine.quarantined(history) == []
    assert closes(history, NOW_NS) == [12.0, 12.5, 12.0]
    (source,) = bar_history.stored_sources(history)
    assert (source["source"], source["bars"], source["first"]) == ("file:a", 3, date(2012, 9, 10))


def described(tmp_path: Path, *actions: tuple[int, str, str]) -> BarFile:
    """A file of four days that says of each whether there was a split or a dividend: (day, split, cash)."""
    of_day = {day: (split, cash) for day, split, cash in actions}
    rows = "".join(
        f"2012-09-{day},IBM,11,13,10,12,100,{','.join(of_day.get(day, ('1', '0')))}\n"
        for day in range(10, 14)
    )
    path = tmp_path / "bars.csv"
    path.write_text(f"date,symbol,open,high,low,close,volume,split_ratio,cash_usd\n{rows}")
    return read_bars(path, Interval.DAY)


@pytest.mark.parametrize("received_ns", [None, NOW_NS], ids=["virtual time", "received"])
def test_what_a_mended_file_no_longer_says_is_taken_back_and_told(
    history: History, tmp_path: Path, received_ns: int | None
) -> None:
    def in_force(as_of_ns: int = NOW_NS + 30 * 10**15) -> list[tuple[int, float, float]]:
        result = actions_until(history, ["IBM"], date(2012, 9, 13), as_of_ns=as_of_ns)["IBM"]
        return [(action.ex_date.day, action.split_ratio, action.cash_usd) for action in result]

    def imported(source: str, later: int, *actions: tuple[int, str, str]) -> int:
        at_ns = None if received_ns is None else received_ns + later
        return import_files(history, [(source, described(tmp_path, *actions))], received_ns=at_ns).withdrawn

    assert imported("file:a", 0, (11, "2", "0"), (12, "1", "0.5")) == 0
    assert imported("file:a", 1, (13, "1", "0.5")) == 2
    assert in_force() == [(13, 1.0, 0.5)]
    if received_ns is not None:  # an earlier tick saw what it saw
        assert in_force(received_ns) == [(11, 2.0, 0.0), (12, 1.0, 0.5)]
    assert imported("file:a", 2, (13, "1", "0.5")) == 0
    assert imported("file:b", 3, (11, "2", "0"), (13, "1", "0.5")) == 0
    assert imported("file:a", 4) == 1  # another file says it still
    assert in_force() == [(11, 2.0, 0.0), (13, 1.0, 0.5)]
    assert imported("file:a", 5, (11, "2", "0")) == 0
    assert in_force() == [(11, 2.0, 0.0), (13, 1.0, 0.5)]


def test_a_file_that_says_nothing_of_dividends_takes_none_back(history: History, tmp_path: Path) -> None:
    import_files(history, [("file:a", described(tmp_path, (11, "1", "0.5")))], received_ns=NOW_NS)
    assert import_files(history, [("file:a", bars(tmp_path, "12"))], received_ns=NOW_NS + 1).withdrawn == 0
    assert len(actions_until(history, ["IBM"], LAST, as_of_ns=NOW_NS + 2)["IBM"]) == 1


def test_files_of_one_name_keep_their_own_rows_in_quarantine(history: History, tmp_path: Path) -> None:
    for symbol in ("AAPL", "MSFT"):
        path = tmp_path / "bars.csv"
        path.write_text(
            "date,symbol,open,high,low,close,volume\n"
            f"2012-09-10,{symbol},11,13,10,12,100\n2012-09-11,{symbol},11,13,10,99,100\n"
        )
        file = read_bars(path, Interval.DAY, on_defect=OnDefect.QUARANTINE)
        import_files(history, [("file:bars.csv", file)], received_ns=NOW_NS)
    assert [fault["symbol"] for fault in bar_quarantine.quarantined(history)] == ["AAPL", "MSFT"]
