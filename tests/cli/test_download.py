"""`download` against the embedded exchange: the command, the real client, HTTP; killed in the middle, and
resumed."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from datetime import date
from pathlib import Path
from typing import Any

import pytest
from support.command import command
from support.trading_floor import TOKEN, TradingFloor

from trading_assets.exchange.control_client import ControlClient
from trading_assets.market.bundle import BundledTape
from trading_assets.market.sessions import Sessions
from trading_assets.store.history import History

FIRST, LAST = date(2005, 1, 3), date(2012, 8, 31)
YEARS = ("--from", FIRST, "--to", LAST, "--interval", "1d")
IN_SMALL_PARTS = """
from trading_assets.engine.market_data import download, download_plan
download_plan.ROWS_OF_A_PART = 300
download.PAUSES_S = (0.01,)
from trading_assets.cli.application import main
main()
"""
BARS, ACTIONS = "/v2/stocks/bars", "/v1/corporate-actions"
SYMBOLS = ("AAPL", "GOOG", "IBM", "MSFT")


def history_of(floor: TradingFloor) -> History:
    return History(floor.config_path.parents[1] / "var" / "history.duckdb")


def stored(history: History) -> list[dict[str, Any]]:
    return list(
        history.query(
            'SELECT symbol, "interval", session, open, high, low, close, volume, source, feed, derived, '
            "version FROM bars ORDER BY symbol, start_ns"
        ).to_pylist()
    )


def expected(*symbols: str) -> list[dict[str, Any]]:
    """What the exchange's tape has, raw, as rows of the history."""
    rows = []
    for symbol in symbols:
        bars = BundledTape().daily(symbol)
        days = [Sessions().new_york_date(int(at)) for at in bars.start_ns]
        for place, day in enumerate(days):
            if FIRST <= day <= LAST:
                values = {name: float(getattr(bars, name)[place]) for name in bars._fields[2:]}
                same = {"source": "embedded:sip", "feed": "sip", "derived": False, "version": 1}
                rows.append({"symbol": symbol, "interval": "1d", "session": day, **values, **same})
    return rows


@pytest.mark.slow(seconds=15)
def test_years_of_bars_and_actions_are_stored_as_the_exchange_has_them_and_asked_for_once(
    floor: TradingFloor,
) -> None:
    given = ("download", *YEARS, "--symbols", "MSFT,NOPE, IBM")
    ended = command(*given, config=floor.config_path)
    assert ended.status == 0, ended.err
    assert stored(history_of(floor)) == expected("IBM", "MSFT")
    assert "symbols of 2005-01-03 to 2012-08-31: 2 complete, 1 empty, 0 refused\nempty: NOPE" in ended.out
    assert "Next: trading-assets replay --from 2005-01-03 --to 2012-08-31 --bars history" in ended.out
    actions = history_of(floor).query("SELECT * FROM corporate_actions ORDER BY symbol, ex_date").to_pylist()
    tape = BundledTape()
    assert [(row["symbol"], row["ex_date"], row["split_ratio"], row["cash_usd"]) for row in actions] == [
        (one.symbol, one.ex_date, one.split_ratio, one.cash_usd)
        for symbol in ("IBM", "MSFT")
        for one in tape.actions(symbol)
        if FIRST <= one.ex_date <= LAST
    ]

    again = command(*given, "--json", config=floor.config_path).json
    assert (again["parts"], again["requests"], again["complete"], again["empty"]) == (0, 0, 2, 1)
    wider = ("download", "--from", "2004-11-01", "--to", LAST, "--interval", "1d", "--symbols", "IBM")
    before = command(*wider, "--json", config=floor.config_path).json
    assert before["bars"] == len(Sessions().between(date(2004, 11, 1), date(2004, 12, 31)))
    once_more = command(*given, "--again", "--json", config=floor.config_path).json
    assert (once_more["bars"], once_more["stored"]) == (len(expected("IBM", "MSFT")), 0)


