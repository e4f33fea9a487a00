"""The desk on this machine, `make up`: exchange, webserver, daemon and listener, started, kept and ended.

Each part runs in a session of its own, so that a Ctrl-C reaches only this process, which ends the
parts in order: first what requests and shows runs, then the runs, the exchange last. Until all are ready one
that ends takes the rest with it. From then on it is started again, and people are told; the others go on, the
watchdog in the listener's process first of all. Without its exchange there is nothing to trade on: then all
ends. What the parts do is theirs.
"""

from __future__ import annotations

import argparse
import os
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
from types import FrameType, MappingProxyType
from urllib.parse import urlsplit

from trading_assets import config, entry, keyring, log_files, roster
from trading_assets.config import Settings
from trading_assets.dagster_health import URL_VARIABLE, DagsterHealth, Health, NoAnswer
from trading_assets.engine import alerts, sign_of_life
from trading_assets.engine.agenda import CLOSE_LAG_NS
from trading_assets.engine.book_place import journal_file, known_book
from trading_assets.engine.places import close_places
from trading_assets.engine.sign_of_life import SILENT_AFTER_SECONDS
from trading_assets.environment import (
    DAEMON,
    LISTENER,
    WEBSERVER,
    environment,
    environment_of,
    refuse_secrets_in_a_file,
)
from trading_assets.errors import InvalidInput, TradingAssetsError
from trading_assets.escapes import for_terminal
from trading_assets.exchange.credentials import CONTROL_TOKEN_VARIABLE
from trading_assets.exchange.keeper import Keeper
from trading_assets.exchange.process import LOG_NAME as EXCHANGE_LOG
from trading_assets.exchange.process import ExchangeProcess, start_process
from trading_assets.market.clock import monotonic_ns, system_now_ns
from trading_assets.market.sessions import MINUTE_NS, Sessions
from trading_assets.parentage import STARTED_BY
from trading_assets.store.journal import Journal
from trading_assets.web.link import link_file, link_of

HOST = "127.0.0.1"
WEB_PORT = 3000
FIRST_SESSION = date(2012, 9, 11)
HOUR_NS = 3_600 * 10**9
LEAD_NS = 2 * MINUTE_NS  # of a session's open that a person who watches waits for
READY_SECONDS = 120.0
END_SECONDS = 4.0
POLL_SECONDS = 0.25

RESTART_SECONDS = (0.0, 5.0, 15.0, 60.0)  # before a part is started for the 1st, 2nd, … time in a row
LASTING_SECONDS = 600.0  # a part that has run so long ended for another reason than the time before
LIFE_SECONDS = 5.0  # between two looks at the watchdog's sign of life
HUNG_SECONDS = 300.0  # without a heartbeat of any daemon, or an answer of the webserver: it is ended
LOG_SECONDS = 30.0  # between two looks at the size of the parts' logs
HEALTH_SECONDS = 30.0  # between two questions to the webserver

Say = Callable[[str], None]


class PartFailed(TradingAssetsError):
    """A part did not start or did not last; the message shows the end of its log."""


@dataclass(slots=True)
class Part:
    """One process with all that it starts: they share its session's process group."""

    name: str
    process: subprocess.Popen[bytes]
    log: Path
    started_ns: int  # monotonic
    ends: int = 0  # in a row, without lasting in between
    again_ns: int | None = None  # monotonic: when it is started again; None: it has not ended

    def failure(self) -> PartFailed:
        lines = self.log.read_text(errors="replace").splitlines()[-20:]
        return PartFailed(f"{self.name} ended; the end of {self.log}:\n" + "\n".join(lines))


