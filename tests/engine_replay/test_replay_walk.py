"""The walk on bars made by hand: orders, fills, stops, halts and what happens overnight, in their order."""

from __future__ import annotations

from datetime import timedelta
from math import inf
from typing import Any

import pytest
from handmade_bars import HandmadeBars

from trading_assets.engine.replay import ExternalSignal
from trading_assets.engine.replay.report import ReplayReport
from trading_assets.market.sale_fees import sale_fees
from trading_assets.market.sessions import MINUTE_NS
from trading_assets.store.history import History

pytestmark = pytest.mark.slow

FLAT = (100.0, 100.0)
ALL_IN = {"max_position_pct": 1.0, "max_gross_exposure": 1.0, "max_order_notional": inf, "stop_loss": inf}


def rows(report: ReplayReport, table: str, order: str = "tick_ns, symbol") -> list[dict[str, Any]]:
    return History(report.history_path).query(f"SELECT * FROM {table} ORDER BY {order}").to_pylist()


def refusals(report: ReplayReport) -> dict[str, set[str]]:
    """Symbol and session → the codes by which it was refused."""
    result: dict[str, set[str]] = {}
    for row in rows(report, "verdicts"):
        if row["failed"]:
            result.setdefault(f"{row['symbol']} {row['session']}", set()).add(row["code"])
    return result


def test_a_daily_tick_trades_at_the_open_just_after_the_first_seconds(bars: HandmadeBars) -> None:
    bars.plant_daily("AAPL", [(100.0, 120.0), (119.0, 118.0)])
    report = bars.replay(2, ExternalSignal("AAPL", 1.0, bars.days[0]))
    (fill,) = rows(report, "fills")
    assert fill["price"] == 100.01  # the ask around the open
    assert fill["at_ns"] == bars.sessions.open_ns(bars.days[0]) + 71 * 10**9
    assert fill["qty"] == 49  # $5000 at the limit price of $100.11
    assert report.sessions[0].equity == pytest.approx(100_000 + 49 * (120 - 100.01))


def test_a_negative_signal_sells_what_is_held(bars: HandmadeBars) -> None:
    bars.plant_daily("AAPL", [FLAT, FLAT, FLAT])
    signals = ExternalSignal("AAPL", 1.0, bars.days[0]), ExternalSignal("AAPL", -0.5, bars.days[1])
    report = bars.replay(3, *signals)
    assert [(fill["side"], fill["qty"]) for fill in rows(report, "fills")] == [(1, 49), (-1, 49)]
    assert [row["qty"] for row in rows(report, "positions")] == [49, 49]  # at the first tick and close
    assert [row["outcome"] for row in rows(report, "signals")] == ["ORDERED", "ORDERED"]


def test_a_stop_sells_the_whole_position_and_holds_the_symbol_for_the_session(bars: HandmadeBars) -> None:
    bars.plant_daily("AAPL", [FLAT, (94.0, 94.0), (94.0, 94.0)])
    report = bars.replay(3, *(ExternalSignal("AAPL", 1.0, day) for day in bars.days[:3]))
    fills = rows(report, "fills")
    assert [(fill["session"], fill["side"]) for fill in fills] == [
        (bars.days[0], 1),
        (bars.days[1], -1),
        (bars.days[2], 1),
    ]
    assert [order["kind"] for order in rows(report, "orders")] == ["external", "stop", "external"]
    assert refusals(report) == {f"AAPL {bars.days[1]}": {"RECONCILIATION_LOCK"}}


def test_a_stop_fires_between_two_intraday_ticks(bars: HandmadeBars) -> None:
    bars.plant_daily("AAPL", [(100.0, 94.0)])
    bars.plant_minutes("AAPL", bars.days[0], [100.0] * 40 + [94.0])
    report = bars.replay(1, ExternalSignal("AAPL", 1.0, bars.days[0]), interval=30)
    bought, sold = rows(report, "fills")
    open_ns = bars.sessions.open_ns(bars.days[0])
    assert (bought["at_ns"] - open_ns, sold["at_ns"] - open_ns) == (30 * MINUTE_NS, 41 * MINUTE_NS)
    assert sold["qty"] == bought["qty"]


