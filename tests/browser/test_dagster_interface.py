"""Dagster's interface on the running desk: what its pages send by GraphQL, and what a browser shows of it.

One `up` for all. Time stands, since the schedule is off; the tests move it. With TRADING_ASSETS_SCREENSHOTS
set to a directory the pictures of the documentation are taken into it.
"""

from __future__ import annotations

import json
import os
import tempfile
from collections.abc import Iterator
from datetime import date
from pathlib import Path
from typing import Any, NamedTuple

import pytest
import requests
from chromium import Page, browsing
from support.running_desk import BOOK, REPOSITORY, RunningDesk, free_ports, start

from trading_assets.config import key_pair
from trading_assets.definitions import defs
from trading_assets.market.sessions import Sessions
from trading_assets.store.history import History
from trading_assets.store.journal import Journal
from trading_assets.up import FIRST_SESSION

pytestmark = pytest.mark.slow  # and in order: they build on each other
SESSION = FIRST_SESSION.isoformat()
TICKS = Sessions().ticks(FIRST_SESSION, 30)
DAY_BEFORE = "2012-09-10"
GROUPS = {
    "desk": ["bars", "features", "signals", "gated_orders", "fills", "reconciled_positions"],
    "replay": ["replay"],
    "sources": [
        *("bar_history", "broker_account", "broker_feed", "bundled_bars", "imported_files", "signal_inbox")
    ],
    "training": ["training_bars", "training_features", "model", "champion_model"],
}
RANGE = [day.isoformat() for day in Sessions().between(date(2012, 1, 3), date(2012, 3, 30))]
TRADED = [day.isoformat() for day in Sessions().between(date(2012, 7, 16), FIRST_SESSION)]
LARGEST_PICTURE = 250_000

_BACKFILL = """mutation($params: LaunchBackfillParams!) { launchPartitionBackfill(backfillParams: $params) {
  __typename ... on LaunchBackfillSuccess { backfillId } ... on PythonError { message } } }"""
_BACKFILL_STATE = """query($id: String!) { partitionBackfillOrError(backfillId: $id) {
  ... on PartitionBackfill { status numPartitions runs(limit: 10) { runId status } } } }"""
_ADD = """mutation($repository: RepositorySelector!, $key: String!) { addDynamicPartition(
  repositorySelector: $repository, partitionsDefName: "live_sessions", partitionKey: $key) { __typename
  ... on PythonError { message } } }"""
_RUN = """query($id: ID!) { runOrError(runId: $id) { ... on Run { status tags { key value }
  eventConnection { events { ... on ExecutionStepFailureEvent { stepKey error { message } } } } } } }"""
_SENSOR = """query($sensor: SensorSelector!) { sensorOrError(sensorSelector: $sensor) { ... on Sensor {
  sensorState { status ticks(limit: 20) { status runIds } } } } }"""
_DRY_RUN = """mutation($sensor: SensorSelector!) { sensorDryRun(selectorData: $sensor, cursor: null) {
  __typename ... on DryRunInstigationTick { evaluationResult { skipReason error { message } } } } }"""


class Run(NamedTuple):
    status: str
    tags: dict[str, str]
    failures: dict[str, str]  # message by step


@pytest.fixture(scope="module")
def desk() -> Iterator[RunningDesk]:
    with tempfile.TemporaryDirectory(prefix="desk-") as home:  # pictures show its path: a short one
        desk = start(Path(home), ports=free_ports(3))
        try:
            while not desk.next_line().startswith("Ready."):
                assert desk.process.poll() is None, desk.logs()
            with desk.keeper() as keeper:
                keeper.move_to(TICKS[0])
            yield desk
        finally:
            desk.end()


@pytest.fixture(scope="module", autouse=True)
def backfills(desk: RunningDesk) -> dict[str, str]:
    """The ids of both, requested before anything else: the daemon looks at backfills every half minute."""
    signals = desk.data_dir / "imports" / "signals.csv"
    signals.parent.mkdir()
    rows = [f"{symbol},1,{day}" for day in RANGE[::5] for symbol in ("AAPL", "GOOG", "IBM", "MSFT")]
    signals.write_text("\n".join(["symbol,value,session", *rows]))
    config = {"name": "quarter", "source": "external", "signals_path": signals.name}
    for day in TRADED:
        added = desk.graphql(_ADD, repository=REPOSITORY, key=day)["addDynamicPartition"]
        assert added["__typename"] in ("AddDynamicPartitionSuccess", "DuplicateDynamicPartitionError"), added
    return {
        "live": backfill(desk, [[name] for name in GROUPS["desk"]], TRADED),
        "replay": backfill(
            desk, [["replay", "replay"]], RANGE, {"ops": {"replay__replay": {"config": config}}}
        ),
    }


