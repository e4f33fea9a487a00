"""An exchange of hundreds of symbols in a process of its own, and what is asked of a broker, step by step.

The bundled tape has five symbols. Here each of many plays the bars of one of them, under its own name: prices
and volumes are real, and so is the exchange. Run as a program this is the process.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import date, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
import requests

from trading_assets.broker.alpaca.transport import BoundedAdapter
from trading_assets.config import PUBLIC_KEYS, EmbeddedSettings, Settings
from trading_assets.exchange.control_client import ControlClient
from trading_assets.exchange.http.app import Urls, serve
from trading_assets.exchange.process import ExchangeProcess
from trading_assets.exchange.store import EventStore
from trading_assets.exchange.venue import Venue, VenueSettings
from trading_assets.market.bars import Bars, CorporateAction
from trading_assets.market.bundle import BundledTape
from trading_assets.market.sessions import Sessions

TOKEN = "test-control-token"
SESSION = date(2012, 9, 11)
HISTORY = timedelta(days=300)  # daily bars before the session: a first fetch's look-back and some room
CASH = Decimal(10_000_000)


class ManySymbols:
    """`market.bars.Tape` of `count` symbols, S000 and on."""

    def __init__(self, count: int, session: date) -> None:
        self._bundled = BundledTape()
        played = [symbol for symbol in self._bundled.symbols if symbol != "FB"]  # listed in that year
        self._played = {f"S{n:03d}": played[n % len(played)] for n in range(count)}
        first_ns = Sessions().open_ns(session) - int(HISTORY.total_seconds()) * 10**9
        last_ns = Sessions().close_ns(session) + 30 * 24 * 3600 * 10**9
        self._daily = {}
        for symbol in played:
            bars = self._bundled.daily(symbol)
            within = (bars.start_ns >= first_ns) & (bars.end_ns <= last_ns)
            self._daily[symbol] = Bars._make(column[within] for column in bars)

    @property
    def symbols(self) -> tuple[str, ...]:
        return tuple(self._played)

    @property
    def derived(self) -> bool:
        return True

    def is_derived(self, symbol: str, session: date) -> bool:
        return True

    def daily(self, symbol: str) -> Bars:
        return self._daily[self._played[symbol]]

    def minutes(self, symbol: str, session: date) -> Bars:
        return self._bundled.minutes(self._played[symbol], session)

    def actions(self, symbol: str) -> tuple[CorporateAction, ...]:
        return ()


@contextmanager
def many_symbols(
    root: Path, count: int, session: date = SESSION, **settings: Any
) -> Iterator[tuple[ControlClient, Settings]]:
    """The exchange at the session's open with Alpaca's limit of requests, and a desk's settings on all of
    its symbols."""
    root.mkdir(parents=True, exist_ok=True)
    command = [sys.executable, __file__, str(root / "exchange"), str(count), session.isoformat()]
    process = subprocess.Popen(
        command, stdout=subprocess.PIPE, env=os.environ | {"PYTHONPATH": os.pathsep.join(sys.path)}
    )
    assert process.stdout is not None
    with process.stdout as output:
        line = output.readline()
    assert line, "the exchange did not start"
    urls = Urls(**json.loads(line))
    with ExchangeProcess(process, urls):
        keeper = ControlClient(urls.control_url, TOKEN)
        try:
            yield (
                keeper,
                Settings(
                    data_dir=root / "desk",
                    symbols=tuple(f"S{n:03d}" for n in range(count)),
                    tick_minutes=5,
                    embedded=EmbeddedSettings(url=urls.url, control_url=urls.control_url),
                ).model_copy(update=settings),
            )
        finally:
            keeper.close()


class Requests:
    """Counts the requests of this process by API, and how many of them were refused."""

    def __init__(self, patch: pytest.MonkeyPatch) -> None:
        self.paths: Counter[str] = Counter()
        self.refused = 0
        send = BoundedAdapter.send

        def counting(
            adapter: BoundedAdapter, request: requests.PreparedRequest, *args: Any, **named: Any
        ) -> requests.Response:
            path = str(request.path_url).partition("?")[0]
            self.paths[f"{request.method} {path}"] += 1
            answer = send(adapter, request, *args, **named)
            self.refused += answer.status_code == 429
            return answer

        patch.setattr(BoundedAdapter, "send", counting)

    def since(self) -> tuple[int, int]:
        """Requests to the trading and to the data API since the last time; begins anew."""
        data = sum(
            times
            for path, times in self.paths.items()
            if path.partition(" ")[2].startswith(("/v2/stocks", "/v1/"))
        )
        trading = self.paths.total() - data
        self.paths.clear()
        return trading, data


def _serve(state_dir: Path, count: int, session: date) -> None:
    sessions = Sessions()
    settings = VenueSettings(sessions.open_ns(session), cash=CASH)
    venue = Venue(ManySymbols(count, session), sessions, EventStore(state_dir), settings)

    def ready(urls: Urls) -> None:
        sys.stdout.write(json.dumps(urls._asdict()) + "\n")
        sys.stdout.flush()

    serve(venue, token=TOKEN, keys=PUBLIC_KEYS, ready=ready)


if __name__ == "__main__":
    _serve(Path(sys.argv[1]), int(sys.argv[2]), date.fromisoformat(sys.argv[3]))
