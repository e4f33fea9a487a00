from __future__ import annotations

from collections.abc import Sequence
from datetime import date

import numpy as np
import pytest

from trading_assets.errors import InvalidInput
from trading_assets.market.actions import aligned_actions, ex_price, recovered_actions
from trading_assets.market.bars import CorporateAction
from trading_assets.market.bundle import BundledTape
from trading_assets.market.sessions import Sessions

TAPE = BundledTape()
DAYS = [date(2012, 1, 3), date(2012, 1, 4), date(2012, 1, 5), date(2012, 1, 6)]
STARTS = Sessions().hours(DAYS)[0]


def on(symbol: str, day: date) -> CorporateAction:
    (action,) = (action for action in TAPE.actions(symbol) if action.ex_date == day)
    return action


def recovered(close: Sequence[float], adjusted: Sequence[float]) -> tuple[CorporateAction, ...]:
    return recovered_actions("X", DAYS, np.array(close), np.array(adjusted))


@pytest.mark.parametrize(
    ("symbol", "day"), [("AAPL", date(2000, 6, 21)), ("AAPL", date(2005, 2, 28)), ("MSFT", date(2003, 2, 18))]
)
def test_the_splits_are_recovered(symbol: str, day: date) -> None:
    assert on(symbol, day) == CorporateAction(symbol, day, 2.0, 0.0)


@pytest.mark.parametrize(
    ("symbol", "day", "cash_usd"),
    [
        ("MSFT", date(2004, 11, 15), 3.08),  # the special $3 and the quarter's $0.08
        ("MSFT", date(2003, 2, 19), 0.08),  # the first ever, the day after a split
        ("MSFT", date(2012, 11, 13), 0.23),
        ("AAPL", date(2012, 8, 9), 2.65),
        ("AAPL", date(2012, 11, 7), 2.65),
        ("AAPL", date(2013, 2, 7), 2.65),
        ("IBM", date(2004, 2, 6), 0.16),
        ("IBM", date(2012, 5, 8), 0.85),
    ],
)
def test_known_dividends_are_recovered_to_the_cent(symbol: str, day: date, cash_usd: float) -> None:
    assert on(symbol, day) == CorporateAction(symbol, day, 1.0, cash_usd)


def test_ibm_paid_every_quarter_and_raised_it_each_year() -> None:
    paid = [action.cash_usd for action in TAPE.actions("IBM")]
    assert len(paid) == 52
    assert paid == sorted(paid)
    assert sum(a.cash_usd for a in TAPE.actions("IBM") if a.ex_date.year == 2012) == pytest.approx(3.30)


def test_every_dividend_is_a_whole_number_of_cents() -> None:
    for symbol in TAPE.symbols:
        for action in TAPE.actions(symbol):
            assert action.cash_usd == round(action.cash_usd, 2)


def test_google_and_facebook_paid_nothing() -> None:
    assert TAPE.actions("GOOG") == ()
    assert TAPE.actions("FB") == ()


def test_noise_of_the_last_bits_is_no_action() -> None:
    noisy = [10.0, 10.0 * (1 + 1e-12), 10.0 * (1 - 1e-12), 10.0]
    assert recovered([20.0] * 4, noisy) == ()


def test_a_three_for_two_and_a_reverse_split_are_recovered() -> None:
    result = recovered([30.0, 20.0, 20.0, 200.0], [20.0, 20.0, 20.0, 20.0])
    assert result == (CorporateAction("X", DAYS[1], 1.5, 0.0), CorporateAction("X", DAYS[3], 0.1, 0.0))


@pytest.mark.parametrize("step", [0.9, 1.0123456789])
def test_a_step_that_is_neither_split_nor_dividend_is_refused(step: float) -> None:
    with pytest.raises(InvalidInput, match="neither a split nor a dividend"):
        recovered([10.0] * 4, [10.0, 10.0 * step, 10.0 * step, 10.0 * step])


def test_an_action_is_laid_on_the_bar_of_its_ex_date() -> None:
    split_ratio, cash = aligned_actions([CorporateAction("X", DAYS[2], 2.0, 0.5)], STARTS)
    assert split_ratio.tolist() == [1.0, 1.0, 2.0, 1.0]
    assert cash.tolist() == [0.0, 0.0, 0.5, 0.0]


def test_an_action_on_a_day_without_a_bar_is_laid_on_the_next_one() -> None:
    split_ratio, _ = aligned_actions([CorporateAction("X", DAYS[1], 2.0, 0.0)], np.delete(STARTS, 1))
    assert split_ratio.tolist() == [1.0, 2.0, 1.0]


@pytest.mark.parametrize("day", [date(2011, 12, 1), DAYS[0], date(2012, 1, 9)])
def test_an_action_that_no_two_bars_enclose_is_left_out(day: date) -> None:
    split_ratio, cash = aligned_actions([CorporateAction("X", day, 2.0, 1.0)], STARTS)
    assert split_ratio.tolist() == [1.0] * 4
    assert cash.tolist() == [0.0] * 4


def test_two_actions_that_fall_on_one_bar_have_the_effect_of_both() -> None:
    actions = [CorporateAction("X", DAYS[1], 2.0, 1.0), CorporateAction("X", DAYS[2], 4.0, 0.25)]
    (_, split_ratio), (_, cash) = aligned_actions(actions, STARTS[[0, 3]])
    one_by_one = ex_price(ex_price(100.0, 2.0, 1.0), 4.0, 0.25)
    assert ex_price(100.0, split_ratio, cash) == one_by_one


def test_split_and_dividend_of_one_day_stated_apart_are_both_for_each_old_share() -> None:
    actions = [CorporateAction("X", DAYS[1], 2.0, 0.0), CorporateAction("X", DAYS[1], 1.0, 0.5)]
    split_ratio, cash = aligned_actions(actions, STARTS)
    assert (split_ratio[1], cash[1]) == (2.0, 0.5)


def test_no_bars_have_no_actions() -> None:
    split_ratio, cash = aligned_actions([CorporateAction("X", DAYS[1], 2.0, 0.0)], STARTS[:0])
    assert len(split_ratio) == len(cash) == 0


def test_a_price_is_taken_over_an_ex_date() -> None:
    assert ex_price(90.0, 2.0, 0.0) == 45.0
    assert ex_price(90.0, 1.0, 0.5) == 89.5