@pytest.fixture(scope="module")
def page(desk: RunningDesk, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Page]:
    with browsing(tmp_path_factory.mktemp("profile")) as page:
        page.open(f"{desk.url}/runs")
        page.sees(f"the link in the file {desk.home / 'dagster_home' / 'web_link'}")
        page.open(desk.link)
        page.sees("Overview")
        assert "token" not in page.evaluate("location.href + document.cookie")
        yield page


@pytest.fixture(scope="module")
def pictures(tmp_path_factory: pytest.TempPathFactory) -> Path:
    wanted = os.environ.get("TRADING_ASSETS_SCREENSHOTS")
    return Path(wanted) if wanted else tmp_path_factory.mktemp("pictures")


def backfill(
    desk: RunningDesk, assets: list[list[str]], partitions: list[str], config: object | None = None
) -> str:
    """Launch one as an asset's page does; returns its id."""
    params = {
        "assetSelection": [{"path": path} for path in assets],
        "partitionNames": partitions,
        "fromFailure": False,
        "tags": [{"key": "dagster/from_ui", "value": "true"}],
        **({} if config is None else {"runConfigData": json.dumps(config)}),
    }
    launched = desk.graphql(_BACKFILL, params=params)["launchPartitionBackfill"]
    assert launched["__typename"] == "LaunchBackfillSuccess", launched
    return str(launched["backfillId"])


def backfill_state(desk: RunningDesk, identity: str) -> dict[str, Any]:
    return dict(desk.graphql(_BACKFILL_STATE, id=identity)["partitionBackfillOrError"])


def ended_backfill(desk: RunningDesk, identity: str) -> dict[str, Any]:
    desk.wait(
        f"the end of backfill {identity}",
        lambda: backfill_state(desk, identity)["status"].startswith("COMPLETED"),
    )
    return backfill_state(desk, identity)


def ended_run(desk: RunningDesk, identity: str) -> Run:
    def has_ended() -> dict[str, Any]:
        return dict(desk.graphql(_RUN, id=identity)["runOrError"])

    desk.wait(f"the end of run {identity}", lambda: has_ended()["status"] in ("SUCCESS", "FAILURE"))
    run = has_ended()
    events = run["eventConnection"]["events"]
    return Run(
        run["status"],
        {tag["key"]: tag["value"] for tag in run["tags"]},
        {event["stepKey"]: event["error"]["message"] for event in events if event},
    )


def at_the_broker(desk: RunningDesk) -> list[str]:
    """The symbols of all orders that the exchange has ever taken."""
    response = exchange(desk, "GET", "orders?status=all")
    return sorted(order["symbol"] for order in response)


def exchange(desk: RunningDesk, method: str, path: str, **body: str) -> Any:
    """A person's request to the exchange, past the desk."""
    pair = key_pair(desk.data_dir / "exchange")
    response = requests.request(
        method,
        f"http://127.0.0.1:{desk.ports[1]}/v2/{path}",
        headers={"APCA-API-KEY-ID": pair.key_id, "APCA-API-SECRET-KEY": pair.secret},
        json=body or None,
        timeout=30,
    )
    assert response.ok, response.text
    return response.json()


def take(page: Page, path: Path) -> None:
    page.screenshot(path)
    assert path.stat().st_size < LARGEST_PICTURE


@pytest.mark.browser
def test_the_asset_graph_shows_the_groups_with_their_assets(
    desk: RunningDesk, page: Page, pictures: Path
) -> None:
    page.resize(2600, 1750, 0.55)  # narrower, the names are shortened
    page.open(f"{desk.url}/runs")
    page.click("Lineage")
    page.sees(*(f"{group}\n{len(names)}" for group, names in GROUPS.items()))
    expanded = ",".join(f"global@global:{group}" for group in GROUPS)
    page.open(f"{desk.url}/asset-groups?expanded={expanded}")
    page.sees("desk", "gated_orders", "training_features", "model")
    take(page, pictures / "lineage.png")


