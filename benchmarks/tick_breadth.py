"""What one tick of hundreds and of thousands of symbols costs: requests to the broker, seconds of a core.

Made-up daily bars of 437 sessions fill a history; the embedded exchange plays a copy of it with Alpaca's 200
requests a minute, and a desk ticks on it at engine level with every step and check, opened anew for each tick
as a run of Dagster does. The first tick fetches the look-back and is shown by itself; of the others it prints
the medians. Exit status 1 where a tick without orders is above its goal.

    python benchmarks/tick_breadth.py --ticks 6
"""

from __future__ import annotations

import argparse
import secrets
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager
from datetime import date
from pathlib import Path
from statistics import median
from typing import Any, NamedTuple

import numpy as np
import pyarrow as pa
import requests
import yaml

from trading_assets import config
from trading_assets.broker.alpaca.transport import BoundedAdapter
from trading_assets.engine.book.desk import Desk
from trading_assets.engine.protection.protect import new_execution_id
from trading_assets.engine.signals.tick_signals import external_signal, receive_all
from trading_assets.engine.ticks.whole_tick import run_tick
from trading_assets.exchange.control_client import ControlClient
from trading_assets.exchange.process import start_process
from trading_assets.market.sessions import Sessions
from trading_assets.store.history import History

FIRST, LAST = date(2022, 10, 3), date(2024, 6, 28)
SESSION = date(2024, 3, 11)
SYMBOLS = 7_000
WEAK = 0.05  # a signal that is decided on, and orders nothing
CASES = ((461, 0), (2_631, 0), (3_000, 3_000))  # symbols, signals at each tick
GOALS = {461: (20, 1.5), 2_631: (60, 4.0)}  # requests, seconds of a core


class Cost(NamedTuple):
    requests: int
    cpu_s: float
    seconds: float


class Counted:
    """Counts what this process asks of a broker."""

    def __init__(self) -> None:
        self.requests = self.refused = 0
        send = BoundedAdapter.send

        def counting(
            adapter: BoundedAdapter, request: requests.PreparedRequest, *args: Any, **named: Any
        ) -> requests.Response:
            answer = send(adapter, request, *args, **named)
            self.requests += 1
            self.refused += answer.status_code == 429
            return answer

        setattr(BoundedAdapter, "send", counting)  # noqa: B010 - a method of another class


def ticker(number: int) -> str:
    letters = ""
    for _ in range(4):
        number, letter = divmod(number, 26)
        letters = chr(ord("A") + letter) + letters
    return letters


def fill(history: History) -> int:
    """Daily bars as an import leaves them; the number of rows."""
    sessions, random = Sessions(), np.random.default_rng(3)
    days = sessions.between(FIRST, LAST)
    opens, closes = sessions.hours(days)
    shape, count = (SYMBOLS, len(days)), SYMBOLS * len(days)
    walk = np.exp(np.cumsum(random.normal(0.0, 0.008, shape), axis=1))
    close = np.round(random.uniform(8.0, 300.0, (SYMBOLS, 1)) * walk, 2)
    open_ = np.round(close * (1 + random.normal(0.0, 0.003, shape)), 2)
    table = pa.table(
        {
            "symbol": np.repeat([ticker(number) for number in range(SYMBOLS)], len(days)),
            "interval": ["1d"] * count,
            "session": pa.array(np.tile(np.array(days, dtype="datetime64[D]"), SYMBOLS)),
            "start_ns": np.tile(opens, SYMBOLS),
            "available_at_ns": np.tile(closes, SYMBOLS),
            "received_at_ns": np.tile(closes, SYMBOLS),
            "version": np.ones(count, np.int32),
            "open": open_.ravel(),
            "high": np.round(np.maximum(open_, close) * 1.004, 2).ravel(),
            "low": np.round(np.minimum(open_, close) * 0.996, 2).ravel(),
            "close": close.ravel(),
            "volume": np.floor(random.lognormal(12.0, 1.0, count)),
            "source": ["file:made-up"] * count,
            "derived": np.zeros(count, np.bool_),
        }
    )
    history.append("bars", table)
    return count


@contextmanager
def floor(home: Path) -> Iterator[tuple[ControlClient, dict[str, str]]]:
    history = home / "history.duckdb"
    rows = fill(History(history))
    token, began = secrets.token_urlsafe(24), time.perf_counter()
    with start_process(
        public_keys=True,
        state_dir=home / "exchange",
        token=token,
        start_ns=Sessions().open_ns(SESSION),
        history=history,
    ) as exchange:
        print(f"exchange on {rows:,} daily rows: ready after {time.perf_counter() - began:.1f} s")
        with closing(ControlClient(exchange.control_url, token)) as keeper:
            yield keeper, {"url": exchange.url, "control_url": exchange.control_url, "bars": "history"}


def ticked(path: Path, keeper: ControlClient, tick_ns: int, signals: int, counted: Counted) -> Cost:
    keeper.move_to(tick_ns)
    with Desk.open(config.load(path), environ={}) as desk:
        desk.begin()
        symbols = desk.settings.symbols[:signals]
        receive_all(desk, [external_signal(desk, symbol, WEAK) for symbol in symbols])
    before, cpu, wall = counted.requests, time.process_time(), time.perf_counter()
    with Desk.open(config.load(path), environ={}) as desk:
        report = run_tick(desk, SESSION, tick_ns, new_execution_id())
    cost = Cost(counted.requests - before, time.process_time() - cpu, time.perf_counter() - wall)
    if report.problems or report.execution.vetoed or report.execution.orders:
        raise RuntimeError(f"{report.problems} {report.execution.vetoed} {report.execution.orders}")
    return cost


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--ticks", type=int, default=6)
    ticks = parser.parse_args().ticks
    counted, over = Counted(), False
    with tempfile.TemporaryDirectory() as root, floor(Path(root)) as (keeper, embedded):
        due = iter(Sessions().ticks(SESSION, 5)[2:])
        for symbols, signals in CASES:
            path = Path(root) / f"{symbols}" / "config" / "execution.yaml"
            path.parent.mkdir(parents=True)
            traded = [ticker(number) for number in range(symbols)]
            path.write_text(
                yaml.safe_dump(
                    {"data_dir": str(path.parents[1] / "var"), "symbols": traded, "embedded": embedded}
                )
            )
            first, *others = (ticked(path, keeper, next(due), signals, counted) for _ in range(max(ticks, 2)))
            cost = Cost(*(median(column) for column in zip(*others, strict=True)))
            print(
                f"{symbols:5} symbols, {signals:5} signals: {cost.requests:g} requests, {cost.cpu_s:.2f} s a "
                f"core, {cost.seconds:.1f} s; the first tick {first.requests}, {first.cpu_s:.2f} s"
            )
            if not signals:
                most, cpu_s = GOALS[symbols]
                over |= cost.requests > most or cost.cpu_s > cpu_s
    print(f"{counted.refused} requests refused")
    sys.exit(1 if over or counted.refused else 0)


if __name__ == "__main__":
    main()