class Parts:
    """Webserver, daemon and listener: started together, kept running, ended together."""

    def __init__(
        self,
        project: Path,
        settings: Settings,
        environ: Mapping[str, str],
        port: int,
        beside: Mapping[str, int] = MappingProxyType({}),
    ) -> None:
        """beside: what else runs for the desk, by name, with its process id"""
        self._project, self._settings, self._environ = project, settings, environ
        self._beside = beside
        self._logs = Path(settings.data_dir) / "logs"
        programs = Path(sys.executable).parent
        self._commands = {
            WEBSERVER: [sys.executable, "-m", "trading_assets.web", "--port", str(port)],
            DAEMON: [str(programs / DAEMON), "run", "-w", "workspace.yaml"],
            LISTENER: [str(programs / LISTENER), "listen"],
        }
        self.all: list[Part] = []
        self._logs_ns = monotonic_ns()

    def __enter__(self) -> Parts:
        self._logs.mkdir(mode=0o700, parents=True, exist_ok=True)
        self._open_instance()
        try:
            for name in self._commands:
                self.all.append(self._started(name))
                self._keep_roster()
        except BaseException:
            self.__exit__()
            raise
        return self

    def __exit__(self, *_: object) -> None:
        _end(self.all)
        roster.forget(Path(self._settings.data_dir))

    def refuse_ended(self) -> None:
        """Raises PartFailed where one has ended."""
        for part in self.all:
            if part.process.poll() is not None:
                raise part.failure()

    def keep(self, say: Say) -> None:
        """Start again what has ended, after a pause that grows; what has happened is said and alerted."""
        for part in self.all:
            now = monotonic_ns()
            if part.again_ns is None and part.process.poll() is not None:
                lasted = now - part.started_ns >= LASTING_SECONDS * 1e9
                part.ends = 1 if lasted else part.ends + 1
                pause = RESTART_SECONDS[min(part.ends, len(RESTART_SECONDS)) - 1]
                part.again_ns = now + int(pause * 1e9)
                when = f"in {pause:.0f} s" if pause else "now"
                self._tell(say, part, f"exit status {part.process.returncode}; started again {when}")
            if part.again_ns is not None and now >= part.again_ns:
                try:
                    self._restart(part, say)
                except OSError as error:  # no memory, no room: the others go on
                    part.again_ns = now + int(RESTART_SECONDS[-1] * 1e9)
                    say(f"{_SPOKEN[part.name]} cannot be started, tried again in a minute: {error}")

    def keep_logs_small(self, say: Say) -> None:
        """Put aside what has become too large of what the parts print, the exchange included."""
        now = monotonic_ns()
        if now - self._logs_ns < LOG_SECONDS * 1e9:
            return
        self._logs_ns = now
        for path in (*self._logs.glob("*.log"), Path(self._settings.data_dir) / "exchange" / EXCHANGE_LOG):
            try:
                log_files.empty(path)
            except OSError as error:  # a full disk: the desk goes on
                say(f"{path} is not put aside: {error}")

    def end(self, name: str) -> None:
        """Kill a part that hangs; `keep` starts it again."""
        (part,) = [part for part in self.all if part.name == name]
        with suppress(ProcessLookupError):
            os.killpg(part.process.pid, signal.SIGKILL)
        part.process.wait()

    def pid(self, name: str) -> int:
        return next(part.process.pid for part in self.all if part.name == name)

    def _restart(self, part: Part, say: Say) -> None:
        _end([part])  # its code server, and runs that were on: the next protection takes up what they began
        if part.name == DAEMON:
            try:
                self._open_instance()
            except PartFailed as error:
                say(str(error))
        fresh = self._started(part.name)
        part.process, part.started_ns, part.again_ns = fresh.process, fresh.started_ns, None
        self._keep_roster()

    def _keep_roster(self) -> None:
        running = {part.name: part.process.pid for part in self.all}
        try:
            roster.keep(Path(self._settings.data_dir), {**self._beside, **running})
        except OSError as error:  # a full disk: the desk goes on
            _say(f"which processes run is not kept in {roster.ROSTER}: {error}")

    def _started(self, name: str) -> Part:
        log = self._logs / f"{name}.log"
        with log.open("ab") as output:
            process = subprocess.Popen(
                self._commands[name],
                cwd=self._project,
                env=environment_of(name, self._environ) | ends_with(name, self._settings),
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )
        return Part(name, process, log, monotonic_ns())

    def _tell(self, say: Say, part: Part, what: str) -> None:
        """On the terminal, and into the outbox where the journal takes it."""
        meanwhile = (
            "Without it nothing watches over Dagster; its daemon goes on protecting."
            if part.name == LISTENER
            else "The watchdog goes on protecting."
        )
        title = f"{_SPOKEN[part.name]} ended"
        say(f"{title}: {what}. {meanwhile} Its log: {part.log}")
        now = system_now_ns()
        try:
            with Journal.open(journal_file(self._settings)) as journal:
                book = known_book(self._settings, journal) or alerts.NO_BOOK
                alerts.tell(
                    journal,
                    book,
                    f"ended:{part.name}",
                    title,
                    f"{what}. {meanwhile} Its log: {part.log}",
                    now_ns=now,
                )
        except Exception as error:  # noqa: BLE001 - said; an alert that is not kept must not end the desk
            say(f"no alert of it is kept: {error}")

    def _open_instance(self) -> None:
        """Have the instance's tables made, and what a crash left of runs ended, before its parts start."""
        log = self._logs / "dagster-instance.log"
        with log.open("ab") as output:
            done = subprocess.run(
                [sys.executable, "-m", "trading_assets.defs.opening"],
                cwd=self._project,
                env=keyring.public(self._environ),
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
                check=False,
            )
        if done.returncode:
            home = self._environ["DAGSTER_HOME"]
            raise PartFailed(f"the Dagster instance at {home} cannot be opened; see {log}")


