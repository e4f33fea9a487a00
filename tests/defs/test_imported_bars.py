"""The asset `imported_bars` through real Dagster runs: what was left out and what is stored, by rule."""

from __future__ import annotations

from datetime import date
from pathlib import Path

import dagster as dg
import pytest

from trading_assets import config
from trading_assets.definitions import build_definitions
from trading_assets.defs.imported_bars.sensors import bars_imported
from trading_assets.engine.market_data.bars import import_files
from trading_assets.engine.market_data.imported_bars import FilesInOrder
from trading_assets.market.bar_files.reading import read_bars
from trading_assets.market.bars import Interval
from trading_assets.market.quarantine.rules import RULES, OnDefect
from trading_assets.market.sessions import Sessions
from trading_assets.store.history import History

DAYS = Sessions().between(date(2016, 1, 4), date(2016, 6, 30))


@pytest.fixture
def history(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> History:
    path = tmp_path / "config" / "execution.yaml"
    path.parent.mkdir()
    # nothing listens there: judging reaches for no broker
    path.write_text("embedded: {url: 'http://127.0.0.1:9', control_url: 'http://127.0.0.1:9'}\n")
    monkeypatch.setenv(config.CONFIG_VARIABLE, str(path))
    return History(config.load(path).data_dir / "history.duckdb")


def take(history: History, path: Path, first: int, last: int, price: float, *, bad: int = -1) -> None:
    rows = []
    for number in range(first, last):
        usd = (100.0 + number % 7 / 5.0) * price * (100.0 if number == bad else 1.0)
        rows.append(f"{DAYS[number]},AAPL,{usd},{usd * 1.01},{usd * 0.99},{usd},{1000 + number % 5}")
    path.write_text("date,symbol,open,high,low,close,volume\n" + "\n".join(rows) + "\n")
    file = FilesInOrder(history, Interval.DAY, OnDefect.QUARANTINE).judged(read_bars(path, Interval.DAY))
    history.path.parent.mkdir(exist_ok=True)
    import_files(history, [(f"file:{path.name}", file)], received_ns=None)


@pytest.mark.slow(seconds=8)
def test_a_check_for_each_rule_shows_what_was_left_out_and_what_is_stored(
    history: History, tmp_path: Path
) -> None:
    take(history, tmp_path / "late.csv", 60, 120, 0.5, bad=90)
    take(history, tmp_path / "early.csv", 0, 58, 1.0)
    with dg.DagsterInstance.local_temp(str(tmp_path)) as instance:
        result = build_definitions().resolve_job_def("judge_bars").execute_in_process(instance=instance)
    assert result.success
    checks = {findings.check_name: findings for findings in result.get_asset_check_evaluations()}
    assert checks.keys() == {rule.name.lower() for rule in RULES}
    failed = {name: findings.severity for name, findings in checks.items() if not findings.passed}
    assert failed == {
        "jump": dg.AssetCheckSeverity.WARN,  # left out of its file
        "unexplained_split": dg.AssetCheckSeverity.ERROR,  # stored: the older file came later
        "missing_sessions": dg.AssetCheckSeverity.WARN,
    }
    assert (checks["jump"].metadata["left_out"].value, checks["jump"].metadata["stored"].value) == (1, 0)
    findings = checks["unexplained_split"].metadata["found"]
    assert isinstance(findings, dg.TableMetadataValue)
    (record,) = findings.records
    assert (record.data["symbol"], record.data["session"]) == ("AAPL", DAYS[60].isoformat())
    assert record.data["where"] == "stored"
    left_out = checks["jump"].metadata["found"]
    assert isinstance(left_out, dg.TableMetadataValue)
    (jump,) = left_out.records
    assert (jump.data["session"], jump.data["where"]) == (DAYS[90].isoformat(), "file:late.csv row 32")
    metadata = result.asset_materializations_for_node("imported_bars")[0].metadata
    assert (metadata["bars"].value, metadata["symbols"].value) == (58 + 59, 1)


def test_bars_are_judged_once_after_each_import(history: History, tmp_path: Path) -> None:
    def evaluated(cursor: str | None) -> dg.SensorResult | dg.SkipReason:
        with dg.build_sensor_context(cursor=cursor) as context:
            findings = bars_imported(context)
        assert isinstance(findings, dg.SensorResult | dg.SkipReason)
        return findings

    assert isinstance(evaluated(None), dg.SkipReason)
    take(history, tmp_path / "a.csv", 0, 20, 1.0)
    first = evaluated(None)
    assert isinstance(first, dg.SensorResult)
    assert first.run_requests is not None
    assert len(first.run_requests) == 1
    assert isinstance(evaluated(first.cursor), dg.SkipReason)
    take(history, tmp_path / "b.csv", 20, 40, 1.0)
    second = evaluated(first.cursor)
    assert isinstance(second, dg.SensorResult)
    assert second.run_requests is not None
    assert second.run_requests[0].run_key != first.run_requests[0].run_key
