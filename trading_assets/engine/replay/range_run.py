"""One replay from its spec to its report: bars, predictions, the walk, the files. Decides nothing."""

from __future__ import annotations

import fcntl
import shutil
import tempfile
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from datetime import date
from pathlib import Path
from typing import NamedTuple

from trading_assets.config import Settings
from trading_assets.core.limits import Limits
from trading_assets.core.walk.columns import Book
from trading_assets.engine.replay.checkpoint import Checkpoint, fingerprint, stored, taken
from trading_assets.engine.replay.file_writer import FileWriter
from trading_assets.engine.replay.page import write_page
from trading_assets.engine.replay.predictions import Tick, predictions
from trading_assets.engine.replay.recording import ROWS_OF_A_COMMIT, Recording
from trading_assets.engine.replay.report import ReplayReport, figures_of
from trading_assets.engine.replay.spec import ReplaySpec, limits_of
from trading_assets.engine.replay.tape import RangeOfDays, open_tape
from trading_assets.engine.replay.walk import Progress, Walk
from trading_assets.errors import InvalidInput
from trading_assets.log import get_logger
from trading_assets.market.clock import monotonic_ns
from trading_assets.market.sessions import Sessions
from trading_assets.store.history import History

log = get_logger(__name__)

NS = 1_000_000_000
CHECKPOINT_NS = 10 * NS


class ReplayPace(NamedTuple):
    """How far a replay is."""

    done: int  # sessions
    sessions: int
    rows_per_second: float  # bars of this run
    seconds_left: float

    def __str__(self) -> str:
        return (
            f"{self.done} of {self.sessions} sessions replayed, {self.rows_per_second:,.0f} rows/s, "
            f"{self.seconds_left:.0f} s left"
        )


def replay_range(
    settings: Settings, spec: ReplaySpec, *, progress: Callable[[ReplayPace], None] | None = None
) -> ReplayReport:
    """What `engine.replay.run` does."""
    began_ns = monotonic_ns()
    limits, sessions, symbols = limits_of(settings, spec), Sessions(), sorted(settings.symbols)
    days = sessions.between(spec.first, spec.last)
    data_dir, intraday = Path(settings.data_dir), not spec.daily
    ticks = _ticks(spec, limits, sessions, days)
    tape = open_tape(History(data_dir / "history.duckdb"), symbols, spec.bars, days, intraday=intraday)
    since_ns = None
    if spec.continues:  # what the last tick before the range did not take is the range's
        since_ns = _last_tick_ns(spec, limits, sessions, sessions.previous(days[0])) + 1
    signals = predictions(
        spec.source, spec.book, tape, symbols, ticks, sessions, intraday=intraday, since_ns=since_ns
    )
    directory = data_dir / "replays"
    directory.mkdir(mode=0o700, parents=True, exist_ok=True)
    place, making = directory / f"{spec.name}.duckdb", directory / f".{spec.name}.duckdb"
    with _alone(directory / f".{spec.name}.lock", spec):

        def made_of(first: date, last: date) -> str:
            last_tick_ns = _last_tick_ns(spec, limits, sessions, last)
            return fingerprint(settings, spec, limits, tape, symbols, first, last, last_tick_ns)

        checkpoint = _begun(spec, sessions, days, made_of, place, making)
        book, reached, first = Book.opened(len(symbols), float(spec.cash_usd)), Progress(), days[0]
        if checkpoint is not None:
            book, reached = checkpoint.restored()
            first = checkpoint.first
            log.info("replay goes on", book=spec.book, after=str(checkpoint.session))
        with tempfile.TemporaryDirectory(dir=directory, prefix=".replay-") as private:
            with FileWriter(History(making)) as writer:
                walk = Walk(
                    settings,
                    spec,
                    limits,
                    sessions,
                    RangeOfDays(tape, symbols, sessions, intraday=intraday),
                    signals,
                    Recording(writer, spec.book),
                    book,
                    reached,
                )
                left = [day for day in days if checkpoint is None or day > checkpoint.session]
                _walk_days(walk, left, len(days), ticks, made_of(first, days[-1]), spec, progress)
                report = ReplayReport(
                    spec=spec,
                    book=spec.book,
                    history_path=place,
                    page_path=directory / f"{spec.name}.html",
                    symbols=settings.symbols,
                    model_version=signals.model_version,
                    trained_through=signals.trained_through,
                    derived=intraday and tape.derived,
                    missing_bars=dict(reached.missing),
                    delisted=dict(reached.delisted),
                    sessions=tuple(reached.results),
                    verdict_codes=dict(sorted(reached.codes.items(), key=lambda item: (-item[1], item[0]))),
                    halts=tuple(reached.halts),
                    figures=figures_of(spec.cash_usd, reached.results),
                    seconds=(monotonic_ns() - began_ns) / NS,
                )
                page = write_page(report, limits, Path(private))  # while the last sessions are written
            making.replace(report.history_path)
            page.replace(report.page_path)
    log.info(
        "replayed",
        book=spec.book,
        sessions=len(report.sessions),
        orders=sum(result.orders for result in report.sessions),
        closing_equity=report.closing_equity,
        seconds=round(report.seconds, 1),
    )
    return report


