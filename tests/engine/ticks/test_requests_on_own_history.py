"""What a tick of hundreds and of thousands of imported symbols asks of a broker that answers Alpaca's 200
requests a minute."""

from __future__ import annotations

from datetime import date
from pathlib import Path

import pytest
from support.many_symbols import Requests
from support.own_history import imported, made_up, write_config, write_daily
from support.warm_exchange import start_process

from trading_assets import config
from trading_assets.engine.book.desk import Desk
from trading_assets.engine.protection.protect import new_execution_id
from trading_assets.engine.signals.tick_signals import external_signal, receive_all
from trading_assets.engine.ticks.whole_tick import TickReport, run_tick
from trading_assets.exchange.control_client import ControlClient
from trading_assets.exchange.http.rate_limit import REQUESTS_PER_MINUTE
from trading_assets.market.sessions import Sessions

pytestmark = [pytest.mark.exchange, pytest.mark.slow(seconds=90)]

TOKEN = "a-token-for-tests"
FIRST, DAY, LAST = date(2023, 12, 1), date(2024, 3, 20), date(2024, 3, 28)
HUNDREDS, THOUSANDS = 461, 2_631
MOST = {HUNDREDS: 20, THOUSANDS: 60}  # requests of a tick without orders
TICKS = Sessions().ticks(DAY, 5)


def tick(path: Path, number: int) -> TickReport:
    with Desk.open(config.load(path), environ={}) as desk:
        return run_tick(desk, DAY, TICKS[number], new_execution_id())


def test_a_tick_of_thousands_of_imported_symbols_stays_within_the_requests_of_a_minute(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    requests = Requests(monkeypatch)
    made = made_up(THOUSANDS, FIRST, LAST)
    path = write_config(tmp_path, symbols=list(made.symbols))
    imported(path, write_daily(made, tmp_path / "daily.csv"), "1d")
    with start_process(
        public_keys=True,
        state_dir=tmp_path / "var" / "exchange",
        token=TOKEN,
        start_ns=Sessions().open_ns(DAY),
        history=tmp_path / "var" / "history.duckdb",
    ) as exchange:
        keeper = ControlClient(exchange.control_url, TOKEN)
        at = {"url": exchange.url, "control_url": exchange.control_url}
        for count, first in ((HUNDREDS, 2), (THOUSANDS, 4)):
            write_config(tmp_path, symbols=list(made.symbols[:count]), embedded=at)
            for number in (first, first + 1):
                keeper.move_to(TICKS[number])
                requests.since()
                report = tick(path, number)
                assert (report.problems, report.failed_checks, report.execution.vetoed) == ((), (), ())
                latest = requests.since()
                assert max(latest) <= REQUESTS_PER_MINUTE
            assert sum(latest) <= MOST[count]
        keeper.move_to(TICKS[6])
        with Desk.open(config.load(path), environ={}) as desk:
            desk.begin()
            signals = [external_signal(desk, symbol, 0.05) for symbol in desk.settings.symbols]
            signals[-10:] = [external_signal(desk, symbol, 1.0) for symbol in desk.settings.symbols[-10:]]
            receive_all(desk, signals)
        requests.since()
        report = tick(path, 6)
        assert {order.state for order in report.execution.orders} == {"FILLED"}
        assert len(report.execution.orders) == 10
        assert report.reconciliation is not None
        assert report.reconciliation.clean
        assert max(requests.since()) <= REQUESTS_PER_MINUTE
        assert requests.refused == 0
        keeper.close()
