"""A desk and its exchange on a person's own history: made-up bars of 40 symbols, imported with the real
command into the history that the desk writes, and traded over two sessions by signals of all of them."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import date
from pathlib import Path

import pytest
from support.many_symbols import Requests
from support.own_history import MadeUp, imported, made_up, write_config, write_daily, write_minutes
from support.warm_exchange import start_process

from trading_assets import config
from trading_assets.engine.book.desk import Desk
from trading_assets.engine.protection.protect import new_execution_id
from trading_assets.engine.records.verify import verify
from trading_assets.engine.signals.tick_signals import external_signal, receive_all
from trading_assets.engine.ticks.whole_tick import TickReport, run_tick
from trading_assets.exchange.control_client import ControlClient
from trading_assets.exchange.http.rate_limit import REQUESTS_PER_MINUTE
from trading_assets.market.sessions import Sessions

pytestmark = [pytest.mark.exchange, pytest.mark.slow(seconds=40)]

TOKEN = "a-token-for-tests"
FIRST, LAST = date(2023, 6, 1), date(2024, 3, 28)
DAY, EX_DATE = date(2024, 3, 11), date(2024, 3, 12)
COUNT = 40
WITH_MINUTES, PAYS, SPLITS, GAP, SILENT = "SAAA", "SAAB", "SAAC", "SAAD", "SAAE"
LACKED = date(2024, 2, 14)


def own_home(home: Path, made: MadeUp) -> Path:
    """The configuration's path, its history filled: one symbol has minutes, one pays a dividend and one
    splits on the second session, one lacks a day of the look-back, one has no bar on the first session."""
    row, split = made.symbols.index(SPLITS), made.days.index(EX_DATE)
    made.daily[row, split:, :4] = (made.daily[row, split:, :4] / 4.0).round(2)
    path = write_config(home, symbols=list(made.symbols))
    imported(
        path,
        write_daily(
            made,
            home / "daily.csv",
            splits={(SPLITS, EX_DATE): 4.0},
            dividends={(PAYS, EX_DATE): 0.25},
            without=[(GAP, LACKED), (SILENT, DAY)],
        ),
        "1d",
    )
    imported(path, write_minutes(made, home / "minutes.csv", WITH_MINUTES, [DAY, EX_DATE]), "1m")
    return path


@contextmanager
def traded_on(home: Path, made: MadeUp) -> Iterator[tuple[ControlClient, Path]]:
    path = own_home(home, made)
    with start_process(
        public_keys=True,
        state_dir=home / "var" / "exchange",
        token=TOKEN,
        start_ns=Sessions().open_ns(DAY),
        history=home / "var" / "history.duckdb",
    ) as exchange:
        write_config(
            home,
            symbols=list(made.symbols),
            embedded={"url": exchange.url, "control_url": exchange.control_url},
            max_position_pct=0.02,
            max_orders_per_execution=COUNT,
        )
        keeper = ControlClient(exchange.control_url, TOKEN)
        try:
            yield keeper, path
        finally:
            keeper.close()


def tick(keeper: ControlClient, path: Path, session: date, number: int, value: float) -> TickReport:
    tick_ns = Sessions().ticks(session, 5)[number]
    keeper.move_to(tick_ns)
    with Desk.open(config.load(path), environ={}) as desk:
        desk.begin()
        receive_all(desk, [external_signal(desk, symbol, value) for symbol in desk.settings.symbols])
    with Desk.open(config.load(path), environ={}) as desk:
        return run_tick(desk, session, tick_ns, new_execution_id())


def test_two_sessions_on_imported_bars_with_gaps_are_traded_reconciled_and_verified(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    requests = Requests(monkeypatch)
    made = made_up(COUNT, FIRST, LAST)
    with traded_on(tmp_path, made) as (keeper, path):
        first = tick(keeper, path, DAY, 2, 1.0)
        assert max(requests.since()) <= REQUESTS_PER_MINUTE
        assert (first.problems, first.execution.vetoed) == ((), ())
        # a gap and a silence cost these two symbols their entries, and no other
        assert {outcome.check.name for outcome in first.failed_checks} == {"no_symbol_incomplete"}
        bought = {order.intent.symbol for order in first.execution.orders if order.state == "FILLED"}
        assert len(bought) > 20
        assert bought.isdisjoint({GAP, SILENT})
        assert first.reconciliation is not None
        assert first.reconciliation.clean
        assert {WITH_MINUTES, PAYS, SPLITS} <= bought

        second = tick(keeper, path, EX_DATE, 2, -1.0)
        assert (second.problems, second.execution.vetoed) == ((), ())
        assert second.reconciliation is not None
        assert second.reconciliation.clean
        sold = Counter(order.state for order in second.execution.orders)
        assert sold == {"FILLED": len(bought)}
        assert requests.refused == 0
        with Desk.open(config.load(path), environ={}) as desk:
            of_split = [fill for fill in desk.journal.fills(desk.book) if fill.symbol == SPLITS]
            assert of_split[1].qty == 4 * of_split[0].qty
            for session in (DAY, EX_DATE):
                report = verify(desk.journal, desk.history, desk.book, session)
                assert report.identical, report.differences
                assert report.feature_rows == COUNT
            marked = desk.history.query(
                "SELECT DISTINCT symbol, derived FROM bars WHERE \"interval\" = '1m' ORDER BY ALL"
            ).to_pylist()
        assert {line["symbol"] for line in marked if not line["derived"]} == {WITH_MINUTES}
        assert {line["symbol"] for line in marked if line["derived"]} == set(made.symbols) - {WITH_MINUTES}