def _walk_days(
    walk: Walk,
    left: Sequence[date],
    sessions: int,
    ticks: Sequence[Tick],
    made_of: str,
    spec: ReplaySpec,
    progress: Callable[[ReplayPace], None] | None,
) -> None:
    """Walk the days that are left, with a checkpoint now and then and at the end."""
    numbered: dict[date, list[tuple[int, int]]] = {day: [] for day in left}
    for number, tick in enumerate(ticks):
        if tick.session in numbered:
            numbered[tick.session].append((number, tick.at_ns))
    began_ns = kept_ns = monotonic_ns()
    rows = 0
    for count, (day, of_day) in enumerate(numbered.items(), start=1):
        rows += walk.session(day, of_day)
        now_ns = monotonic_ns()
        over = count == len(left)
        if over or walk.recording.uncommitted >= ROWS_OF_A_COMMIT or now_ns - kept_ns >= CHECKPOINT_NS:
            walk.recording.commit(taken(made_of, spec, day, walk.book, walk.progress).as_json())
            kept_ns = now_ns = monotonic_ns()
        if progress is not None:
            seconds = max((now_ns - began_ns) / NS, 1e-9)
            done = sessions - len(left) + count
            progress(ReplayPace(done, sessions, rows / seconds, seconds / count * (len(left) - count)))


def _begun(
    spec: ReplaySpec,
    sessions: Sessions,
    days: Sequence[date],
    made_of: Callable[[date, date], str],
    place: Path,
    making: Path,
) -> Checkpoint | None:
    """Where to go on: in the file that a run of the same spec left when it died, or behind the replay that
    `spec.continues` names. None: from the beginning.

    made_of: `fingerprint` of the sessions from one to another, as it is now
    Raises InvalidInput where there is nothing that could be continued.
    """
    died = stored(making)
    if died is not None and died.last == spec.last and died.session >= days[0]:
        begins = died.first < days[0] if spec.continues else died.first == days[0]
        if begins and died.made_of == made_of(died.first, days[-1]):
            return died
    making.unlink(missing_ok=True)
    if not spec.continues:
        return None
    before, ended = sessions.previous(days[0]), stored(place)
    if ended is None or ended.session != before or ended.made_of != made_of(ended.first, before):
        raise InvalidInput(
            "nothing to go on with"
            if ended is None
            else f"it ended on {ended.session}, not on {before}"
            if ended.session != before
            else "bars, signals, limits, costs or code are not those that it was made with",
            where=f"replay {spec.name!r}, continues",
            remedy="Replay the whole range anew.",
        )
    shutil.copyfile(place, making)
    making.chmod(0o600)
    return ended


@contextmanager
def _alone(path: Path, spec: ReplaySpec) -> Iterator[None]:
    """One replay of a name at a time. The lock ends with its process. Raises InvalidInput."""
    with path.open("a") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            raise InvalidInput(
                "a replay of this name is under way",
                where=f"replay {spec.name!r}",
                remedy="Wait for it, or give another name.",
            ) from error
        yield


def _last_tick_ns(spec: ReplaySpec, limits: Limits, sessions: Sessions, day: date) -> int:
    """That of the session, or of one before it where it has none."""
    while not (ticks := _ticks_of(spec, limits, sessions, [day])):
        day = sessions.previous(day)
    return ticks[-1].at_ns


def _ticks(spec: ReplaySpec, limits: Limits, sessions: Sessions, days: Sequence[date]) -> list[Tick]:
    """Every decision time of the range. Raises InvalidInput where there is none."""
    ticks = _ticks_of(spec, limits, sessions, days)
    if not ticks:
        raise InvalidInput(
            f"no tick from {spec.first} to {spec.last}",
            where="replay, range",
            remedy="Give a range with a session, and ticks closer to each other than a session is long.",
        )
    return ticks


def _ticks_of(spec: ReplaySpec, limits: Limits, sessions: Sessions, days: Sequence[date]) -> list[Tick]:
    if not spec.daily:
        return [Tick(day, at_ns) for day in days for at_ns in sessions.ticks(day, spec.minutes)]
    after_open_ns = int(limits.no_entry_seconds_after_open * NS) + NS
    ticks = [Tick(day, sessions.open_ns(day) + after_open_ns) for day in days]
    return [tick for tick in ticks if tick.at_ns < sessions.close_ns(tick.session)]
