"""One case: a tick killed at a point, with a fault of the exchange or of the machine, and its recovery.

A case is named by what it does (`Case.read(str(case)) == case`), so that one command repeats it exactly.
What it leaves is evidence; whether that is right is `judge`.
"""

from __future__ import annotations

import json
import os
import shutil
import sqlite3
import tempfile
from collections.abc import Iterator
from contextlib import closing, contextmanager
from dataclasses import asdict, dataclass, field
from pathlib import Path
from random import Random
from typing import NamedTuple

from faults import FAULTS, PATIENT, Strike, Struck, book_split, struck
from forks import TOKEN, Ended, ForkedExchange, Runs, run_forked
from points import Point, Track
from scenario import MINUTE_NS, SECOND_NS, Scenario, give, open_desk, run, scenario, sessions

from trading_assets.engine.book.desk import Desk
from trading_assets.engine.orders import follow, submit
from trading_assets.engine.protection.protect import new_execution_id, protect_alone
from trading_assets.engine.reconciliation import transient_causes
from trading_assets.exchange.control_client import ControlClient
from trading_assets.exchange.http.app import Urls
from trading_assets.market.clock import VenueClock, system_now_ns

ROOM = Path("/dev/shm") if os.access("/dev/shm", os.W_OK) else Path(tempfile.gettempdir())
MOST_SWEEPS = 12
SWEEPS_IN_SESSION = 3
BETWEEN_SWEEPS_NS = 35 * SECOND_NS
NEXT_TRY_NS = 5 * MINUTE_NS + SECOND_NS  # at most, of an exit that one recovery could not fill
# Pauses that wait for a network, for an exchange on loopback.
submit.LOOKUP_PAUSES_SECONDS = (0.0, 0.005, 0.01)
follow.POLL_SECONDS = 0.002
follow.CANCEL_PATIENCE_SECONDS = 0.1


class Move(NamedTuple):
    """One run of the desk in a recovery: what it is, and how far time moves on before it."""

    kind: (
        str  # again: the tick once more; next: the tick after it; protect; kill: protect, with the switch set
    )
    after_ns: int


PLANS: tuple[tuple[Move, ...], ...] = (
    (Move("again", 0), Move("protect", 35 * SECOND_NS)),
    (Move("protect", 20 * SECOND_NS), Move("protect", 45 * SECOND_NS)),
    (Move("protect", 0), Move("next", 5 * MINUTE_NS)),
    (Move("next", 5 * MINUTE_NS),),
    (Move("again", 150 * SECOND_NS),),
    (Move("kill", 10 * SECOND_NS),),
    (Move("protect", 1 * SECOND_NS), Move("again", 1 * SECOND_NS), Move("next", 5 * MINUTE_NS)),
)


@dataclass(frozen=True)
class Case:
    seed: int  # of the scenario
    point: Point | None  # where the tick is killed; None: nowhere
    strike: Strike | None
    plan: int
    second: Point | None = None  # where the first run of the recovery is killed too

    def __str__(self) -> str:
        parts = (self.seed, self.point, self.strike, self.plan, self.second)
        return ",".join("-" if part is None else str(part) for part in parts)

    @property
    def past(self) -> tuple[int, Point | None, bool] | None:
        """What its tick's death follows from; other cases may have the same. None: a fault of its own too."""
        if self.strike is None:
            return self.seed, self.point, False
        if self.strike.phase == "tick":
            return None
        return self.seed, self.point, FAULTS[self.strike.name].split is not None

    @staticmethod
    def read(text: str) -> Case:
        seed, point, strike, plan, second = text.split(",")
        return Case(
            int(seed),
            None if point == "-" else Point.read(point),
            None if strike == "-" else Strike.read(strike),
            int(plan),
            None if second == "-" else Point.read(second),
        )


class _Task(NamedTuple):
    """One run, as the process that does it is told."""

    case: str
    data_dir: str
    urls: tuple[str, str]  # of the exchange: the Alpaca API's, the control plane's
    kind: str  # a Move's, or tick
    now_ns: int  # of a tick that is no other's; else 0
    switch: str  # the variable of the environment that kills; "": none
    fault: str  # what strikes meanwhile; "": nothing
    number: int  # of the case's runs


@dataclass
class Evidence:
    """What a case leaves to be judged."""

    case: Case
    scenario: Scenario
    desk_journal: Path
    exchange_journal: str = ""
    ends: list[tuple[str, Ended]] = field(default_factory=list)
    problems: list[str] = field(default_factory=list)  # runs that ended as none may
    looked_ns: list[int] = field(default_factory=list)  # the venue's time of each run
    killed_from: int | None = None  # lines of the exchange's journal when the kill switch was set
    hit: bool = False  # whether the tick was killed at its point

    def keep(self, directory: Path) -> None:
        """Into a directory, to be judged again by `kept`."""
        directory.mkdir(parents=True, exist_ok=True)
        with closing(sqlite3.connect(self.desk_journal)) as desk:  # its log is not in the file itself
            desk.execute("VACUUM INTO ?", (str(directory / "journal.sqlite"),))
        (directory / "exchange.txt").write_text(self.exchange_journal)
        members = {
            "case": str(self.case),
            "ends": [(kind, asdict(ended)) for kind, ended in self.ends],
            "problems": self.problems,
            "killed_from": self.killed_from,
            "looked_ns": self.looked_ns,
        }
        (directory / "evidence.json").write_text(json.dumps(members))

    @staticmethod
    def kept(directory: Path) -> Evidence:
        document = json.loads((directory / "evidence.json").read_text())
        case = Case.read(document["case"])
        return Evidence(
            case,
            scenario(case.seed),
            directory / "journal.sqlite",
            (directory / "exchange.txt").read_text(),
            [(kind, Ended(**ended)) for kind, ended in document["ends"]],
            document["problems"],
            document["looked_ns"],
            document["killed_from"],
        )