@pytest.mark.browser
@pytest.mark.parametrize("group", GROUPS)
def test_a_groups_page_shows_its_assets_what_adjoins_them_and_no_others(
    desk: RunningDesk, page: Page, group: str
) -> None:
    page.open(f"{desk.url}/locations/trading_assets/asset-groups/{group}/lineage")
    page.sees("Asset Group in", *GROUPS[group])
    graph = defs.resolve_asset_graph()
    nodes = [node for node in graph.asset_nodes if node.group_name == group]
    adjoining = {key.path[-1] for node in nodes for key in (*node.parent_keys, *node.child_keys)}
    others = {name for names in GROUPS.values() for name in names} - {*GROUPS[group]} - adjoining
    shown = {line.strip() for line in page.text().splitlines()}
    assert not shown & others


def test_a_sensor_evaluated_by_the_daemon_launches_a_run(desk: RunningDesk) -> None:
    sensor = {**REPOSITORY, "sensorName": "protection"}

    def launched() -> list[str]:
        state = desk.graphql(_SENSOR, sensor=sensor)["sensorOrError"]["sensorState"]
        assert state["status"] == "RUNNING"
        return [run for tick in state["ticks"] if tick["status"] == "SUCCESS" for run in tick["runIds"]]

    desk.wait("a run of the sensor", launched)
    run = ended_run(desk, launched()[-1])
    assert run.status == "SUCCESS"
    assert run.tags["dagster/sensor_name"] == "protection"


def test_a_sensor_evaluated_from_its_page_says_why_it_requests_nothing(desk: RunningDesk) -> None:
    sensor = {**REPOSITORY, "sensorName": "virtual_clock"}
    (tick,) = desk.graphql(_DRY_RUN, sensor=sensor).values()
    assert tick["__typename"] == "DryRunInstigationTick", tick
    assert "the schedule trading_hours is off" in tick["evaluationResult"]["skipReason"]


def test_a_range_and_any_other_partition_of_the_live_assets_are_refused(desk: RunningDesk) -> None:
    edges = {f"dagster/asset_partition_range_{edge}": SESSION for edge in ("start", "end")}
    range_run = desk.launch("trading_tick", tags=edges)
    other_run = desk.launch("trading_tick", tags={"dagster/partition": DAY_BEFORE})
    refused = ended_run(desk, range_run)
    assert refused.status == "FAILURE"
    assert "a backfill or a range of partitions cannot reach a broker" in refused.failures["bars"]
    refused = ended_run(desk, other_run)
    assert refused.status == "FAILURE"
    assert f"no partition but the current session {SESSION}" in refused.failures["bars"]


def test_a_backfill_of_live_assets_fails_and_nothing_reaches_the_broker(
    desk: RunningDesk, backfills: dict[str, str]
) -> None:
    def runs() -> list[dict[str, str]]:
        return list(backfill_state(desk, backfills["live"])["runs"])

    assert len(TRADED) == 41
    assert TRADED[-2:] == [DAY_BEFORE, SESSION]
    desk.wait("its run", lambda: [run["status"] for run in runs()] == ["FAILURE"])
    (run,) = runs()
    failures = ended_run(desk, run["runId"]).failures
    assert list(failures) == ["bars"]
    assert "a backfill or a range of partitions cannot reach a broker" in failures["bars"]
    assert at_the_broker(desk) == []
    with Journal.open(desk.data_dir / "journal.sqlite") as journal:
        assert not journal.orders(BOOK)
        assert not journal.verdicts(BOOK)


def test_a_launch_of_the_current_session_trades(desk: RunningDesk) -> None:
    part = desk.data_dir / "inbox" / "mine.part"
    part.write_text("symbol,value\nAAPL,0.5\nMSFT,0.6\n")
    part.rename(part.with_suffix(".csv"))
    archive = desk.data_dir / "inbox" / "archive"
    desk.wait("the inbox", lambda: list(archive.glob("*mine.csv")))
    config = {"execution": {"config": {"retries": {"disabled": {}}}}}
    run = ended_run(desk, desk.launch("trading_tick", config, tags={"dagster/partition": SESSION}))
    assert (run.status, run.failures) == ("SUCCESS", {})
    assert at_the_broker(desk) == ["AAPL", "MSFT"]
    with Journal.open(desk.data_dir / "journal.sqlite") as journal:
        assert {order.state for order in journal.orders(BOOK)} == {"FILLED"}


