"""Time that runs: at its speed, without requests, and only forward."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from contextlib import suppress
from decimal import Decimal
from pathlib import Path
from time import monotonic, sleep

import pytest
import requests
from tapes import at, submit, venue

from trading_assets.errors import InvalidInput
from trading_assets.exchange.control_client import ControlClient, ControlRefused
from trading_assets.exchange.credentials import KEY_ID, SECRET
from trading_assets.exchange.http.app import _serve_in_time
from trading_assets.exchange.http.pace import ClockPace
from trading_assets.exchange.orders import Status
from trading_assets.exchange.process import ExchangeProcess, start_process
from trading_assets.exchange.times import parse_ns

TOKEN = "a-token-for-tests"
SECOND_NS = 1_000_000_000
KEYS = {"APCA-API-KEY-ID": KEY_ID, "APCA-API-SECRET-KEY": SECRET}


class Stopwatch:
    def __init__(self) -> None:
        self.ns = 0

    def __call__(self) -> int:
        return self.ns


def test_time_stands_until_it_is_told_to_run() -> None:
    exchange, watch = venue(), Stopwatch()
    pace = ClockPace(exchange, monotonic_ns=watch)
    watch.ns = 3600 * SECOND_NS
    pace.catch_up()
    assert (exchange.now_ns, pace.speed) == (at(2, "10:00"), None)


def test_time_runs_at_its_speed_from_where_it_stood_and_stops_where_it_is() -> None:
    exchange, watch = venue(), Stopwatch()
    pace = ClockPace(exchange, monotonic_ns=watch)
    watch.ns = 5 * SECOND_NS
    pace.run(60)
    watch.ns = 7 * SECOND_NS
    pace.catch_up()
    assert exchange.now_ns == at(2, "10:02")
    pace.run(1)  # a change of speed loses no time before it
    watch.ns = 37 * SECOND_NS
    pace.stand()
    assert (exchange.now_ns, pace.speed) == (at(2, "10:02:30"), None)
    watch.ns = 99 * SECOND_NS
    pace.catch_up()
    assert exchange.now_ns == at(2, "10:02:30")


def test_running_plays_the_same_fills_as_stepping() -> None:
    stepped, ran, watch = venue(), venue(), Stopwatch()
    orders = [submit(exchange, side="buy", limit_price="100.25") for exchange in (stepped, ran)]
    submit(stepped, qty="3")
    submit(ran, qty="3")
    for exchange in (stepped, ran):
        assert exchange.order(orders[0].id).status is Status.NEW
        exchange.override_quote("AAA", bid=Decimal("100.2"), ask=Decimal("100.3"), spread_bps=None)
    stepped.move_clock(at(2, "16:30"))
    pace = ClockPace(ran, monotonic_ns=watch)
    pace.run(23400)
    for tenth in range(1, 11):  # a day in a second, looked at ten times
        watch.ns = tenth * SECOND_NS // 10
        pace.catch_up()
    assert ran.now_ns == at(2, "16:30")
    without_moves = [
        [
            line.split(b"\t", 1)[1]
            for line in exchange.journal_bytes().splitlines()
            if b"ClockMoved" not in line
        ]
        for exchange in (stepped, ran)
    ]
    assert without_moves[0] == without_moves[1]
    assert any(b"OrderEnded" in line for line in without_moves[0])


def test_time_that_runs_and_brings_nothing_is_kept_in_one_line(tmp_path: Path) -> None:
    exchange, watch = venue(directory=tmp_path), Stopwatch()
    pace = ClockPace(exchange, monotonic_ns=watch)
    pace.run(1)
    lines, count = [], exchange.state.event_count
    for seconds in range(1, 6):
        watch.ns = seconds * SECOND_NS
        pace.catch_up()
        lines.append(exchange.journal_bytes().splitlines())
    assert {len(kept) for kept in lines} == {count + 1}
    submit(exchange)
    now_ns, journal, count = exchange.now_ns, exchange.journal_bytes(), exchange.state.event_count
    exchange.close()
    again = venue(directory=tmp_path)
    assert (again.now_ns, again.journal_bytes(), again.state.event_count) == (now_ns, journal, count)
    assert count == len(journal.splitlines())


@pytest.mark.parametrize("speed", [0.0, -1.0, float("nan"), float("inf"), 86_401.0])
def test_a_speed_that_is_none_is_refused(speed: float) -> None:
    pace = ClockPace(venue())
    with pytest.raises(InvalidInput, match="no speed"):
        pace.run(speed)
    assert pace.speed is None


def test_time_goes_on_without_requests() -> None:
    exchange, watch = venue(), Stopwatch()
    pace = ClockPace(exchange, monotonic_ns=watch)
    pace.run(1)

    async def half_a_second() -> None:
        with suppress(TimeoutError):
            async with asyncio.timeout(0.5):
                watch.ns = 90 * SECOND_NS
                await pace.keep_up()

    asyncio.run(half_a_second())
    assert exchange.now_ns == at(2, "10:01:30")


def test_time_that_cannot_go_on_ends_the_server_with_its_error() -> None:
    def end_of_the_calendar(to_ns: int) -> None:
        raise InvalidInput("ends", where="calendar", remedy="None.")

    class Server:
        should_exit = False

        async def serve(self, sockets: list[object]) -> None:
            while not self.should_exit:
                await asyncio.sleep(0)

    watch = Stopwatch()
    pace = ClockPace(venue(), advance=end_of_the_calendar, monotonic_ns=watch)
    pace.run(1)
    watch.ns = SECOND_NS
    with pytest.raises(InvalidInput, match="ends"):
        asyncio.run(asyncio.wait_for(_serve_in_time(Server(), pace, []), 5))  # type: ignore[arg-type]


@pytest.fixture(scope="module")
def shared(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ExchangeProcess]:
    directory = tmp_path_factory.mktemp("exchange")
    with start_process(
        public_keys=True,
        state_dir=directory,
        token=TOKEN,
        start_ns=at(2, "10:00"),
        speed=60,
        fill_mode="participation",
        participation=Decimal("0.25"),
    ) as exchange:
        yield exchange


@pytest.fixture
def keeper(shared: ExchangeProcess) -> Iterator[ControlClient]:
    keeper = ControlClient(shared.control_url, TOKEN)
    yield keeper
    keeper.close()


def clock_ns(exchange: ExchangeProcess) -> int:
    answer = requests.get(exchange.url + "/v2/clock", headers=KEYS, timeout=10)
    return parse_ns(answer.json()["timestamp"])


def test_an_exchange_started_at_a_speed_runs_and_its_clock_says_so(
    shared: ExchangeProcess, keeper: ControlClient
) -> None:
    assert keeper.speed() == 60
    began, before = monotonic(), clock_ns(shared)
    sleep(0.3)
    after, elapsed = clock_ns(shared), monotonic() - began
    assert 0.3 * 60 * SECOND_NS <= after - before <= 60 * elapsed * SECOND_NS


def test_an_exchange_is_started_in_a_fill_mode(keeper: ControlClient) -> None:
    opened = keeper.journal().splitlines()[0]
    assert '"fill_mode":"participation","participation":"0.25"' in opened


def test_a_running_clock_is_not_set_and_a_standing_one_stands_exactly(
    shared: ExchangeProcess, keeper: ControlClient
) -> None:
    keeper.run(1)
    with pytest.raises(ControlRefused, match="the clock runs"):
        keeper.move_to(at(3, "10:00"))
    with pytest.raises(ControlRefused, match="no speed"):
        keeper.run(0)
    keeper.stand()
    assert keeper.speed() is None
    stood = clock_ns(shared)
    sleep(0.3)
    assert (clock_ns(shared), keeper.now_ns()) == (stood, stood)
    keeper.move_to(stood + 1)
    assert clock_ns(shared) == stood + 1


def test_a_restart_goes_on_where_time_was_and_stands(tmp_path: Path, shared: ExchangeProcess) -> None:
    with start_process(
        public_keys=True, state_dir=tmp_path, token=TOKEN, start_ns=at(2, "10:00"), speed=3600
    ) as exchange:
        keeper = ControlClient(exchange.control_url, TOKEN)
        sleep(0.1)
        seen = keeper.now_ns()
        keeper.close()
        exchange.kill()
    assert seen > at(2, "10:05")
    with start_process(public_keys=True, state_dir=tmp_path, token=TOKEN) as exchange:
        keeper = ControlClient(exchange.control_url, TOKEN)
        again = [keeper.now_ns(), keeper.now_ns()]
        keeper.close()
    assert again[0] == again[1] >= seen
