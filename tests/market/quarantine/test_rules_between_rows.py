"""What is wrong between rows of one symbol is found, named by symbol and session, and costs nothing else."""

from __future__ import annotations

from dataclasses import replace
from datetime import date
from functools import cache

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from support.made_up_bars import clean_series, own_rows, scaled, session_of, telling, without
from support.planted_bars import PLANTERS, Planter, plant_split

from trading_assets.market.bars import Bars, CorporateAction, Interval
from trading_assets.market.bundle import BundledTape
from trading_assets.market.quarantine.judge import Judgement, judge
from trading_assets.market.quarantine.rules import BREAKS, RULES, BarRule, Effect
from trading_assets.market.quarantine.series import Series
from trading_assets.market.sessions import Sessions

SYMBOLS, SESSIONS = 40, 250


@cache
def market(seed: int = 1) -> Series:
    return clean_series(SYMBOLS, SESSIONS, seed)


def bundle(*, message: bool = True) -> Series:
    """The bundled five stocks, real bars of thirteen years with three splits."""
    tape, sessions = BundledTape(), Sessions()
    daily = [tape.daily(symbol) for symbol in tape.symbols]
    return Series(
        Interval.DAY,
        tape.symbols,
        np.repeat(np.arange(len(daily), dtype=np.int32), [len(bars.close) for bars in daily]),
        np.array([sessions.new_york_date(int(ns)).toordinal() for bars in daily for ns in bars.start_ns]),
        Bars._make(np.concatenate(columns) for columns in zip(*daily, strict=True)),
        {symbol: tape.actions(symbol) for symbol in tape.symbols} if message else {},
        {},
    )


def named(judgement: Judgement, series: Series) -> set[tuple[BarRule, str, date]]:
    return {
        (one.rule, at.symbol, at.session) for one in judgement.findings for at in one.each(series.symbols)
    }


def test_nothing_is_found_in_real_bars_whose_splits_are_told() -> None:
    assert judge(bundle()).findings == []


def test_each_real_split_that_is_not_told_is_found_and_nothing_else() -> None:
    series = bundle(message=False)
    assert named(judge(series), series) == {
        (BarRule.UNEXPLAINED_SPLIT, "AAPL", date(2000, 6, 21)),
        (BarRule.UNEXPLAINED_SPLIT, "AAPL", date(2005, 2, 28)),
        (BarRule.UNEXPLAINED_SPLIT, "MSFT", date(2003, 2, 18)),
    }


def test_less_than_one_row_in_a_thousand_of_a_clean_market_with_fat_tails_is_left_out() -> None:
    series = clean_series(1500, 442, most_usual=0.03)
    assert float(np.abs(np.diff(np.log(series.rows.close))[series.follows[1:]]).max()) > 0.4  # fat they are
    assert len(judge(series).rows_out()) <= 0.001 * len(series.day) / 10


@pytest.mark.parametrize("plant", PLANTERS, ids=lambda plant: plant.__name__.removeprefix("plant_"))
def test_a_defect_is_named_by_symbol_and_session_and_costs_its_rows_alone(plant: Planter) -> None:
    planted = plant(market(), "S0017", 120)
    judgement = judge(planted.series)
    assert (planted.rule, planted.symbol, planted.session) in named(judgement, planted.series)
    out = judgement.rows_out()
    assert len(out) == planted.rows
    assert all(planted.series.symbols[n] == planted.symbol for n in planted.series.number[out])
    assert {one.symbol for one in judgement.refuted} <= {planted.symbol}


@given(
    st.sampled_from(PLANTERS),
    st.integers(0, SYMBOLS - 1),
    st.integers(40, SESSIONS - 110),
    st.integers(1, 5),
)
@settings(deadline=None, max_examples=80)
def test_one_defect_anywhere_in_a_clean_market_is_found_and_costs_that_symbol_alone(
    plant: Planter, number: int, at: int, seed: int
) -> None:
    clean = market(seed)
    before = named(judge(clean), clean)
    planted = plant(clean, clean.symbols[number], at)
    judgement = judge(planted.series)
    findings = named(judgement, planted.series)
    if planted.rule is BarRule.VOLUME_LEVEL:  # where a level changes is told to a few sessions
        near = [day for rule, symbol, day in findings if (rule, symbol) == (planted.rule, planted.symbol)]
        assert any(abs((day - planted.session).days) <= 14 for day in near)
    else:
        assert (planted.rule, planted.symbol, planted.session) in findings
    assert {symbol for _, symbol, _ in findings - before} <= {planted.symbol}
    of_others = [n for n in planted.series.number[judgement.rows_out()].tolist() if n != number]
    assert len(of_others) == len([n for n in clean.number[judge(clean).rows_out()].tolist() if n != number])