def test_a_session_drawdown_stops_entries_until_the_next_session(bars: HandmadeBars) -> None:
    for symbol, price in (("AAPL", 98.0), ("IBM", 100.0)):
        bars.plant_daily(symbol, [(100.0, price), (price, price)])
        bars.plant_minutes(symbol, bars.days[0], [100.0] * 40 + [price])
        bars.plant_minutes(symbol, bars.days[1], [price])
    second_tick = bars.sessions.ticks(bars.days[0], 60)[1]
    report = bars.replay(
        2,
        ExternalSignal("AAPL", 0.9, bars.days[0]),
        ExternalSignal("IBM", 0.1, second_tick),
        ExternalSignal("IBM", 0.1, bars.days[1]),
        interval=30,
        limits={**ALL_IN, "max_daily_loss": inf},
    )
    assert refusals(report) == {f"IBM {bars.days[0]}": {"REDUCE_ONLY", "SESSION_DRAWDOWN"}}
    assert [fill["symbol"] for fill in rows(report, "fills")] == ["AAPL", "IBM"]
    assert [(str(halt.cause), halt.action) for halt in report.halts] == [
        ("SESSION_DRAWDOWN", "latch"),
        ("SESSION_DRAWDOWN", "clear"),
    ]
    assert [bool(result.failed()) for result in report.sessions] == [True, False]
    (failed,) = report.sessions[0].failed()
    assert failed.name == "session_drawdown"
    assert failed.measured == pytest.approx(0.018, abs=0.0003)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("cause", "lifted"), [("DAILY_LOSS", "max_drawdown"), ("MAX_DRAWDOWN", "max_daily_loss")]
)
@pytest.mark.parametrize("rearm", [False, True])
def test_a_loss_halt_holds_until_a_person_rearms(
    bars: HandmadeBars, cause: str, lifted: str, rearm: bool
) -> None:
    bars.plant_daily("AAPL", [(100.0, 88.0), (88.0, 88.0), (88.0, 88.0)])
    bars.plant_daily("IBM", [FLAT, FLAT, FLAT])
    report = bars.replay(
        3,
        ExternalSignal("AAPL", 0.9, bars.days[0]),
        ExternalSignal("IBM", 0.1, bars.days[1]),
        ExternalSignal("IBM", 0.1, bars.days[2]),
        limits={**ALL_IN, "session_drawdown": inf, lifted: inf},
        rearm_daily=rearm,
    )
    bought = [fill["symbol"] for fill in rows(report, "fills")]
    actions = [(str(halt.cause), halt.action, halt.session) for halt in report.halts]
    assert actions[0] == (cause, "latch", bars.days[0])
    if rearm:
        assert bought == ["AAPL", "IBM"]
        assert actions[1:] == [(cause, "clear", bars.days[1])]
    else:
        assert bought == ["AAPL"]
        assert actions[1:] == []
        assert refusals(report).keys() == {f"IBM {day}" for day in bars.days[1:3]}


def test_a_dividend_and_a_split_reach_the_holder_overnight(bars: HandmadeBars) -> None:
    bars.plant_daily("AAPL", [FLAT, (49.5, 49.5), (49.5, 49.5)])
    bars.plant_action("AAPL", bars.days[1], cash=1.0, split=2.0)
    report = bars.replay(
        3, ExternalSignal("AAPL", 1.0, bars.days[0]), ExternalSignal("IBM", 0.0, bars.days[1])
    )
    before, after = (
        [row for row in rows(report, "positions") if row["session"] == day][-1] for day in bars.days[:2]
    )
    assert (before["qty"], after["qty"]) == (49, 98)
    assert after["avg_cost"] == pytest.approx(before["avg_cost"] / 2)
    cash = [row["cash"] for row in rows(report, "equity", "at_ns")]
    assert cash[2] - cash[1] == pytest.approx(49.0)
    assert report.sessions[1].equity == pytest.approx(report.sessions[0].equity)
    assert len(rows(report, "fills")) == 1  # half the price is no reason for a stop


RESTING = 99.7  # inside the collar, below the ask


@pytest.mark.parametrize(
    ("low", "patience", "state", "price", "minutes"),
    [
        (99.5, 30.0, "FILLED", RESTING, 31),
        (99.8, 30.0, "CANCELED", None, 31),
        (99.8, 1e6, "EXPIRED", None, 390),
    ],
)
def test_an_order_that_rests_fills_in_a_later_bar_or_ends(
    bars: HandmadeBars, low: float, patience: float, state: str, price: float | None, minutes: int
) -> None:
    bars.plant_daily("AAPL", [(100.0, low)])
    bars.plant_minutes("AAPL", bars.days[0], [100.0] * 30 + [low])
    bars.settings = bars.settings.model_copy(update={"timeout_seconds": patience})
    report = bars.replay(1, ExternalSignal("AAPL", 1.0, bars.days[0], limit_price=RESTING), interval=30)
    (order,) = rows(report, "orders")
    assert order["state"] == state
    assert order["updated_ns"] == bars.sessions.open_ns(bars.days[0]) + minutes * MINUTE_NS
    assert [fill["price"] for fill in rows(report, "fills")] == ([] if price is None else [price])


