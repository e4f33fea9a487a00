"""What a tick costs beside how much the history holds: a desk of 5 sessions and one of 515, in turn.

Each has its own embedded exchange, journal and history. The histories hold minute bars of 40 symbols as
imports leave them (symbol by symbol) and what earlier ticks of every five minutes have left: 97 110 rows and
10 002 330. Then the same ticks run on both, engine level with every step and check, each opening the desk
anew as a run of Dagster does. Prints the medians, the ratio of each pair with its spread, and where the time
goes; exit status 1 where the median ratio is above 1.2.

    python benchmarks/tick_cost.py --ticks 60
"""

from __future__ import annotations

import argparse
import json
import secrets
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import ExitStack, closing, contextmanager
from dataclasses import dataclass, field
from datetime import date
from decimal import Decimal
from itertools import pairwise
from pathlib import Path
from statistics import median, quantiles
from typing import NamedTuple

import pyarrow as pa
import yaml

from trading_assets import config, log
from trading_assets.engine.book.desk import Desk
from trading_assets.engine.checks.table import CHECKS
from trading_assets.engine.protection.protect import new_execution_id
from trading_assets.engine.signals.tick_signals import receive
from trading_assets.engine.ticks.whole_tick import run_tick
from trading_assets.exchange.control_client import ControlClient
from trading_assets.exchange.process import start_process
from trading_assets.market.sessions import MINUTE_NS, Sessions
from trading_assets.store.history import History

SESSION = date(2012, 9, 11)
SYMBOLS = ["AAPL", "FB", "GOOG", "IBM", "MSFT", *(f"X{number:02d}" for number in range(35))]
TRADED = SYMBOLS[:5]
TICK_MINUTES = 5
SMALL, LARGE = 5, 515  # sessions
BOOK = "embedded:PA0001:paper"
GOAL = 1.2
UNCOUNTED = 2  # first ticks: one fetches the look-back
UNLIMITED = 1_000_000

_BARS = """
INSERT INTO bars BY NAME
SELECT ? AS symbol, '1m' AS "interval", session, start_ns, start_ns + 60000000000 AS available_at_ns,
       available_at_ns AS received_at_ns, 1 AS version, price AS open, price + 0.5 AS high,
       price - 0.5 AS low, price AS close, 1000.0 AS volume, 'file' AS source, false AS derived
FROM (SELECT session, open_ns + minute * 60000000000 AS start_ns,
             100 + (hash(? || open_ns || minute) % 1000) / 100.0 AS price
      FROM sessions, range(390) AS minutes(minute) ORDER BY open_ns, minute)
"""
_OF_TICKS = {
    "features": """
        SELECT session, tick_ns, symbol, 'daily' AS feature_set, [hash(tick_ns || symbol) / 1e19] AS "values",
               tick_ns AS computed_at_ns FROM ticks, traded ORDER BY tick_ns""",
    "signals": """
        SELECT session, tick_ns, symbol, 0.5 AS value, tick_ns AS as_of_ns, 'model' AS source,
               'D' || tick_ns || symbol AS decision_id, 'MODEL' AS kind, 'HELD' AS outcome
        FROM ticks, traded ORDER BY tick_ns""",
    "positions": """
        SELECT session, tick_ns, symbol, 10.0 AS qty, 100.0 AS avg_cost, 100.0 AS mark,
               1000.0 AS market_value, 10.0 AS broker_qty FROM ticks, traded ORDER BY tick_ns""",
    "equity": """
        SELECT session, tick_ns, tick_ns AS at_ns, 1e5 AS equity, 1e5 AS e0, 1e5 AS cash, 1e5 AS session_peak,
               1.0 AS unit_value, 1.0 AS unit_peak, 0.0 AS gross_exposure FROM ticks ORDER BY tick_ns""",
    "checks": """
        SELECT session, tick_ns, asset, "check", 'ERROR' AS severity, true AS blocking, true AS passed,
               '' AS detail FROM ticks, checked ORDER BY tick_ns""",
}


@dataclass
class Floor:
    """One desk with its exchange; seconds of its ticks, whole and by step."""

    path: Path
    keeper: ControlClient
    rows: int
    seconds: list[float] = field(default_factory=list)
    steps: dict[str, list[float]] = field(default_factory=dict)

    def tick(self, tick_ns: int, value: float) -> None:
        """One tick that decides on a signal for one symbol."""
        self.keeper.move_to(tick_ns)
        with Desk.open(config.load(self.path)) as desk:
            receive(desk, "AAPL", value, source="benchmark")
        marks = [("desk opened", time.perf_counter())]
        with Desk.open(config.load(self.path)) as desk:
            report = run_tick(
                desk,
                SESSION,
                tick_ns,
                new_execution_id(),
                progress=lambda step: marks.append((step, time.perf_counter())),
            )
        marks.append(("end", time.perf_counter()))
        if report.problems or report.execution.vetoed or len(report.execution.orders) != 1:
            raise RuntimeError(f"{report.problems} {report.execution.vetoed} {report.execution.orders}")
        self.seconds.append(marks[-1][1] - marks[0][1])
        for (step, began), (_, ended) in pairwise(marks):
            self.steps.setdefault(step, []).append(ended - began)


