"""A feature row at a tick is the row that training sees, bit for bit, over real years of daily bars."""

from __future__ import annotations

from collections.abc import Callable
from datetime import date

import numpy as np
import pytest
from support.trading_floor import TradingFloor

from trading_assets.engine.market_data.bars import import_tape, store_bars
from trading_assets.engine.market_data.feature_rows import feature_rows, store_features
from trading_assets.features.daily import DAILY
from trading_assets.market.actions import aligned_actions
from trading_assets.market.bundle import BundledTape

SYMBOLS = ("AAPL", "FB", "GOOG", "IBM", "MSFT")
YEAR = 2012


@pytest.mark.slow
def test_rows_at_the_closes_of_a_year_equal_the_rows_of_all_bars_at_once(floor: TradingFloor) -> None:
    tape = BundledTape()
    with floor.desk() as desk:
        bars = import_tape(
            desk.history, tape, SYMBOLS, until=date(YEAR + 1, 1, 1), received_ns=1, source="bundled"
        )
        assert bars > 11_900
        bulk = {}
        for symbol in SYMBOLS:
            daily = tape.daily(symbol)
            rows = DAILY.compute_bulk(daily, *aligned_actions(tape.actions(symbol), daily.start_ns))
            bulk[symbol] = dict(zip(daily.end_ns.tolist(), rows, strict=True))
        compared = 0
        for session in desk.sessions.between(date(YEAR, 1, 1), date(YEAR, 12, 31)):
            close_ns = desk.sessions.close_ns(session)
            for symbol, (row, newest_ns) in feature_rows(desk, session, close_ns).items():
                expected = bulk[symbol].get(close_ns)
                if expected is None:  # not listed yet
                    assert newest_ns == 0
                    continue
                assert newest_ns == close_ns
                assert row.tobytes() == expected.tobytes() or (
                    np.isnan(row).all() and np.isnan(expected).all()
                )
                compared += bool(np.isfinite(row).all())
        assert compared > 4 * 250


def test_a_row_within_the_session_is_that_of_the_bar_so_far(floor: TradingFloor) -> None:
    """Across live ingestion: minutes from the exchange, the look-back from its daily bars."""
    now = floor.go_to_tick(3)
    with floor.desk() as desk:
        store_bars(desk, floor.session, now)
        live = feature_rows(desk, floor.session, now)
        tape = BundledTape()
        for symbol in SYMBOLS:
            daily, minutes = tape.daily(symbol).until(now), tape.minutes(symbol, floor.session).until(now)
            so_far = (
                minutes.start_ns[:1],
                minutes.end_ns[-1:],
                minutes.open[:1],
                minutes.high.max(keepdims=True),
                minutes.low.min(keepdims=True),
                minutes.close[-1:],
                minutes.volume.sum(keepdims=True),
            )
            with_today = type(daily)._make(np.concatenate(pair) for pair in zip(daily, so_far, strict=True))
            actions = aligned_actions(tape.actions(symbol), with_today.start_ns)
            expected = DAILY.compute_bulk(with_today, *actions)[-1]
            assert live[symbol][0].tobytes() == expected.tobytes()
        report = store_features(desk, floor.session, now)
        assert report.incomplete == ()


def test_an_earlier_tick_sees_the_actions_that_it_saw_then(start_floor: Callable[..., TradingFloor]) -> None:
    floor = start_floor(session=date(2012, 8, 9))  # AAPL's first dividend in years
    rows = {}
    for number in (0, 1, 2):
        now = floor.go_to_tick(number)
        with floor.desk() as desk:
            store_bars(desk, floor.session, now)
            rows[number] = feature_rows(desk, floor.session, now)["AAPL"][0]
            stored = desk.history.query(
                "SELECT received_at_ns FROM corporate_actions WHERE symbol = 'AAPL' AND ex_date = ?",
                [floor.session],
            )
            assert stored["received_at_ns"].to_pylist() == [floor.ticks()[0]]
            again = feature_rows(desk, floor.session, floor.ticks()[0])["AAPL"][0]
            assert again.tobytes() == rows[0].tobytes()
    assert np.isfinite(rows[0]).all()
