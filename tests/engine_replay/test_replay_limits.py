"""Every limit is honoured in every session, and a limit that is not honoured is found by its name."""

from __future__ import annotations

from datetime import date
from math import inf
from pathlib import Path

import numpy as np
import pytest

from trading_assets import config
from trading_assets.config import Settings
from trading_assets.core.limits import Limits
from trading_assets.engine.replay import ExternalSignal, ExternalSignals, ReplaySpec, run, walk
from trading_assets.engine.replay.report import ReplayReport
from trading_assets.engine.replay.session_limits import LimitResult, session_results
from trading_assets.engine.replay.session_sheet import SessionSheet
from trading_assets.market.sessions import Sessions
from trading_assets.store.history import History

SYMBOLS = ("AAPL", "GOOG", "IBM", "MSFT")
DAYS = Sessions().between(date(2008, 9, 2), date(2008, 10, 31))
LIFTED = dict.fromkeys(
    (
        "max_position_pct",
        "max_gross_exposure",
        "max_order_notional",
        "max_symbol_move",
        "max_spread_bps",
        "max_orders_per_symbol_per_day",
        "max_orders_per_day",
        "session_drawdown",
        "max_daily_loss",
        "max_drawdown",
        "stop_loss",
    ),
    inf,
)


def wild_signals(interval: int | None) -> ExternalSignals:
    """Random signals for every symbol at every tick of the autumn of 2008."""
    rng = np.random.default_rng(2008)
    sessions = Sessions()
    stamps = [at for day in DAYS for at in ([day] if interval is None else sessions.ticks(day, interval))]
    return ExternalSignals(
        tuple(
            ExternalSignal(symbol, float(value), stamp)
            for stamp in stamps
            for symbol, value in zip(SYMBOLS, rng.uniform(-1, 1, len(SYMBOLS)), strict=True)
        )
    )


def replayed(root: Path, interval: int | None, **limits: float) -> ReplayReport:
    spec = ReplaySpec(
        DAYS[0],
        DAYS[-1],
        wild_signals(interval),
        name="wild",
        interval="daily" if interval is None else interval,
        limits=limits,
    )
    return run(Settings(data_dir=root, symbols=SYMBOLS), spec)


@pytest.mark.slow
@pytest.mark.parametrize("interval", [None, 60])
def test_every_limit_holds_in_every_session_of_a_wild_autumn(tmp_path: Path, interval: int | None) -> None:
    report = replayed(tmp_path, interval, max_drawdown=inf, max_daily_loss=inf)
    limits = config.limits(Settings())
    for result in report.sessions:
        assert [failed for failed in result.limits if not failed.passed and failed.group == "limits"] == []
    history = History(report.history_path)
    entries = history.query(
        "SELECT count(*) AS n, min(qty * limit_price) AS low, max(qty * limit_price) AS high "
        "FROM orders WHERE NOT reducing GROUP BY session, symbol"
    ).to_pylist()
    assert len(entries) > 40
    for row in entries:
        assert row["n"] <= limits.max_orders_per_symbol_per_day
        assert limits.min_order_notional <= row["low"] <= row["high"] <= limits.max_order_notional
    (worst,) = history.query("SELECT max(gross_exposure) AS gross, min(cash) AS cash FROM equity").to_pylist()
    assert worst["gross"] <= len(SYMBOLS) * limits.max_position_pct * 1.1
    assert worst["cash"] >= 0
    refused = {code for code in report.verdict_codes if code != "PASS"}
    assert refused  # there was something to hold


@pytest.mark.parametrize("interval", [None, 60])
@pytest.mark.parametrize("spread_bps", [2.0, 300.0])
@pytest.mark.parametrize("cost_bps", [0.0, 100.0])
def test_neither_a_wide_spread_nor_costs_break_a_limit_of_a_book_that_is_full(
    tmp_path: Path, interval: int | None, spread_bps: float, cost_bps: float
) -> None:
    """The gate counts at the limit price, before the purchase takes spread and costs from equity."""
    stamp = DAYS[0] if interval is None else Sessions().ticks(DAYS[0], interval)[0]
    lifted = dict.fromkeys(
        ("max_spread_bps", "max_order_notional", "max_symbol_move", "stop_loss", "session_drawdown"), inf
    ) | dict.fromkeys(("max_daily_loss", "max_drawdown", "max_slip_pct", "exit_collar_pct"), inf)
    spec = ReplaySpec(
        DAYS[0],
        DAYS[3],
        ExternalSignals(tuple(ExternalSignal(symbol, 1.0, stamp) for symbol in SYMBOLS)),
        name="full",
        interval="daily" if interval is None else interval,
        spread_bps=spread_bps,
        cost_bps=cost_bps,
        limits=lifted | {"max_position_pct": 0.25, "max_gross_exposure": 1.0, "limit_offset": 0.0005},
    )
    report = run(Settings(data_dir=tmp_path, symbols=SYMBOLS), spec)
    first = {result.name: result for result in report.sessions[0].limits}
    assert first["max_gross_exposure"].measured > 0.9
    assert [r for result in report.sessions for r in result.failed() if r.group == "limits"] == []


def test_a_stored_result_for_each_limit_of_each_session(tmp_path: Path) -> None:
    report = replayed(tmp_path, None)
    stored = History(report.history_path).query(
        'SELECT session, "check", passed, severity FROM checks WHERE book = ? ORDER BY session', [report.book]
    )
    assert stored.num_rows == sum(len(result.limits) for result in report.sessions)
    names = {row.partition(".")[2] for row in stored["check"].to_pylist()}
    unmeasured = {"volatility_target", "use_margin", "max_reject_streak"}  # a scale, a switch, a broker's
    breakers = {"session_drawdown", "max_daily_loss", "max_drawdown"}
    assert names >= set(Limits._fields) - unmeasured
    failed = {row["check"].partition(".")[2] for row in stored.to_pylist() if not row["passed"]}
    assert failed <= breakers | {"position_drift", "exposure_drift"}
    expected = [result.session for result in report.sessions if result.failed()]
    outcome = {row["session"] for row in stored.to_pylist() if not row["passed"]}
    assert sorted(outcome) == expected


@pytest.mark.slow
def test_what_was_sent_without_limits_breaks_those_of_the_configuration_by_name(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    strict = config.limits(Settings())._replace(max_spread_bps=1.0, limit_offset=0.0005)
    broken: dict[str, LimitResult] = {}

    def judged_strictly(sheet: SessionSheet, limits: Limits, *, next_open: bool) -> list[LimitResult]:
        broken.update({r.name: r for r in session_results(sheet, strict) if not r.passed})
        return session_results(sheet, limits, next_open=next_open)

    monkeypatch.setattr(walk, "session_results", judged_strictly)
    report = replayed(tmp_path, 30, **LIFTED)
    assert not any(result.failed() for result in report.sessions)
    assert broken.keys() >= {
        "limit_offset",
        "max_spread_bps",
        "max_symbol_move",
        "max_order_notional",
        "max_orders_per_symbol_per_day",
        "max_position_pct",
        "max_gross_exposure",
        "session_drawdown",
        "max_daily_loss",
        "position_drift",
        "exposure_drift",
    }
    assert broken["max_orders_per_symbol_per_day"].measured > 5
    assert broken["max_order_notional"].measured > 10_000
    assert "stale_signal_seconds" not in broken
    assert "fill_price" not in broken
