"""Where a replay stands after a session, kept in its own file: a run that died goes on from there.

A file in the making is `.<name>.duckdb` beside its later place. What it was made of (`fingerprint`) says
whether another run may go on with it; else it begins anew. Nothing is walked here.
"""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date
from functools import cache
from pathlib import Path
from typing import ClassVar

import numpy as np
from pydantic import ConfigDict, TypeAdapter

import trading_assets
from trading_assets.config import Settings
from trading_assets.core.limits import Limits
from trading_assets.core.walk.columns import HOLDING, Book
from trading_assets.engine.replay.report import SessionResult
from trading_assets.engine.replay.risk import HaltEvent
from trading_assets.engine.replay.spec import ModelSignals, ReplaySpec
from trading_assets.engine.replay.tape import HistoryTape
from trading_assets.engine.replay.walk import Progress
from trading_assets.market.bars import Tape
from trading_assets.market.sessions import Sessions
from trading_assets.store.history import History

_SOURCES = ("core", "engine/replay", "features", "market")
_HAS_STATE = "SELECT count(*) FROM duckdb_tables() WHERE table_name = 'replay_state'"


@dataclass(frozen=True, slots=True)
class Checkpoint:
    """The walk after its session `session`. `made_of`: see `fingerprint`."""

    __pydantic_config__: ClassVar[ConfigDict] = ConfigDict(ser_json_inf_nan="constants")

    made_of: str
    first: date
    last: date  # of the run's range
    session: date
    holdings: list[tuple[float, ...]]
    figures: list[float]
    latched: list[bool]
    results: list[SessionResult]
    codes: dict[str, int]
    missing: dict[str, int]
    halts: list[HaltEvent]
    delisted: dict[str, date]

    def as_json(self) -> str:
        return _adapter().dump_json(self).decode()

    def restored(self) -> tuple[Book, Progress]:
        """The book and what the walk had found."""
        book = Book(
            np.array([tuple(row) for row in self.holdings], dtype=HOLDING),
            np.array(self.figures),
            np.array(self.latched, dtype=np.bool_),
        )
        progress = (list(self.results), Counter(self.codes), Counter(self.missing), list(self.halts))
        return book, Progress(*progress, dict(self.delisted))


def taken(made_of: str, spec: ReplaySpec, session: date, book: Book, progress: Progress) -> Checkpoint:
    """The walk as it stands after `session`."""
    first = progress.results[0].session
    return Checkpoint(
        made_of=made_of,
        first=first,
        last=spec.last,
        session=session,
        holdings=[tuple(row) for row in book.holdings.tolist()],
        figures=book.figures.tolist(),
        latched=book.latched.tolist(),
        results=progress.results,
        codes=dict(progress.codes),
        missing=dict(progress.missing),
        halts=progress.halts,
        delisted=progress.delisted,
    )


def stored(path: Path) -> Checkpoint | None:
    """The checkpoint of a replay's file; None where there is no file or no checkpoint in it."""
    if not path.exists():
        return None
    history = History(path)
    if not history.query(_HAS_STATE)[0][0].as_py():
        return None
    (row,) = history.query("SELECT state FROM replay_state").to_pylist()
    return _adapter().validate_json(row["state"])


def fingerprint(
    settings: Settings,
    spec: ReplaySpec,
    limits: Limits,
    tape: Tape,
    symbols: Sequence[str],
    first: date,
    last: date,
    last_tick_ns: int,
) -> str:
    """A hash of all that the rows of a replay of the sessions first … last depend on: spec, limits, signals
    up to its last tick, bars up to its last close, code. What comes after them changes nothing."""
    digest = hashlib.sha256()
    named = {
        name: getattr(spec, name)
        for name in (
            "interval",
            "bars",
            "cash_usd",
            "fill_mode",
            "usd_per_share",
            "cost_bps",
            "sale_fees",
            "rearm_daily",
            "settlement",
        )
    }
    spread = settings.quote_spread_bps if spec.spread_bps is None else spec.spread_bps
    patience = (settings.timeout_seconds, settings.reconciliation_interval_seconds)
    share = settings.max_incomplete_share
    digest.update(repr((named, spec.name, spread, patience, share, tuple(limits), tuple(symbols))).encode())
    if isinstance(spec.source, ModelSignals):
        for path in (spec.source.model_path, spec.source.features_path):
            digest.update(path.read_bytes())
    else:
        signals = [signal for signal in spec.source.signals if _is_by(signal.at, last, last_tick_ns)]
        digest.update(repr(signals).encode())
    close_ns = Sessions().close_ns(last)
    for symbol in symbols:
        bars = tape.daily(symbol)
        known = int(np.searchsorted(bars.end_ns, close_ns, side="right"))
        digest.update(symbol.encode())
        for column in bars:
            digest.update(np.ascontiguousarray(column[:known]).tobytes())
        has_last = known > 0 and bars.end_ns[known - 1] == close_ns
        is_gone = not has_last and known == len(bars.end_ns)  # no bar of the last session, and none after it
        actions = [action for action in tape.actions(symbol) if action.ex_date <= last]
        digest.update(repr((is_gone, actions)).encode())
        if isinstance(tape, HistoryTape) and tape.last_break(symbol) is not None:
            digest.update(repr(tape.last_break(symbol)).encode())
    if isinstance(tape, HistoryTape) and not spec.daily:
        digest.update(tape.minutes_digest(first, last).encode())
    digest.update(_code().encode())
    return digest.hexdigest()


def _is_by(at: date | int, last: date, last_tick_ns: int) -> bool:
    return at <= last if isinstance(at, date) else at <= last_tick_ns


@cache
def _code() -> str:
    digest, package = hashlib.sha256(), Path(trading_assets.__file__).parent
    for directory in _SOURCES:
        for source in sorted((package / directory).glob("*.py")):
            digest.update(source.name.encode() + source.read_bytes())
    return digest.hexdigest()


@cache
def _adapter() -> TypeAdapter[Checkpoint]:
    return TypeAdapter(Checkpoint)
