"""Bars and corporate actions written into a desk's history by hand, and settings that trade them."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import date
from pathlib import Path

from trading_assets.config import Settings
from trading_assets.engine.replay import ExternalSignal, ExternalSignals, ReplaySpec
from trading_assets.engine.replay.range_run import replay_range
from trading_assets.engine.replay.report import ReplayReport
from trading_assets.market.bars import Interval
from trading_assets.market.sessions import MINUTE_NS, Sessions
from trading_assets.store.bar_history import StoredBar
from trading_assets.store.history import History

FIRST = date(2012, 9, 10)  # a Monday without a holiday near


class HandmadeBars:
    def __init__(self, root: Path) -> None:
        self.settings = Settings(data_dir=root, symbols=("AAPL", "IBM"))
        self.history = History(root / "history.duckdb")
        self.sessions = Sessions()
        self.days = self.sessions.between(FIRST, date(2012, 10, 19))

    def plant_daily(self, symbol: str, opens_and_closes: Sequence[tuple[float, float]]) -> None:
        """A daily bar for each session from the first one on, and one at the first open on the day before."""
        rows = []
        first_open = opens_and_closes[0][0]
        days = [self.sessions.previous(FIRST), *self.days]
        for day, (open_, close) in zip(days, [(first_open, first_open), *opens_and_closes], strict=False):
            start_ns, end_ns = self.sessions.open_ns(day), self.sessions.close_ns(day)
            rows.append(_row(symbol, Interval.DAY, day, start_ns, end_ns, open_, close))
        self.history.append("bars", rows)

    def plant_minutes(self, symbol: str, session: date, closes: Sequence[float]) -> None:
        """A minute bar for each close from the open on, opened at the close before; after them the last
        price holds to the end of the session."""
        open_ns, close_ns = self.sessions.open_ns(session), self.sessions.close_ns(session)
        minutes = (close_ns - open_ns) // MINUTE_NS
        prices = [*closes, *[closes[-1]] * (minutes - len(closes))]
        rows = [
            _row(
                symbol,
                Interval.MINUTE,
                session,
                open_ns + number * MINUTE_NS,
                open_ns + (number + 1) * MINUTE_NS,
                prices[max(number - 1, 0)],
                close,
            )
            for number, close in enumerate(prices)
        ]
        self.history.append("bars", rows)

    def plant_action(self, symbol: str, ex_date: date, *, split: float = 1.0, cash: float = 0.0) -> None:
        action = {"symbol": symbol, "ex_date": ex_date, "split_ratio": split, "cash_usd": cash}
        self.history.append("corporate_actions", [{**action, "received_at_ns": 1, "source": "planted"}])

    def replay(
        self, sessions: int, *signals: ExternalSignal, name: str = "test", **spec: object
    ) -> ReplayReport:
        """Replay the first sessions with signals from outside."""
        return replay_range(self.settings, self.spec(sessions, *signals, name=name, **spec))

    def spec(self, sessions: int, *signals: ExternalSignal, **spec: object) -> ReplaySpec:
        values: dict[str, object] = {"bars": "history", **spec}
        return ReplaySpec(
            first=self.days[0],
            last=self.days[sessions - 1],
            source=ExternalSignals(signals),
            **values,  # type: ignore[arg-type]  # by name, as a test gives them
        )


def _row(
    symbol: str, interval: Interval, session: date, start_ns: int, end_ns: int, open_: float, close: float
) -> dict[str, object]:
    return StoredBar(
        symbol=symbol,
        interval=interval,
        session=session,
        start_ns=start_ns,
        available_at_ns=end_ns,
        received_at_ns=end_ns,
        open=open_,
        high=max(open_, close),
        low=min(open_, close),
        close=close,
        volume=1000.0,
        source="planted",
        derived=False,
    )._asdict()
