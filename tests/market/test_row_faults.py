"""Rows that cannot be right: named by symbol, session and row, kept apart, and no reason to lose another."""

from __future__ import annotations

from collections.abc import Callable
from datetime import date
from math import isnan
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from trading_assets.errors import InvalidInput
from trading_assets.market.bar_files.reading import BarFile, read_bars
from trading_assets.market.bars import CorporateAction, Interval
from trading_assets.market.quarantine.rules import BarRule, OnDefect, are_too_many
from trading_assets.market.sessions import Sessions

DAYS = Sessions().between(date(2023, 1, 3), date(2024, 6, 28))
HEADER = "date,symbol,open,high,low,close,volume\n"


def rows_of(symbol: str) -> list[str]:
    return [f"{day},{symbol},10,12,9,11,1000" for day in DAYS]


def read(path: Path, rows: list[str], on_defect: OnDefect = OnDefect.QUARANTINE) -> BarFile:
    path.write_text(HEADER + "\n".join(rows) + "\n")
    return read_bars(path, Interval.DAY, on_defect=on_defect)


BREAKS: dict[BarRule, Callable[[str], str]] = {
    BarRule.EMPTY: lambda row: row.replace(",10,12,9,11,1000", ",,,,,"),
    BarRule.NOT_POSITIVE: lambda row: row.replace(",10,12,9,11,", ",10,12,-9,11,"),
    BarRule.VOLUME: lambda row: row.replace(",1000", ",-1"),
    BarRule.ABOVE_HIGH: lambda row: row.replace(",10,12,9,11,", ",10,10.5,9,11,"),
    BarRule.BELOW_LOW: lambda row: row.replace(",10,12,9,11,", ",10,12,10.5,11,"),
    BarRule.NOT_A_SESSION: lambda row: "2023-07-04" + row[10:],
    BarRule.SECOND_BAR: lambda row: "2023-01-03" + row[10:],
}
MEASURED = {
    BarRule.NOT_POSITIVE: (-9.0, 0.0),
    BarRule.VOLUME: (-1.0, 0.0),
    BarRule.ABOVE_HIGH: (11.0, 10.5),
    BarRule.BELOW_LOW: (10.0, 10.5),
}


@pytest.mark.parametrize("rule", BREAKS)
def test_one_bad_row_of_many_is_kept_apart_and_the_rest_is_taken(tmp_path: Path, rule: BarRule) -> None:
    rows = rows_of("AAPL") + rows_of("MSFT")
    rows[200] = BREAKS[rule](rows[200])
    file = read(tmp_path / "bars.csv", rows)
    (fault,) = file.faults
    assert (fault.symbol, fault.rule, fault.row) == ("AAPL", rule, 202)
    assert fault.session == DAYS[200] or rule in (BarRule.NOT_A_SESSION, BarRule.SECOND_BAR)
    if rule in MEASURED:
        assert (fault.measured, fault.limit) == MEASURED[rule]
    else:
        assert isnan(fault.measured)
    assert file.count == len(rows) - 1
    assert len(file.bars["MSFT"].close) == len(DAYS)
    with pytest.raises(InvalidInput, match=f"row 202: AAPL .*: {rule}"):
        read(tmp_path / "bars.csv", rows, OnDefect.REFUSE)


@given(
    st.dictionaries(st.integers(1, 2 * len(DAYS) - 1), st.sampled_from(sorted(BREAKS)), max_size=5),
)
@settings(deadline=None, max_examples=30)
def test_every_bad_row_is_named_and_every_other_taken(
    tmp_path_factory: pytest.TempPathFactory, broken: dict[int, BarRule]
) -> None:
    rows = rows_of("AAPL") + rows_of("MSFT")
    broken.pop(len(DAYS), None)  # the first of MSFT, of which another row may be made a second one
    for place, rule in broken.items():
        rows[place] = BREAKS[rule](rows[place])
    file = read(tmp_path_factory.mktemp("rows") / "bars.csv", rows)
    assert {fault.row - 2: fault.rule for fault in file.faults} == broken
    assert file.count == len(rows) - len(broken)


def test_a_file_of_which_more_than_one_in_a_hundred_rows_is_wrong_is_refused(tmp_path: Path) -> None:
    rows = rows_of("AAPL") + rows_of("MSFT")
    most = len(rows) // 100
    for place in range(most):
        rows[place] = BREAKS[BarRule.ABOVE_HIGH](rows[place])
    assert len(read(tmp_path / "bars.csv", rows).faults) == most
    rows[most] = BREAKS[BarRule.ABOVE_HIGH](rows[most])
    with pytest.raises(InvalidInput, match=rf"row 2: .*{most + 1} of its {len(rows)} rows cannot be right"):
        read(tmp_path / "bars.csv", rows)


def test_a_split_or_dividend_of_a_row_that_cannot_be_right_is_kept(tmp_path: Path) -> None:
    path = tmp_path / "bars.csv"
    rows = [f"{day},AAPL,10,12,9,11,1000,1,0" for day in DAYS[:9]]
    rows[4] = f"{DAYS[4]},AAPL,10,10.5,9,11,1000,2,0.25"
    path.write_text(HEADER.strip() + ",split_ratio,cash_usd\n" + "\n".join(rows) + "\n")
    file = read_bars(path, Interval.DAY, on_defect=OnDefect.QUARANTINE)
    assert [fault.session for fault in file.faults] == [DAYS[4]]
    assert file.actions["AAPL"] == (CorporateAction("AAPL", DAYS[4], 2.0, 0.25),)


@given(st.integers(0, 1000), st.integers(1, 1000))
def test_one_row_may_be_wrong_in_any_file_that_has_another(faulty: int, rows: int) -> None:
    assert are_too_many(faulty, rows) == (faulty >= rows or (faulty > 1 and faulty > rows * 0.01))
