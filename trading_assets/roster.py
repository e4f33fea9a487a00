"""Which processes a running desk is made of, kept in its data directory and in its Dagster home: so that a
second start can say which process has them, `trading-assets status` what runs, and `trading-assets down`
finds what to end.

A process id is used again, so a process is taken for a part only where its start, its user and its command
line are those that were kept, since the machine was switched on. While `make up` lives it holds a lock in
both directories, which ends with it, however it ends. The locked file has the roster once more: it counts
where the other is damaged.
"""

from __future__ import annotations

import fcntl
import os
import threading
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager, suppress
from functools import partial
from pathlib import Path
from shlex import quote
from typing import NamedTuple

import psutil
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from trading_assets import config
from trading_assets.errors import InvalidInput
from trading_assets.market.sessions import new_york_time
from trading_assets.store.leases import process_start

ROSTER = "parts.json"
LOCK = "desk.lock"
ITSELF = "make up"  # which ends the others when it is ended
EXCHANGE = "exchange"
LOCK_TRIES = 20  # a tenth of a second apart: `down` looks at the lock by taking it
COMMAND_TRIES = 100  # a process that has just been started has no command line for a moment
_MODULES = ("dagster", "trading_assets")  # of Python processes that the parts start


class _Kept(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class Enrolled(_Kept):
    """A process, by what tells it from others that have its number at another time."""

    pid: int = Field(gt=0)
    start: str
    command: tuple[str, ...]

    def process(self) -> psutil.Process | None:
        """It, where it still runs."""
        try:
            process = psutil.Process(self.pid)
            same = start_of(process) == self.start and process.uids().real == os.getuid()
            return process if same and tuple(process.cmdline()[1:]) == self.command[1:] else None
        except psutil.Error:
            return None

    def beneath(self) -> list[psutil.Process]:
        """What else runs in the session of its own that it was started in: its code server, runs."""
        leader = self.process()
        processes = []
        for process in psutil.process_iter():
            with suppress(psutil.Error, ProcessLookupError, PermissionError):
                if process.pid == self.pid or os.getsid(process.pid) != self.pid:
                    continue
                after = float(start_of(process) or 0) >= float(self.start)
                known = leader is not None or _is_python_of_ours(process.cmdline())
                if after and known and process.uids().real == os.getuid():
                    processes.append(process)
        return processes


class Roster(_Kept):
    """What one start of a desk has kept of itself. parts: by name. outlives: those that a kill of `make up`
    leaves running."""

    boot: str
    since_ns: int
    config: Path
    data_dir: Path
    dagster_home: Path
    addresses: dict[str, str]
    outlives: tuple[str, ...]
    parts: dict[str, Enrolled]

    def running(self) -> dict[str, psutil.Process]:
        """Its processes that still run, by name."""
        if self.boot != _boot():
            return {}
        processes = {name: part.process() for name, part in self.parts.items()}
        return {name: process for name, process in processes.items() if process is not None}

    def beneath(self, name: str) -> list[psutil.Process]:
        """What runs in the session of a part besides it. `make up` has its person's session."""
        if self.boot != _boot() or name == ITSELF or name not in self.parts:
            return []
        return self.parts[name].beneath()

    def command(self, words: str) -> str:
        """What to type for this desk."""
        here = config.path_in_use(None, os.environ).resolve() == self.config
        named = "" if here else f" --config {quote(str(self.config))}"
        return f"`trading-assets {words}{named}`"

    def summary(self) -> str:
        """Its process, since when, and where."""
        addresses = "".join(f", {name} {url}" for name, url in self.addresses.items())
        return f"process {self.parts[ITSELF].pid}, since {new_york_time(self.since_ns)}{addresses}"


class Presence(NamedTuple):
    """What runs of a desk.

    process: `make up`, where it runs
    left:    what else does, with its name, where a killed `make up` has left it
    summary: for a person, with what to type
    """

    process: int | None
    left: tuple[tuple[str, int], ...]
    summary: str


class Holder:
    """This process, which has the desk's two directories, and keeps there which processes it started.

    locks: the descriptors of the locked files, by directory
    """

    def __init__(self, roster: Roster, locks: Mapping[Path, int]) -> None:
        self._roster, self._locks = roster, locks

    def keep(self, parts: Mapping[str, int]) -> None:
        """These process ids, by the names of the parts, and this process's. Raises OSError, after it has kept
        them wherever they could be kept."""
        running = {ITSELF: os.getpid(), **parts}
        enrolled = {name: enrolment for name, pid in running.items() if (enrolment := _enrolled(pid))}
        self._roster = self._roster.model_copy(update={"parts": enrolled})
        text, failures = self._roster.model_dump_json().encode(), list[OSError]()
        for directory, lock in self._locks.items():
            for write in (_replace, partial(_overwrite, lock)):
                try:
                    write(directory, text)
                except OSError as error:
                    failures.append(error)
        if failures:
            raise failures[0]


@contextmanager
def held(
    *,
    config_path: Path,
    data_dir: Path,
    dagster_home: Path,
    since_ns: int,
    addresses: Mapping[str, str],
    outlives: Sequence[str],
) -> Iterator[Holder]:
    """Take the two directories for this process, until its end. Raises InvalidInput where another has one of
    them, or has left processes there."""
    roster = Roster(
        boot=_boot(),
        since_ns=since_ns,
        config=config_path.resolve(),
        data_dir=data_dir.resolve(),
        dagster_home=dagster_home.resolve(),
        addresses=dict(addresses),
        outlives=tuple(outlives),
        parts={},
    )
    with ExitStack() as stack:
        locks = dict[Path, int]()
        for directory in places(roster):
            locks[directory] = _locked(directory)
            stack.callback(os.close, locks[directory])
            refuse_left(directory)
        try:
            holder = Holder(roster, locks)
            holder.keep({})
            yield holder
        finally:
            for directory, lock in locks.items():
                _empty(directory, lock)


def places(roster: Roster) -> tuple[Path, ...]:
    """The directories in which it is kept."""
    return tuple(dict.fromkeys((roster.data_dir, roster.dagster_home)))


def read(directory: Path) -> Roster | None:
    """What is kept there. A file that none of us has written keeps nothing."""
    for name in (ROSTER, LOCK):
        with suppress(OSError, ValidationError):
            return Roster.model_validate_json((directory / name).read_bytes())
    return None


def presence(directory: Path) -> Presence:
    """What runs of the desk on this data directory. Signals nothing."""
    roster = read(directory)
    running = {} if roster is None else roster.running()
    if roster is not None and ITSELF in running:
        return Presence(running[ITSELF].pid, (), roster.summary())
    if is_held(directory):
        nameless = unnamed(directory)
        return Presence(_holder_of(directory), (), f"{nameless.what}. {nameless.remedy}")
    if roster is not None:
        left = [(name, process.pid) for name, process in running.items()]
        left += [(name, process.pid) for name in roster.parts for process in roster.beneath(name)]
        if left:
            return Presence(
                None, tuple(left), f"{_what_is_left(roster, left)}. {_how_to_end(roster, running)}"
            )
    return Presence(None, (), f"none runs on {directory.resolve()}. Start one with `trading-assets up`")


def refuse_left(directory: Path) -> None:
    """Raises InvalidInput while an earlier start, or what it has left, runs on the same directory."""
    roster = read(directory)
    running = {} if roster is None else roster.running()
    if roster is None or not running:
        return
    if ITSELF in running:
        raise InvalidInput(
            f"a desk runs here already: {roster.summary()}",
            where=str(directory),
            remedy=f"Look at it with {roster.command('status')}, end it with {roster.command('down')}",
        )
    raise InvalidInput(
        _what_is_left(roster, [(name, process.pid) for name, process in running.items()]),
        where=str(directory),
        remedy=_how_to_end(roster, running),
    )


def _what_is_left(roster: Roster, left: Sequence[tuple[str, int]]) -> str:
    named = ", ".join(f"{name} (process {pid})" for name, pid in left)
    protects = {name for name, _ in left} <= set(roster.outlives)
    more = ", which goes on protecting the book" if protects else ""
    return f"an earlier `make up` was killed and has left {named}{more}"


def _how_to_end(roster: Roster, running: Iterable[str]) -> str:
    ending = "down --watchdog" if set(running) & set(roster.outlives) else "down"
    return f"End what is left with {roster.command(ending)}, then start the desk again"


def is_held(directory: Path) -> bool:
    """Whether a process has the directory now."""
    try:
        lock = os.open(directory / LOCK, os.O_RDWR | os.O_CLOEXEC)
    except FileNotFoundError:
        return False
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    finally:
        os.close(lock)
    return False


def forget(directory: Path) -> None:
    """All have ended. A start that has taken the directory meanwhile keeps its own file."""
    with suppress(OSError):
        lock = os.open(directory / LOCK, os.O_RDWR | os.O_CLOEXEC)
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            return
        else:
            _empty(directory, lock)
        finally:
            os.close(lock)


def start_of(process: psutil.Process) -> str | None:
    """What tells it from others that have its number at another time; None where it has ended."""
    start = process_start(process.pid)
    return start if start is None or start else str(process.create_time())


def _enrolled(pid: int) -> Enrolled | None:
    try:
        process = psutil.Process(pid)
        pause = threading.Event()
        for _ in range(COMMAND_TRIES):
            start, command = start_of(process), tuple(process.cmdline())
            if start is None:
                return None
            if command:
                return Enrolled(pid=pid, start=start, command=command)
            pause.wait(0.02)
        return None
    except psutil.Error:  # it has ended
        return None


def _locked(directory: Path) -> int:
    """The descriptor that holds the directory's lock. Raises InvalidInput where another process has it."""
    lock = os.open(directory / LOCK, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    pause = threading.Event()
    for _ in range(LOCK_TRIES):
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            try:
                refuse_left(directory)
            except InvalidInput:
                os.close(lock)
                raise
            pause.wait(0.1)
        else:
            return lock
    os.close(lock)
    raise unnamed(directory)


def unnamed(directory: Path) -> InvalidInput:
    """A process has the directory, and it is not kept what it runs. The kernel knows which process."""
    pid = _holder_of(directory)
    if pid is None:
        return InvalidInput(
            "a desk runs here already, and does not say which process it is",
            where=str(directory),
            remedy=f"Find it with `fuser {quote(str(directory / LOCK))}`, and end it with `kill`",
        )
    return InvalidInput(
        f"a desk runs here already: process {pid}, whose list of parts is lost",
        where=str(directory),
        remedy=f"Look at it with `ps -p {pid}`, and end it with `kill {pid}`: it ends its parts",
    )


def _holder_of(directory: Path) -> int | None:
    """The process that has the directory's lock, where the system tells (Linux)."""
    with suppress(OSError):
        lock = (directory / LOCK).stat()
        place = f"{os.major(lock.st_dev):02x}:{os.minor(lock.st_dev):02x}:{lock.st_ino}"
        for line in Path("/proc/locks").read_text().splitlines():
            fields = line.split()
            if fields[1:2] == ["FLOCK"] and fields[5:6] == [place] and int(fields[4]) > 0:
                return int(fields[4])
    return None


def _replace(directory: Path, text: bytes) -> None:
    part = directory / f".{ROSTER}.{os.getpid()}"
    part.write_bytes(text)
    part.replace(directory / ROSTER)


def _overwrite(lock: int, _directory: Path, text: bytes) -> None:
    """In place, as another file would not be locked."""
    os.ftruncate(lock, 0)
    os.pwrite(lock, text, 0)


def _empty(directory: Path, lock: int) -> None:
    """Keep nothing any more. On a disk that is read-only by now it stays: what it names has ended, and is
    known by more than its number."""
    with suppress(OSError):
        os.ftruncate(lock, 0)
    with suppress(OSError):
        (directory / ROSTER).unlink(missing_ok=True)


def _boot() -> str:
    """Of the machine, since it was switched on; empty where the system does not tell."""
    try:
        return Path("/proc/sys/kernel/random/boot_id").read_text().strip()
    except OSError:
        return ""


def _is_python_of_ours(command: Sequence[str]) -> bool:
    return command[1:2] == ["-m"] and command[2:3] != [] and command[2].partition(".")[0] in _MODULES
