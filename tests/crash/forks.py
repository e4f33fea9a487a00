"""Forks of this warm process: for runs of a desk, until one dies, and for the exchange.

The process that forks has everything imported and compiled, and no connection open.
"""

from __future__ import annotations

import asyncio
import ctypes
import json
import os
import re
import signal
import sys
import traceback
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any, NoReturn

import uvicorn
from split_tape import Split, tape_with

from trading_assets.config import PUBLIC_KEYS
from trading_assets.errors import TradingAssetsError
from trading_assets.exchange import opening, venue
from trading_assets.exchange.connections import disconnecting
from trading_assets.exchange.http.app import ExchangeApis, Urls, listening, server_of, urls
from trading_assets.exchange.tape_view import TapeView
from trading_assets.exchange.venue import Venue
from trading_assets.market.sessions import Sessions
from trading_assets.store import duckdb_files

PATIENCE_SECONDS = 240  # of a machine that others use too
TOKEN = "crash-control-token"
_LIBC = ctypes.CDLL(None)
_PR_SET_PDEATHSIG = 1
_MADV_COLLAPSE = 25
_HUGE_PAGE = 2 << 20
_OWN_MEMORY = re.compile(r"([0-9a-f]+)-([0-9a-f]+) rw-p \S+ \S+ 0 +(\[heap\])?\n")
_FAILED = 4
_EXPECTED = (-signal.SIGKILL, -signal.SIGALRM)


def share() -> None:
    """Have what is costly to make and does not change made once, before the first fork: the exchange's tape
    and its view of it, and the modules that serve it."""
    opening.BundledTape = lambda seed: tape_with(seed, None)
    opening.Sessions = cache(Sessions)
    venue.TapeView = cache(TapeView)
    duckdb_files.CONFIG["threads"] = 1  # for some hundred rows a second thread costs more than it helps
    server = uvicorn.Config(_no_app, ws="websockets-sansio", lifespan="off")
    server.load()  # imports what serves; the exchange's own does so only once it serves
    server.get_loop_factory()


