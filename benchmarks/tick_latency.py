"""From the minute to the first order that the exchange accepts: Dagster's stock settings and ours, in turn.

Everything runs as `make up` runs it: exchange with running time, webserver, daemon; a tick every minute by
the schedule, all assets and checks, a signal for every symbol at every tick. Measured is the exchange's own
time of acceptance against the minute. Stock: an instance without any setting (default launcher, event log,
intervals). Prints medians, the worst, the ratio, and where the time of a tick goes.

    python benchmarks/tick_latency.py --ticks 60            about an hour for each of the two
    python benchmarks/tick_latency.py --ticks 5 --rounds 2  stock, ours, stock, ours
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import signal
import socket
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping
from contextlib import closing, contextmanager
from itertools import pairwise
from pathlib import Path
from typing import Any, NamedTuple

import dagster as dg
import requests
import yaml
from dagster import DagsterEventType
from dagster._core.storage.event_log.sqlite.sqlite_event_log import SqliteEventLogStorage

from trading_assets import config
from trading_assets.dagster_instance.event_log import PooledSqliteEventLogStorage
from trading_assets.engine.book.desk import Desk as TradingDesk
from trading_assets.engine.signals.tick_signals import external_signal, receive_all
from trading_assets.exchange.control_client import ControlClient
from trading_assets.market.clock import system_now_ns
from trading_assets.market.sessions import MINUTE_NS, Sessions
from trading_assets.runs.lanes import TICK_TAG
from trading_assets.up import FIRST_SESSION
from trading_assets.web.link import link_of, token_of

ROOT = Path(__file__).parents[1]
TOKEN = "token-of-the-benchmark"
SECOND_NS = 10**9
SIGNALS_BEFORE_NS = 4 * SECOND_NS
UNLIMITED = 1_000_000
EVENT_LOG = "(in all of these: storing the events)"
REPOSITORY = {"repositoryLocationName": "trading_assets", "repositoryName": "__repository__"}
SETTINGS = {
    "stock": "telemetry: {enabled: false}\n",
    "ours": (ROOT / "dagster_home" / "dagster.yaml").read_text(),
}
EVENT_LOGS = {"stock": SqliteEventLogStorage, "ours": PooledSqliteEventLogStorage}

START_SCHEDULE = """mutation($selector: ScheduleSelector!) { startSchedule(scheduleSelector: $selector) {
  __typename ... on PythonError { message } } }"""
SENSOR_STATE = """query($selector: SensorSelector!) { sensorOrError(sensorSelector: $selector) {
  ... on Sensor { sensorState { id } } } }"""
STOP_SENSOR = "mutation($id: String!) { stopSensor(id: $id) { __typename ... on PythonError { message } } }"


class Tick(NamedTuple):
    """Seconds after the minute of the first acceptance, and what took how long until then."""

    accepted: float
    parts: dict[str, float]


class Desk(NamedTuple):
    """A running `make up`."""

    home: Path
    config_path: Path
    url: str
    control_url: str

    def graphql(self, query: str, **variables: object) -> Any:
        link = link_of(self.home)
        answer = requests.post(
            f"{self.url}/graphql",
            json={"query": query, "variables": variables},
            headers={} if link is None else {"Authorization": f"Bearer {token_of(link)}"},
            timeout=60,
        ).json()
        if "errors" in answer:
            raise RuntimeError(answer["errors"])
        return answer["data"]


def measure(name: str, ticks: int) -> list[Tick]:
    """`ticks` ticks in a row on a new desk with the settings of that name, after one that is not counted."""
    with running_desk(SETTINGS[name]) as desk, closing(ControlClient(desk.control_url, TOKEN)) as keeper:
        sensor = desk.graphql(SENSOR_STATE, selector={**REPOSITORY, "sensorName": "signal_inbox"})
        desk.graphql(
            STOP_SENSOR, id=sensor["sensorOrError"]["sensorState"]["id"]
        )  # it asks before the minute
        desk.graphql(START_SCHEDULE, selector={**REPOSITORY, "scheduleName": "trading_hours"})
        while system_now_ns() % MINUTE_NS > 40 * SECOND_NS:
            time.sleep(0.1)
        keeper.stand()
        start = Sessions().open_ns(FIRST_SESSION) + 5 * MINUTE_NS
        keeper.move_to(start + (system_now_ns() - start) % MINUTE_NS)
        keeper.run(1.0)
        ahead_ns = round((keeper.now_ns() - system_now_ns()) / MINUTE_NS) * MINUTE_NS
        for number in range(ticks + 1):
            boundary = (system_now_ns() // MINUTE_NS + 1) * MINUTE_NS
            sleep_until(boundary - SIGNALS_BEFORE_NS)
            send_signals(desk.config_path, 1.0 if number % 2 == 0 else -1.0)
            sleep_until(boundary + 50 * SECOND_NS)
        events = [line.split("\t", 2) for line in keeper.journal().splitlines()]
        accepted = [json.loads(told)["at_ns"] for _, kind, told in events if kind == "OrderAccepted"]
        with dg.DagsterInstance.from_config(str(desk.home)) as instance:
            records = instance.get_run_records(dg.RunsFilter(job_name="trading_tick"), ascending=True)
            runs = [record.dagster_run for record in records]
            found = [looked_at(instance, EVENT_LOGS[name], run, accepted, ahead_ns) for run in runs]
    return [tick for tick in found[1:] if tick is not None]


def looked_at(
    instance: dg.DagsterInstance,
    event_log: type[SqliteEventLogStorage],
    run: dg.DagsterRun,
    accepted: list[int],
    ahead_ns: int,
) -> Tick | None:
    """Where the time of one tick's run went; None for one that sent no order.

    accepted: the exchange's times; ahead_ns: of the machine's clock, which stamps Dagster's events
    """
    tick_ns = int(run.tags[TICK_TAG])
    firsts = [at_ns for at_ns in accepted if tick_ns <= at_ns < tick_ns + MINUTE_NS]
    if not firsts:
        return None
    minute, first = (tick_ns - ahead_ns) / SECOND_NS, (firsts[0] - ahead_ns) / SECOND_NS
    log = [entry for entry in instance.all_logs(run.run_id) if entry.timestamp <= first]
    at = {entry.dagster_event_type: entry.timestamp for entry in reversed(log)}  # the first of each type
    marks = [
        ("minute", minute),
        ("schedule", at[DagsterEventType.PIPELINE_ENQUEUED]),
        ("queue", at[DagsterEventType.PIPELINE_STARTING]),
        ("process", at[DagsterEventType.ENGINE_EVENT]),
        ("definitions", at[DagsterEventType.PIPELINE_START]),
    ]
    for entry in log:
        if entry.dagster_event_type is DagsterEventType.STEP_START:
            marks.append(("between steps", entry.timestamp))
        elif entry.dagster_event_type is DagsterEventType.STEP_SUCCESS:
            marks.append((str(entry.step_key), entry.timestamp))
    marks.append(("gated_orders, to the first acceptance", first))
    parts: dict[str, float] = {}
    for (_, before), (part, after) in pairwise(marks):
        parts[part] = parts.get(part, 0.0) + after - before
    parts[EVENT_LOG] = seconds_to_store(event_log, log)
    return Tick(first - minute, parts)


def seconds_to_store(event_log: type[SqliteEventLogStorage], entries: list[dg.EventLogEntry]) -> float:
    """What these events cost in a new event log, one by one."""
    with tempfile.TemporaryDirectory() as place:
        storage = event_log(place)
        storage.store_event(entries[0])  # creates the tables
        began = time.perf_counter()
        for entry in entries[1:]:
            storage.store_event(entry)
        seconds = time.perf_counter() - began
        storage.dispose()
    return seconds


def send_signals(path: Path, value: float) -> None:
    """Into the journal's inbox, as a program of one's own would: one for each symbol."""
    with TradingDesk.open(config.load(path)) as desk:
        symbols = desk.settings.symbols
        receive_all(desk, [external_signal(desk, symbol, value, source="benchmark") for symbol in symbols])


def sleep_until(at_ns: int) -> None:
    time.sleep(max(0.0, (at_ns - system_now_ns()) / SECOND_NS))


@contextmanager
def running_desk(instance_settings: str) -> Iterator[Desk]:
    """`make up` in a place of its own, ready."""
    place = Path(tempfile.mkdtemp(prefix="tick_latency-"))
    web, public, control = free_ports(3)
    home, path = place / "dagster_home", place / "config" / "execution.yaml"
    home.mkdir()
    path.parent.mkdir()
    (home / "dagster.yaml").write_text(instance_settings)
    urls = {"url": f"http://127.0.0.1:{public}", "control_url": f"http://127.0.0.1:{control}", "time": "runs"}
    settings = {
        "embedded": urls,
        "tick_minutes": 1,
        "no_entry_seconds_after_open": 0.0,
        "max_orders_per_symbol_per_day": UNLIMITED,
        "max_orders_per_day": UNLIMITED,
        "max_exit_orders_per_day": UNLIMITED,
    }
    path.write_text(yaml.safe_dump(settings))
    os.environ.update(DAGSTER_HOME=str(home), TRADING_ASSETS_EXCHANGE_TOKEN=TOKEN)
    up = subprocess.Popen(
        [sys.executable, "-m", "trading_assets.up", "--config", str(path), "--port", str(web)],
        cwd=ROOT,
        env=os.environ,
        stdout=subprocess.PIPE,
        text=True,
    )
    try:
        assert up.stdout is not None
        for line in up.stdout:
            if line.startswith("Ready."):
                break
        else:
            raise RuntimeError(f"the desk did not start; see {place}")
        yield Desk(home, path, f"http://127.0.0.1:{web}", urls["control_url"])
    finally:
        up.send_signal(signal.SIGINT)
        up.wait(60)
    shutil.rmtree(place)  # kept where something went wrong


def free_ports(count: int) -> list[int]:
    taken = [socket.create_server(("127.0.0.1", 0)) for _ in range(count)]
    ports = [server.getsockname()[1] for server in taken]
    for server in taken:
        server.close()
    return ports


def report(found: Mapping[str, list[Tick]]) -> None:
    for name, ticks in found.items():
        seconds = [tick.accepted for tick in ticks]
        print(
            f"{name:6s} {len(ticks):3d} ticks, seconds from the minute to the first acceptance: median "
            f"{statistics.median(seconds):.2f}, least {min(seconds):.2f}, worst {max(seconds):.2f}"
        )
    if len(found) > 1:
        medians = {name: statistics.median(tick.accepted for tick in ticks) for name, ticks in found.items()}
        print(f"ours is 1/{medians['stock'] / medians['ours']:.1f} of stock")
    print("\nwhere the time goes, medians in seconds:")
    parts = list(dict.fromkeys(part for ticks in found.values() for tick in ticks for part in tick.parts))
    print(f"{'':40s}" + "".join(f"{name:>8s}" for name in found))
    for part in [part for part in parts if part != EVENT_LOG] + [EVENT_LOG]:
        columns = (
            f"{statistics.median(tick.parts.get(part, 0.0) for tick in ticks):8.3f}"
            for ticks in found.values()
        )
        print(f"{part:40s}" + "".join(columns))


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--ticks", type=int, default=5, help="of each settings in each round")
    parser.add_argument("--rounds", type=int, default=1, help="in which the settings take turns")
    parser.add_argument("--settings", choices=[*SETTINGS, "both"], default="both")
    parser.add_argument("--json", type=Path, help="write every tick there")
    arguments = parser.parse_args()
    names = list(SETTINGS) if arguments.settings == "both" else [arguments.settings]
    found: dict[str, list[Tick]] = {name: [] for name in names}
    for _ in range(arguments.rounds):
        for name in names:
            found[name] += measure(name, arguments.ticks)
    report(found)
    if arguments.json:
        ticks = {name: [tick._asdict() for tick in ticks] for name, ticks in found.items()}
        arguments.json.write_text(json.dumps(ticks, indent=1))


if __name__ == "__main__":
    main()
