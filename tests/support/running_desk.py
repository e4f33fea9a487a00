"""A running `make up` for tests: its processes, ports, places, GraphQL as the web interface speaks it."""

from __future__ import annotations

import os
import shutil
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psutil
import requests
import yaml

from trading_assets.exchange.control_client import ControlClient
from trading_assets.web.link import link_of, token_of

ROOT = Path(__file__).parents[2]
TOKEN = "token-of-the-test"
BOOK = "embedded:PA0001:paper"
REPOSITORY = {"repositoryLocationName": "trading_assets", "repositoryName": "__repository__"}

_LAUNCH = """mutation($params: ExecutionParams!) { launchRun(executionParams: $params) {
  __typename ... on LaunchRunSuccess { run { runId } } ... on PythonError { message }
  ... on RunConfigValidationInvalid { errors { message } } } }"""
_RUNS = """{ runsOrError(limit: 100) { ... on Runs { results {
  runId jobName status tags { key value } } } } }"""


def free_ports(count: int) -> list[int]:
    taken = [socket.create_server(("127.0.0.1", 0)) for _ in range(count)]
    ports = [server.getsockname()[1] for server in taken]
    for server in taken:
        server.close()
    return ports


@dataclass
class RunningDesk:
    """A running `up`, with its places and ports: of the webserver, the exchange, its control plane."""

    process: subprocess.Popen[str]
    home: Path
    ports: list[int]

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.ports[0]}"

    @property
    def config_path(self) -> Path:
        return self.home / "config" / "execution.yaml"

    @property
    def data_dir(self) -> Path:
        return self.home / "var"

    @property
    def link(self) -> str:
        """What a person opens once in the browser."""
        link = link_of(self.home / "dagster_home")
        assert link is not None
        return link

    def next_line(self) -> str:
        """Its next line, empty at its end."""
        assert self.process.stdout is not None
        return self.process.stdout.readline()

    def graphql(self, query: str, **variables: object) -> Any:
        answer = requests.post(
            f"{self.url}/graphql",
            json={"query": query, "variables": variables},
            headers={"Authorization": f"Bearer {token_of(self.link)}"},
            timeout=60,
        ).json()
        assert "errors" not in answer, answer
        return answer["data"]

    def launch(
        self,
        job: str,
        config: Mapping[str, object] | None = None,
        *,
        tags: Mapping[str, str] | None = None,
    ) -> str:
        """Launch a job as its page does; returns the run's id."""
        execution = {"tags": [{"key": key, "value": value} for key, value in (tags or {}).items()]}
        params = {
            "selector": {**REPOSITORY, "jobName": job},
            "runConfigData": yaml.safe_dump(dict(config or {})),
            "mode": "default",
            "executionMetadata": execution,
        }
        launched = self.graphql(_LAUNCH, params=params)["launchRun"]
        assert launched["__typename"] == "LaunchRunSuccess", launched
        return str(launched["run"]["runId"])

    def runs(self, job: str, status: str = "SUCCESS") -> list[dict[str, Any]]:
        result = self.graphql(_RUNS)["runsOrError"]["results"]
        return [run for run in result if run["jobName"] == job and run["status"] == status]

    def processes(self) -> list[psutil.Process]:
        root = psutil.Process(self.process.pid)
        return [root, *root.children(recursive=True)]

    @contextmanager
    def keeper(self) -> Iterator[ControlClient]:
        """Who moves the exchange's time."""
        keeper = ControlClient(f"http://127.0.0.1:{self.ports[2]}", TOKEN)
        try:
            yield keeper
        finally:
            keeper.close()

    def now_ns(self) -> int:
        with self.keeper() as keeper:
            return keeper.now_ns()

    def wait(self, what: str, condition: Callable[[], object], seconds: float = 180) -> None:
        until = time.monotonic() + seconds
        while not condition():
            assert time.monotonic() < until, f"{what}: not within {seconds} s\n{self.logs()}"
            assert self.process.poll() is None, self.logs()
            time.sleep(0.5)

    def logs(self) -> str:
        paths = sorted((self.data_dir / "logs").glob("*.log"))
        return "\n".join(f"{path.name}\n{path.read_text()[-3000:]}" for path in paths)

    def end(self) -> None:
        """As Ctrl-C does, where it has not ended."""
        if self.process.poll() is None:
            self.process.send_signal(signal.SIGINT)
            self.process.wait(60)


def start(
    home: Path, *, ports: list[int], alert_urls: str = "", project: Path = ROOT, **settings: object
) -> RunningDesk:
    """Start `up` in `home`, with the committed instance and a tick every half hour."""
    dagster_home = home / "dagster_home"
    if not dagster_home.exists():
        dagster_home.mkdir(parents=True)
        shutil.copy(ROOT / "dagster_home" / "dagster.yaml", dagster_home)
    path = home / "config" / "execution.yaml"
    path.parent.mkdir(exist_ok=True)
    embedded = {"url": f"http://127.0.0.1:{ports[1]}", "control_url": f"http://127.0.0.1:{ports[2]}"}
    path.write_text(yaml.safe_dump({"tick_minutes": 30, "embedded": embedded, **settings}))
    process = subprocess.Popen(
        [sys.executable, "-m", "trading_assets.up", "--config", str(path), "--port", str(ports[0])],
        cwd=project,
        env=os.environ
        | {
            "DAGSTER_HOME": str(dagster_home),
            "TRADING_ASSETS_EXCHANGE_TOKEN": TOKEN,
            "TRADING_ASSETS_ALERT_URLS": alert_urls,
        },
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )
    return RunningDesk(process, home, ports)
