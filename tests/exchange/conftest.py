"""One exchange process for all tests that only ask it over HTTP."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from exchange_ground import MINUTE_NS, OPEN_NS, TOKEN, control, trading

from trading_assets.exchange.process import ExchangeProcess, start_process


@pytest.fixture(scope="session")
def shared(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ExchangeProcess]:
    with start_process(
        public_keys=True,
        state_dir=tmp_path_factory.mktemp("exchange"),
        token=TOKEN,
        start_ns=OPEN_NS,
    ) as exchange:
        yield exchange
        assert exchange.is_running


@pytest.fixture
def exchange(shared: ExchangeProcess) -> ExchangeProcess:
    """The shared exchange with a fresh account of $100 000, in the middle of an open session."""
    control(shared, "/account/reset", cash="100000")
    control(shared, "/clock", step_ns=MINUTE_NS)
    clock = trading(shared).get_clock()
    if not clock.is_open or clock.next_close.timestamp() - clock.timestamp.timestamp() < 3600:
        opening = int(clock.next_open.timestamp()) * 1_000_000_000
        control(shared, "/clock", set_ns=opening + 30 * MINUTE_NS)
    return shared
