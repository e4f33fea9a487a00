from __future__ import annotations

from collections.abc import Iterator

import pytest
from scripted_server import ScriptedServer

from trading_assets.broker.alpaca.adapter import AlpacaBroker
from trading_assets.broker.alpaca.origins import Origins
from trading_assets.broker.alpaca.transport import Timeouts

QUICK = Timeouts(connect_s=0.5, read_s=0.3, answer_s=0.6)


@pytest.fixture
def server() -> Iterator[ScriptedServer]:
    with ScriptedServer() as running:
        yield running


@pytest.fixture
def broker(server: ScriptedServer) -> Iterator[AlpacaBroker]:
    opened = AlpacaBroker(Origins(server.url, server.url), "key-id", "secret", timeouts=QUICK)
    yield opened
    opened.close()
