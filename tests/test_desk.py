"""Signals from a program of one's own: the same path, the same verdicts as a tick by hand."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from support.trading_floor import TradingFloor

from trading_assets import desk
from trading_assets.core.gate import reason
from trading_assets.engine.decision.inputs import DecisionInput
from trading_assets.engine.records.verify import verify
from trading_assets.engine.signals import tick_signals
from trading_assets.engine.ticks.whole_tick import MarketClosed, run_tick
from trading_assets.errors import InvalidInput
from trading_assets.store.journal import LeaseHeld
from trading_assets.store.records import VerdictRecord

SIGNALS = {"AAPL": 0.5, "IBM": 0.05, "GOOG": 0.7}


def words(verdict: VerdictRecord) -> tuple[object, ...]:
    return (
        verdict.symbol,
        verdict.side,
        verdict.qty,
        verdict.limit_price,
        verdict.failed,
        str(verdict.measured),  # NaN is not equal to itself
        str(verdict.limits),
    )


def prices_seen(floor: TradingFloor) -> dict[str, float]:
    with floor.desk() as opened:
        quotes = opened.broker.quotes(sorted(SIGNALS))
    mids = {symbol: float((quote.bid or 0) + (quote.ask or 0)) / 2 for symbol, quote in quotes.items()}
    return mids | {"GOOG": mids["GOOG"] * 1.01}  # further off than the gate allows


@pytest.mark.slow
def test_signals_get_the_verdicts_and_orders_that_a_tick_gives(
    floor: TradingFloor, start_floor: Callable[..., TradingFloor]
) -> None:
    now = floor.go_to_tick(0)
    prices = prices_seen(floor)
    done = desk.execute_trading_signals(SIGNALS, prices, config_path=floor.config_path, environ={})
    assert {verdict.symbol: reason(verdict.failed) for verdict in done.verdicts} == {
        "AAPL": "PASS",
        "GOOG": "PRICE_DRIFT",
    }
    assert done.outcomes == {"AAPL": "ORDERED", "GOOG": "REFUSED", "IBM": "BELOW_THRESHOLD"}
    assert [(order.intent.symbol, order.state) for order in done.orders] == [("AAPL", "FILLED")]
    assert done.vetoed == done.problems == ()
    with floor.desk() as opened:
        stored = opened.journal.verdicts(opened.book)
        assert [words(verdict) for verdict in stored] == [words(verdict) for verdict in done.verdicts]
        (given, _) = opened.journal.tick_inputs(opened.book)
        assert len(DecisionInput.from_json(given.payload).signals) == 3
        assert verify(opened.journal, opened.history, opened.book, floor.session).identical

    other = start_floor(tick=0)
    with other.desk() as opened:
        for symbol, value in SIGNALS.items():
            price = desk._price(symbol, prices[symbol])
            tick_signals.receive(opened, symbol, value, reference_price=price, source=desk.SOURCE)
        by_hand = run_tick(opened, other.session, now, "by-hand").execution
    assert [words(verdict) for verdict in by_hand.verdicts] == [words(verdict) for verdict in done.verdicts]


@pytest.mark.slow
def test_what_cannot_be_used_is_refused_and_nothing_is_received(floor: TradingFloor) -> None:
    def execute(*given: dict[str, float], **options: Any) -> None:
        desk.execute_trading_signals(*given, config_path=floor.config_path, environ={}, **options)

    with pytest.raises(MarketClosed, match="XNYS is closed"):
        execute({"AAPL": 0.5}, {})
    floor.go_to_tick(0)
    with pytest.raises(InvalidInput, match="IBM without a signal"):
        execute({"AAPL": 0.5}, {"IBM": 200.0})
    with pytest.raises(InvalidInput, match=r"outside \[-1, 1\]"):
        execute({"AAPL": 0.5, "IBM": 2.0}, {})
    with pytest.raises(InvalidInput, match="is no price"):
        execute({"AAPL": 0.5}, {"AAPL": -1.0})
    with pytest.raises(InvalidInput, match="has no time zone"):
        execute({"AAPL": 0.5}, {}, as_of=datetime(2012, 9, 11, 10))  # noqa: DTZ001
    with floor.desk() as opened:
        assert opened.journal.pending_signals(opened.book) == []
        with opened.journal.lease(opened.book, "another tick"), pytest.raises(LeaseHeld):
            execute({"AAPL": 0.5}, {})
        (waiting,) = opened.journal.pending_signals(opened.book)
        assert waiting.value == 0.5


def test_a_desk_that_trades_its_model_takes_no_signals(floor: TradingFloor) -> None:
    path = floor.config_path.with_name("model.yaml")
    path.write_text("model:\n  enabled: true\nmodel_path: m/model.ubj\nfeatures_path: m/features.json\n")
    with pytest.raises(InvalidInput, match="the model is enabled"):
        desk.execute_trading_signals({"AAPL": 0.5}, {}, config_path=path, environ={})


def test_a_signal_as_old_as_its_producer_says_is_stale(floor: TradingFloor) -> None:
    now = floor.go_to_tick(0)
    as_of = datetime.fromtimestamp(now // 10**9, UTC) - timedelta(seconds=121)
    done = desk.execute_trading_signals(
        {"AAPL": 0.5}, {}, as_of=as_of, config_path=floor.config_path, environ={}
    )
    assert [reason(verdict.failed) for verdict in done.verdicts] == ["STALE_SIGNAL"]