@dataclass(frozen=True)
class Death:
    """How a tick ended that several cases begin with, and the state that it left on disk."""

    home: Path
    ended: Ended
    looked_ns: int


class Ground:
    """What cases are played on, one after the other: two processes that outlive them. One is the exchange;
    the other does the runs of a desk in which nothing befalls the process itself, until one fails."""

    def __init__(self, log: Path | None = None) -> None:
        self._log = log
        self._runs: Runs | None = None
        self.exchange = ForkedExchange(log)
        self.keeper = ControlClient(self.exchange.urls.control_url, TOKEN)

    def close(self) -> None:
        self.keeper.close()
        self.exchange.kill()
        if self._runs is not None:
            self._runs.close()

    def run(self, task: _Task) -> Ended:
        """A run that nothing befalls."""
        if self._runs is None or self._runs.over:
            self._runs = Runs(lambda what: _do(_Task(*json.loads(what)), None), self._log)
        return self._runs.run(json.dumps(task))

    def run_forked(self, task: _Task, track: Track | None) -> Ended:
        """A run that has its own code or means taken from it: by death, by being tracked, or by a fault."""
        return run_forked(lambda: _do(task, track), self._log)


class Trial:
    """A case under way: its copy of the scenario's state, at the exchange and at the desk.

    death: how its tick has ended, in the state that it begins with then
    """

    def __init__(self, case: Case, template: Path, ground: Ground, death: Death | None = None) -> None:
        self.case, self.scenario, self._ground = case, scenario(case.seed), ground
        self.home = Path(tempfile.mkdtemp(prefix="crash-", dir=ROOM))
        shutil.copytree(template if death is None else death.home, self.home, dirs_exist_ok=True)
        ground.exchange.open(self.home / "exchange", self.scenario.split)
        self._keeper = ground.keeper
        self._desk = self.home / "desk"
        self._settings = self.scenario.settings(self._desk, ground.exchange.urls)
        self._rng = Random(str(case))
        self._struck_by: Strike | None = None
        self.evidence = Evidence(case, self.scenario, self._desk / "journal.sqlite")
        self._is_dead = death is not None
        if death is not None:
            self._note("tick", death.ended, death.looked_ns)

    def close(self) -> None:
        self._ground.exchange.close()
        shutil.rmtree(self.home)

    def points(self) -> list[Point]:
        """Every point that the tick comes to when nothing fails; of a case that is killed at a point those
        that the first run of its recovery comes to."""
        self._book_split()
        ended = self._run("tick", self.case.point, tracked=True)
        if ended.killed:
            move = PLANS[self.case.plan][0]
            self._wait(move.after_ns)
            self.evidence.killed_from = 0 if move.kind == "kill" else None
            ended = self._run(move.kind, tracked=True)
        if not ended.well:
            raise RuntimeError(f"case {self.case} fails by itself: {ended}")
        return [Point.read(line) for line in ended.answer.splitlines()[:-1]]

    def carry_out(self) -> Evidence:
        """Kill the tick, recover, and go on until nothing is under way."""
        if not self._is_dead:
            self._die()
        at_rest = False
        with self._met("recovery"):
            for number, move in enumerate(PLANS[self.case.plan]):
                self._wait(move.after_ns)
                if move.kind == "kill":
                    self.evidence.killed_from = self._ground.exchange.events()
                at_rest = self._rests(move.kind, self.case.second if number == 0 else None)
        if not at_rest or (self.case.strike is not None and self.case.strike.phase == "recovery"):
            self._sweep()
        self.evidence.exchange_journal = self._keeper.journal()
        return self.evidence

    def death(self, home: Path) -> Death:
        """Kill the tick, and leave into `home` what other cases begin with."""
        self._die()
        self._ground.exchange.close()
        shutil.copytree(self.home, home)
        ((_, ended),) = self.evidence.ends
        return Death(home, ended, self.evidence.looked_ns[0])

    def _die(self) -> None:
        self._book_split()
        with self._met("tick"):
            self._run("tick", self.case.point)

    def _book_split(self) -> None:
        """What the morning's split changes, ahead of the tick; of a case about splits its fault does that."""
        strike, split = self.case.strike, self.scenario.split
        if split is not None and (strike is None or not FAULTS[strike.name].split):
            book_split(self._keeper, split)

    def _sweep(self) -> None:
        """Protect until a run finds nothing to do: within the session first, then after its close."""
        close_ns = sessions().close_ns(self.scenario.session)
        strike = self.case.strike
        unfilled = strike is not None and FAULTS[strike.name].market is not None
        for number in range(MOST_SWEEPS):
            pause_ns = NEXT_TRY_NS if unfilled and number == 0 else BETWEEN_SWEEPS_NS
            now_ns = self._ground.exchange.now_ns()
            past_close = number >= SWEEPS_IN_SESSION and now_ns < close_ns
            self._wait(close_ns + SECOND_NS - now_ns if past_close else pause_ns)
            if self._rests("protect"):
                return
        last = self.evidence.ends[-1][1].answer.splitlines()[-1:]
        self.evidence.problems.append(f"not at rest after {MOST_SWEEPS} sweeps: {last}")

    def _rests(self, kind: str, end_at: Point | None = None) -> bool:
        """Whether a run of the desk found nothing to do, and leaves nothing under way."""
        before = self._ground.exchange.events()
        ended = self._run(kind, end_at)
        if not ended.well or json.loads(ended.answer.splitlines()[-1]):
            return False
        return self._ground.exchange.events() == before

    def _wait(self, for_ns: int) -> None:
        if for_ns:
            self._keeper.move_to(self._ground.exchange.now_ns() + for_ns)

    @contextmanager
    def _met(self, phase: str) -> Iterator[None]:
        """The case's fault, if it is one of this phase."""
        strike = self.case.strike
        if strike is None or strike.phase != phase:
            yield
            return
        self._struck_by = strike
        struck_at = Struck(
            self._keeper, self._rng, self.scenario.symbols, self.scenario.split, self._settings
        )
        with struck(strike, struck_at):
            yield
        self._struck_by = None
        (self._desk / "rate_limit").unlink(missing_ok=True)  # the minute of a 429 is over with it

    def _run(self, kind: str, end_at: Point | None = None, *, tracked: bool = False) -> Ended:
        """One run of the desk."""
        fault = None if self._struck_by is None else FAULTS[self._struck_by.name]
        now_ns = self._ground.exchange.now_ns()
        task = _Task(
            str(self.case),
            str(self._desk),
            self._ground.exchange.urls,
            kind,
            now_ns if kind == "next" else 0,
            "KILL_SWITCH" if self.evidence.killed_from is not None else "",
            "" if self._struck_by is None else self._struck_by.name,
            len(self.evidence.ends),
        )
        track = Track(end_at) if end_at is not None or tracked else None
        if track is not None or (fault is not None and fault.afflict is not None):
            ended = self._ground.run_forked(task, track)
        else:
            ended = self._ground.run(task)
        self._note(kind, ended, now_ns)
        return ended

    def _note(self, kind: str, ended: Ended, looked_ns: int) -> None:
        """One run more."""
        is_struck = self._struck_by is not None
        self.evidence.looked_ns.append(looked_ns)
        self.evidence.ends.append((kind, ended))
        if kind == "tick":
            self.evidence.hit = ended.killed
        if ended.hung:
            self.evidence.problems.append(f"{kind} hung")
        if ended.failed:
            self.evidence.problems.append(f"{kind} failed: {ended.failed}")
        if ended.refused and not is_struck:
            self.evidence.problems.append(f"{kind} was refused: {ended.refused}")