@pytest.mark.parametrize("ratio", [2.0, 3.0, 1.5, 7.0, 20.0, 4.0, 1 / 10, 1 / 2, 1 / 25, 1 / 8])
def test_splits_of_the_common_ratios_are_found_either_way(ratio: float) -> None:
    planted = plant_split(market(), "S0003", 100, ratio)
    (findings,) = [one for one in judge(planted.series).findings if one.rule is BarRule.UNEXPLAINED_SPLIT]
    assert [at.session for at in findings.each(planted.series.symbols)] == [planted.session]
    assert findings.limit[0] == pytest.approx(1 / ratio)


def test_a_split_that_is_told_is_no_defect() -> None:
    planted = plant_split(market(), "S0003", 100)
    message = telling(planted.series, CorporateAction("S0003", planted.session, 2.0, 0.0))
    assert not judge(message).rows_out().size
    assert judge(message).refuted == frozenset()


def test_a_crash_to_half_is_no_split_where_it_takes_the_day_or_the_volume_of_many_days() -> None:
    planted = plant_split(market(), "S0003", 100)
    row = own_rows(market(), "S0003").start + 100
    columns = [column.copy() for column in planted.series.rows]
    columns[2][row] = columns[3][row] = columns[5][row - 1]  # it opened where it had closed
    assert not judge(replace(planted.series, rows=Bars._make(columns))).rows_out().size
    loud = scaled(planted.series, row, volume=20.0)
    assert not judge(loud).rows_out().size


def test_a_split_told_the_wrong_way_round_is_left_out_and_the_move_named() -> None:
    planted = plant_split(market(), "S0003", 100)
    wrong = CorporateAction("S0003", planted.session, 0.5, 0.0)
    judgement = judge(telling(planted.series, wrong))
    assert judgement.refuted == {wrong}
    assert {one.rule for one in judgement.findings} == {
        BarRule.ACTION_NOT_FOLLOWED,
        BarRule.UNEXPLAINED_SPLIT,
    }


def test_a_dividend_larger_than_the_price_is_left_out() -> None:
    day = session_of(market(), own_rows(market(), "S0003").start + 100)
    far = CorporateAction("S0003", day, 1.0, 100_000.0)
    assert judge(telling(market(), far)).refuted == {far}


def test_the_price_behind_a_row_that_was_left_out_as_a_split_is_judged_no_more() -> None:
    planted = plant_split(market(), "S0003", 100)
    row = own_rows(market(), "S0003").start + 100
    behind = without(planted.series, row)
    known = replace(behind, breaks={"S0003": [planted.session.toordinal()]})
    assert not judge(known).rows_out().size
    assert judge(behind).rows_out().tolist() == [row]


def test_a_session_that_no_symbol_has_is_told_once() -> None:
    clean = market()
    rows = [own_rows(clean, symbol).start + 77 for symbol in clean.symbols]
    series = without(clean, rows)
    assert named(judge(series), series) == {(BarRule.MARKET_HOLE, "*", session_of(clean, rows[0]))}


def test_a_session_whose_row_was_left_out_is_not_missing_too() -> None:
    row = own_rows(market(), "S0003").start + 50
    series = without(market(), row)
    number, day = np.array([3]), np.array([market().day[row]])
    assert judge(series).findings != []
    assert judge(series, number, day).findings == []


def test_each_rule_has_its_terms_and_those_that_break_a_series_cost_a_row() -> None:
    assert set(RULES) == set(BarRule)
    assert all(RULES[rule].effect is Effect.ROW for rule in BREAKS)
