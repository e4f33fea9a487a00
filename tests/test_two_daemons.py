"""Two daemons at one instance, which Dagster warns of and lets run: the book is still traded once."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections import Counter
from collections.abc import Iterator
from functools import partial
from pathlib import Path

import pytest
from support.running_desk import BOOK, REPOSITORY, ROOT, TOKEN, RunningDesk, free_ports, start

from trading_assets import config
from trading_assets.broker.port import RateLimited
from trading_assets.config import Settings
from trading_assets.core.orders import is_ours
from trading_assets.engine.book.desk import Desk
from trading_assets.engine.book.place import journal_file
from trading_assets.engine.protection.protect import new_execution_id, protect_alone
from trading_assets.store.journal import Journal

pytestmark = pytest.mark.slow

SYMBOLS = ("AAPL", "IBM", "MSFT")

_START = """mutation($selector: ScheduleSelector!) { startSchedule(scheduleSelector: $selector) {
  __typename ... on PythonError { message } } }"""


@pytest.fixture(scope="module")
def desk(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningDesk]:
    desk = start(tmp_path_factory.mktemp("up"), ports=free_ports(3))
    while not desk.next_line().startswith("Ready."):
        assert desk.process.poll() is None, desk.logs()
    yield desk
    desk.end()


@pytest.fixture(scope="module")
def second_daemon(desk: RunningDesk) -> Iterator[subprocess.Popen[bytes]]:
    """Beside the one that `up` started, as somebody would start it by hand."""
    with (desk.data_dir / "logs" / "second-daemon.log").open("wb") as log:
        daemon = subprocess.Popen(
            [sys.executable, "-m", "dagster._daemon", "run", "-w", "workspace.yaml"],
            cwd=ROOT,
            env=os.environ
            | {
                "DAGSTER_HOME": str(desk.home / "dagster_home"),
                "TRADING_ASSETS_CONFIG": str(desk.config_path),
                "TRADING_ASSETS_EXCHANGE_TOKEN": TOKEN,
            },
            stdout=log,
            stderr=subprocess.STDOUT,
        )
    yield daemon
    daemon.send_signal(signal.SIGINT)
    daemon.wait(60)


def test_two_daemons_trade_each_signal_once(
    desk: RunningDesk, second_daemon: subprocess.Popen[bytes]
) -> None:
    settings = config.load(desk.config_path)
    first_log = desk.data_dir / "logs" / "dagster-daemon.log"
    desk.wait("both daemons at work", lambda: "Another SENSOR daemon" in first_log.read_text())
    desk.graphql(_START, selector={**REPOSITORY, "scheduleName": "trading_hours"})
    for number, symbol in enumerate(SYMBOLS, 1):
        desk.wait(f"{number} ticks", partial(_ticked, desk, number))
        part = desk.data_dir / "inbox" / f"{symbol}.part"
        part.write_text(f"symbol,value\n{symbol},0.5\n")
        part.rename(part.with_suffix(".csv"))
        desk.wait("its tick", partial(_taken, settings, part.with_suffix(".csv")))
    assert second_daemon.poll() is None
    desk.wait("a minute with requests left", partial(_answers, settings))
    with Desk.open(settings) as opened:
        protect_alone(opened, new_execution_id())
        ours = [order for order in opened.broker.orders_since(0) if is_ours(order.client_order_id)]
        sent = opened.journal.orders(BOOK)
        assert ours
        assert {order.client_order_id for order in ours} == {order.intent.client_order_id for order in sent}
        assert max(Counter(order.intent.decision_id for order in sent).values()) == 1
        assert protect_alone(opened, new_execution_id()).reconciliation.clean


def _ticked(desk: RunningDesk, number: int) -> bool:
    return len(desk.runs("trading_tick")) >= number


def _answers(settings: Settings) -> bool:
    """Whether the account has requests left: two daemons at once may have used up the minute's."""
    try:
        with Desk.open(settings):
            return True
    except RateLimited:
        return False


def _taken(settings: Settings, file: Path) -> bool:
    """Whether the file's signals have come in and have had their tick."""
    if file.exists():
        return False
    with Journal.open(journal_file(settings)) as journal:
        return not journal.pending_signals(BOOK)