def _do(task: _Task, track: Track | None) -> str:
    """The run itself: the points that it came to, and what is under way when it is over."""
    it = scenario(Case.read(task.case).seed)
    fault = FAULTS[task.fault] if task.fault else None
    if track is not None:
        track.lay()
    environ = {task.switch: "1"} if task.switch else None
    settings = it.settings(Path(task.data_dir), Urls(*task.urls))
    with open_desk(settings, environ, PATIENT if fault is None else fault.timeouts) as desk:
        transient_causes.system_now_ns = system_now_ns
        if it.runs:
            desk.clock = VenueClock(lambda: desk.broker.clock().now_ns, stands=False)
            transient_causes.system_now_ns = desk.clock.now_ns
        if fault is not None and fault.afflict is not None:
            fault.afflict(desk, Random(f"{task.case} {task.number}"))
        _act(task, it, desk)
        at_work = json.dumps(_under_way(desk))
    return "\n".join([*map(str, track.reached if track is not None else ()), at_work])


def _act(task: _Task, it: Scenario, desk: Desk) -> None:
    if task.kind in ("tick", "again"):
        run(desk, it.session, it.tick_ns, new_execution_id(), whole=it.whole)
    elif task.kind == "next":
        give(desk, it.session, task.now_ns, it.later, stored=not it.whole)
        run(desk, it.session, task.now_ns, new_execution_id(), whole=it.whole)
    else:
        protect_alone(desk, new_execution_id())


def _under_way(desk: Desk) -> dict[str, list[str]]:
    """What keeps the book from being at rest."""
    members = {
        "orders": [f"{order.intent.symbol} {order.state}" for order in desk.journal.open_orders(desk.book)],
        "breaks": [f"{one.kind} {one.subject}" for one in desk.journal.open_breaks(desk.book)],
    }
    return {name: listed for name, listed in members.items() if listed}