@pytest.mark.slow(seconds=30)
def test_a_download_that_is_killed_goes_on_where_it_was_and_nothing_is_there_twice(
    floor: TradingFloor,
) -> None:
    given = ["download", *map(str, YEARS), "--symbols", ",".join(SYMBOLS), "--json"]
    environ = {**os.environ, "TRADING_ASSETS_CONFIG": str(floor.config_path), "TERM": "dumb"}

    def start() -> subprocess.Popen[str]:
        return subprocess.Popen(
            [sys.executable, "-c", IN_SMALL_PARTS, *given],
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            env=environ,
        )

    killed = start()
    assert killed.stderr is not None
    lines = (line for line in killed.stderr if line.startswith("download: "))
    for _ in range(4):  # of ten tenths
        next(lines)
    killed.send_signal(signal.SIGKILL)
    killed.communicate()
    assert killed.returncode == -signal.SIGKILL
    there = stored(history_of(floor))
    assert 0 < len(there) < len(expected(*SYMBOLS))

    resumed = start()
    out, err = resumed.communicate(timeout=100)
    assert resumed.returncode == 0, err
    assert stored(history_of(floor)) == expected(*SYMBOLS)
    whole = len(expected(*SYMBOLS))
    assert json.loads(out)["bars"] == whole - len(there)  # nothing that was stored came again


@pytest.mark.slow(seconds=15)
def test_what_the_exchange_does_badly_is_asked_again_and_loses_nothing(floor: TradingFloor) -> None:
    keeper = ControlClient(floor.exchange.control_url, TOKEN)
    bad = ("rate_limited", "server_error", "html_502", "truncated_json", "reset_after_commit", "drop")
    keeper.script(
        [
            *({"kind": kind, "path": BARS, "nth": 2 + 2 * place} for place, kind in enumerate(bad)),
            *({"kind": kind, "path": ACTIONS, "nth": 1 + place} for place, kind in enumerate(bad[:3])),
        ]
    )
    try:
        ended = subprocess.run(
            [sys.executable, "-c", IN_SMALL_PARTS, "download", *map(str, YEARS), "--symbols", "IBM,MSFT"],
            env={**os.environ, "TRADING_ASSETS_CONFIG": str(floor.config_path), "TERM": "dumb"},
            capture_output=True,
            text=True,
            check=False,
        )
        assert ended.returncode == 0, ended.stderr
        assert sum(int(fault["fired"]) for fault in keeper.faults()) == len(bad) + 3
    finally:
        keeper.close()
    assert stored(history_of(floor)) == expected("IBM", "MSFT")


@pytest.mark.slow(seconds=15)
def test_minutes_are_of_regular_hours_and_say_that_they_are_derived(
    floor: TradingFloor, tmp_path: Path
) -> None:
    names = tmp_path / "symbols.txt"
    names.write_text("# what I trade\nIBM\n\nMSFT # and this\n")
    days = ("--from", "2012-09-06", "--to", "2013-12-31", "--interval", "1m")
    ended = command("download", *days, "--symbols-file", names, config=floor.config_path)
    assert ended.status == 0, ended.err
    assert "to 2012-09-10, the newest session that ended 15 minutes ago or earlier" in ended.err
    rows = stored(history_of(floor))
    assert len(rows) == 2 * 3 * 390
    assert {(row["symbol"], row["interval"], row["feed"], row["derived"]) for row in rows} == {
        (symbol, "1m", "sip", True) for symbol in ("IBM", "MSFT")
    }


def test_symbols_come_from_one_place_and_days_in_order(tmp_path: Path) -> None:
    config = tmp_path / "execution.yaml"
    config.write_text("mode: paper\n")
    names = tmp_path / "none.txt"
    names.write_text("# nothing\n")
    both = command("download", *YEARS, "--symbols", "IBM", "--symbols-file", names, config=config)
    assert "--symbols and --symbols-file: both are given" in both.failed_with_one_message()
    none = command("download", *YEARS, "--symbols-file", names, config=config)
    assert "no symbol is given" in none.failed_with_one_message()
