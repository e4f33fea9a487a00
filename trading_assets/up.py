"""The desk on this machine, `make up`: exchange, webserver and daemon started, waited for, ended together.

Each part runs in a session of its own, so that a Ctrl-C reaches only this process, which ends the
parts in order: first what requests and shows runs, then the runs, the exchange last. What the parts do
is theirs; here is only that all of them are there, or none.
"""

from __future__ import annotations

import argparse
import os
import secrets
import signal
import socket
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, closing, contextmanager, suppress
from dataclasses import dataclass
from datetime import date
from decimal import Decimal
from pathlib import Path
from types import FrameType
from typing import Any
from urllib.parse import urlsplit

import requests

from trading_assets import config
from trading_assets.config import Settings
from trading_assets.engine.agenda import CLOSE_LAG_NS
from trading_assets.errors import InvalidInput, TradingAssetsError
from trading_assets.exchange.credentials import CONTROL_TOKEN_VARIABLE
from trading_assets.exchange.keeper import Keeper
from trading_assets.exchange.process import ExchangeProcess, start_process
from trading_assets.market.clock import monotonic_ns, system_now_ns
from trading_assets.market.sessions import MINUTE_NS, Sessions

HOST = "127.0.0.1"
WEB_PORT = 3000
FIRST_SESSION = date(2012, 9, 11)
HOUR_NS = 3_600 * 10**9
LEAD_NS = 2 * MINUTE_NS  # of a session's open that a person who watches waits for
READY_SECONDS = 120.0
END_SECONDS = 4.0
POLL_SECONDS = 0.25

_READINESS = """{
  instance { daemonHealth { allDaemonStatuses { daemonType required healthy lastHeartbeatTime } } }
  workspaceOrError {
    ... on Workspace { locationEntries { locationOrLoadError { ... on PythonError { message } } } }
    ... on PythonError { message }
  }
}"""

Say = Callable[[str], None]


class PartFailed(TradingAssetsError):
    """A part did not start or did not last; the message shows the end of its log."""


@dataclass(frozen=True, slots=True)
class Part:
    """One process with all that it starts: they share its session's process group."""

    name: str
    process: subprocess.Popen[bytes]
    log: Path

    def failure(self) -> PartFailed:
        lines = self.log.read_text(errors="replace").splitlines()[-20:]
        return PartFailed(f"{self.name} ended; the end of {self.log}:\n" + "\n".join(lines))


def up(project: Path, config_path: Path, *, port: int, first: date, say: Say) -> None:
    """Run the desk until SIGINT or SIGTERM. Returns when every process of it has ended.

    first: the session that a new embedded exchange begins with. Raises InvalidInput (a busy port, a
    configuration that cannot be used, a directory that is no project), ExchangeDidNotStart, PartFailed.
    """
    if not (project / "workspace.yaml").exists():
        raise InvalidInput(
            "no workspace.yaml here", where=str(project), remedy="Run it from the project's root."
        )
    settings = config.load(config_path)
    _refuse_busy_ports(settings, port)
    with stop_signals() as stop, ExitStack() as parts:
        environ = _environment(project, config_path, settings)
        began = system_now_ns() / 1e9
        exchange = None
        if settings.venue == "embedded":
            exchange = parts.enter_context(_exchange(settings, environ[CONTROL_TOKEN_VARIABLE], first))
            say(f"exchange   {exchange.url}  (control plane {exchange.control_url})")
        dagster = parts.enter_context(_dagster(project, Path(settings.data_dir) / "logs", environ, port))
        url = f"http://{HOST}:{port}"
        try:
            _wait_until_ready(url, began, dagster, exchange, stop)
            if not stop.is_set():
                say(f"Dagster    {url}  (webserver; the daemon is running)")
                say("Ready. Turn the schedule trading_hours on to arm trading; Ctrl-C ends all of it.")
            while not stop.wait(POLL_SECONDS):
                _refuse_ended(dagster, exchange)
        finally:
            say("ending …")
    say("ended: no process is left, the ports are free")


