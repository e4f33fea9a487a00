"""What Dagster's web interface asks for its pages, timed against a real webserver on the year's instance."""

from __future__ import annotations

import os
import socket
import statistics
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NamedTuple

import requests

ROOT = Path(__file__).parents[2]
READY_SECONDS = 180.0
REPEATED = 5

_RUN = "id runId status jobName tags { key value } startTime endTime creationTime assetSelection { path }"
_ENTRIES = """label description __typename ... on TextMetadataEntry { text }
  ... on FloatMetadataEntry { floatValue } ... on IntMetadataEntry { intValue }
  ... on JsonMetadataEntry { jsonString } ... on PathMetadataEntry { path }
  ... on TableMetadataEntry { table { records } }"""
_CHECKS = """assetChecksOrError { ... on AssetChecks { checks { name executionForLatestMaterialization {
  status timestamp evaluation { success severity metadataEntries { label } } } } } }"""

PAGES = {
    "asset graph": """{ assetNodes { id assetKey { path } groupName kinds opNames isMaterializable
        isPartitioned dependencyKeys { path } dependedByKeys { path } jobNames owners { __typename }
        tags { key value }
        repository { name location { name } } } }""",
    "asset states": f"""query($keys: [AssetKeyInput!]!) {{
        assetNodes(assetKeys: $keys) {{ assetKey {{ path }}
          assetMaterializations(limit: 1) {{ timestamp runId partition }}
          partitionStats {{ numMaterialized numMaterializing numPartitions numFailed }} {_CHECKS} }}
        assetsLatestInfo(assetKeys: $keys) {{ assetKey {{ path }} unstartedRunIds inProgressRunIds
          latestRun {{ id status endTime }} }} }}""",
    "asset partitions": """query($key: AssetKeyInput!) { assetNodeOrError(assetKey: $key) { ... on AssetNode {
        partitionKeysByDimension { name type partitionKeys }
        assetPartitionStatuses { __typename ... on TimePartitionStatuses { ranges {
          status startTime endTime startKey endKey } } } } } }""",
    "asset history": f"""query($key: AssetKeyInput!) {{ assetOrError(assetKey: $key) {{ ... on Asset {{
        assetMaterializations(limit: 100) {{ runId partition timestamp description
          metadataEntries {{ {_ENTRIES} }}
          runOrError {{ __typename ... on Run {{ id jobName status }} }} }} }} }} }}""",
    "one partition": f"""query($key: AssetKeyInput!, $partition: String!) {{
        assetNodeOrError(assetKey: $key) {{ ... on AssetNode {{
          latestMaterializationByPartition(partitions: [$partition]) {{ timestamp runId
          metadataEntries {{ {_ENTRIES} }} }} }} }} }}""",
    "check history": """query($key: AssetKeyInput!, $check: String!) {
        assetCheckExecutions(assetKey: $key, checkName: $check, limit: 25) { id runId status timestamp
          evaluation { severity success description } } }""",
    "runs": f"""{{ runsOrError(limit: 26) {{ ... on Runs {{ results {{ {_RUN} }} }} }}
        runsCountOrError: pipelineRunsOrError {{ ... on Runs {{ count }} }} }}""",
    "one run": f"""query($run: ID!) {{ runOrError(runId: $run) {{ ... on Run {{ {_RUN}
          executionPlan {{ steps {{ key inputs {{ dependsOn {{ key }} }} }} }}
          stepStats {{ stepKey status startTime endTime }}
          assetMaterializations {{ assetKey {{ path }} }} }} }}
        logsForRun(runId: $run, limit: 1000) {{ ... on EventConnection {{ hasMore cursor events {{
          __typename ... on MessageEvent {{ message timestamp stepKey level eventType }}
          ... on MaterializationEvent {{ metadataEntries {{ {_ENTRIES} }} }} }} }} }} }}""",
}


class Answered(NamedTuple):
    """Seconds: of the first time it was asked, the median and the worst of all."""

    first: float
    median: float
    worst: float


class Webserver:
    """A running webserver, asked as its pages ask it."""

    def __init__(self, url: str) -> None:
        self._url = url
        self._session = requests.Session()
        self._session.trust_env = False

    def ask(self, page: str, **variables: object) -> Any:
        asked = {"query": PAGES[page], "variables": variables}
        answer = self._session.post(f"{self._url}/graphql", json=asked, timeout=120).json()
        if "errors" in answer:
            raise RuntimeError(answer["errors"])
        return answer["data"]

    def close(self) -> None:
        self._session.close()


def timed(webserver: Webserver, asked: Mapping[str, Mapping[str, object]]) -> dict[str, Answered]:
    """Each page several times, in turn."""
    seconds: dict[str, list[float]] = {page: [] for page in asked}
    for _ in range(REPEATED):
        for page, variables in asked.items():
            began = time.perf_counter()
            webserver.ask(page, **variables)
            seconds[page].append(time.perf_counter() - began)
    return {page: Answered(of[0], statistics.median(of), max(of)) for page, of in seconds.items()}


@contextmanager
def webserver(log: Path) -> Iterator[Webserver]:
    """A dagster-webserver on the instance of DAGSTER_HOME, once its definitions are loaded."""
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    program = str(Path(sys.executable).parent / "dagster-webserver")
    with log.open("wb") as output:
        process = subprocess.Popen(
            [program, "-h", "127.0.0.1", "-p", str(port), "-w", "workspace.yaml"],
            cwd=ROOT,
            env=os.environ | {"DAGSTER_DISABLE_TELEMETRY": "1"},
            stdout=output,
            stderr=subprocess.STDOUT,
        )
    asked = Webserver(f"http://127.0.0.1:{port}")
    try:
        _wait(asked, process, log)
        yield asked
    finally:
        asked.close()
        process.terminate()
        process.wait(30)


def _wait(asked: Webserver, process: subprocess.Popen[bytes], log: Path) -> None:
    until = time.monotonic() + READY_SECONDS
    while process.poll() is None and time.monotonic() < until:
        try:
            if asked.ask("asset graph")["assetNodes"]:
                return
        except requests.RequestException:
            time.sleep(0.2)
    raise RuntimeError(f"the webserver is not ready; see {log}")
