"""The desk on this machine, `make up`: exchange, webserver, daemon and listener, started, kept and ended.

Each part runs in a session of its own, so that a Ctrl-C, or the end of the terminal, reaches only this
process, which ends the parts in order: first what requests and shows runs, then the runs, the exchange last.
Until all are ready one that ends takes the rest with it. From then on it is started again, and people are
told; the others go on, the watchdog in the listener's process first of all. Without its exchange there is
nothing to trade on: then all ends. What the parts do is theirs.
"""

from __future__ import annotations

import argparse
import os
import select
import signal
import socket
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import ExitStack, closing, contextmanager, suppress
from datetime import date
from decimal import Decimal
from pathlib import Path
from types import FrameType
from urllib.parse import urlsplit

from trading_assets import config, process_setup, roster
from trading_assets.config import Settings
from trading_assets.dagster_health import URL_VARIABLE, DagsterHealth, Health, NoAnswer
from trading_assets.engine.operation.directories import close_places
from trading_assets.engine.operation.timetable import CLOSE_LAG_NS
from trading_assets.engine.protection import sign_of_life
from trading_assets.engine.protection.sign_of_life import SILENT_AFTER_SECONDS
from trading_assets.environment import (
    DAEMON,
    LISTENER,
    WEBSERVER,
    environment,
    refuse_secrets_in_a_file,
)
from trading_assets.errors import InvalidInput, TradingAssetsError, of_the_system
from trading_assets.exchange.control_client import ControlClient
from trading_assets.exchange.credentials import CONTROL_TOKEN_VARIABLE
from trading_assets.exchange.process import ExchangeProcess, start_process
from trading_assets.market.clock import monotonic_ns, system_now_ns
from trading_assets.market.sessions import MINUTE_NS, Sessions
from trading_assets.parts import SPOKEN, PartFailed, Parts, Say, outlives
from trading_assets.terminal import Terminal
from trading_assets.web.link import link_file, link_of

HOST = "127.0.0.1"
WEB_PORT = 3000
FIRST_SESSION = date(2012, 9, 11)
HOUR_NS = 3_600 * 10**9
LEAD_NS = 2 * MINUTE_NS  # of a session's open that a person who watches waits for
READY_SECONDS = 120.0
POLL_SECONDS = 0.25

ENDED_BY = (signal.SIGHUP,)  # besides Ctrl-C and SIGTERM: the terminal has closed
LIFE_SECONDS = 5.0  # between two looks at the watchdog's sign of life
HUNG_SECONDS = 300.0  # without a heartbeat of any daemon, or an answer of the webserver: it is ended
HEALTH_SECONDS = 30.0  # between two questions to the webserver


def up(project: Path, config_path: Path, *, port: int, first: date | None) -> None:
    """Run the desk until SIGINT, SIGTERM or the end of its terminal. Returns when all of it has ended.

    first: the session that a new embedded exchange begins with; None: it has a default. Raises InvalidInput
    (a busy port, a configuration that cannot be used, a directory that is no project or has a desk already),
    ExchangeDidNotStart, PartFailed. What it says is also in `logs/up.log` of the data directory.
    """
    if not (project / "workspace.yaml").exists():
        raise InvalidInput(
            "no workspace.yaml here", where=str(project), remedy="Run it from the project's root."
        )
    settings = config.load(config_path)
    refuse_secrets_in_a_file(project)
    with closing(Terminal()) as terminal, stop_signals(*ENDED_BY) as stop:
        try:
            _run(project, config_path, settings, port, first, terminal, stop)
        except TradingAssetsError as error:
            terminal.note(str(error))
            raise
        terminal.say("ended: no process is left, the ports are free")


