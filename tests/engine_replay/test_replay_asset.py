"""The asset `replay` through Dagster: a range as one run, its checks, what it shows, how long it takes."""

from __future__ import annotations

import re
import shutil
import time
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import date
from pathlib import Path
from typing import Any

import dagster as dg
import duckdb
import pytest
import yaml

from trading_assets.config import CONFIG_VARIABLE
from trading_assets.definitions import build_definitions
from trading_assets.defs.replay import assets as assets_replay
from trading_assets.defs.replay.assets import replay
from trading_assets.engine.replay import ModelSignals
from trading_assets.engine.replay.limit_groups import DESCRIPTION
from trading_assets.market.sessions import Sessions
from trading_assets.store.history import History

INSTANCE = Path(__file__).parents[2] / "dagster_home" / "dagster.yaml"
LONGEST_SECONDS = 30.0


@dataclass(frozen=True)
class Place:
    """An instance configured as the committed one, and a desk's configuration."""

    root: Path
    instance: dg.DagsterInstance
    definitions: dg.Definitions

    def run(self, first: str, last: str, **config: Any) -> dg.ExecuteInProcessResult:
        return self.definitions.resolve_job_def("replay").execute_in_process(
            instance=self.instance,
            tags={
                "dagster/asset_partition_range_start": first,
                "dagster/asset_partition_range_end": last,
            },
            run_config={"ops": {"replay__replay": {"config": config}}},
            raise_on_error=False,
        )

    def metadata(self, partition: str) -> dict[str, Any]:
        records = self.instance.fetch_materializations(
            dg.AssetRecordsFilter(asset_key=replay.key, asset_partitions=[partition]), limit=1
        ).records
        (event,) = (record.asset_materialization for record in records)
        assert event is not None
        return {name: entry.value for name, entry in event.metadata.items()}


@pytest.fixture
def place(tmp_path: Path, small_model: ModelSignals, monkeypatch: pytest.MonkeyPatch) -> Iterator[Place]:
    home = tmp_path / "dagster_home"
    home.mkdir()
    shutil.copy(INSTANCE, home)
    monkeypatch.setenv("DAGSTER_HOME", str(home))
    path = tmp_path / "execution.yaml"
    values = {
        "data_dir": str(tmp_path / "desk"),
        "import_dir": str(small_model.model_path.parents[1]),
        "model_path": str(small_model.model_path),
        "features_path": str(small_model.features_path),
    }
    path.write_text(yaml.safe_dump(values))
    monkeypatch.setenv(CONFIG_VARIABLE, str(path))
    definitions = build_definitions()
    with dg.DagsterInstance.get() as instance:
        yield Place(tmp_path, instance, definitions)


def evaluations(result: dg.ExecuteInProcessResult) -> dict[str, dg.AssetCheckEvaluation]:
    return {outcome.check_name: outcome for outcome in result.get_asset_check_evaluations()}


def test_the_asset_takes_a_range_in_one_run_in_the_replays_pool() -> None:
    spec = replay.specs_by_key[replay.key]
    assert replay.key == dg.AssetKey(["replay", "replay"])
    assert spec.group_name == "replay"
    assert replay.backfill_policy == dg.BackfillPolicy.single_run()
    job = build_definitions().resolve_job_def("replay")
    assert {pool for node in job.nodes for pool in node.definition.pools} == {"replay"}
    assert not {"desk"} & replay.required_resource_keys


def test_the_checks_are_few_and_without_partitions() -> None:
    graph = build_definitions().resolve_asset_graph()
    keys = {key for key in graph.asset_check_keys if key.asset_key == replay.key}
    assert {key.name for key in keys} == {str(group) for group in DESCRIPTION}
    assert all(graph.get(key).partitions_def is None for key in keys)
    assert len(keys) <= 4


