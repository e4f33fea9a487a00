"""What the holder of the link, or a program of theirs, could report of the desk's assets without a run.

Each report succeeds against the stock webserver, so that the test shows a real attack; ours refuses it.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import dagster as dg
import pytest
from dagster_graphql.schema import create_schema
from interface import PAGE, Interface, interface

from trading_assets.web.guard import UNTAKEN_MUTATIONS, UNTAKEN_PATHS

REFUSED = "Events of assets come from runs"
POISON = {"evil": {"__class__": "no_such_class"}}
SHOWN = """{ assetOrError(assetKey: {path: ["fills"]}) { ... on Asset {
  assetMaterializations(limit: 5) { description } } } }"""
REPORT = """mutation($params: ReportRunlessAssetEventsParams!) {
  reportRunlessAssetEvents(eventParams: $params) { __typename } }"""
REPORT_CHECK = """mutation($params: ReportAssetCheckEvaluationsParams!) {
  reportAssetCheckEvaluations(eventParams: $params) { __typename } }"""
OF_FILLS = {"eventType": "ASSET_MATERIALIZATION", "assetKey": {"path": ["fills"]}, "description": "evil"}
OF_A_CHECK = {"assetKey": {"path": ["bars"]}, "checkName": "complete", "passed": True}
BY_GRAPHQL = [(REPORT, OF_FILLS), (REPORT_CHECK, OF_A_CHECK)]
BY_ADDRESS = [
    ("/report_asset_materialization/fills", {"description": "evil"}),
    ("/report_asset_observation/fills", {"description": "evil"}),
    ("/report_asset_check/bars", {"check_name": "complete", "passed": True}),
    ("/report_asset_materialization/?asset_key=fills", {}),
]


@pytest.fixture
def alone(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Interface]:
    """An interface whose events no other test sees."""
    home = tmp_path_factory.mktemp("claimed") / "dagster_home"
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("DAGSTER_HOME", str(home))
        with interface(home) as web:
            yield web


def stored(web: Interface) -> int:
    """Events of no run."""
    return len(web.instance.all_logs(""))


@pytest.mark.parametrize(("path", "body"), BY_ADDRESS)
def test_an_event_by_its_address_is_refused(web: Interface, path: str, body: dict[str, Any]) -> None:
    before = stored(web)
    assert web.client(web.stock).post(path, json=body).status_code == 200
    assert stored(web) == before + 1
    for headers in ({"Origin": PAGE}, {"Authorization": f"Bearer {web.token}"}):
        refused = web.client(web.ours, logged_in=True).post(path, json=body, headers=headers)
        assert refused.status_code == 403
        assert REFUSED in refused.text
    assert stored(web) == before + 1


@pytest.mark.parametrize(("query", "params"), BY_GRAPHQL)
def test_so_is_one_by_graphql_in_whatever_words(web: Interface, query: str, params: dict[str, Any]) -> None:
    name = next(name for name in UNTAKEN_MUTATIONS if name in query)
    body = query.partition("{")[2].rpartition("}")[0]
    spelled = [
        query,
        query.replace(name, f"a: {name}"),
        query.partition("{")[0] + "{ ...x } fragment x on Mutation {" + body + "}",
        query.replace("{\n ", "{ version: setNuxSeen "),
        "query Seen { version } " + query.replace("mutation", "mutation Do", 1),
    ]
    for one in spelled:
        payload = {
            "query": one,
            "variables": {"params": params},
            "operationName": "Do" if "Do" in one else None,
        }
        before = stored(web)
        taken = web.client(web.stock).post("/graphql", json=payload)
        assert "errors" not in taken.json(), one
        assert stored(web) == before + 1
        refused = web.client(web.ours, logged_in=True).post(
            "/graphql", json=payload, headers={"Origin": PAGE}
        )
        assert refused.status_code == 403
        assert REFUSED in refused.json()["errors"][0]["message"]
        escaped = json.dumps(payload).replace(name, "".join(f"\\u{ord(letter):04x}" for letter in name))
        sent = {"Origin": PAGE, "Content-Type": "application/json"}
        refused = web.client(web.ours, logged_in=True).post("/graphql", content=escaped, headers=sent)
        assert refused.status_code == 403
        assert stored(web) == before + 1


@pytest.mark.parametrize("name", sorted(UNTAKEN_MUTATIONS))
def test_what_is_not_taken_is_a_mutation_of_this_dagster(name: str) -> None:
    assert name in _mutations()


def test_every_mutation_of_this_dagster_is_known() -> None:
    """One that a later Dagster adds is looked at before it passes the guard."""
    operate = {
        *("launchPipelineExecution", "launchRun", "launchMultipleRuns", "launchPipelineReexecution"),
        *("launchRunReexecution", "terminatePipelineExecution", "terminateRun", "terminateRuns"),
        *("deletePipelineRun", "deleteRun", "wipeAssets"),
        *("startSchedule", "stopRunningSchedule", "resetSchedule", "scheduleDryRun"),
        *("startSensor", "stopSensor", "resetSensor", "setSensorCursor", "sensorDryRun"),
        *("reloadRepositoryLocation", "reloadWorkspace", "shutdownRepositoryLocation"),
        *("launchPartitionBackfill", "resumePartitionBackfill", "reexecutePartitionBackfill"),
        *("cancelPartitionBackfill", "addDynamicPartition", "deleteDynamicPartitions"),
        *("setAutoMaterializePaused", "setConcurrencyLimit", "deleteConcurrencyLimit"),
        *("freeConcurrencySlotsForRun", "freeConcurrencySlots", "logTelemetry", "setNuxSeen"),
    }
    assert _mutations() == operate | UNTAKEN_MUTATIONS


def test_every_address_that_takes_a_post_is_known(web: Interface) -> None:
    routes = getattr(web.stock, "routes")  # noqa: B009 - of Starlette, which ASGIApp does not say
    taking = {route.path for route in routes if "POST" in (getattr(route, "methods", None) or ())}
    assert {path for path in taking if not path.startswith(UNTAKEN_PATHS)} == {"/graphql"}
    assert len(taking) == 4


def test_an_event_that_nobody_can_read_hides_no_other_of_its_asset(alone: Interface) -> None:
    """Metadata with `__class__`, which Dagster takes for a type. Our storage refuses it of any webserver."""
    instance = alone.instance
    instance.report_runless_asset_event(dg.AssetMaterialization("fills", description="the session"))
    stock, path = alone.client(alone.stock), "/report_asset_materialization/fills"
    with pytest.raises(Exception, match="Take out every key that begins with two underscores"):
        stock.post(path, json={"metadata": POISON})
    shown = stock.post("/graphql", json={"query": SHOWN}).json()
    assert shown["data"]["assetOrError"]["assetMaterializations"] == [{"description": "the session"}]
    refused = alone.client(alone.ours, logged_in=True).post(
        path, json={"metadata": POISON}, headers={"Origin": PAGE}
    )
    assert refused.status_code == 403


def test_with_dagsters_own_storage_it_hides_them_all() -> None:
    """What the test before refuses is real."""
    with dg.instance_for_test() as instance:
        instance.report_runless_asset_event(dg.AssetMaterialization("fills", description="the session"))
        assert instance.get_latest_materialization_event(dg.AssetKey("fills")) is not None
        instance.report_runless_asset_event(dg.AssetMaterialization("fills", metadata=POISON))
        with pytest.raises(Exception, match="UnknownSerdesValue"):
            instance.fetch_materializations(dg.AssetKey("fills"), limit=5)


HALF = "\udcff"  # half of a character: JSON can hold it, and UTF-8, which every answer is in, cannot
SHOWN_WITH_METADATA = SHOWN.replace(
    "description }", "description metadataEntries { label ... on TextMetadataEntry { text } } }"
)


def test_an_event_that_no_answer_can_show_is_stored_as_one_that_each_can(alone: Interface) -> None:
    stock, path = alone.client(alone.stock), "/report_asset_materialization/fills"
    sent = json.dumps({"description": HALF, "metadata": {HALF: HALF, "rare": "\U0001f600"}})
    assert stock.post(path, content=sent, headers={"Content-Type": "application/json"}).status_code == 200
    shown = stock.post("/graphql", json={"query": SHOWN_WITH_METADATA}).json()
    (event,) = shown["data"]["assetOrError"]["assetMaterializations"]
    assert event == {
        "description": "\\udcff",
        "metadataEntries": [{"label": "\\udcff", "text": "\\udcff"}, {"label": "rare", "text": "\U0001f600"}],
    }


def test_with_dagsters_own_storage_it_fails_every_page_that_it_is_on() -> None:
    with dg.instance_for_test() as instance:
        instance.report_runless_asset_event(dg.AssetMaterialization("fills", description=HALF))
        (event,) = instance.fetch_materializations(dg.AssetKey("fills"), limit=5).records
        assert event.asset_materialization is not None
        with pytest.raises(UnicodeEncodeError):
            (event.asset_materialization.description or "").encode()


def _mutations() -> set[str]:
    mutation = create_schema().graphql_schema.mutation_type
    assert mutation is not None
    return set(mutation.fields)
