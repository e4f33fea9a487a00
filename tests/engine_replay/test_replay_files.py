"""What a replay leaves behind: the same rows each time, a page of its own, and nothing half-written."""

from __future__ import annotations

import re
from dataclasses import replace
from datetime import date
from math import nan
from pathlib import Path

import pytest
from handmade_bars import HandmadeBars

from trading_assets import redaction
from trading_assets.config import Settings
from trading_assets.engine.replay import ExternalSignal, ModelSignals, ReplaySpec, run
from trading_assets.engine.replay.page import write_page
from trading_assets.engine.replay.range_run import ReplayPace
from trading_assets.engine.replay.report import ReplayReport
from trading_assets.engine.replay.spec import ExternalSignals, limits_of
from trading_assets.errors import InvalidInput
from trading_assets.store.history import History

TABLES = ("signals", "verdicts", "orders", "fills", "positions", "equity", "checks")
HALF_A_YEAR = (date(2012, 1, 3), date(2012, 6, 29))


def contents(report: ReplayReport) -> dict[str, list[tuple[object, ...]]]:
    with History(report.history_path).reading() as connection:
        return {table: connection.execute(f"SELECT * FROM {table}").fetchall() for table in TABLES}


@pytest.fixture(scope="module")
def replayed(
    tmp_path_factory: pytest.TempPathFactory, small_model: ModelSignals
) -> tuple[ReplayReport, ReplayReport]:
    spec = ReplaySpec(*HALF_A_YEAR, small_model, name="twice")
    first, second = (run(Settings(data_dir=tmp_path_factory.mktemp("data")), spec) for _ in range(2))
    return first, second


@pytest.mark.slow
def test_two_replays_of_one_spec_leave_identical_rows_and_pages(
    replayed: tuple[ReplayReport, ReplayReport],
) -> None:
    first, second = (contents(report) for report in replayed)
    for table in TABLES:
        assert first[table]
        assert repr(first[table]) == repr(second[table])  # NaN too
    assert replayed[0].page_path.read_bytes() == replayed[1].page_path.read_bytes()
    a, b = (replace(r, history_path=Path(), page_path=Path(), seconds=0) for r in replayed)
    assert repr(a) == repr(b)


def test_cash_and_positions_are_the_fold_of_the_fills_and_dividends(
    replayed: tuple[ReplayReport, ReplayReport],
) -> None:
    history = History(replayed[0].history_path)
    (paid,) = history.query("SELECT sum(side * qty * price) AS usd FROM fills").to_pylist()
    (last,) = history.query("SELECT * FROM equity ORDER BY at_ns DESC LIMIT 1").to_pylist()
    held = history.query(
        "SELECT symbol, sum(side * qty) AS qty FROM fills GROUP BY symbol HAVING qty <> 0 ORDER BY symbol"
    ).to_pylist()
    positions = history.query(
        "SELECT symbol, qty, market_value FROM positions WHERE tick_ns = ? ORDER BY symbol", [last["tick_ns"]]
    ).to_pylist()
    assert held
    assert held == [{"symbol": row["symbol"], "qty": row["qty"]} for row in positions]
    dividends = last["cash"] - (100_000 - paid["usd"])
    assert 0 < dividends < 500  # IBM and MSFT pay each quarter
    assert last["equity"] == pytest.approx(last["cash"] + sum(row["market_value"] for row in positions))


def test_the_page_stands_alone_and_shows_each_part(replayed: tuple[ReplayReport, ReplayReport]) -> None:
    report = replayed[0]
    page = report.page_path.read_text()
    links = set(re.findall(r"""(?:src|href)\s*=\s*["']([^"'#]+)""", page))
    assert links == set()
    assert "<script" not in page
    assert page.count("<svg") == 1
    for part in ("Equity, drawdown and exposure", "Monthly returns", "Verdicts by code", "Limits by session"):
        assert part in page
    months = [f"{100 * change:.2f}" for _, _, change in report.monthly_returns()]
    assert len(months) == 6
    for month in months:
        assert f">{month}</td>" in page
    for code, count in report.verdict_codes.items():
        assert f"<td>{code}</td><td>{count}</td>" in page
    assert "(derived)" not in page


def test_of_thousands_of_symbols_the_page_names_ten_and_folds_the_rest_behind_the_figures(
    replayed: tuple[ReplayReport, ReplayReport], tmp_path: Path
) -> None:
    symbols = tuple(f"S{number:04d}" for number in range(7000))
    missing = {symbol: number % 40 + 1 for number, symbol in enumerate(symbols)}
    broad = replace(replayed[0], symbols=symbols, missing_bars=missing)
    text = write_page(broad, limits_of(Settings(), broad.spec), tmp_path).read_text()
    before, _, after = text.partition("<h2>Figures")
    assert "7,000 symbols on" in before
    assert not re.search(r"\bS\d{4}\b", before)
    shown, _, folded = after.partition("<details>")
    assert re.findall(r"\b(S\d{4}) (\d+)", shown) == [(f"S{39 + 40 * n:04d}", "40") for n in range(10)]
    assert folded.partition("</details>")[0].count("<tr>") == 7001
    assert "<details>" not in write_page(replayed[0], limits_of(Settings(), broad.spec), tmp_path).read_text()