def _environment(project: Path, config_path: Path, settings: Settings) -> dict[str, str]:
    """What the parts are given: our environment, the instance, configuration, log, a token of this start."""
    home = os.environ.get("DAGSTER_HOME") or str(project / "dagster_home")
    return {
        **os.environ,
        "DAGSTER_HOME": str(Path(home).resolve()),
        "DAGSTER_DISABLE_TELEMETRY": "1",
        "TRADING_ASSETS_CONFIG": str(config_path.resolve()),
        "TRADING_ASSETS_LOG": str(Path(settings.data_dir) / "log.jsonl"),
        CONTROL_TOKEN_VARIABLE: os.environ.get(CONTROL_TOKEN_VARIABLE) or secrets.token_urlsafe(24),
    }


def _refuse_busy_ports(settings: Settings, web_port: int) -> None:
    ports = {"the webserver": web_port}
    if settings.venue == "embedded":
        ports["the exchange"] = _port(settings.embedded.url)
        ports["the exchange's control plane"] = _port(settings.embedded.control_url)
    for whose, port in ports.items():
        try:
            socket.create_server((HOST, port)).close()
        except OSError as error:
            raise InvalidInput(
                f"port {port} is in use",
                where=whose,
                remedy="End what listens there (another `make up`?), or choose another port: "
                "--port for the webserver, `embedded` in the configuration for the exchange.",
            ) from error


def _port(origin: str) -> int:
    port = urlsplit(origin).port
    assert port is not None  # the configuration refuses an origin without one
    return port


