"""A replay's result as values: by session, by month, by code, and the figures of the whole range."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from datetime import date
from itertools import groupby
from math import nan, sqrt
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from trading_assets.core.codes import CODE_COUNT, Code
from trading_assets.engine.replay.limit_groups import Group
from trading_assets.engine.replay.risk import HaltEvent
from trading_assets.engine.replay.session_limits import LimitResult
from trading_assets.engine.replay.spec import ReplaySpec

SESSIONS_PER_YEAR = 252
PASS = "PASS"


@dataclass(frozen=True, slots=True)
class SessionResult:
    """One session at its close. USD; shares of equity where a fraction."""

    session: date
    close_ns: int
    equity: float
    change: float  # of equity since the previous close, a fraction
    gross_exposure: float
    orders: int
    fills: int
    refused: int
    traded_usd: float
    costs_usd: float  # of fills, the fees of sales among them
    fees_usd: float  # SEC and FINRA, on sales
    dividends_usd: float
    halt_causes: tuple[str, ...]
    limits: tuple[LimitResult, ...]

    def failed(self, group: Group | None = None) -> tuple[LimitResult, ...]:
        """The limits that did not hold, of one group or of all."""
        return tuple(r for r in self.limits if not r.passed and (group is None or r.group is group))


@dataclass(frozen=True, slots=True)
class ReplayFigures:
    """Of the whole range. Returns, volatility and exposure are fractions; NaN: not enough sessions."""

    total_return: float
    annual_return: float
    annual_volatility: float
    sharpe_ratio: float  # of daily changes, riskless rate 0
    max_drawdown: float  # of closing equities, from the start on
    mean_exposure: float
    turnover: float  # USD traded a year ÷ mean equity
    winning_sessions: float  # share of the sessions in which equity changed


@dataclass(frozen=True, slots=True)
class ReplayReport:
    """`derived`: minute bars were made from daily ones, which know the close, so no figure is evidence.
    `trained_through`: the last session that the model's labels used; None without a model."""

    spec: ReplaySpec
    book: str
    history_path: Path
    page_path: Path
    symbols: tuple[str, ...]
    model_version: str
    trained_through: date | None
    derived: bool
    missing_bars: dict[str, int]  # symbol → sessions of the range in which it has no bar
    delisted: dict[str, date]  # symbol → the session in which its position was closed at its last price
    sessions: tuple[SessionResult, ...]
    verdict_codes: dict[str, int]  # PASS and each code by which an order was refused → verdicts
    halts: tuple[HaltEvent, ...]
    figures: ReplayFigures
    seconds: float = field(compare=False)

    @property
    def closing_equity(self) -> float:
        return self.sessions[-1].equity

    @property
    def in_sample(self) -> int:
        """Sessions of the range that the model was trained on: what it earned in them is no evidence."""
        through = self.trained_through
        return 0 if through is None else sum(result.session <= through for result in self.sessions)

    def failing(self, group: Group) -> list[date]:
        """The sessions in which a limit of the group did not hold."""
        return [result.session for result in self.sessions if result.failed(group)]

    def monthly_returns(self) -> Iterator[tuple[int, int, float]]:
        """(year, month, return of the month's closing equity on that of the month before)."""
        before = self.spec.cash_usd
        for (year, month), results in groupby(self.sessions, lambda r: (r.session.year, r.session.month)):
            *_, last = results
            yield year, month, last.equity / before - 1.0
            before = last.equity


def figures_of(cash_usd: float, sessions: Sequence[SessionResult]) -> ReplayFigures:
    """The figures of closing equities that began at `cash_usd`."""
    equity = np.array([cash_usd, *(result.equity for result in sessions)])
    changes = equity[1:] / equity[:-1] - 1.0
    years = len(sessions) / SESSIONS_PER_YEAR
    deviation = float(changes.std(ddof=1)) if len(changes) > 1 else nan
    moved = changes[changes != 0.0]
    return ReplayFigures(
        total_return=float(equity[-1] / cash_usd - 1.0),
        annual_return=float((equity[-1] / cash_usd) ** (1.0 / years) - 1.0),
        annual_volatility=deviation * sqrt(SESSIONS_PER_YEAR),
        sharpe_ratio=float(changes.mean()) / deviation * sqrt(SESSIONS_PER_YEAR) if deviation > 0 else nan,
        max_drawdown=float((1.0 - equity / np.maximum.accumulate(equity)).max()),
        mean_exposure=float(np.mean([result.gross_exposure for result in sessions])),
        turnover=float(sum(result.traded_usd for result in sessions) / years / equity.mean()),
        winning_sessions=float((moved > 0).mean()) if len(moved) else nan,
    )


def count_codes(counts: Counter[str], failed: NDArray[np.uint64]) -> None:
    """Add verdicts to `counts`: a pass, or every failed code of a refusal."""
    bits = (failed[:, None] >> np.arange(CODE_COUNT, dtype=np.uint64)) & np.uint64(1)
    by_name = dict(zip((code.name for code in Code), bits.sum(axis=0).tolist(), strict=True))
    counts.update(
        {name: count for name, count in {PASS: int((failed == 0).sum()), **by_name}.items() if count}
    )