def test_on_daily_bars_an_order_that_the_open_does_not_fill_expires_at_the_close(bars: HandmadeBars) -> None:
    bars.plant_daily("AAPL", [(100.0, 90.0)])
    report = bars.replay(1, ExternalSignal("AAPL", 1.0, bars.days[0], limit_price=RESTING))
    (order,) = rows(report, "orders")
    assert (order["state"], order["updated_ns"]) == ("EXPIRED", bars.sessions.close_ns(bars.days[0]))
    assert report.sessions[0].fills == 0


def test_a_stale_signal_and_a_symbol_without_a_bar_are_refused_as_live(bars: HandmadeBars) -> None:
    bars.plant_daily("AAPL", [FLAT, FLAT])
    stamp = bars.sessions.open_ns(bars.days[1]) - 60 * 10**9  # 131 s before the tick
    report = bars.replay(2, ExternalSignal("AAPL", 1.0, stamp), ExternalSignal("IBM", 1.0, bars.days[1]))
    assert refusals(report) == {f"AAPL {bars.days[1]}": {"STALE_SIGNAL"}}
    outcomes = {row["symbol"]: row["outcome"] for row in rows(report, "signals")}
    assert outcomes == {"AAPL": "REFUSED", "IBM": "NO_PRICE"}
    assert report.missing_bars == {"IBM": 2}


def test_a_lifted_limit_lets_the_whole_account_into_one_symbol(bars: HandmadeBars) -> None:
    bars.plant_daily("AAPL", [FLAT])
    lifted = dict.fromkeys(("max_position_pct", "max_gross_exposure", "max_order_notional"), inf)
    report = bars.replay(1, ExternalSignal("AAPL", 1.0, bars.days[0]), limits=lifted)
    (fill,) = rows(report, "fills")
    assert fill["qty"] == 998  # all the cash at the limit price
    assert not report.sessions[0].failed()


def test_equity_begins_each_session_where_the_last_one_closed(bars: HandmadeBars) -> None:
    bars.plant_daily("AAPL", [(100.0, 101.0), (102.0, 99.0), (98.5, 100.0)])
    report = bars.replay(3, ExternalSignal("AAPL", 1.0, bars.days[0]))
    equity = rows(report, "equity", "at_ns")
    closes = [100_000.0, *(row["equity"] for row in equity[1::2])]
    assert [row["e0"] for row in equity[::2]] == closes[:-1]
    assert [result.equity for result in report.sessions] == closes[1:]
    assert [row["session"] for row in equity[::2]] == bars.days[:3]
    assert bars.days[1] - bars.days[0] == timedelta(days=1)


def test_an_exit_that_did_not_fill_goes_again_at_the_markets_price(bars: HandmadeBars) -> None:
    bars.plant_daily("AAPL", [FLAT])
    bars.plant_minutes("AAPL", bars.days[0], [100.0])
    _, second, *_ = bars.sessions.ticks(bars.days[0], 30)
    signals = (
        ExternalSignal("AAPL", 1.0, bars.days[0]),
        ExternalSignal("AAPL", -1.0, second, limit_price=101.0),  # more than anyone pays
    )
    report = bars.replay(1, *signals, interval=30)
    states = [(row["attempt"], row["side"], row["state"]) for row in rows(report, "orders", "created_ns")]
    assert states == [(1, 1, "FILLED"), (1, -1, "CANCELED"), (2, -1, "FILLED")]
    assert rows(report, "fills")[-1]["at_ns"] == second + MINUTE_NS
    assert rows(report, "fills")[-1]["price"] == 99.99


def test_a_symbol_whose_bars_end_is_sold_at_its_last_price_by_no_order(bars: HandmadeBars) -> None:
    bars.plant_daily("AAPL", [(100.0, 101.0), (101.0, 102.0)])
    bars.plant_daily("IBM", [FLAT] * 4)
    report = bars.replay(4, ExternalSignal("AAPL", 1.0, bars.days[0]))
    bought, closed = rows(report, "fills", "at_ns")
    assert (closed["client_order_id"], closed["activity_id"]) == (None, f"DELISTED:AAPL:{bars.days[2]}")
    assert (closed["side"], closed["qty"], closed["price"]) == (-1, bought["qty"], 102.0)
    assert closed["at_ns"] == bars.sessions.open_ns(bars.days[2])
    assert report.delisted == {"AAPL": bars.days[2]}
    assert [result.equity for result in report.sessions[1:]] == [report.sessions[1].equity] * 3
    assert not any(row["session"] >= bars.days[2] for row in rows(report, "positions"))


