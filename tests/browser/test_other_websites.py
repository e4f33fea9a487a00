"""Another website in the operator's browser, in a real browser: what it does to each of two webservers.

Both serve one instance: Dagster's own, and ours. The website is on another port of this machine, which to a
browser is the same site: it sends cookies along, SameSite=Strict or not. What it launches stays in the queue.
"""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from urllib.parse import quote

import dagster as dg
import psutil
import pytest
import requests
from chromium import Page, browsing
from support.running_desk import REPOSITORY, ROOT, free_ports

from trading_assets.web.link import link_of, token_of

pytestmark = [pytest.mark.slow(seconds=40), pytest.mark.browser]

READY_SECONDS = 90
LAUNCH = """mutation($params: ExecutionParams!) { launchRun(executionParams: $params) { __typename } }"""
PAGE = """<body><iframe name="away" hidden></iframe><script>
const target = location.hash.slice(1), said = [];
const asked = (by) => "query=" + encodeURIComponent(%(query)s) + "&variables=" + encodeURIComponent(
  JSON.stringify(%(variables)s).replace("BY", by));
const form = document.createElement("form");
Object.assign(form, {method: "post", target: "away", action: target + "/graphql?" + asked("form")});
document.body.append(form); form.submit();
new Image().src = target + "/graphql?" + asked("picture");
fetch(target + "/graphql?" + asked("fetch"), {method: "POST", mode: "no-cors", credentials: "include"});
const socket = new WebSocket(target.replace("http", "ws") + "/graphql", "graphql-ws");
socket.onopen = () => socket.send('{"type": "connection_init"}');
socket.onmessage = (event) => { document.title = "read " + event.data; };
socket.onerror = () => { document.title = "refused"; };
</script>"""


@dataclass
class Webservers:
    home: Path
    stock: str
    ours: str
    process: subprocess.Popen[bytes]
    log: Path

    def launched(self, target: str) -> set[str]:
        """By what the website launched runs there."""
        with dg.DagsterInstance.get() as instance:
            result = instance.get_runs(dg.RunsFilter(tags={"target": target}))
            return {run.tags["by"] for run in result}


@pytest.fixture(scope="module")
def webservers(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Webservers]:
    root = tmp_path_factory.mktemp("webservers")
    home = root / "dagster_home"
    home.mkdir()
    shutil.copy(ROOT / "dagster_home" / "dagster.yaml", home)
    first, second = map(str, free_ports(2))
    programs = {
        "stock": [
            str(Path(sys.executable).parent / "dagster-webserver"),
            "-w",
            "workspace.yaml",
            "-p",
            first,
        ],
        "ours": [sys.executable, "-m", "trading_assets.web", "--port", second],
    }
    processes = {}
    with ExitStack() as ends, pytest.MonkeyPatch.context() as patch:
        patch.setenv("DAGSTER_HOME", str(home))
        with dg.DagsterInstance.get():
            pass  # its tables, which two that start at once cannot both make
        for name, program in programs.items():
            output = ends.enter_context((root / f"{name}.txt").open("wb"))
            processes[name] = subprocess.Popen(
                program,
                cwd=ROOT,
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
            )
            ends.callback(processes[name].wait, 30)
            ends.callback(processes[name].terminate)
        stock, ours = f"http://127.0.0.1:{first}", f"http://127.0.0.1:{second}"
        for url in (stock, ours):
            _wait_for(url, processes)
        yield Webservers(home, stock, ours, processes["ours"], root / "ours.txt")


def _wait_for(url: str, processes: dict[str, subprocess.Popen[bytes]]) -> None:
    until = time.monotonic() + READY_SECONDS
    while True:
        try:
            requests.get(url, timeout=10)
            return
        except requests.ConnectionError:
            assert all(process.poll() is None for process in processes.values())
            assert time.monotonic() < until
            time.sleep(0.5)


@pytest.fixture(scope="module")
def page(webservers: Webservers, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Page]:
    """The operator's browser, with the cookie of our interface."""
    link = link_of(webservers.home)
    assert link is not None
    with browsing(tmp_path_factory.mktemp("profile")) as page:
        page.open(link)
        page.sees("Overview")
        yield page


@contextmanager
def website(target: str) -> Iterator[str]:
    """A website of somebody else's that attacks what its address names after the #."""
    tags = [{"key": "by", "value": "BY"}, {"key": "target", "value": target}]
    params = {
        "selector": {**REPOSITORY, "jobName": "kill"},
        "runConfigData": "{}",
        "mode": "default",
        "executionMetadata": {"tags": tags},
    }
    text = PAGE % {"query": json.dumps(LAUNCH), "variables": json.dumps({"params": params})}

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(200)
            self.send_header("Content-Type", "text/html")
            self.end_headers()
            self.wfile.write(text.encode())

        def log_message(self, *_: object) -> None:
            """Nothing."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_address[1]}/#{target}"
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


def title(page: Page) -> str:
    until = time.monotonic() + 30
    while not (title := str(page.evaluate("document.title"))).startswith(("read", "refused")):
        assert time.monotonic() < until, title
        time.sleep(0.2)
    return title


def test_a_website_operates_and_reads_the_stock_webserver(webservers: Webservers, page: Page) -> None:
    with website(webservers.stock) as address:
        page.open(address)
        assert "connection_ack" in title(page)
        until = time.monotonic() + 30
        while webservers.launched(webservers.stock) != {"form", "picture", "fetch"}:
            assert time.monotonic() < until, webservers.launched(webservers.stock)
            time.sleep(0.5)


def test_the_same_website_launches_and_reads_nothing_of_ours(webservers: Webservers, page: Page) -> None:
    with website(webservers.ours) as address:
        page.open(address)
        assert title(page) == "refused"
        time.sleep(3)  # in which the stock webserver had launched all
        assert webservers.launched(webservers.ours) == set()
    page.open(f"{webservers.ours}/runs")
    page.sees("Queued")  # the cookie is still good, and our own page shows all


def test_the_token_is_in_no_output_command_line_or_environment(webservers: Webservers) -> None:
    token = token_of(link_of(webservers.home) or "")
    assert token
    process = psutil.Process(webservers.process.pid)
    for one in (process, *process.children(recursive=True)):
        assert token not in " ".join(one.cmdline())
        assert token not in str(one.environ())
    assert token not in webservers.log.read_text()
    assert f"opened once by the link in {webservers.home / 'web_link'}" in webservers.log.read_text()
    kept = [
        path for path in webservers.home.rglob("*") if path.is_file() and token.encode() in path.read_bytes()
    ]
    assert kept == [webservers.home / "web_link"]


def test_a_request_for_it_with_the_token_leaves_no_trace_of_it(webservers: Webservers) -> None:
    link = link_of(webservers.home) or ""
    assert requests.get(link, timeout=30, allow_redirects=False).status_code == 303
    wrong = link[:-4] + "xxxx" + quote("&a=b")
    assert requests.get(wrong, timeout=30, allow_redirects=False).status_code == 403
    assert "token=" not in webservers.log.read_text()
