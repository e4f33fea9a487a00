"""Which feed a tick asks for which bars, what it stores where the account does not have it, and that a model
trades on bars of its own market only."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
from support.small_model import saved_below
from support.trading_floor import TradingFloor

from trading_assets.broker.port import BarState, FeedRefused
from trading_assets.config.settings import ModelSettings
from trading_assets.engine.market_data.bars import store_bars
from trading_assets.engine.market_data.feature_rows import store_features
from trading_assets.engine.signals import tick_signals
from trading_assets.errors import InvalidInput
from trading_assets.market.bars import Interval
from trading_assets.model.registry import FEATURES, MODEL
from trading_assets.store.history import History


class Feeds:
    """The real broker, its questions for bars noted; `refuses` a feed as an account without it is refused."""

    def __init__(self, real: Any, refuses: str = "") -> None:
        self._real, self._refuses = real, refuses
        self.questions: list[tuple[str, str | None]] = []

    def __getattr__(self, name: str) -> Any:
        return getattr(self._real, name)

    def bars(
        self, symbols: Sequence[str], interval: str, start_ns: int, end_ns: int, *, feed: str | None = None
    ) -> Sequence[BarState]:
        self.questions.append((str(interval), feed))
        if feed == self._refuses:
            raise FeedRefused(403, None, "subscription does not permit querying recent SIP data")
        result: Sequence[BarState] = self._real.bars(symbols, interval, start_ns, end_ns, feed=feed)
        return result


def feeds_held(history: History) -> dict[str, set[str]]:
    lines = history.query('SELECT DISTINCT "interval", feed FROM bars').to_pylist()
    result: dict[str, set[str]] = {}
    for line in lines:
        result.setdefault(line["interval"], set()).add(line["feed"])
    return result


def test_closed_days_are_the_whole_markets_and_the_last_minutes_the_configured_feeds(
    floor: TradingFloor,
) -> None:
    now = floor.go_to_tick(0)
    with floor.desk() as desk:
        broker = desk.broker = Feeds(desk.broker)
        report = store_bars(desk, floor.session, now)
        assert report.feed_refused == ""
        assert ("1d", "sip") in broker.questions
        assert ("1d", "iex") not in broker.questions
        held = feeds_held(desk.history)
        assert held["1d"] == {"sip"}
        ages = desk.history.query(
            """SELECT feed, min(? - available_at_ns) AS youngest, max(? - available_at_ns) AS oldest
            FROM bars WHERE "interval" = '1m' GROUP BY feed""",
            [desk.now_ns(), desk.now_ns()],
        ).to_pylist()
        delay_ns = 15 * 60 * 10**9
        for line in ages:
            assert line["youngest"] >= delay_ns if line["feed"] == "sip" else line["oldest"] < delay_ns
        broker.questions.clear()
        assert store_bars(desk, floor.session, now).new_minutes == 0  # nor does a second look change any


def test_an_account_without_the_whole_market_has_the_configured_feed_and_its_rows_say_so(
    floor: TradingFloor,
) -> None:
    now = floor.go_to_tick(0)
    with floor.desk() as desk:
        desk.broker = Feeds(desk.broker, refuses="sip")
        report = store_bars(desk, floor.session, now)
        assert report.feed_refused == "subscription does not permit querying recent SIP data"
        assert report.new_days > 0
        assert feeds_held(desk.history) == {"1d": {"iex"}, "1m": {"iex"}}
        desk.broker = Feeds(desk.broker, refuses="iex")
        with pytest.raises(FeedRefused):
            store_bars(desk, floor.session, now)


def test_a_feed_that_has_the_whole_market_is_asked_once(floor: TradingFloor) -> None:
    now = floor.go_to_tick(0)
    with floor.desk(feed="sip") as desk:
        broker = desk.broker = Feeds(desk.broker)
        store_bars(desk, floor.session, now)
        assert {feed for _, feed in broker.questions} == {"sip"}
        assert len(broker.questions) == len({interval for interval, _ in broker.questions}) == len(Interval)


@pytest.fixture
def model_paths(tmp_path: Path) -> dict[str, Any]:
    saved = saved_below(tmp_path / "models")
    files = {"model_path": saved / MODEL, "features_path": saved / FEATURES}
    return {"model": ModelSettings(enabled=True), **files}


def test_a_model_gives_no_signal_on_bars_of_another_market(
    floor: TradingFloor, model_paths: dict[str, Any]
) -> None:
    now = floor.go_to_tick(0)
    with floor.desk(**model_paths) as desk:
        store_bars(desk, floor.session, now)
        store_features(desk, floor.session, now)
        assert len(tick_signals.store_signals(desk, floor.session, now).signals) >= 3
        with desk.history.writing() as connection:
            connection.execute("UPDATE bars SET feed = 'iex' WHERE symbol = 'IBM'")
        store_features(desk, floor.session, now)
        report = tick_signals.store_signals(desk, floor.session, now)
        assert report.other_market == ("IBM",)
        assert "IBM" not in {signal.symbol for signal in report.signals}
        assert len(report.signals) >= 2
        with desk.history.writing() as connection:
            connection.execute("UPDATE bars SET feed = 'iex'")
        store_features(desk, floor.session, now)
        with pytest.raises(InvalidInput, match="learned from bars of the whole market, and these are of iex"):
            tick_signals.store_signals(desk, floor.session, now)
