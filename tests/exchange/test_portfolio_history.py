from __future__ import annotations

from decimal import Decimal as D
from typing import Any

import pytest
from tapes import SESSIONS, at, submit, venue

from trading_assets.exchange.http.portfolio_history import portfolio_history, read_history
from trading_assets.exchange.http.query import Query
from trading_assets.exchange.refusals import ApiRefusal, malformed
from trading_assets.exchange.venue import Venue


def history(exchange: Venue, **query: str) -> dict[str, Any]:
    wanted = read_history(Query(query, malformed), SESSIONS, exchange.now_ns)
    return portfolio_history(wanted, exchange.state.account, exchange.view, exchange.now_ns)


def held_for_three_days() -> Venue:
    """100 shares bought on Tuesday at 10:00 for $100.32; each session opens at 100 and closes at 103.90."""
    exchange = venue()
    submit(exchange, qty="100")
    exchange.move_clock(at(2, "18:00"))
    exchange.transfer(D(500))
    exchange.move_clock(at(4, "12:00"))
    return exchange


def test_the_days_are_the_closes_and_their_gains_count_from_the_base() -> None:
    result = history(held_for_three_days(), timeframe="1D", period="1M", cashflow_types="ALL")
    assert result["timestamp"] == [at(2, "16:00") // 10**9, at(3, "16:00") // 10**9]
    assert result["equity"] == [100_358.0, 100_858.0]
    assert (result["base_value"], "base_value_asof" in result) == (100_000.0, False)
    assert result["profit_loss"] == [358.0, 858.0]
    assert result["profit_loss_pct"] == [0.0036, 0.0086]
    assert (result["timeframe"], result["cashflow"]) == ("1D", {"CSD": [0.0, 500.0]})


def test_a_later_first_day_has_the_close_before_it_as_its_base() -> None:
    result = history(held_for_three_days(), timeframe="1D", start="2012-10-03T12:00:00Z")
    assert (result["base_value"], result["base_value_asof"]) == (100_358.0, "2012-10-02")
    assert (result["equity"], result["profit_loss"]) == ([100_858.0], [500.0])


def test_within_a_day_the_equity_is_that_of_the_end_of_each_window() -> None:
    exchange = held_for_three_days()
    result = history(exchange, period="1D", timeframe="15Min")
    assert result["timestamp"][0] == at(4, "09:30") // 10**9
    assert result["timestamp"][-1] == at(4, "11:45") // 10**9, "the last window that is over"
    assert result["equity"][-1] == float(exchange.equity())
    assert result["equity"][0] == 100_500 + 100 * 100.15 - 10_032
    assert result["profit_loss"][0] == result["equity"][0] - 100_858, "the gain since the last close"
    assert (result["base_value"], result["base_value_asof"]) == (100_858.0, "2012-10-03")


def test_each_days_gains_begin_anew_unless_it_is_asked_otherwise() -> None:
    exchange = held_for_three_days()
    query = {"start": "2012-10-03", "end": "2012-10-04T16:00:00Z", "timeframe": "1H"}
    daily, running = history(exchange, **query), history(exchange, **query, pnl_reset="no_reset")
    assert daily["timestamp"] == running["timestamp"]
    assert daily["equity"] == running["equity"]
    row = daily["timestamp"].index(at(4, "09:30") // 10**9)
    assert daily["profit_loss"][:row] == running["profit_loss"][:row]
    assert running["profit_loss"][row] == pytest.approx(daily["profit_loss"][row] + 500)


def test_extended_and_continuous_hours_have_the_windows_in_between() -> None:
    exchange = held_for_three_days()
    query = {"start": "2012-10-03T00:00:00Z", "end": "2012-10-04T00:00:00Z", "timeframe": "1H"}
    market, extended, everything = (
        history(exchange, **query, intraday_reporting=hours)["timestamp"]
        for hours in ("market_hours", "extended_hours", "continuous")
    )
    assert set(market) - set(extended) == set(market), "market hours begin at half past"
    assert (len(market), len(extended), len(everything)) == (7, 16, 24)


def test_without_words_a_month_of_days_is_answered_and_no_number_is_missing() -> None:
    result = history(held_for_three_days())
    assert result["timeframe"] == "1D"
    numbers = [*result["equity"], *result["profit_loss"], *result["profit_loss_pct"], result["base_value"]]
    assert all(isinstance(number, float) for number in numbers)
    assert len(result["timestamp"]) == len(result["equity"]) == len(result["profit_loss"]) == 2


def test_a_new_account_without_a_close_has_no_days() -> None:
    result = history(venue(), timeframe="1D")
    assert (result["timestamp"], result["equity"], result["base_value"]) == ([], [], 100_000.0)


def test_nothing_before_the_account_and_nothing_after_now_is_told() -> None:
    exchange = venue()
    submit(exchange, qty="1")
    exchange.move_clock(at(2, "11:07"))
    result = history(exchange, start="2012-10-01", end="2012-10-05", timeframe="5Min")
    assert result["timestamp"][0] == at(2, "09:55") // 10**9
    assert result["timestamp"][-1] == at(2, "11:00") // 10**9


@pytest.mark.parametrize(
    ("period", "first"),
    [("1D", at(4, "09:30")), ("2D", at(3, "09:30")), ("1W", at(2, "09:30")), ("1M", at(2, "09:30"))],
)
def test_a_period_reaches_back_from_its_end(period: str, first: int) -> None:
    exchange = venue(start_ns=at(2, "09:30"))
    exchange.move_clock(at(4, "12:00"))
    result = history(exchange, period=period, timeframe="1H")
    assert result["timestamp"][0] == first // 10**9


@pytest.mark.parametrize(
    "query",
    [
        {"period": "1X"},
        {"period": "0D"},
        {"timeframe": "7Min"},
        {"pnl_reset": "never"},
        {"intraday_reporting": "sometimes"},
        {"start": "soon"},
        {"start": "2012-10-01", "end": "2012-10-02", "period": "1D"},
        {"period": "1A", "timeframe": "1Min"},
    ],
)
def test_a_history_that_cannot_be_is_refused(query: dict[str, str]) -> None:
    with pytest.raises(ApiRefusal, match="422/"):
        history(venue(), **query)