def _run(
    project: Path,
    config_path: Path,
    settings: Settings,
    port: int,
    first: date | None,
    terminal: Terminal,
    stop: threading.Event,
) -> None:
    say = terminal.say
    environ = environment(project, config_path, settings)
    home, url = Path(environ["DAGSTER_HOME"]), f"http://{HOST}:{port}"
    with ExitStack() as parts:
        for change in close_places(settings, home):
            say(change)
        embedded = settings.venue == "embedded"
        holder = parts.enter_context(
            roster.held(
                config_path=config_path,
                data_dir=Path(settings.data_dir),
                dagster_home=home,
                since_ns=system_now_ns(),
                addresses={"Dagster": url} | ({"exchange": settings.embedded.url} if embedded else {}),
                outlives=outlives(settings),
            )
        )
        _refuse_busy_ports(settings, port)
        terminal.keep(Path(settings.data_dir) / "logs" / "up.log")
        began = system_now_ns() / 1e9
        exchange, beside = None, dict[str, int]()
        if embedded:
            if settings.embedded.bars == "history":
                say("exchange   copies the imported bars of the history …")
            exchange = parts.enter_context(_exchange(settings, environ[CONTROL_TOKEN_VARIABLE], first))
            beside[roster.EXCHANGE] = exchange.pid
            say(f"exchange   {exchange.url}  (control plane {exchange.control_url})")
        dagster = parts.enter_context(
            Parts(
                project,
                settings,
                environ | {URL_VARIABLE: url},
                port,
                keep_roster=lambda running: holder.keep(beside | dict(running)),
            )
        )
        try:
            with closing(DagsterHealth(url, home)) as health:
                _wait_until_ready(health, began, dagster, exchange, lambda: _is_over(stop, terminal))
            if not stop.is_set():
                say(f"Dagster    {link_of(home)}")
                say(
                    f"Ready. Open the link once in your browser (it is kept in {link_file(home)}). "
                    "Turn the schedule trading_hours on to arm trading; Ctrl-C ends all of it."
                )
            guard = _Guard(dagster, settings, DagsterHealth(url, home), stop, say)
            while not _is_over(stop, terminal):
                _refuse_ended(exchange)
                dagster.keep(say)
                dagster.keep_logs_small(say)
                guard.look()
        finally:
            say("ending …")


def _is_over(stop: threading.Event, terminal: Terminal) -> bool:
    """Wait a moment for what ends the desk."""
    if terminal.has_gone():
        stop.set()
    return stop.wait(POLL_SECONDS)


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


class StopEvent(threading.Event):
    """An event that a signal's handler may set, whatever its thread is doing.

    A handler that interrupts `Event.wait` in the middle of taking its lock, and sets that event, waits for
    itself for ever. Here a byte in a pipe is the flag, and there is no lock.
    """

    def __init__(self) -> None:
        super().__init__()
        self._end, self._begin = os.pipe()  # open as long as the process: another thread may still wait
        os.set_blocking(self._begin, False)

    def set(self) -> None:
        with suppress(BlockingIOError):  # it holds some thousand already
            os.write(self._begin, b"!")

    def is_set(self) -> bool:
        return self.wait(0.0)

    def wait(self, timeout: float | None = None) -> bool:
        ready = select.poll()
        ready.register(self._end, select.POLLIN)
        return bool(ready.poll(None if timeout is None else timeout * 1000.0))

    def clear(self) -> None:
        while self.is_set():
            os.read(self._end, 1)


@contextmanager
def stop_signals(*others: signal.Signals) -> Iterator[threading.Event]:
    """SIGINT, SIGTERM and the others set the event instead of ending this process. One of the others that
    this process was started to ignore (nohup) stays ignored."""
    stop = StopEvent()

    def on_signal(_number: int, _frame: FrameType | None) -> None:
        stop.set()

    heard = [number for number in others if signal.getsignal(number) is not signal.SIG_IGN]
    before = {number: signal.signal(number, on_signal) for number in (signal.SIGINT, signal.SIGTERM, *heard)}
    try:
        yield stop
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


@contextmanager
def _exchange(settings: Settings, token: str, first: date | None) -> Iterator[ExchangeProcess]:
    history = played_history(settings)
    if first is None and history is None:
        first = FIRST_SESSION
    with start_process(
        state_dir=Path(settings.data_dir) / "exchange",
        token=token,
        start_ns=None if first is None else Sessions().open_ns(first) - HOUR_NS,
        history=history,
        spread_bps=Decimal(str(settings.quote_spread_bps)),
        port=_port(settings.embedded.url),
        control_port=_port(settings.embedded.control_url),
        own_session=True,
    ) as exchange:
        if settings.virtual_time == "runs":
            with closing(ControlClient(exchange.control_url, token)) as keeper:
                let_time_run(keeper, Sessions())
        yield exchange


def played_history(settings: Settings) -> Path | None:
    """The file whose imported bars the embedded exchange plays; None: it plays the bundled ones."""
    is_own = settings.embedded.bars == "history"
    return Path(settings.data_dir) / "history.duckdb" if is_own else None


def let_time_run(keeper: ControlClient, sessions: Sessions) -> None:
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


def _wait_until_ready(
    health: DagsterHealth,
    began: float,
    parts: Parts,
    exchange: ExchangeProcess | None,
    is_over: Callable[[], bool],
) -> None:
    """Until the webserver answers, the definitions are loaded and every daemon has given a sign of life."""
    until_ns = monotonic_ns() + int(READY_SECONDS * 1e9)
    missing = "an answer of the webserver"
    while not is_over():
        parts.refuse_ended()
        _refuse_ended(exchange)
        with suppress(NoAnswer):
            missing = _missing(health.ask(), began)
            if not missing:
                return
        if monotonic_ns() > until_ns:
            logs = ", ".join(str(part.log) for part in parts.all)
            raise PartFailed(f"not ready after {READY_SECONDS:.0f} s: {missing} is missing; see {logs}")


