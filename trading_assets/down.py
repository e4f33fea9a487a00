"""`trading-assets down`: ends the desk that has a data directory or a Dagster home, whatever became of its
terminal, and what a killed `make up` has left.

Only processes that the desk has kept in its roster, and what runs in their sessions, are signalled. An
orderly end is asked of `make up` itself, which ends its parts in order.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterable
from contextlib import suppress
from pathlib import Path
from typing import NamedTuple

import psutil

from trading_assets import roster
from trading_assets.errors import InvalidInput
from trading_assets.market.clock import monotonic_ns
from trading_assets.roster import EXCHANGE, ITSELF, Roster

PATIENCE_SECONDS = 60.0  # for `make up`: it may be starting a part, and waits for each of them
PART_SECONDS = 6.0  # for what it has left, each time it is asked

Say = Callable[[str], None]


class EndedPart(NamedTuple):
    """by_force: it did not end when it was asked."""

    name: str
    pid: int
    by_force: bool


class Ending(NamedTuple):
    """left: what runs all the same. protecting: the process of a watchdog that was left on purpose, or None.
    unprotected: whether a watchdog that protected a book at the broker has ended."""

    ended: tuple[EndedPart, ...]
    left: tuple[tuple[str, int], ...]
    protecting: int | None
    unprotected: bool

    @property
    def is_down(self) -> bool:
        """Whether nothing is left, protecting or not."""
        return not self.left and self.protecting is None


NOTHING = Ending((), (), None, unprotected=False)


def desk_on(data_dir: Path, dagster_home: Path, config_path: Path, *, home_is_named: bool) -> Roster | None:
    """The desk that has the data directory, or the Dagster home; None where nothing of one runs.

    A Dagster home that the environment names may be another desk's. That one is not taken: raises
    InvalidInput with what to type for it, unless a person has named the home. Raises InvalidInput, too, where
    a desk runs and it is not kept which process it is.
    """
    unnamed: list[Path] = []  # held by a process that it does not name; the other directory may name it
    for directory in (data_dir, dagster_home):
        listed = roster.read(directory)
        running = {} if listed is None else listed.running()
        if listed is None or not (running or any(map(listed.beneath, listed.parts))):
            unnamed += [directory] if roster.is_held(directory) else []
            continue
        own = data_dir.resolve() == listed.data_dir or config_path.resolve() == listed.config
        if directory == data_dir or own or home_is_named:
            return listed
        if unnamed:
            break
        raise InvalidInput(
            f"it belongs to the desk on {listed.data_dir}"
            + (f", {listed.summary()}" if ITSELF in running else "")
            + f", and no desk runs on {data_dir}",
            where=str(dagster_home),
            remedy=f"End that one with {listed.command('down')}",
        )
    if unnamed:
        raise roster.unnamed(unnamed[0])
    return None


def end(desk: Roster, *, with_watchdog: bool, patience_seconds: float, say: Say) -> Ending:
    """End it: `make up` first, which ends the rest; then what stays, the exchange last.

    with_watchdog: also the watchdog of a book at Alpaca that has outlived its `make up`.
    """
    ending = _Ending(desk, with_watchdog)
    itself = desk.running().get(ITSELF)
    if itself is not None:
        say(f"ending the desk on {desk.data_dir}: {desk.summary()}")
        if not ending.end([itself], patience_seconds):
            say(f"`make up` has not ended within {patience_seconds:g} s and is killed")
            ending.kill([itself])
    ending.look()  # parts that were started again meanwhile
    first = [name for name in ending.names if name not in (ITSELF, EXCHANGE)]
    for names in (first, [EXCHANGE]):
        processes = ending.of(names)
        if not ending.end(processes, PART_SECONDS):
            ending.kill(ending.of(names))
    return ending.done()


class _Ending:
    """What was found running, what of it has ended and how."""

    def __init__(self, desk: Roster, with_watchdog: bool) -> None:
        self._desk = desk
        self._spared = () if with_watchdog else desk.outlives
        self._processes: dict[psutil.Process, str] = {}
        self._killed: set[psutil.Process] = set()
        self.names: list[str] = []
        self.look()

    def look(self) -> None:
        """Note what runs now of the desk, and of what it has kept since."""
        kept = [self._desk, *filter(None, map(roster.read, roster.places(self._desk)))]
        for desk in kept:
            if desk.since_ns != self._desk.since_ns:
                continue
            self.names += [name for name in desk.parts if name not in self.names]
            for name, process in desk.running().items():
                self._processes.setdefault(process, name)
            for name in desk.parts:
                for process in desk.beneath(name):
                    self._processes.setdefault(process, name)

    def of(self, names: Iterable[str]) -> list[psutil.Process]:
        """What runs of these parts, but for what is spared."""
        self.look()
        signalled = set(names) - set(self._spared)
        return [process for process, name in self._processes.items() if name in signalled and _runs(process)]

    def end(self, processes: list[psutil.Process], seconds: float) -> bool:
        """Ask them to end, and wait; whether they have."""
        for process in processes:
            with suppress(psutil.NoSuchProcess):
                process.terminate()
        return _waited(processes, seconds)

    def kill(self, processes: list[psutil.Process]) -> None:
        for process in processes:
            with suppress(psutil.NoSuchProcess):
                process.kill()
                self._killed.add(process)
        _waited(processes, PART_SECONDS)

    def done(self) -> Ending:
        self.look()
        running = {process for process in self._processes if _runs(process)}
        ended = tuple(
            EndedPart(name, process.pid, process in self._killed)
            for process, name in self._processes.items()
            if process not in running
        )
        leaders = {part.pid for part in self._desk.parts.values()}
        spared = [process for process in running if self._processes[process] in self._spared]
        left = tuple((self._processes[process], process.pid) for process in running if process not in spared)
        watchdogs = [process.pid for process in spared if process.pid in leaders]
        if not running:
            for directory in roster.places(self._desk):
                roster.forget(directory)
        return Ending(
            ended,
            left,
            watchdogs[0] if watchdogs else None,
            any(part.name in self._desk.outlives for part in ended) and not spared,
        )


def _runs(process: psutil.Process) -> bool:
    with suppress(psutil.Error):
        return process.is_running() and roster.start_of(process) is not None
    return False


def _waited(processes: list[psutil.Process], seconds: float) -> bool:
    pause, until_ns = threading.Event(), monotonic_ns() + int(seconds * 1e9)
    while running := any(map(_runs, processes)):
        if monotonic_ns() >= until_ns:
            break
        pause.wait(0.05)
    return not running
