"""The embedded exchange on a person's own history: imported with the real command, copied at the start, and
served over HTTP."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import date, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any

import duckdb
import pytest
from alpaca.trading.enums import OrderSide, OrderStatus
from exchange_ground import MINUTE_NS, TOKEN, control, get, limit_order, trading
from support.history_ground import another_process, holding
from support.own_history import CLOSE, MadeUp, imported, made_up, write_config, write_daily, write_minutes

from trading_assets.errors import InvalidInput
from trading_assets.exchange import history_copy
from trading_assets.exchange.opening import open_venue
from trading_assets.exchange.process import ExchangeDidNotStart, ExchangeProcess, start_process
from trading_assets.market.sessions import Sessions
from trading_assets.store.history import HistoryLocked

FIRST, LAST = date(2023, 6, 1), date(2024, 3, 28)
DAY, EX_DATE = date(2024, 3, 11), date(2024, 3, 12)
SESSIONS = Sessions()
OPEN_NS = SESSIONS.open_ns(DAY)
COUNT = 40
WITH_MINUTES, PAYS, SPLITS, GONE, LATE, STILL = "SAAA", "SAAB", "SAAC", "SAAD", "SAAE", "SAAF"


@dataclass(frozen=True)
class Own:
    """A history of made-up bars: one symbol has minutes, one pays, one splits, one ends, one begins late, one
    does not trade on DAY."""

    made: MadeUp
    config: Path

    @property
    def history(self) -> Path:
        return self.config.parents[1] / "var" / "history.duckdb"


@pytest.fixture(scope="module")
def own(tmp_path_factory: pytest.TempPathFactory) -> Own:
    home = tmp_path_factory.mktemp("own")
    made = made_up(COUNT, FIRST, LAST)
    split = made.days.index(EX_DATE)
    row = made.symbols.index(SPLITS)
    made.daily[row, split:, :4] = (made.daily[row, split:, :4] / 4.0).round(2)
    config = write_config(home)
    without = [(GONE, day) for day in made.days if day > EX_DATE]
    without += [(LATE, day) for day in made.days if day < EX_DATE]
    imported(
        config,
        write_daily(
            made,
            home / "daily.csv",
            splits={(SPLITS, EX_DATE): 4.0},
            dividends={(PAYS, EX_DATE): 0.25},
            without=without,
            volumes={(STILL, DAY): 0.0},
        ),
        "1d",
    )
    imported(config, write_minutes(made, home / "minutes.csv", WITH_MINUTES, [DAY, EX_DATE]), "1m")
    return Own(made, config)


@contextmanager
def served(own: Own, state_dir: Path, day: date | None = DAY) -> Iterator[ExchangeProcess]:
    with start_process(
        public_keys=True,
        state_dir=state_dir,
        token=TOKEN,
        start_ns=None if day is None else SESSIONS.open_ns(day),
        history=own.history,
    ) as exchange:
        yield exchange


@pytest.fixture(scope="module")
def live(own: Own, tmp_path_factory: pytest.TempPathFactory) -> Iterator[ExchangeProcess]:
    """Half an hour into DAY."""
    with served(own, tmp_path_factory.mktemp("state")) as exchange:
        control(exchange, "/clock", step_ns=30 * MINUTE_NS)
        yield exchange


def bars(exchange: ExchangeProcess, timeframe: str, symbols: str, start: date, **more: Any) -> dict[str, Any]:
    answer = get(exchange, "/v2/stocks/bars", symbols=symbols, timeframe=timeframe, start=start, **more)
    assert answer.ok, answer.text
    listed: dict[str, Any] = answer.json()["bars"]
    return listed


def test_the_asset_list_is_of_the_historys_symbols_that_are_listed(own: Own, live: ExchangeProcess) -> None:
    listed = {asset["symbol"] for asset in get(live, "/v2/assets").json()}
    assert listed == set(own.made.symbols) - {LATE}
    assert get(live, "/v2/assets/AAPL").status_code == 404
    assert get(live, f"/v2/assets/{LATE}").status_code == 404


def test_daily_bars_are_the_imported_ones_to_the_cent(own: Own, live: ExchangeProcess) -> None:
    start = DAY - timedelta(days=30)
    answers = bars(live, "1Day", ",".join(own.made.symbols), start, end=DAY - timedelta(days=1), limit=10_000)
    days = [day for day in own.made.days if start <= day < DAY]
    assert set(answers) == set(own.made.symbols) - {LATE}
    for symbol, rows in answers.items():
        assert [row["t"][:10] for row in rows] == [day.isoformat() for day in days]
        for day, row in zip(days, rows, strict=True):
            assert [row[name] for name in "ohlcv"] == own.made.bar(symbol, day).tolist()


def test_minutes_are_the_imported_ones_where_there_are_some_and_marked_as_derived_where_not(
    own: Own, live: ExchangeProcess
) -> None:
    answers = bars(live, "1Min", f"{WITH_MINUTES},{PAYS}", DAY, limit=10_000)
    assert [len(answers[symbol]) for symbol in (WITH_MINUTES, PAYS)] == [30, 30]
    assert not any("derived" in bar for bar in answers[WITH_MINUTES])
    assert all(bar["derived"] is True for bar in answers[PAYS])
    open_, high, _, _, _ = own.made.bar(WITH_MINUTES, DAY).tolist()
    assert (answers[WITH_MINUTES][0]["o"], answers[WITH_MINUTES][1]["h"]) == (open_, high)
    assert answers[PAYS][0]["o"] == own.made.bar(PAYS, DAY)[0]


def test_a_quote_stands_around_the_last_price_and_a_symbol_that_did_not_trade_has_none(
    own: Own, live: ExchangeProcess
) -> None:
    wanted = f"{WITH_MINUTES},{STILL},AAPL"
    answers = get(live, "/v2/stocks/snapshots", symbols=wanted).json()
    assert set(answers) == {WITH_MINUTES, STILL}
    last = answers[WITH_MINUTES]["minuteBar"]["c"]
    assert answers[WITH_MINUTES]["latestQuote"]["bp"] < last < answers[WITH_MINUTES]["latestQuote"]["ap"]
    assert answers[WITH_MINUTES]["prevDailyBar"]["c"] == own.made.bar(WITH_MINUTES, date(2024, 3, 8))[CLOSE]
    assert (answers[STILL]["latestQuote"]["bp"], answers[STILL]["latestQuote"]["ap"]) == (0.0, 0.0)


def test_orders_fill_dividends_and_splits_are_booked_and_the_dead_are_inactive(
    own: Own, tmp_path: Path
) -> None:
    with served(own, tmp_path) as exchange:
        control(exchange, "/clock", step_ns=30 * MINUTE_NS)
        client = trading(exchange)
        for symbol in (WITH_MINUTES, PAYS, SPLITS):
            price = round(float(own.made.bar(symbol, DAY)[1]) * 1.05, 2)
            order = client.submit_order(limit_order(symbol, OrderSide.BUY, 10, price))
            assert client.get_order_by_id(order.id).status is OrderStatus.FILLED
        resting = client.submit_order(limit_order(STILL, OrderSide.BUY, 10, 500.0))
        control(exchange, "/clock", set_ns=SESSIONS.close_ns(DAY) - MINUTE_NS)
        assert client.get_order_by_id(resting.id).status is OrderStatus.NEW
        cash = Decimal(str(client.get_account().cash))
        control(exchange, "/clock", set_ns=SESSIONS.open_ns(EX_DATE))
        held = {one.symbol: float(one.qty) for one in client.get_all_positions()}
        assert held == {WITH_MINUTES: 10.0, PAYS: 10.0, SPLITS: 40.0}
        assert Decimal(str(client.get_account().cash)) == cash + Decimal("2.50")
        announced = get(exchange, "/v1/corporate-actions", start=FIRST, end=LAST).json()["corporate_actions"]
        assert [row["symbol"] for row in announced["cash_dividends"]] == [PAYS]
        assert [(row["symbol"], row["new_rate"]) for row in announced["forward_splits"]] == [(SPLITS, 4)]
        assert get(exchange, f"/v2/assets/{LATE}").json()["status"] == "active"
        control(exchange, "/clock", set_ns=SESSIONS.open_ns(date(2024, 3, 13)))
        assert get(exchange, f"/v2/assets/{GONE}").json()["status"] == "inactive"


def test_it_holds_no_lock_on_the_history(own: Own, live: ExchangeProcess) -> None:
    with duckdb.connect(str(own.history)) as writer:
        assert writer.execute("SELECT count(*) FROM bars").fetchone() is not None
    assert get(live, "/v2/clock").ok


def test_a_history_that_another_process_holds_is_named_with_its_holder(
    own: Own, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(history_copy, "RETRY_SECONDS", 0.2)
    held = another_process(holding(own.history, "writing"))
    with held, pytest.raises(HistoryLocked, match=r"held open by process \d+"):
        open_venue(tmp_path, start_ns=OPEN_NS, history=own.history)
    open_venue(tmp_path, start_ns=OPEN_NS, history=own.history).close()


def test_a_start_outside_the_tape_is_refused_with_its_range(own: Own, tmp_path: Path) -> None:
    with pytest.raises(ExchangeDidNotStart, match=r"outside the tape.* from 2023-06-01 to 2024-03-28"):
        served(own, tmp_path, date(2012, 9, 11)).__enter__()
    with pytest.raises(InvalidInput, match="2000-03-01 to 2013-03-01"):
        open_venue(tmp_path / "bundled", start_ns=OPEN_NS)


def test_without_a_start_it_begins_where_a_desk_can_look_back_130_sessions(own: Own, tmp_path: Path) -> None:
    venue = open_venue(tmp_path, start_ns=None, history=own.history)
    assert venue.sessions.new_york_date(venue.now_ns) == own.made.days[130]
    venue.close()


def test_an_account_does_not_move_to_other_bars(own: Own, tmp_path: Path) -> None:
    open_venue(tmp_path, start_ns=OPEN_NS, history=own.history).close()
    with pytest.raises(InvalidInput, match=r"began on history bars.*asked for bundled"):
        open_venue(tmp_path, start_ns=OPEN_NS)


def test_a_history_without_imported_bars_is_refused(tmp_path: Path) -> None:
    with pytest.raises(InvalidInput, match="no imported bars"):
        open_venue(tmp_path, start_ns=OPEN_NS, history=tmp_path / "history.duckdb")


def test_a_restart_plays_what_was_imported_since(tmp_path: Path) -> None:
    config, made = write_config(tmp_path), made_up(3, FIRST, LAST)
    imported(config, write_daily(made, tmp_path / "a.csv"), "1d")
    history = tmp_path / "var" / "history.duckdb"
    open_venue(tmp_path / "x", start_ns=OPEN_NS, history=history).close()
    copied = (tmp_path / "x" / "tape" / "tape.json").stat().st_ino
    open_venue(tmp_path / "x", start_ns=OPEN_NS, history=history).close()
    assert (tmp_path / "x" / "tape" / "tape.json").stat().st_ino == copied
    made.daily[0, -1, CLOSE] += 0.01
    imported(config, write_daily(made, tmp_path / "a.csv"), "1d")
    venue = open_venue(tmp_path / "x", start_ns=OPEN_NS, history=history)
    venue.move_clock(SESSIONS.close_ns(LAST))
    bar = venue.view.daily_bar(made.symbols[0], LAST, venue.now_ns)
    assert bar is not None
    assert bar.close == made.daily[0, -1, CLOSE]
    venue.close()