def test_a_range_is_one_run_with_a_figure_for_each_session(place: Place) -> None:
    result = place.run("2012-07-02", "2012-07-13", name="july")
    assert result.success
    days = [day.isoformat() for day in Sessions().between(date(2012, 7, 2), date(2012, 7, 13))]
    materialized = [event.partition for event in result.get_asset_materialization_events()]
    assert materialized == days
    assert len(place.instance.get_runs()) == 1
    history = History(place.root / "desk" / "replays" / "july.duckdb")
    closes = history.query("SELECT session, equity FROM equity ORDER BY at_ns").to_pylist()
    for number, day in enumerate(days):
        metadata = place.metadata(day)
        assert metadata["equity_usd"] == closes[2 * number + 1]["equity"]
        assert metadata["history"] == str(history.path)
        assert Path(metadata["report"]).read_text().startswith("<!doctype html>")
    whole = place.metadata(days[-1])
    assert whole["sessions"] == len(days)
    assert whole["derived"] is False
    drawdowns = [place.metadata(day)["drawdown"] for day in days]  # numbers, which Dagster plots
    figures = {record.data["figure"]: record.data["value"] for record in whole["figures"].records}
    assert -min(drawdowns) == pytest.approx(figures["max drawdown"])
    outcome = evaluations(result)
    assert outcome.keys() == {str(group) for group in DESCRIPTION}
    assert outcome["limits"].passed
    assert outcome["limits"].metadata["sessions"].value == len(days)


