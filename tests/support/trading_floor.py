"""An embedded exchange in a process of its own with a configuration that trades on it, for tests."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import date
from decimal import Decimal
from pathlib import Path
from typing import Any

import requests
import yaml

from support.warm_exchange import start_process
from trading_assets import config
from trading_assets.engine.book.desk import Desk
from trading_assets.exchange.process import ExchangeProcess
from trading_assets.market.sessions import Sessions

TOKEN = "test-control-token"
HOUR_NS = 3_600 * 10**9


@dataclass(frozen=True)
class TradingFloor:
    exchange: ExchangeProcess
    config_path: Path
    sessions: Sessions

    def control(self, path: str, **members: object) -> Any:
        """POST to the exchange's control plane; its answer."""
        answer = requests.post(
            self.exchange.control_url + path,
            json=members,
            headers={"Authorization": f"Bearer {TOKEN}"},
            timeout=30,
        )
        answer.raise_for_status()
        return answer.json()

    def move_clock(self, to_ns: int) -> None:
        self.control("/clock", set_ns=to_ns)

    def tick(self, session: date, number: int) -> int:
        """Move the venue to the session's `number`-th tick (0 is the first) and return it."""
        tick_ns = self.sessions.ticks(session, 30)[number]
        self.move_clock(tick_ns)
        return tick_ns

    def open_desk(self) -> Desk:
        return Desk.open(config.load(self.config_path))


@contextmanager
def trading_floor(
    root: Path, session: date, *, requests_per_minute: int | None = None, **settings: object
) -> Iterator[TradingFloor]:
    """An exchange an hour before the session's open with an account of $100 000, ticks every 30 minutes, and
    Alpaca's limit of requests: 200 between two moves of the clock, and for each new account."""
    sessions = Sessions()
    with start_process(
        public_keys=True,
        state_dir=root / "exchange",
        token=TOKEN,
        start_ns=sessions.open_ns(session) - HOUR_NS,
        cash=Decimal(100_000),
        requests_per_minute=requests_per_minute,
    ) as exchange:
        path = root / "config" / "execution.yaml"
        path.parent.mkdir()
        embedded = {"url": exchange.url, "control_url": exchange.control_url}
        path.write_text(yaml.safe_dump({"tick_minutes": 30, "embedded": embedded, **settings}))
        yield TradingFloor(exchange, path, sessions)