def test_while_minutes_are_missing_nobody_trades_and_the_quote_grows_stale(bars: HandmadeBars) -> None:
    bars.plant_daily("AAPL", [FLAT])
    bars.plant_minutes("AAPL", bars.days[0], [100.0])
    first, second, *_ = bars.sessions.ticks(bars.days[0], 30)
    with bars.history.writing() as connection:  # none from before the second tick to ten minutes after it
        connection.execute(
            "DELETE FROM bars WHERE \"interval\" = '1m' AND start_ns BETWEEN ? AND ?",
            [second - 5 * MINUTE_NS, second + 9 * MINUTE_NS],
        )
    signals = [ExternalSignal("AAPL", 0.4, first), ExternalSignal("AAPL", 1.0, second)]
    report = bars.replay(1, *signals, interval=30)
    assert refusals(report) == {f"AAPL {bars.days[0]}": {"STALE_QUOTE"}}
    held = bars.replay(1, signals[0], ExternalSignal("AAPL", -1.0, second), interval=30, name="exit")
    states = [
        (row["attempt"], row["side"], row["state"]) for row in rows(held, "orders", "created_ns, attempt")
    ]
    assert states[0] == (1, 1, "FILLED")
    assert {state for _, side, state in states[1:-1] if side == -1} == {"CANCELED"}
    assert states[-1][2] == "FILLED"
    sent = [(row["created_ns"] - second) // MINUTE_NS for row in rows(held, "orders", "created_ns")[1:]]
    assert sent == [0, 1, 2, 4, 9, 19]  # with back-off; ten minutes after the fifth the bars are there again
    assert rows(held, "fills", "at_ns")[-1]["at_ns"] == second + 19 * MINUTE_NS


def test_costs_are_taken_from_cash_by_share_and_by_notional(bars: HandmadeBars) -> None:
    bars.plant_daily("AAPL", [FLAT])
    report = bars.replay(1, ExternalSignal("AAPL", 1.0, bars.days[0]), usd_per_share=0.01, cost_bps=5.0)
    free = bars.replay(1, ExternalSignal("AAPL", 1.0, bars.days[0]), name="free")
    costs = 49 * 0.01 + 49 * 100.01 * 0.0005
    assert report.sessions[0].costs_usd == pytest.approx(costs)
    assert free.closing_equity - report.closing_equity == pytest.approx(costs, abs=2e-6)


def test_a_sale_pays_the_fees_of_its_day_and_a_purchase_none(bars: HandmadeBars) -> None:
    bars.plant_daily("AAPL", [FLAT, FLAT])
    signals = [ExternalSignal("AAPL", 1.0, bars.days[0]), ExternalSignal("AAPL", -1.0, bars.days[1])]
    report = bars.replay(2, *signals)
    free = bars.replay(2, *signals, name="free", sale_fees=False)
    rates = sale_fees(bars.days[1])
    fees = round(49 * 99.99 * rates.usd_per_usd + 49 * rates.usd_per_share, 6)
    assert fees > 0.05
    assert [result.fees_usd for result in report.sessions] == [0.0, pytest.approx(fees)]
    assert [result.costs_usd for result in report.sessions] == [0.0, pytest.approx(fees)]
    assert free.closing_equity - report.closing_equity == pytest.approx(fees, abs=1e-9)
    assert sum(result.costs_usd for result in free.sessions) == 0.0


def test_in_the_mode_of_other_backtesters_an_order_fills_at_the_next_bars_open(bars: HandmadeBars) -> None:
    bars.plant_daily("AAPL", [FLAT])
    bars.plant_minutes("AAPL", bars.days[0], [100.0] * 30 + [103.0, 99.0])
    (first, *_) = bars.sessions.ticks(bars.days[0], 31)
    report = bars.replay(
        1,
        ExternalSignal("AAPL", 1.0, bars.days[0]),
        interval=31,
        fill_mode="next_open",
        limits={"stop_loss": inf},
    )
    (fill,) = rows(report, "fills")
    assert (fill["price"], fill["at_ns"]) == (103.0, first)  # the bar that begins at the tick
    assert not report.sessions[0].failed("limits")


@pytest.mark.parametrize(
    ("terms", "bought_on"),
    [
        ({}, 1),  # the proceeds buy at once
        ({"settlement": True}, 4),  # sold on the second session of 2012: T+3
        ({"settlement": True, "limits": {**ALL_IN, "use_margin": True}}, 1),
    ],
)
def test_what_was_sold_buys_nothing_before_it_settles_where_that_is_asked_for(
    bars: HandmadeBars, terms: dict[str, Any], bought_on: int
) -> None:
    for symbol in ("AAPL", "IBM"):
        bars.plant_daily(symbol, [FLAT] * 6)
    report = bars.replay(
        6,
        ExternalSignal("AAPL", 1.0, bars.days[0]),
        ExternalSignal("AAPL", -1.0, bars.days[1]),
        *(ExternalSignal("IBM", 1.0, day) for day in bars.days[1:6]),
        **{"limits": ALL_IN, **terms},
    )
    large = [fill for fill in rows(report, "fills") if fill["symbol"] == "IBM" and fill["qty"] > 500]
    assert [fill["session"] for fill in large] == [bars.days[bought_on]]