_SPOKEN = {
    WEBSERVER: "Dagster's webserver",
    DAEMON: "Dagster's daemon",
    LISTENER: "The listener with the watchdog",
}


def ends_with(part: str, settings: Settings) -> dict[str, str]:
    """What tells a part to end with this process, however that ends. The watchdog of a book at Alpaca is not
    told: it goes on protecting, and the next start names it. The embedded exchange leaves nothing to protect.
    """
    survives = part == LISTENER and settings.venue == "alpaca"
    return {} if survives else {STARTED_BY: str(os.getpid())}


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
    refuse_secrets_in_a_file(project)
    roster.refuse_left(Path(settings.data_dir))
    _refuse_busy_ports(settings, port)
    with stop_signals() as stop, ExitStack() as parts:
        environ = environment(project, config_path, settings)
        for told in close_places(settings, Path(environ["DAGSTER_HOME"])):
            say(told)
        began = system_now_ns() / 1e9
        exchange = None
        if settings.venue == "embedded":
            exchange = parts.enter_context(_exchange(settings, environ[CONTROL_TOKEN_VARIABLE], first))
            say(f"exchange   {exchange.url}  (control plane {exchange.control_url})")
        url = f"http://{HOST}:{port}"
        beside = {} if exchange is None else {"exchange": exchange.pid}
        dagster = parts.enter_context(Parts(project, settings, environ | {URL_VARIABLE: url}, port, beside))
        try:
            home = Path(environ["DAGSTER_HOME"])
            with closing(DagsterHealth(url, home)) as health:
                _wait_until_ready(health, began, dagster, exchange, stop)
            if not stop.is_set():
                say(f"Dagster    {link_of(home)}")
                say(
                    f"Ready. Open the link once in your browser (it is kept in {link_file(home)}). "
                    "Turn the schedule trading_hours on to arm trading; Ctrl-C ends all of it."
                )
            guard = _Guard(dagster, settings, DagsterHealth(url, home), stop, say)
            while not stop.wait(POLL_SECONDS):
                _refuse_ended(exchange)
                dagster.keep(say)
                dagster.keep_logs_small(say)
                guard.look()
        finally:
            say("ending …")
    say("ended: no process is left, the ports are free")


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
    health: DagsterHealth, began: float, parts: Parts, exchange: ExchangeProcess | None, stop: threading.Event
) -> None:
    """Until the webserver answers, the definitions are loaded and every daemon has given a sign of life."""
    until_ns = monotonic_ns() + int(READY_SECONDS * 1e9)
    missing = "an answer of the webserver"
    while not stop.wait(POLL_SECONDS):
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
        self._say(f"{_SPOKEN[name]} hangs: {why}; it is ended")
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
    entry.begin()
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
    sys.stdout.write(for_terminal(line) + "\n")
    sys.stdout.flush()


if __name__ == "__main__":
    main()
