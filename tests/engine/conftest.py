"""Fixtures that start grounds; what a ground is and does is `ground`."""

from __future__ import annotations

import secrets
from collections.abc import Callable, Iterator
from datetime import date
from decimal import Decimal
from pathlib import Path

import pytest
from ground import CASH, SESSION, Ground, buy
from support.warm_exchange import start_process

from trading_assets.config import EmbeddedSettings, Settings
from trading_assets.engine.book.desk import Desk
from trading_assets.exchange.control_client import ControlClient
from trading_assets.market.sessions import Sessions


@pytest.fixture
def start_ground(tmp_path: Path) -> Iterator[Callable[..., Ground]]:
    """Starts grounds: `start_ground(session=…, cash=…, **settings)`. Each test may start several.

    A ground has Alpaca's limit of requests. Its minute stands with the venue's time: a test has 200 requests
    between two moves of the clock, and one that needs more says so (`requests_per_minute=`).
    """
    started: list[Ground] = []

    def start(
        session: date = SESSION,
        cash: Decimal = CASH,
        requests_per_minute: int | None = None,
        **changes: object,
    ) -> Ground:
        home = tmp_path / f"ground-{len(started)}"
        home.mkdir()
        token = secrets.token_urlsafe(16)
        exchange = start_process(
            public_keys=True,
            state_dir=home / "exchange",
            token=token,
            start_ns=Sessions().open_ns(session),
            cash=cash,
            requests_per_minute=requests_per_minute,
        )
        settings = Settings(
            data_dir=home / "desk",
            tick_minutes=30,
            embedded=EmbeddedSettings(url=exchange.url, control_url=exchange.control_url),
        ).model_copy(update=changes)
        ground = Ground(home, exchange, ControlClient(exchange.control_url, token), settings, session)
        started.append(ground)
        return ground

    yield start
    for ground in started:
        ground.keeper.close()
        ground.exchange.kill()


@pytest.fixture
def ground(start_ground: Callable[..., Ground]) -> Ground:
    return start_ground()


@pytest.fixture(params=["stands", "runs"])
def held(ground: Ground, request: pytest.FixtureRequest) -> Iterator[Desk]:
    """A desk on the day after it bought."""
    ground.go_to_tick(0)
    with ground.desk() as desk:
        buy(ground, desk)
    ground.go_to_session(ground.sessions.next(ground.session))
    with ground.desk(embedded=ground.settings.embedded.model_copy(update={"time": request.param})) as desk:
        yield desk
