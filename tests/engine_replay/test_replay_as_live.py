"""A session traded tick by tick through Dagster on the embedded exchange, and the same session replayed:
the same verdicts, orders and fills, bit for bit."""

from __future__ import annotations

import shutil
from datetime import date
from pathlib import Path

import dagster as dg
import pytest
from support.trading_floor import trading_floor

from trading_assets import config
from trading_assets.definitions import build_definitions
from trading_assets.engine.reconciliation.reconcile import reconcile
from trading_assets.engine.records.verify import verify
from trading_assets.engine.replay import ExternalSignal, ExternalSignals, ReplaySpec, run
from trading_assets.engine.signals.tick_signals import receive
from trading_assets.runs.lanes import tick_tags
from trading_assets.runs.partitions import come_to
from trading_assets.store.history import History

pytestmark = [pytest.mark.exchange, pytest.mark.slow]
SESSION = date(2012, 7, 3)  # a half day: six ticks
INSTANCE = Path(__file__).parents[2] / "dagster_home" / "dagster.yaml"
# By tick: buys, one below the threshold, more of one, an exit beside a buy and two opinions of one stamp,
# more buys than an execution may send, what is refused.
SIGNALS: tuple[tuple[tuple[str, float], ...], ...] = (
    (("AAPL", 0.5), ("MSFT", 0.9), ("IBM", 0.05)),
    (("AAPL", 1.0), ("GOOG", 1.0)),
    (("MSFT", -0.6), ("IBM", -0.3), ("IBM", 0.3), ("AAPL", 0.2), ("GOOG", 1.0), ("GOOG", 0.4)),
    (),
    (("AAPL", 0.9), ("GOOG", -1.0), ("IBM", 1.0), ("MSFT", 1.0)),
    (("AAPL", -1.0), ("FB", 0.5)),
)
SENT_AT_MOST = 3
SUPERSEDED = (
    "SELECT symbol, value, as_of_ns FROM signals WHERE session = ? AND outcome = 'SUPERSEDED' ORDER BY ALL"
)
VERDICTS = """
SELECT tick_ns, at_ns, symbol, side, qty, limit_price, reducing, code, "check",
    measured + 0.0 AS measured, "limit", failed  -- DuckDB keeps no sign of a zero
FROM verdicts WHERE session = ? ORDER BY tick_ns, reducing DESC, symbol, side, "check", code
"""
ORDERS = """
SELECT tick_ns, kind, symbol, side, slice, attempt, qty, limit_price, reducing, state, filled_qty, created_ns
FROM orders WHERE session = ? ORDER BY created_ns, symbol, side, slice
"""
FILLS = """
SELECT tick_ns, symbol, side, qty, price, cum_qty, at_ns FROM fills WHERE session = ?
ORDER BY at_ns, symbol, side, qty
"""


def rows(history: History, sql: str) -> list[str]:
    """As text: NaN is NaN, and a bit more or less is another text."""
    return [repr(row) for row in history.query(sql, [SESSION]).to_pylist()]


def test_a_session_traded_through_dagster_and_replayed_has_the_same_verdicts_orders_and_fills(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    home = tmp_path / "dagster_home"
    home.mkdir()
    shutil.copy(INSTANCE, home)
    monkeypatch.setenv("DAGSTER_HOME", str(home))
    sent = []
    with trading_floor(
        tmp_path, SESSION, data_dir=str(tmp_path / "desk"), max_orders_per_execution=SENT_AT_MOST
    ) as floor:
        monkeypatch.setenv(config.CONFIG_VARIABLE, str(floor.config_path))
        settings = config.load(floor.config_path)
        definitions = build_definitions()
        with dg.DagsterInstance.get() as instance:
            come_to(instance, SESSION.isoformat())
            for number, values in enumerate(SIGNALS):
                tick_ns = floor.go_to_session(SESSION, number)
                with floor.desk() as desk:
                    if number == 0:
                        reconcile(desk)
                    for place, (symbol, value) in enumerate(values):
                        receive(desk, symbol, value, source=f"producer {place}")
                sent += [ExternalSignal(symbol, value, tick_ns) for symbol, value in values]
                traded = definitions.resolve_job_def("trading_tick").execute_in_process(
                    instance=instance, partition_key=SESSION.isoformat(), tags=tick_tags(tick_ns)
                )
                assert traded.success
        with floor.desk() as desk:
            verified = verify(desk.journal, desk.history, desk.book, SESSION)
    assert verified.identical, verified.differences
    spec = ReplaySpec(
        SESSION,
        SESSION,
        ExternalSignals(tuple(sent)),
        name="as-live",
        settlement=True,  # the embedded exchange's account has multiplier 1
        sale_fees=False,  # and charges none
        interval=settings.tick_minutes,
        limits={"stale_quote_seconds": config.limits(settings).stale_quote_seconds},
    )
    report = run(settings, spec)
    live, replayed = History(tmp_path / "desk" / "history.duckdb"), History(report.history_path)
    assert len(rows(live, SUPERSEDED)) == 2
    for sql in (VERDICTS, ORDERS, FILLS, SUPERSEDED):
        assert rows(replayed, sql) == rows(live, sql)
    fills = live.query(FILLS, [SESSION]).to_pylist()
    assert {fill["side"] for fill in fills} == {-1, 1}
    assert len(fills) > 6
    late = "SELECT symbol FROM verdicts WHERE code = 'EXECUTION_ORDER_COUNT' AND failed ORDER BY tick_ns"
    assert live.query(late)["symbol"].to_pylist() == ["IBM", "AAPL"]  # the weakest that wanted to buy