@contextmanager
def stop_signals() -> Iterator[threading.Event]:
    """SIGINT and SIGTERM set the event instead of ending this process."""
    stop = threading.Event()

    def on_signal(_number: int, _frame: FrameType | None) -> None:
        stop.set()

    before = {number: signal.signal(number, on_signal) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield stop
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


@contextmanager
def _exchange(settings: Settings, token: str, first: date) -> Iterator[ExchangeProcess]:
    with start_process(
        state_dir=Path(settings.data_dir) / "exchange",
        token=token,
        start_ns=Sessions().open_ns(first) - HOUR_NS,
        spread_bps=Decimal(str(settings.quote_spread_bps)),
        port=_port(settings.embedded.url),
        control_port=_port(settings.embedded.control_url),
        own_session=True,
    ) as exchange:
        if settings.virtual_time == "runs":
            with closing(Keeper(exchange.control_url, token)) as keeper:
                let_time_run(keeper, Sessions())
        yield exchange


def let_time_run(keeper: Keeper, sessions: Sessions) -> None:
    """Let the exchange's time go on, from shortly before the next open where no session is under way.

    Its minutes begin when the machine's do, so that a cron that knows the machine's can ask at them.
    """
    now = keeper.now_ns()
    day = sessions.session_at(now)
    if day is None or now >= sessions.close_ns(day) + CLOSE_LAG_NS:
        day = sessions.next(sessions.new_york_date(now))
    start = max(now, sessions.open_ns(day) - LEAD_NS)
    keeper.move_to(start)
    keeper.move_to(start + (system_now_ns() - start) % MINUTE_NS)
    keeper.run(1.0)


@contextmanager
def _dagster(project: Path, logs: Path, environ: Mapping[str, str], port: int) -> Iterator[list[Part]]:
    logs.mkdir(mode=0o700, parents=True, exist_ok=True)
    commands = {
        "dagster-webserver": ["-h", HOST, "-p", str(port), "-w", "workspace.yaml"],
        "dagster-daemon": ["run", "-w", "workspace.yaml"],
        "trading-assets": ["listen"],
    }
    _open_instance(project, logs, environ)
    started: list[Part] = []
    try:
        for name, arguments in commands.items():
            log = logs / f"{name}.log"
            with log.open("ab") as output:
                process = subprocess.Popen(
                    [str(Path(sys.executable).parent / name), *arguments],
                    cwd=project,
                    env=environ,
                    stdin=subprocess.DEVNULL,
                    stdout=output,
                    stderr=subprocess.STDOUT,
                    start_new_session=True,
                )
            started.append(Part(name, process, log))
        yield started
    finally:
        _end(started)


def _open_instance(project: Path, logs: Path, environ: Mapping[str, str]) -> None:
    """Have the instance's tables made, and what a crash left of runs ended, before its parts start."""
    log = logs / "dagster-instance.log"
    with log.open("ab") as output:
        done = subprocess.run(
            [sys.executable, "-m", "trading_assets.defs.opening"],
            cwd=project,
            env=environ,
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
            check=False,
        )
    if done.returncode:
        raise PartFailed(f"the Dagster instance at {environ['DAGSTER_HOME']} cannot be opened; see {log}")


def _end(parts: list[Part]) -> None:
    """Every process of every part: asked, waited for, killed."""
    for part in parts:
        if part.process.poll() is None:
            part.process.terminate()
    _wait(lambda: all(part.process.poll() is not None for part in parts))
    for number in (signal.SIGTERM, signal.SIGKILL):  # code servers, and runs that were on
        for part in parts:
            with suppress(ProcessLookupError):
                os.killpg(part.process.pid, number)
        _wait(lambda: not any(_has_members(part) for part in parts))
    for part in parts:
        part.process.wait()


def _has_members(part: Part) -> bool:
    part.process.poll()
    try:
        os.killpg(part.process.pid, 0)
    except ProcessLookupError:
        return False
    return True


def _wait(done: Callable[[], bool], seconds: float = END_SECONDS) -> None:
    pause = threading.Event()
    until_ns = monotonic_ns() + int(seconds * 1e9)
    while not done() and monotonic_ns() < until_ns:
        pause.wait(0.05)


def _wait_until_ready(
    url: str, began: float, parts: list[Part], exchange: ExchangeProcess | None, stop: threading.Event
) -> None:
    """Until the webserver answers, the definitions are loaded and every daemon has given a sign of life."""
    until_ns = monotonic_ns() + int(READY_SECONDS * 1e9)
    missing = "an answer of the webserver"
    with requests.Session() as session:
        session.trust_env = False
        while not stop.wait(POLL_SECONDS):
            _refuse_ended(parts, exchange)
            with suppress(requests.RequestException):
                answer = session.post(f"{url}/graphql", json={"query": _READINESS}, timeout=30)
                missing = _missing(answer.json()["data"], began)
                if not missing:
                    return
            if monotonic_ns() > until_ns:
                logs = ", ".join(str(part.log) for part in parts)
                raise PartFailed(f"not ready after {READY_SECONDS:.0f} s: {missing} is missing; see {logs}")


def _missing(answer: Mapping[str, Any], began: float) -> str:
    """What is not there yet, empty when all is. Raises PartFailed where the definitions do not load."""
    workspace = answer["workspaceOrError"]
    locations = [entry["locationOrLoadError"] for entry in workspace.get("locationEntries", [])]
    for found in (workspace, *filter(None, locations)):
        if "message" in found:
            raise PartFailed(f"the definitions do not load: {found['message']}")
    if not locations or None in locations:
        return "the code location"
    silent = [
        status["daemonType"]
        for status in answer["instance"]["daemonHealth"]["allDaemonStatuses"]
        if status["required"] and not (status["healthy"] and (status["lastHeartbeatTime"] or 0.0) >= began)
    ]
    return f"a sign of life of the daemon {', '.join(silent)}" if silent else ""


def _refuse_ended(parts: list[Part], exchange: ExchangeProcess | None) -> None:
    for part in parts:
        if part.process.poll() is not None:
            raise part.failure()
    if exchange is not None and not exchange.is_running:
        raise PartFailed("the exchange ended; its log is exchange.log in its state directory")


def main() -> None:
    """`python -m trading_assets.up`"""
    parser = argparse.ArgumentParser(prog="python -m trading_assets.up", description="Run the desk here.")
    add = parser.add_argument
    add("--config", type=Path, help="the configuration (TRADING_ASSETS_CONFIG, else config/execution.yaml)")
    add("--port", type=int, default=WEB_PORT, help=f"of Dagster's web interface ({WEB_PORT})")
    add(
        "--first",
        type=date.fromisoformat,
        default=FIRST_SESSION,
        help=f"session that a new embedded exchange begins with ({FIRST_SESSION})",
    )
    arguments = parser.parse_args()
    try:
        up(
            Path.cwd(),
            config.path_in_use(arguments.config, os.environ),
            port=arguments.port,
            first=arguments.first,
            say=_say,
        )
    except TradingAssetsError as error:
        sys.exit(f"trading-assets: {error}")


def _say(line: str) -> None:
    sys.stdout.write(line + "\n")
    sys.stdout.flush()


if __name__ == "__main__":
    main()
