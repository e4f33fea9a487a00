"""The parts of a desk, each a process with all that it starts: webserver, daemon and listener. They are
started together, kept running and ended together; where one ends, people are told.

What else `make up` does, its order and its end, is `trading_assets.up`.
"""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from trading_assets import keyring, log_files, roster
from trading_assets.config import Settings
from trading_assets.engine.book import alerts
from trading_assets.engine.book.place import journal_file, known_book
from trading_assets.environment import (
    DAEMON,
    LISTENER,
    WEBSERVER,
    environment_of,
)
from trading_assets.errors import TradingAssetsError
from trading_assets.exchange.process import LOG_NAME as EXCHANGE_LOG
from trading_assets.log import get_logger
from trading_assets.market.clock import monotonic_ns, system_now_ns
from trading_assets.parentage import STARTED_BY
from trading_assets.store.journal import Journal

END_SECONDS = 4.0
LOG_SECONDS = 30.0  # between two looks at the size of the parts' logs
RESTART_SECONDS = (0.0, 5.0, 15.0, 60.0)  # before a part is started for the 1st, 2nd, … time in a row
LASTING_SECONDS = 600.0  # a part that has run so long ended for another reason than the time before

Say = Callable[[str], None]
log = get_logger(__name__)


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
        keep_roster: Callable[[Mapping[str, int]], None],
    ) -> None:
        """keep_roster: told which processes run, by the names of the parts, whenever one has been started"""
        self._project, self._settings, self._environ = project, settings, environ
        self._tell_roster = keep_roster
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
                    say(f"{SPOKEN[part.name]} cannot be started, tried again in a minute: {error}")

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
            self._tell_roster(running)
        except OSError as error:  # a full disk: the desk goes on
            log.warning("which processes run is not kept", file=roster.ROSTER, why=str(error))

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
        title = f"{SPOKEN[part.name]} ended"
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
        """Have the instance's tables made before its parts start."""
        log = self._logs / "dagster-instance.log"
        with log.open("ab") as output:
            done = subprocess.run(
                [sys.executable, "-m", "trading_assets.runs.opening"],
                cwd=self._project,
                env=keyring.public(self._environ),
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
                start_new_session=True,  # as a part: neither Ctrl-C nor the terminal's end breaks it off
                check=False,
            )
        if done.returncode:
            home = self._environ["DAGSTER_HOME"]
            raise PartFailed(f"the Dagster instance at {home} cannot be opened; see {log}")


SPOKEN = {
    WEBSERVER: "Dagster's webserver",
    DAEMON: "Dagster's daemon",
    LISTENER: "The listener with the watchdog",
}


def ends_with(part: str, settings: Settings) -> dict[str, str]:
    """What tells a part to end with this process, however that ends. The watchdog of a book at Alpaca is not
    told: it goes on protecting, and the next start names it. The embedded exchange leaves nothing to protect.
    """
    return {} if part in outlives(settings) else {STARTED_BY: str(os.getpid())}


def outlives(settings: Settings) -> tuple[str, ...]:
    """The parts that a kill of `make up` leaves running."""
    return (LISTENER,) if settings.venue != "embedded" else ()


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
