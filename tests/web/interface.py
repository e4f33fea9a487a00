"""Dagster's webserver over a real instance and the real definitions: as it comes, and behind the guard."""

from __future__ import annotations

import shutil
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import dagster as dg
import yaml
from dagster._core.remote_origin import InProcessCodeLocationOrigin
from dagster._core.types.loadable_target_origin import LoadableTargetOrigin
from dagster._core.workspace.context import WorkspaceProcessContext
from dagster._core.workspace.load_target import InProcessWorkspaceLoadTarget
from dagster_webserver.app import create_app_from_workspace_process_context
from starlette.testclient import TestClient
from starlette.types import ASGIApp

from trading_assets.web.guard import WebGuard
from trading_assets.web.link import link_file, made_link, token_of

ROOT = Path(__file__).parents[2]
PORT = 3000
PAGE = f"http://127.0.0.1:{PORT}"
SELECTOR = {"repositoryLocationName": "trading_assets", "repositoryName": "__repository__"}
LAUNCH = """mutation($params: ExecutionParams!) { launchRun(executionParams: $params) {
  __typename ... on LaunchRunSuccess { run { runId } } ... on PythonError { message }
  ... on UnauthorizedError { message } ... on RunConfigValidationInvalid { errors { message } } } }"""


@dataclass(frozen=True)
class Interface:
    """stock: Dagster's app, as `dagster-webserver` serves it; ours: the same behind the guard."""

    home: Path
    instance: dg.DagsterInstance
    stock: ASGIApp
    ours: ASGIApp
    token: str
    cookie: str

    def client(self, app: ASGIApp, host: str = PAGE, *, logged_in: bool = False) -> TestClient:
        """A client that keeps cookies, as a browser does; logged_in: it has the guard's."""
        client = TestClient(app, base_url=host, follow_redirects=False)
        if logged_in:
            client.cookies.set(self.cookie, self.token)
        return client

    def launched(self) -> list[str]:
        """The jobs of the runs that wait in the queue; they are taken off it."""
        runs = self.instance.get_runs()
        for run in runs:
            self.instance.delete_run(run.run_id)
        return [run.job_name for run in runs]


def launch(job: str, config: object | None = None, tags: dict[str, str] | None = None) -> dict[str, object]:
    """What the page of a job sends."""
    return {
        "query": LAUNCH,
        "variables": {
            "params": {
                "selector": {**SELECTOR, "jobName": job},
                "runConfigData": yaml.safe_dump(config or {}),
                "mode": "default",
                "executionMetadata": {"tags": [{"key": k, "value": v} for k, v in (tags or {}).items()]},
            }
        },
    }


@contextmanager
def interface(home: Path, *, read_only: bool = False) -> Iterator[Interface]:
    """On an instance of its own in `home`, which is made."""
    home.mkdir()
    shutil.copy(ROOT / "dagster_home" / "dagster.yaml", home)
    origin = InProcessCodeLocationOrigin(
        LoadableTargetOrigin(
            executable_path=sys.executable, module_name="trading_assets.definitions", attribute="defs"
        ),
        location_name="trading_assets",
    )
    target = InProcessWorkspaceLoadTarget([origin])
    link = made_link(home, PORT, read_only=read_only)
    token = token_of(link)
    assert token is not None
    with (
        dg.DagsterInstance.from_config(str(home)) as instance,
        WorkspaceProcessContext(instance, target, read_only=read_only) as context,
    ):
        stock = create_app_from_workspace_process_context(context)
        guard = WebGuard(stock, token=token, port=PORT, where=str(link_file(home)), read_only=read_only)
        yield Interface(home, instance, stock, guard, token, guard.cookie)