@pytest.mark.browser
def test_the_positions_are_on_the_page_of_their_asset(desk: RunningDesk, page: Page, pictures: Path) -> None:
    page.resize(1400, 960)
    page.open(f"{desk.url}/assets/reconciled_positions")
    page.sees("2012-09-11 10:00:00 EDT", "AAPL", "MSFT", "Latest check results")
    take(page, pictures / "reconciled_positions.png")


def test_a_backfill_of_the_replay_is_one_run_and_leaves_history_and_report(
    desk: RunningDesk, backfills: dict[str, str]
) -> None:
    ended = ended_backfill(desk, backfills["replay"])
    assert ended["status"] == "COMPLETED_SUCCESS"
    assert ended["numPartitions"] == len(RANGE)
    assert [run["status"] for run in ended["runs"]] == ["SUCCESS"]
    replays = desk.data_dir / "replays"
    sessions = History(replays / "quarter.duckdb").query("SELECT DISTINCT session FROM equity ORDER BY 1")
    assert [row["session"].isoformat() for row in sessions.to_pylist()] == RANGE
    assert (replays / "quarter.html").read_text().startswith("<!doctype html>")
    assert ended_backfill(desk, backfills["live"])["status"] == "COMPLETED_FAILED"


@pytest.mark.browser
def test_the_replays_page_shows_its_figures_and_its_report_opens(
    desk: RunningDesk, page: Page, pictures: Path
) -> None:
    page.resize(1400, 1150)
    page.open(f"{desk.url}/assets/replay/replay")
    page.sees("replay:quarter", "quarter.html", "closing_equity_usd", RANGE[0], RANGE[-1])
    page.sees("Latest check results")
    take(page, pictures / "replay.png")
    page.resize(1100, 900)
    page.open((desk.data_dir / "replays" / "quarter.html").as_uri())
    page.sees("Replay quarter", f"{len(RANGE)} sessions from {RANGE[0]} to {RANGE[-1]}", "Monthly returns")
    take(page, pictures / "replay_report.png")


@pytest.mark.browser
def test_a_tick_launched_by_clicking_is_seen_to_succeed(
    desk: RunningDesk, page: Page, pictures: Path
) -> None:
    exchange(desk, "POST", "orders", symbol="IBM", qty="30", side="buy", type="market", time_in_force="day")
    with desk.keeper() as keeper:
        keeper.move_to(TICKS[1])
    page.resize(1400, 900)
    page.open(f"{desk.url}/locations/trading_assets/jobs/trading_tick?partition={SESSION}")
    page.click("Materialize all…", "button")
    page.sees("1 partition", "Launch 1 run")
    take(page, pictures / "launch.png")
    page.click("Launch 1 run", "button")
    page.click("View")
    page.sees("Run of")
    run = ended_run(desk, str(page.evaluate("location.pathname")).rpartition("/")[2])
    assert (run.status, run.tags["dagster/partition"]) == ("SUCCESS", SESSION)
    assert run.tags["dagster/from_ui"] == "true"
    page.sees("trading_tick", "RUN_SUCCESS", "Success")
    take(page, pictures / "run.png")


@pytest.mark.browser
def test_a_check_that_a_persons_order_fails_is_shown_as_failed(
    desk: RunningDesk, page: Page, pictures: Path
) -> None:
    page.open(f"{desk.url}/assets/reconciled_positions?view=checks")
    page.click("position_limit")
    page.sees("position_limit\nFailed", "gross_exposure\nSucceeded", "Evaluation result\nFailed", "IBM")
    take(page, pictures / "failed_check.png")
    page.resize(2000, 900)
    page.open(f"{desk.url}/locations/trading_assets/asset-groups/desk/lineage")
    page.sees("13 / 14 Passed", "21 / 21 Passed")


@pytest.mark.browser
def test_the_runs_are_listed_with_what_launched_them(desk: RunningDesk, page: Page, pictures: Path) -> None:
    page.resize(1400, 900)
    page.open(f"{desk.url}/runs")
    page.sees("trading_tick", "reconcile", "protection", "Manually launched", "Success", "Failure")
    take(page, pictures / "runs.png")
