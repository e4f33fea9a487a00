"""Files of one symbol that come one after another: the first row of each is judged behind what is stored."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import date
from pathlib import Path

import pytest

from trading_assets.engine.market_data.bar_report import bar_report
from trading_assets.engine.market_data.bars import import_files
from trading_assets.engine.market_data.imported_bars import FilesInOrder, judged_history
from trading_assets.errors import InvalidInput
from trading_assets.market.bar_files.reading import read_bars
from trading_assets.market.bars import CorporateAction, Interval
from trading_assets.market.quarantine.rules import BarRule, Fault, OnDefect
from trading_assets.market.sessions import Sessions
from trading_assets.store.bar_quarantine import quarantined
from trading_assets.store.history import History

DAYS = Sessions().between(date(2016, 1, 4), date(2016, 12, 30))
NOW_NS = Sessions().close_ns(DAYS[-1]) + 10**12
HEADER = "date,symbol,open,high,low,close,volume,split_ratio,cash_usd\n"


@pytest.fixture
def history(tmp_path: Path) -> History:
    return History(tmp_path / "history.duckdb")


def row(number: int, symbol: str = "AAPL", price: float = 1.0, split: float = 1.0) -> str:
    """A quiet stock at 100 USD, times `price`."""
    usd = (100.0 + number % 7 / 5.0) * price
    return f"{DAYS[number]},{symbol},{usd},{usd * 1.01},{usd * 0.99},{usd},{1000 + number % 5},{split},0"


def take(
    history: History,
    path: Path,
    rows: Sequence[str],
    in_order: FilesInOrder | None = None,
    on_defect: OnDefect = OnDefect.QUARANTINE,
) -> tuple[Fault, ...]:
    path.write_text(HEADER + "\n".join(rows) + "\n")
    in_order = in_order or FilesInOrder(history, Interval.DAY, on_defect)
    file = in_order.judged(read_bars(path, Interval.DAY, on_defect=on_defect))
    import_files(history, [(f"file:{path.name}", file)], received_ns=NOW_NS)
    return file.faults


def named_faults(faults: Sequence[Fault]) -> list[tuple[str, date, BarRule]]:
    return [(fault.symbol, fault.session, fault.rule) for fault in faults]


def stored(history: History) -> int:
    return int(history.query("SELECT count(*) AS n FROM bars")["n"][0].as_py())


def test_the_first_row_of_a_file_is_judged_behind_the_last_stored_bar(
    history: History, tmp_path: Path
) -> None:
    assert take(history, tmp_path / "one.csv", [row(n) for n in range(60)]) == ()
    halved = [row(n, price=0.5) for n in range(60, 120)]
    faults = take(history, tmp_path / "two.csv", halved)
    assert named_faults(faults) == [("AAPL", DAYS[60], BarRule.UNEXPLAINED_SPLIT)]
    assert faults[0].measured == pytest.approx(0.5, rel=0.02)
    assert (faults[0].limit, faults[0].row) == (0.5, 2)
    assert stored(history) == 119


def test_a_file_for_each_day_names_a_split_once_and_takes_the_days_behind_it(
    history: History, tmp_path: Path
) -> None:
    in_order = FilesInOrder(history, Interval.DAY, OnDefect.QUARANTINE)
    faults: list[Fault] = []
    for n in range(24):
        rows = [row(n, price=0.5 if n >= 20 else 1.0), row(n, "MSFT")]
        faults += take(history, tmp_path / f"{n:03d}.csv", rows, in_order)
    assert named_faults(faults) == [("AAPL", DAYS[20], BarRule.UNEXPLAINED_SPLIT)]
    # and so in an import of its own
    assert take(history, tmp_path / "024.csv", [row(24, price=0.5), row(24, "MSFT")]) == ()
    assert stored(history) == 2 * 25 - 1


def test_a_file_that_is_imported_again_says_the_same_and_stores_nothing(
    history: History, tmp_path: Path
) -> None:
    rows = [row(n, price=0.5 if n >= 60 else 1.0) for n in range(120)]
    first = take(history, tmp_path / "a.csv", rows)
    assert take(history, tmp_path / "a.csv", rows) == first
    assert (len(first), stored(history), len(quarantined(history))) == (1, 119, 1)


def test_a_split_that_another_source_told_before_explains_the_move(history: History, tmp_path: Path) -> None:
    splits = [row(n, price=0.5 if n >= 60 else 1.0, split=2.0 if n == 60 else 1.0) for n in range(50, 70)]
    assert take(history, tmp_path / "splits.csv", splits) == ()
    without = [row(n, price=0.5 if n >= 60 else 1.0) for n in range(120)]
    assert take(history, tmp_path / "bars.csv", without) == ()


def test_an_action_that_the_price_did_not_follow_is_not_stored_and_its_bar_is(
    history: History, tmp_path: Path
) -> None:
    rows = [row(n, split=2.0 if n == 60 else 1.0) for n in range(120)]
    assert named_faults(take(history, tmp_path / "a.csv", rows)) == [
        ("AAPL", DAYS[60], BarRule.ACTION_NOT_FOLLOWED)
    ]
    assert stored(history) == 120
    assert history.query("SELECT count(*) AS n FROM corporate_actions")["n"][0].as_py() == 0


def test_on_request_one_of_these_refuses_the_file_with_symbol_session_and_row(
    history: History, tmp_path: Path
) -> None:
    rows = [row(n, price=0.5 if n >= 60 else 1.0) for n in range(120)]
    with pytest.raises(InvalidInput, match=r"a\.csv, row 62: AAPL 2016-03-31 \(Thursday\): .* as by a split"):
        take(history, tmp_path / "a.csv", rows, on_defect=OnDefect.REFUSE)


def test_days_before_the_stored_ones_are_judged_behind_what_was_there_before_them(
    history: History, tmp_path: Path
) -> None:
    take(history, tmp_path / "first.csv", [row(n) for n in range(60)])
    take(history, tmp_path / "last.csv", [row(n, price=0.25) for n in range(150, 200)])
    between = [row(n, price=0.5) for n in range(60, 150)]
    faults = take(history, tmp_path / "between.csv", between)
    assert named_faults(faults) == [("AAPL", DAYS[60], BarRule.UNEXPLAINED_SPLIT)]


def test_what_is_stored_is_judged_whole_by_the_report(history: History, tmp_path: Path) -> None:
    """Days imported last lie before a price of half theirs, which their own file does not show."""
    take(history, tmp_path / "late.csv", [row(n, price=0.5) for n in range(60, 120)])
    take(history, tmp_path / "early.csv", [row(n) for n in range(58)])
    judged = judged_history(history, Interval.DAY)
    assert {one.rule for one in judged.judgement.findings} == {
        BarRule.UNEXPLAINED_SPLIT,
        BarRule.MISSING_SESSIONS,
    }
    report = {one.rule: one for one in bar_report(history).rules}
    split = report[BarRule.UNEXPLAINED_SPLIT]
    assert (split.left_out, split.stored, split.is_error) == (0, 1, True)
    assert (split.lines[0].symbol, split.lines[0].session) == ("AAPL", DAYS[60])
    missing = report[BarRule.MISSING_SESSIONS]
    assert (missing.stored, missing.is_error, missing.lines[0].measured) == (1, False, 2.0)
    assert report[BarRule.JUMP].total == 0


def test_an_action_of_the_history_is_not_left_out_of_a_file_that_does_not_tell_it(
    history: History, tmp_path: Path
) -> None:
    splits = [row(n, price=0.5 if n >= 60 else 1.0, split=2.0 if n == 60 else 1.0) for n in range(50, 70)]
    take(history, tmp_path / "splits.csv", splits)
    flat = [row(n, "AAPL") for n in range(120)]  # another vendor's, adjusted for it
    faults = take(history, tmp_path / "flat.csv", flat)
    assert [fault for fault in faults if fault.rule is BarRule.ACTION_NOT_FOLLOWED] == []
    assert (
        CorporateAction("AAPL", DAYS[60], 2.0, 0.0)
        in judged_history(history, Interval.DAY).series.actions["AAPL"]
    )