@pytest.mark.slow(seconds=3)
def test_the_runs_log_says_how_far_it_is(place: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(assets_replay, "PROGRESS_EVERY", 4)
    result = place.run("2012-07-02", "2012-07-13", name="july")
    messages = [entry.user_message for entry in place.instance.all_logs(result.run_id)]
    paces = [
        re.fullmatch(r"(\d) of 9 sessions replayed, [\d,]+ rows/s, \d+ s left", line) for line in messages
    ]
    assert [pace[1] for pace in paces if pace] == ["4", "8", "9"]


@pytest.mark.slow(seconds=3)
def test_the_checks_name_the_failing_sessions(place: Place) -> None:
    signals = place.root / "desk" / "signals.csv"
    signals.parent.mkdir(exist_ok=True)
    signals.write_text("symbol,value,session\nAAPL,1,2008-09-26\n")
    result = place.run(
        "2008-09-26",
        "2008-10-03",
        name="crash",
        source="external",
        signals_path=str(signals),
        limits={"max_position_pct": 0.5},
        lifted_limits=["max_order_notional", "stop_loss"],
    )
    assert result.success  # a tripped breaker is no failure of the replay
    losses = evaluations(result)["losses"]
    assert not losses.passed
    assert losses.severity is dg.AssetCheckSeverity.ERROR
    assert "2008-09-29" in losses.metadata["failing_sessions"].value  # AAPL fell by 18 %
    assert "2008-09-26" not in losses.metadata["failing_sessions"].value
    assert "max_daily_loss" in str(losses.metadata["failures"].value)
    assert evaluations(result)["limits"].passed
    halts = place.metadata("2008-10-03")["halts"]
    assert "DAILY_LOSS" in {record.data["cause"] for record in halts.records}
    assert place.metadata("2008-09-29")["limits_failed"] == "session_drawdown, max_daily_loss"


@pytest.mark.slow(seconds=3)
def test_one_session_by_itself_and_intraday_ticks_that_say_derived(place: Place) -> None:
    result = place.definitions.resolve_job_def("replay").execute_in_process(
        instance=place.instance,
        partition_key="2012-07-03",
        run_config={"ops": {"replay__replay": {"config": {"interval": "30"}}}},
    )
    assert result.success
    metadata = place.metadata("2012-07-03")
    assert metadata["book"] == "replay:2012-07-03_2012-07-03"
    assert metadata["derived"] is True


@pytest.mark.slow(seconds=6)
@pytest.mark.parametrize(
    ("config", "why"),
    [
        ({"interval": "hourly"}, "interval"),
        ({"name": "../live"}, "name"),
        ({"source": "external"}, "without its file"),
        ({"limits": {"max_positions": 3.0}}, "max_positions"),
        ({"model_path": "nowhere/model.ubj"}, "nowhere"),
        ({"model_path": "/etc/passwd"}, "a launch may not name the file '/etc/passwd'"),
        ({"features_path": "../../etc/passwd"}, "a launch may not name the file"),
        ({"source": "external", "signals_path": "/etc/passwd"}, "a launch may not name the file"),
        ({"configuration": "/etc/hostname"}, "a launch may not name the file"),
    ],
)
def test_a_run_configuration_that_cannot_be_replayed_is_refused_with_its_reason(
    place: Place, config: dict[str, Any], why: str
) -> None:
    result = place.run("2012-07-02", "2012-07-03", **config)
    assert not result.success
    (failure,) = (e for e in result.get_step_failure_events() if e.step_key == "replay__replay")
    assert why in failure.step_failure_data.error_display_string
    assert not list((place.root / "desk").rglob("*.duckdb"))


def test_checks_before_any_replay_say_so(place: Place) -> None:
    job = place.definitions.resolve_job_def("replay")
    result = job.execute_in_process(
        instance=place.instance, op_selection=["check_replay"], raise_on_error=False
    )
    assert not result.success
    (failure,) = result.get_step_failure_events()
    assert "Nothing has been replayed yet" in failure.step_failure_data.error_display_string


def test_checks_open_no_database_that_somebody_has_reported_as_the_replays(
    place: Place, tmp_path: Path
) -> None:
    """A view in it may read any file of this user into what the checks show."""
    secret = tmp_path / "secret.txt"
    secret.write_text("APCA_API_SECRET_KEY=a-secret")
    evil = tmp_path / "evil.duckdb"
    History(evil).query("SELECT 1", [])
    with duckdb.connect(str(evil)) as database:
        database.execute("DROP TABLE checks")
        database.execute(
            "CREATE VIEW checks AS SELECT DATE '2012-07-02' AS session, 'limits.x' AS \"check\", "
            "content AS detail, false AS passed, 'evil' AS book, 'replay' AS asset "
            f"FROM read_text('{secret}')"
        )
    assert "a-secret" in str(History(evil).query("SELECT detail FROM checks", []).to_pylist())
    linked = place.root / "desk" / "var" / "evil.duckdb"
    linked.parent.mkdir(parents=True, exist_ok=True)
    linked.symlink_to(evil)
    for path in (evil, linked):
        reported = {"history": dg.MetadataValue.path(path), "book": "evil"}
        place.instance.report_runless_asset_event(dg.AssetMaterialization(replay.key, metadata=reported))
        result = place.definitions.resolve_job_def("replay").execute_in_process(
            instance=place.instance, op_selection=["check_replay"], raise_on_error=False
        )
        assert not result.success
        (failure,) = result.get_step_failure_events()
        assert "outside of the data directory" in failure.step_failure_data.error_display_string


@pytest.mark.slow
def test_two_years_of_the_model_trained_on_the_ten_before_replay_within_half_a_minute(
    place: Place, small_model: ModelSignals, capsys: pytest.CaptureFixture[str]
) -> None:
    train = place.definitions.resolve_job_def("train").execute_in_process(
        instance=place.instance, run_config={"ops": {"model": {"config": {"promote_because": "test"}}}}
    )
    assert train.success
    version = train.asset_materializations_for_node("model")[0].metadata["version"].value
    champion = small_model.model_path.parents[1] / "champion"
    began = time.monotonic()
    result = place.run(
        "2011-01-03",
        "2012-12-31",
        model_path=str(champion / "model.ubj"),
        features_path=str(champion / "features.json"),
    )
    seconds = time.monotonic() - began
    assert result.success
    whole = place.metadata("2012-12-31")
    with capsys.disabled():
        print(f"\n502 sessions, {whole['seconds']:.1f} s of replay, {seconds:.1f} s as a Dagster run")
    assert whole["sessions"] == 502
    assert whole["model_version"] == version
    assert len(result.get_asset_materialization_events()) == 502
    assert evaluations(result)["limits"].passed
    assert seconds < LONGEST_SECONDS
