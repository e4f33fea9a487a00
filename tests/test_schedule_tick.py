"""The trading schedule on an exchange whose time runs: daemon, webserver and exchange, minute by minute."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from typing import Any

import pytest
from support.running_desk import BOOK, REPOSITORY, RunningDesk, free_ports, start

from trading_assets import config
from trading_assets.engine.book.desk import Desk
from trading_assets.engine.signals.tick_signals import receive
from trading_assets.market.clock import system_now_ns
from trading_assets.market.sessions import MINUTE_NS, Sessions
from trading_assets.store.journal import Journal
from trading_assets.up import FIRST_SESSION, LEAD_NS

pytestmark = pytest.mark.slow  # cron has no more than one minute in a minute
SECOND_NS = 10**9
OPEN_NS = Sessions().open_ns(FIRST_SESSION)
FIRST_ORDER_SECONDS = 5.0  # after the minute, on an idle machine: 1.5

_START = """mutation($selector: ScheduleSelector!) { startSchedule(scheduleSelector: $selector) {
  __typename ... on PythonError { message } } }"""
_STOP = """mutation($id: String!) { stopSensor(id: $id) { __typename ... on PythonError { message } } }"""
_SENSOR = """query($selector: SensorSelector!) { sensorOrError(sensorSelector: $selector) {
  ... on Sensor { sensorState { id status } } } }"""
_TICKS = """query($selector: ScheduleSelector!) { scheduleOrError(scheduleSelector: $selector) {
  ... on Schedule { scheduleState { ticks(limit: 10) { status skipReason runIds timestamp } } } } }"""
_TRADING_HOURS = {**REPOSITORY, "scheduleName": "trading_hours"}


@pytest.fixture(scope="module")
def desk(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningDesk]:
    ports = free_ports(3)
    embedded = {
        "url": f"http://127.0.0.1:{ports[1]}",
        "control_url": f"http://127.0.0.1:{ports[2]}",
        "time": "runs",
    }
    desk = start(
        tmp_path_factory.mktemp("up"),
        ports=ports,
        tick_minutes=1,
        no_entry_seconds_after_open=0.0,
        embedded=embedded,
    )
    while not desk.next_line().startswith("Ready."):
        assert desk.process.poll() is None, desk.logs()
    desk.wait("the signals' sensor stopped", lambda: inbox_sensor_stopped(desk))
    yield desk
    desk.end()


def inbox_sensor_stopped(desk: RunningDesk) -> bool:
    """Stop the sensor, which would ask for a tick before the minute. The end of an evaluation that was under
    way at the stop writes the state that it began with: RUNNING."""
    selector = {**REPOSITORY, "sensorName": "signal_inbox"}
    state = desk.graphql(_SENSOR, selector=selector)["sensorOrError"]["sensorState"]
    stopped = desk.graphql(_STOP, id=state["id"])
    assert stopped["stopSensor"]["__typename"] == "StopSensorMutationResult"
    time.sleep(3)
    state = desk.graphql(_SENSOR, selector=selector)["sensorOrError"]["sensorState"]
    return bool(state["status"] == "STOPPED")


def ticks(desk: RunningDesk, status: str) -> list[dict[str, Any]]:
    """Evaluations of the trading schedule, the newest first."""
    result = desk.graphql(_TICKS, selector=_TRADING_HOURS)["scheduleOrError"]["scheduleState"]["ticks"]
    return [tick for tick in result if tick["status"] == status]


def test_the_exchanges_minutes_begin_with_the_machines_shortly_before_the_open(desk: RunningDesk) -> None:
    first, machine = desk.now_ns(), system_now_ns()
    assert OPEN_NS - LEAD_NS <= first < OPEN_NS + MINUTE_NS
    off = (first - machine) % MINUTE_NS
    assert min(off, MINUTE_NS - off) < SECOND_NS
    time.sleep(1)
    assert desk.now_ns() - first == pytest.approx(system_now_ns() - machine, abs=SECOND_NS // 2)


def test_before_the_open_the_schedule_says_why_it_asks_for_nothing(desk: RunningDesk) -> None:
    with desk.keeper() as keeper:
        keeper.stand()  # at most two minutes before the open: it shall not come while this test waits
        keeper.move_to(aligned(desk.now_ns()))
    started = desk.graphql(_START, selector=_TRADING_HOURS)
    assert started["startSchedule"]["__typename"] == "ScheduleStateResult"
    desk.wait("a skip", lambda: ticks(desk, "SKIPPED"), 90)
    assert "does not run at the world's speed" in ticks(desk, "SKIPPED")[0]["skipReason"]


def test_a_tick_comes_at_the_minute_and_its_first_order_is_accepted_within_seconds(desk: RunningDesk) -> None:
    while system_now_ns() % MINUTE_NS > 50 * SECOND_NS:
        time.sleep(0.2)
    with desk.keeper() as keeper:
        keeper.move_to(aligned(OPEN_NS + 10 * MINUTE_NS))
        keeper.run(1.0)
    with Desk.open(config.load(desk.config_path)) as opened:
        receive(opened, "AAPL", 0.5)
    desk.wait("a tick", lambda: ticks(desk, "SUCCESS"), 90)
    (tick,) = ticks(desk, "SUCCESS")
    desk.wait("its run", lambda: desk.runs("trading_tick"), 30)
    (run,) = desk.runs("trading_tick")
    tags = {tag["key"]: tag["value"] for tag in run["tags"]}
    assert tick["runIds"] == [run["runId"]]
    assert tags["dagster/schedule_name"] == "trading_hours"
    tick_ns = int(tags["trading_assets/tick_ns"])
    assert tick_ns in Sessions().ticks(FIRST_SESSION, 1)
    with Journal.open(desk.data_dir / "journal.sqlite") as journal:
        (order,) = journal.orders(BOOK)
    assert (order.intent.symbol, order.state) == ("AAPL", "FILLED")
    with desk.keeper() as keeper:
        events = [line.split("\t", 2) for line in keeper.journal().splitlines()]
    (accepted_ns,) = [json.loads(event)["at_ns"] for _, kind, event in events if kind == "OrderAccepted"]
    seconds = (accepted_ns - tick_ns) / SECOND_NS
    print(f"first order accepted {seconds:.2f} s after the minute")
    assert 0 < seconds < FIRST_ORDER_SECONDS


def aligned(from_ns: int) -> int:
    """The first time from then on whose second of the minute is the machine's."""
    return from_ns + (system_now_ns() - from_ns) % MINUTE_NS