def _missing(health: Health, began: float) -> str:
    """What is not there yet, empty when all is. Raises PartFailed where the definitions do not load."""
    for error in (health.error, *(location.error for location in health.locations)):
        if error:
            raise PartFailed(f"the definitions do not load: {error}")
    if not health.locations or not all(location.loaded for location in health.locations):
        return "the code location"
    silent = [daemon for daemon, last_s in health.heartbeats.items() if last_s < began]
    return f"a sign of life of the daemon {', '.join(silent)}" if silent else ""


class _Guard:
    """Looks whether a part that is there hangs, says so, and ends it; `Parts.keep` starts it again.

    The webserver is asked in a thread of its own: an answer that is late delays no Ctrl-C.
    """

    def __init__(
        self, parts: Parts, settings: Settings, dagster: DagsterHealth, stop: threading.Event, say: Say
    ) -> None:
        self._parts, self._settings, self._stop, self._say = parts, settings, stop, say
        self._dagster = dagster
        self._looked_ns = monotonic_ns()
        self._answered_ns = monotonic_ns()
        self._sign_ns: int | None = None  # the watchdog's last sign of life, and since when it is the last:
        self._signed_ns = monotonic_ns()  # by our own time, which stands while the machine sleeps
        self._beaten: float = 0.0  # the daemon's last heartbeat
        self._beaten_ns = monotonic_ns()
        self._asking = threading.Thread(target=self._ask, name="asks Dagster", daemon=True)
        self._asking.start()

    def look(self) -> None:
        now = monotonic_ns()
        if now - self._looked_ns < LIFE_SECONDS * 1e9:
            return
        self._looked_ns = now
        seen = sign_of_life.seen(self._settings)
        if seen.pid != self._parts.pid(LISTENER) or seen.at_ns != self._sign_ns:
            self._sign_ns, self._signed_ns = seen.at_ns, now
        elif now - self._signed_ns > SILENT_AFTER_SECONDS * 1e9:
            self._signed_ns = now
            self._end(LISTENER, f"the watchdog has given no sign of life for {SILENT_AFTER_SECONDS:.0f} s")
        if now - self._answered_ns > HUNG_SECONDS * 1e9:
            self._answered_ns = self._beaten_ns = now  # heartbeats are seen in its answers only
            self._end(WEBSERVER, f"no answer for {HUNG_SECONDS:.0f} s")
        elif now - self._beaten_ns > HUNG_SECONDS * 1e9:
            self._beaten_ns = now
            self._end(DAEMON, f"no heartbeat for {HUNG_SECONDS:.0f} s")

    def _end(self, name: str, why: str) -> None:
        self._say(f"{SPOKEN[name]} hangs: {why}; it is ended")
        self._parts.end(name)

    def _ask(self) -> None:
        with closing(self._dagster) as health:
            while not self._stop.wait(HEALTH_SECONDS):
                with suppress(NoAnswer):  # `look` counts for how long
                    beaten = max(health.ask().heartbeats.values(), default=0.0)
                    self._answered_ns = monotonic_ns()
                    if beaten != self._beaten:
                        self._beaten, self._beaten_ns = beaten, monotonic_ns()


def _refuse_ended(exchange: ExchangeProcess | None) -> None:
    if exchange is not None and not exchange.is_running:
        raise PartFailed("the exchange ended; its log is exchange.log in its state directory")


def main() -> None:
    """`python -m trading_assets.up`"""
    process_setup.begin()
    parser = argparse.ArgumentParser(prog="python -m trading_assets.up", description="Run the desk here.")
    add = parser.add_argument
    add("--config", type=Path, help="the configuration (TRADING_ASSETS_CONFIG, else config/execution.yaml)")
    add("--port", type=int, default=WEB_PORT, help=f"of Dagster's web interface ({WEB_PORT})")
    add(
        "--first",
        type=date.fromisoformat,
        help=f"session that a new embedded exchange begins with ({FIRST_SESSION}; of a history: one with "
        "130 sessions before it)",
    )
    arguments = parser.parse_args()
    try:
        up(
            Path.cwd(),
            config.path_in_use(arguments.config, os.environ),
            port=arguments.port,
            first=arguments.first,
        )
    except TradingAssetsError as error:
        sys.exit(f"trading-assets: {error}")
    except OSError as error:
        sys.exit(f"trading-assets: {of_the_system(error)}")


if __name__ == "__main__":
    main()