def fill(history: History, sessions: int) -> int:
    """Bars as imports leave them, and what ticks have left, of so many sessions; returns the rows."""
    calendar, days = Sessions(), [SESSION]
    while len(days) <= sessions:
        days.append(calendar.previous(days[-1]))
    of_days = [{"session": day, "open_ns": calendar.open_ns(day)} for day in reversed(days[1:])]
    of_ticks = [
        {"session": day["session"], "tick_ns": day["open_ns"] + number * TICK_MINUTES * MINUTE_NS}
        for day in of_days
        for number in range(1, 79)
    ]
    for symbol in SYMBOLS:
        with history.writing() as connection:
            connection.register("sessions", pa.Table.from_pylist(of_days))
            connection.execute(_BARS, [symbol, symbol])
    checked = [{"asset": check.asset, "check": check.name} for check in CHECKS]
    given = {"ticks": of_ticks, "traded": [{"symbol": symbol} for symbol in TRADED], "checked": checked}
    for table, rows in _OF_TICKS.items():
        with history.writing() as connection:
            for name, values in given.items():
                connection.register(name, pa.Table.from_pylist(values))
            connection.execute(f"INSERT INTO {table} BY NAME SELECT '{BOOK}' AS book, * FROM ({rows})")
    return sum(
        history.query(f"SELECT count(*) AS n FROM {table}")["n"][0].as_py() for table in ("bars", *_OF_TICKS)
    )


@contextmanager
def floor(home: Path, sessions: int) -> Iterator[Floor]:
    calendar, token, path = Sessions(), secrets.token_urlsafe(24), home / "config" / "execution.yaml"
    path.parent.mkdir(parents=True)
    rows = fill(History(home / "var" / "history.duckdb"), sessions)
    with (
        start_process(
            public_keys=True,
            state_dir=home / "exchange",
            token=token,
            start_ns=calendar.open_ns(SESSION),
            cash=Decimal(100_000),
            requests_per_minute=UNLIMITED,
        ) as exchange,
        closing(ControlClient(exchange.control_url, token)) as keeper,
    ):
        settings = {
            "tick_minutes": TICK_MINUTES,
            "embedded": {"url": exchange.url, "control_url": exchange.control_url},
            "max_orders_per_symbol_per_day": UNLIMITED,
            "max_orders_per_day": UNLIMITED,
            "max_exit_orders_per_day": UNLIMITED,
        }
        path.write_text(yaml.safe_dump(settings))
        yield Floor(path, keeper, rows)


class Found(NamedTuple):
    """Of the small and the large: rows, and seconds of each tick; the pairs' ratio."""

    rows: tuple[int, int]
    seconds: tuple[list[float], list[float]]
    ratio: dict[str, float]


def report(small: Floor, large: Floor) -> Found:
    ratios = [of / beside for of, beside in zip(large.seconds, small.seconds, strict=True)][UNCOUNTED:]
    low, _, high = quantiles(ratios, n=4)
    for name, of in (("small", small), ("large", large)):
        counted = of.seconds[UNCOUNTED:]
        size = (of.path.parents[1] / "var" / "history.duckdb").stat().st_size
        print(
            f"{name}: {of.rows:10,d} rows, {size / 1e6:7.1f} MB; "
            f"a tick {median(counted) * 1e3:.0f} ms, {min(counted) * 1e3:.0f} to {max(counted) * 1e3:.0f}"
        )
    print(
        f"ratio of {len(ratios)} pairs: median {median(ratios):.3f}, quartiles {low:.3f} to {high:.3f}, "
        f"{min(ratios):.3f} to {max(ratios):.3f}; the goal is at most {GOAL}"
    )
    print("\nwhere the time goes, medians in ms   small   large")
    for step, seconds in small.steps.items():
        of_large = median(large.steps[step][UNCOUNTED:]) * 1e3
        print(f"  {step:34s} {median(seconds[UNCOUNTED:]) * 1e3:7.1f} {of_large:7.1f}")
    return Found(
        (small.rows, large.rows),
        (small.seconds[UNCOUNTED:], large.seconds[UNCOUNTED:]),
        {"median": median(ratios), "low": low, "high": high, "least": min(ratios), "most": max(ratios)},
    )


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--ticks", type=int, default=30, help="that are counted, up to 70")
    parser.add_argument("--sessions", type=int, default=LARGE, help="of the large history")
    parser.add_argument("--json", type=Path, help="write every tick there")
    arguments = parser.parse_args()
    log.configure(json_path=None, level="ERROR", terminal_level="CRITICAL")
    with tempfile.TemporaryDirectory(prefix="tick_cost-") as place, ExitStack() as floors:
        small = floors.enter_context(floor(Path(place, "small"), SMALL))
        large = floors.enter_context(floor(Path(place, "large"), arguments.sessions))
        ticks = Sessions().ticks(SESSION, TICK_MINUTES)[: arguments.ticks + UNCOUNTED]
        for number, tick_ns in enumerate(ticks):
            in_turn = (small, large) if number % 2 else (large, small)
            for of in in_turn:
                of.tick(tick_ns, 1.0 if number % 2 == 0 else -1.0)
        found = report(small, large)
    if arguments.json:
        arguments.json.write_text(json.dumps(found._asdict(), indent=1))
    sys.exit(0 if found.ratio["median"] <= GOAL else 1)


if __name__ == "__main__":
    main()