def gather_memory() -> None:
    """Put what this process has written into huge pages: a fork copies the table of the pages, which takes
    longer than all else of it. A kernel that cannot (before 6.1) leaves them as they are."""
    _LIBC.madvise.argtypes = [ctypes.c_void_p, ctypes.c_size_t, ctypes.c_int]
    for line in Path("/proc/self/maps").read_text().splitlines(keepends=True):
        if own := _OWN_MEMORY.fullmatch(line):
            first, end = int(own[1], 16), int(own[2], 16)
            first, end = -(-first // _HUGE_PAGE) * _HUGE_PAGE, end // _HUGE_PAGE * _HUGE_PAGE
            if first < end:
                _LIBC.madvise(first, end - first, _MADV_COLLAPSE)


async def _no_app(scope: object, receive: object, send: object) -> None:
    """Serves nothing."""


@dataclass(frozen=True)
class Ended:
    """How a run ended: killed, hung, with the error that it raised, or well."""

    killed: bool = False
    hung: bool = False
    refused: str = ""  # a TradingAssetsError: the run failed as runs may
    failed: str = ""  # any other exception: never right
    answer: str = ""  # what the run returned

    @property
    def well(self) -> bool:
        return not (self.killed or self.hung or self.refused or self.failed)


class Runs:
    """Runs of a desk, one after the other in one fork, up to the first that dies or fails.

    run:  does the run that a line of text says, in the fork, and returns what it answers
    log:  where what the fork says goes; None: nowhere
    """

    def __init__(self, run: Callable[[str], str], log: Path | None = None) -> None:
        (taken, give), (answers, tell) = os.pipe(), os.pipe()
        self._pid = os.fork()
        if self._pid == 0:
            os.close(give)
            os.close(answers)
            _serve_runs(run, taken, tell, log)
        os.close(taken)
        os.close(tell)
        self._give, self._answers = os.fdopen(give, "w"), os.fdopen(answers, "r")
        self.over = False

    def run(self, what: str) -> Ended:
        """How the run ended; unless well or refused, so did the process."""
        self._give.write(f"{json.dumps(what)}\n")
        self._give.flush()
        line = self._answers.readline()
        if line.endswith("\n"):
            return Ended(**json.loads(line))
        code = self._ended()
        return Ended(
            killed=code == -signal.SIGKILL,
            hung=code == -signal.SIGALRM,
            failed=line or f"exit status {code}" if code not in _EXPECTED else "",
        )

    def close(self) -> None:
        """SIGKILL, if it is still there: what it did is stored."""
        if not self.over:
            os.kill(self._pid, signal.SIGKILL)
            self._ended()

    def _ended(self) -> int:
        self.over = True
        self._give.close()
        self._answers.close()
        return os.waitstatus_to_exitcode(os.waitpid(self._pid, 0)[1])


def run_forked(run: Callable[[], str], log: Path | None = None) -> Ended:
    """One run in a process of its own, and how that ended."""
    runs = Runs(lambda _: run(), log)
    try:
        return runs.run("")
    finally:
        runs.close()


def begin(log: Path | None) -> None:
    """What every fork begins with: it says what it says to `log`, and does not outlive its parent."""
    signal.signal(signal.SIGTERM, signal.SIG_DFL)
    _LIBC.prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
    _write_to(log)


def _serve_runs(run: Callable[[str], str], taken: int, tell: int, log: Path | None) -> NoReturn:
    """A line for each run that ends well or is refused; what another one says is no whole line."""
    code = _FAILED
    try:
        begin(log)
        with os.fdopen(taken) as lines:
            for line in lines:
                signal.alarm(PATIENCE_SECONDS)
                try:
                    answer = {"answer": run(json.loads(line))}
                except TradingAssetsError as error:
                    answer = {"refused": f"{type(error).__name__}: {error}"}
                signal.alarm(0)
                _write_all(tell, f"{json.dumps(answer)}\n".encode())
        code = 0
    except BaseException:  # noqa: BLE001 - the parent reports it as a failure of the case
        _write_all(tell, json.dumps(traceback.format_exc()[-60_000:]).encode())
    finally:
        os._exit(code)


def _write_all(to: int, what: bytes) -> None:
    while what:
        what = what[os.write(to, what) :]


@contextmanager
def silence() -> Iterator[None]:
    """What this process says in the block goes nowhere."""
    sys.stdout.flush()
    kept = os.dup(1), os.dup(2)
    _write_to(None)
    try:
        yield
    finally:
        sys.stdout.flush()
        for target, saved in enumerate(kept, 1):
            os.dup2(saved, target)
            os.close(saved)


def _write_to(log: Path | None) -> None:
    target = os.open(log or os.devnull, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
    sys.stdout.flush()
    os.dup2(target, 1)
    os.dup2(target, 2)
    os.close(target)


class ForkedExchange:
    """An embedded exchange in a fork, of one state directory after the other."""

    def __init__(self, log: Path | None = None) -> None:
        (taken, give), (answers, tell) = os.pipe(), os.pipe()
        self.pid = os.fork()
        if self.pid == 0:
            os.close(give)
            os.close(answers)
            _serve(taken, tell, log)
        os.close(taken)
        os.close(tell)
        self._give, self._answers = os.fdopen(give, "w"), os.fdopen(answers, "r")
        self.urls = Urls(*self._answer())

    def open(
        self,
        state_dir: Path,
        split: Split | None = None,
        *,
        start_ns: int | None = None,
        fill_mode: str = "ideal",
    ) -> None:
        """Serve what is there from now on, on a tape with this split; start_ns, fill_mode: of a new one."""
        venue = {"state_dir": str(state_dir), "start_ns": start_ns, "fill_mode": fill_mode}
        self._say(venue if split is None else venue | {"split": split.as_json()})

    def close(self) -> None:
        """Let go of the directory: what was answered is stored."""
        self._say(None)

    def events(self) -> int:
        """How many its journal has."""
        return int(self._say("events"))

    def now_ns(self) -> int:
        """Its time, without a request."""
        return int(self._say("now"))

    def kill(self) -> None:
        """SIGKILL, and wait for its end."""
        os.kill(self.pid, signal.SIGKILL)
        os.waitpid(self.pid, 0)
        self._give.close()
        self._answers.close()

    def _say(self, what: object) -> Any:
        self._give.write(f"{json.dumps(what)}\n")
        self._give.flush()
        return self._answer()

    def _answer(self) -> Any:
        line = self._answers.readline()
        if not line:
            raise RuntimeError("the exchange ended")
        return json.loads(line)


def _serve(taken: int, tell: int, log: Path | None) -> NoReturn:
    venues: list[Venue] = []
    try:
        begin(log)
        with listening(0, "the Alpaca API") as public, listening(0, "the control plane") as private:
            apis = ExchangeApis(private)
            server = server_of(apis)
            lines = os.fdopen(taken)

            def take() -> None:
                try:
                    order, answer = json.loads(lines.readline()), 0
                    if order == "events":
                        answer = venues[0].state.event_count
                    elif order == "now":
                        answer = venues[0].now_ns
                    else:
                        while venues:
                            venues.pop().close()
                    if isinstance(order, dict):
                        split = Split.read(order.pop("split", None))
                        opening.BundledTape = lambda seed: tape_with(seed, split)
                        venues.append(opening.open_venue(Path(order.pop("state_dir")), **order))
                        # a case runs one tick up to four times in a minute that stands
                        apis.show(
                            venues[0],
                            disconnecting(server),
                            TOKEN,
                            PUBLIC_KEYS,
                            requests_per_minute=1_000_000,
                        )
                    _write_all(tell, f"{answer}\n".encode())
                except BaseException:  # noqa: BLE001 - whoever waits for the line sees that it did not come
                    traceback.print_exc()
                    os._exit(_FAILED)

            async def served() -> None:
                asyncio.get_running_loop().add_reader(taken, take)
                _write_all(tell, f"{json.dumps(urls(public, private))}\n".encode())
                await server.serve(sockets=[public, private])

            with asyncio.Runner(loop_factory=server.config.get_loop_factory()) as runner:
                runner.run(served())
    except BaseException:  # noqa: BLE001
        traceback.print_exc()
    finally:
        os._exit(_FAILED)