def test_the_page_shows_no_secret_whatever_it_is_made_of(
    replayed: tuple[ReplayReport, ReplayReport], tmp_path: Path
) -> None:
    limits = limits_of(Settings(), ReplaySpec(*HALF_A_YEAR, ExternalSignals(Path("x")), name="twice"))
    assert "twice" in write_page(replayed[0], limits, tmp_path).read_text()
    redaction.hide("twice")
    try:
        page = write_page(replayed[0], limits, tmp_path).read_text()
    finally:
        redaction.forget()
    assert "twice" not in page
    assert "[redacted]" in page


def test_months_and_sessions_compound_to_the_whole_return(
    replayed: tuple[ReplayReport, ReplayReport],
) -> None:
    report = replayed[0]
    months, sessions = 1.0, 1.0
    for _, _, change in report.monthly_returns():
        months *= 1 + change
    for result in report.sessions:
        sessions *= 1 + result.change
    assert months - 1 == pytest.approx(report.figures.total_return)
    assert sessions - 1 == pytest.approx(report.figures.total_return)


def test_figures_on_derived_minutes_say_so(tmp_path: Path) -> None:
    day = date(2012, 9, 11)
    spec = ReplaySpec(day, day, HandmadeBars(tmp_path).spec(1).source, interval=60)
    report = run(Settings(data_dir=tmp_path), spec)
    page = report.page_path.read_text()
    assert report.derived
    for headed in ("Figures (derived)", "Monthly returns (derived)", "exposure (derived)"):
        assert headed in page


@pytest.mark.slow
def test_sessions_that_the_model_was_trained_on_are_called_so(
    tmp_path: Path, small_model: ModelSignals, replayed: tuple[ReplayReport, ReplayReport]
) -> None:
    spec = ReplaySpec(date(2010, 12, 1), date(2011, 1, 31), small_model)
    report = run(Settings(data_dir=tmp_path), spec)
    assert report.trained_through == date(2010, 12, 31)
    assert report.in_sample == 22
    assert "trained on 22 of these sessions" in report.page_path.read_text()
    assert replayed[0].in_sample == 0
    assert "trained on" not in replayed[0].page_path.read_text()


def test_recorded_minutes_are_not_called_derived(bars: HandmadeBars) -> None:
    bars.plant_daily("AAPL", [(100.0, 100.0)])
    bars.plant_minutes("AAPL", bars.days[0], [100.0])
    assert not bars.replay(1, interval=30).derived


def test_a_replay_that_fails_leaves_the_earlier_one_as_it_was(bars: HandmadeBars) -> None:
    bars.plant_daily("AAPL", [(100.0, 100.0)] * 3)
    earlier = bars.replay(3, ExternalSignal("AAPL", 1.0, bars.days[0]))
    files = {path: path.read_bytes() for path in (earlier.history_path, earlier.page_path)}

    class Interrupted(Exception):
        pass

    def stop(pace: ReplayPace) -> None:
        if pace.done == 2:
            raise Interrupted

    with pytest.raises(Interrupted):
        run(bars.settings, bars.spec(3, name="test"), progress=stop)
    with pytest.raises(InvalidInput):
        bars.replay(3, ExternalSignal("AAPL", nan, bars.days[0]))
    directory = earlier.history_path.parent
    shown = (path for path in directory.iterdir() if not path.name.startswith("."))
    assert {path: path.read_bytes() for path in shown} == files


@pytest.mark.slow
def test_a_replay_done_again_takes_the_place_of_the_earlier_one(bars: HandmadeBars) -> None:
    bars.plant_daily("AAPL", [(100.0, 100.0)] * 3)
    bars.replay(3, ExternalSignal("AAPL", 1.0, bars.days[0]))
    report = bars.replay(2)
    assert History(report.history_path).query("SELECT count(*) AS n FROM fills").to_pylist() == [{"n": 0}]
    assert len(contents(report)["equity"]) == 4


def test_the_files_are_private(bars: HandmadeBars) -> None:
    bars.plant_daily("AAPL", [(100.0, 100.0)])
    report = bars.replay(1)
    for path in (report.history_path, report.page_path):
        assert path.stat().st_mode & 0o077 == 0


def test_progress_is_told_after_each_session(bars: HandmadeBars) -> None:
    bars.plant_daily("AAPL", [(100.0, 100.0)] * 3)
    paces: list[ReplayPace] = []
    run(bars.settings, bars.spec(3), progress=paces.append)
    assert [(pace.done, pace.sessions) for pace in paces] == [(1, 3), (2, 3), (3, 3)]
    assert all(pace.rows_per_second > 0 for pace in paces)
    assert paces[0].seconds_left > paces[-1].seconds_left == 0


def test_a_range_without_a_session_is_refused(bars: HandmadeBars) -> None:
    spec = replace(bars.spec(1), first=date(2012, 9, 15), last=date(2012, 9, 16), name="weekend")
    with pytest.raises(InvalidInput, match="no tick"):
        run(bars.settings, spec)
