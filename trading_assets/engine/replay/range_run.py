"""One replay from its spec to its report: bars, predictions, the walk, the files. Decides nothing."""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Sequence
from datetime import date
from pathlib import Path

from trading_assets.config import Settings
from trading_assets.core.words import Limits
from trading_assets.engine.replay.page import write_page
from trading_assets.engine.replay.predictions import Tick, predictions
from trading_assets.engine.replay.recording import Recording
from trading_assets.engine.replay.report import ReplayReport, figures_of
from trading_assets.engine.replay.spec import ReplaySpec, limits_of
from trading_assets.engine.replay.tape import RangeOfDays, open_tape
from trading_assets.engine.replay.walk import Walk, Watch
from trading_assets.errors import InvalidInput
from trading_assets.log import get_logger
from trading_assets.market.clock import monotonic_ns
from trading_assets.market.sessions import Sessions
from trading_assets.store.history import History

log = get_logger(__name__)

NS = 1_000_000_000


def replay_range(
    settings: Settings,
    spec: ReplaySpec,
    *,
    progress: Callable[[int, int], None] | None = None,
    watch: Watch | None = None,
) -> ReplayReport:
    """What `engine.replay.run` does.

    watch: called with the full input of each decision, before it is decided on
    """
    began_ns = monotonic_ns()
    limits, sessions, symbols = limits_of(settings, spec), Sessions(), settings.symbols
    days = sessions.between(spec.first, spec.last)
    ticks = _ticks(spec, limits, sessions, days)
    data_dir, intraday = Path(settings.data_dir), not spec.daily
    history = History(data_dir / "history.duckdb")
    tape = open_tape(history, symbols, spec.bars, days, intraday=intraday)
    signals = predictions(spec.source, spec.book, tape, symbols, ticks, sessions, intraday=intraday)
    spread_bps = settings.quote_spread_bps if spec.spread_bps is None else spec.spread_bps
    range_of_days = RangeOfDays(tape, symbols, sessions, intraday=intraday, spread_bps=spread_bps)
    directory = data_dir / "replays"
    directory.mkdir(mode=0o700, parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=directory, prefix=".replay-") as private:
        staged = Path(private) / f"{spec.name}.duckdb"
        recording = Recording(History(staged), spec.book)
        walk = Walk(settings, spec, limits, sessions, range_of_days, signals, recording, watch)
        numbered: dict[date, list[tuple[int, int]]] = {day: [] for day in days}
        for number, tick in enumerate(ticks):
            numbered[tick.session].append((number, tick.at_ns))
        for done, (day, of_day) in enumerate(numbered.items(), start=1):
            walk.session(day, of_day)
            if progress is not None:
                progress(done, len(days))
        recording.flush()
        report = ReplayReport(
            spec=spec,
            book=spec.book,
            history_path=directory / staged.name,
            page_path=directory / f"{spec.name}.html",
            symbols=symbols,
            model_version=signals.model_version,
            trained_through=signals.trained_through,
            derived=intraday and tape.derived,
            missing_bars=dict(walk.missing),
            sessions=tuple(walk.results),
            verdict_codes=dict(sorted(walk.codes.items(), key=lambda item: (-item[1], item[0]))),
            halts=tuple(walk.risk.events),
            figures=figures_of(spec.cash_usd, walk.results),
            seconds=(monotonic_ns() - began_ns) / NS,
        )
        page = write_page(report, limits, Path(private))
        staged.replace(report.history_path)
        page.replace(report.page_path)
    log.info(
        "replayed",
        book=spec.book,
        sessions=len(days),
        orders=sum(result.orders for result in report.sessions),
        closing_equity=report.closing_equity,
        seconds=round(report.seconds, 1),
    )
    return report


def _ticks(spec: ReplaySpec, limits: Limits, sessions: Sessions, days: Sequence[date]) -> list[Tick]:
    """Every decision time of the range. Raises InvalidInput where there is none."""
    if spec.daily:
        after_open_ns = int(limits.no_entry_seconds_after_open * NS) + NS
        ticks = [Tick(day, sessions.open_ns(day) + after_open_ns) for day in days]
        ticks = [tick for tick in ticks if tick.at_ns < sessions.close_ns(tick.session)]
    else:
        ticks = [Tick(day, at_ns) for day in days for at_ns in sessions.ticks(day, spec.minutes)]
    if not ticks:
        raise InvalidInput(
            f"no tick from {spec.first} to {spec.last}",
            where="replay, range",
            remedy="Give a range with a session, and ticks closer to each other than a session is long.",
        )
    return ticks
