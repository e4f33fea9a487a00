"""An embedded exchange in a process of its own, and desks that trade on it: what most tests stand on.

The fixtures `floor` and `start_floor` (tests/conftest.py) start them for tests.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import closing, contextmanager
from dataclasses import dataclass, field
from datetime import date
from decimal import Decimal
from pathlib import Path
from typing import Any

import requests
import yaml

from support.warm_exchange import start_process
from trading_assets import config
from trading_assets.config import Settings
from trading_assets.engine.book.desk import Desk
from trading_assets.exchange.control_client import ControlClient
from trading_assets.exchange.process import ExchangeProcess
from trading_assets.market.sessions import Sessions

TOKEN = "test-control-token"
SESSION = date(2012, 9, 11)
CASH = Decimal(100_000)
HOUR_NS = 3_600 * 10**9


@dataclass
class TradingFloor:
    """One exchange with its keeper, and the configuration of a desk on it."""

    exchange: ExchangeProcess
    keeper: ControlClient
    config_path: Path
    session: date
    sessions: Sessions = field(default_factory=Sessions)

    @property
    def settings(self) -> Settings:
        """As the configuration says now."""
        return config.load(self.config_path)

    def desk(self, environ: Mapping[str, str] | None = None, **changes: object) -> Desk:
        """A desk as a new process would open it, with other settings or another environment than it has."""
        return Desk.open(self.settings.model_copy(update=changes), environ)

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

    def ticks(self) -> list[int]:
        return self.sessions.ticks(self.session, self.settings.tick_minutes)

    def go_to_tick(self, number: int) -> int:
        """Move the exchange's clock to the session's tick `number`, from 0; returns its time."""
        tick_ns = self.ticks()[number]
        self.keeper.move_to(tick_ns)
        return tick_ns

    def go_to_session(self, session: date, number: int = 0) -> int:
        """Move to another session's tick and stay with that session; returns its time."""
        self.session = session
        return self.go_to_tick(number)

    def move_quote(self, desk: Desk, symbol: str, factor: str) -> None:
        """Quote by hand at `factor` times the present quote, with a spread of a cent: no trade says so."""
        quote = desk.broker.quotes([symbol])[symbol]
        assert quote.bid is not None
        bid = (quote.bid * Decimal(factor)).quantize(Decimal("0.01"))
        self.keeper.quote(symbol, float(bid), float(bid + Decimal("0.01")))


@contextmanager
def trading_floor(
    root: Path,
    session: date = SESSION,
    *,
    tick: int | None = None,
    cash: Decimal = CASH,
    requests_per_minute: int | None = None,
    **settings: object,
) -> Iterator[TradingFloor]:
    """An exchange an hour before the session's open, or at its `tick` (from 0), with a new account; a
    configuration with a tick every 30 minutes, where `settings` do not say otherwise; and Alpaca's limit of
    requests: 200 between two moves of the clock, and for each new account."""
    with start_process(
        public_keys=True,
        state_dir=root / "exchange",
        token=TOKEN,
        start_ns=Sessions().open_ns(session) - HOUR_NS,
        cash=cash,
        requests_per_minute=requests_per_minute,
    ) as exchange:
        path = root / "config" / "execution.yaml"
        path.parent.mkdir(parents=True)
        embedded = {"url": exchange.url, "control_url": exchange.control_url}
        path.write_text(yaml.safe_dump({"tick_minutes": 30, "embedded": embedded, **settings}))
        with closing(ControlClient(exchange.control_url, TOKEN)) as keeper:
            floor = TradingFloor(exchange, keeper, path, session)
            if tick is not None:
                floor.go_to_tick(tick)
            yield floor
