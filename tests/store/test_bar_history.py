"""Bars and corporate actions by symbol and by what had been received."""

from __future__ import annotations

from datetime import date
from pathlib import Path

import numpy as np
import pytest

from trading_assets.market.bars import CorporateAction, Interval
from trading_assets.store import bar_history
from trading_assets.store.bar_history import (
    StoredBar,
    actions_until,
    append_actions,
    append_versions,
    newest_bars,
    newest_bars_between,
    recorded_daily,
    recorded_symbols,
)
from trading_assets.store.history import History

DAY = date(2012, 9, 11)


@pytest.fixture
def history(tmp_path: Path) -> History:
    return History(tmp_path / "history.duckdb")


def bar(symbol: str, start_ns: int, close: float = 10.0, **changes: object) -> StoredBar:
    values: dict[str, object] = {
        "symbol": symbol,
        "interval": Interval.DAY,
        "session": DAY,
        "start_ns": start_ns,
        "available_at_ns": start_ns + 5,
        "received_at_ns": start_ns + 6,
        "open": 9.0,
        "high": 11.0,
        "low": 8.0,
        "close": close,
        "volume": 100.0,
        "source": "test",
        "derived": False,
        **changes,
    }
    return StoredBar(**values)  # type: ignore[arg-type]


def test_one_query_gives_each_symbol_its_own_bars(history: History) -> None:
    append_versions(
        history, [bar("MSFT", 10), bar("AAPL", 20), bar("AAPL", 10), bar("A", 10), bar("IBM", 10)]
    )
    result = newest_bars(history, ("AAPL", "FB", "MSFT"), Interval.DAY, since_ns=0, as_of_ns=99)
    assert {symbol: bars.start_ns.tolist() for symbol, bars in result.items()} == {
        "AAPL": [10, 20],
        "FB": [],
        "MSFT": [10],
    }
    assert newest_bars(history, ("AAPL",), Interval.MINUTE, since_ns=0, as_of_ns=99)["AAPL"].close.size == 0


def test_the_newest_version_by_then_is_given(history: History) -> None:
    append_versions(history, [bar("AAPL", 10)])
    fresh, revised = append_versions(history, [bar("AAPL", 10, close=10.5, received_at_ns=50)])
    assert (len(fresh), revised, fresh[0].version) == (1, 1, 2)
    assert append_versions(history, [bar("AAPL", 10, close=10.5, received_at_ns=60)]) == ([], 0)
    for as_of_ns, expected in ((15, []), (16, [10.0]), (49, [10.0]), (50, [10.5])):
        bars = newest_bars(history, ("AAPL",), Interval.DAY, since_ns=0, as_of_ns=as_of_ns)["AAPL"]
        assert bars.close.tolist() == expected


def test_recorded_bars_are_no_derived_ones(history: History) -> None:
    append_versions(history, [bar("AAPL", 10), bar("IBM", 10, derived=True), bar("MSFT", 10, source="b")])
    assert recorded_symbols(history, DAY, DAY) == ["AAPL", "MSFT"]
    result = recorded_daily(history, ("AAPL", "IBM", "MSFT"), DAY, DAY, as_of_ns=99)
    assert {symbol: (bars.start_ns.size, sources) for symbol, (bars, sources) in result.items()} == {
        "AAPL": (1, "test"),
        "IBM": (0, ""),
        "MSFT": (1, "b"),
    }


def test_an_action_keeps_the_time_of_its_receipt_until_it_changes(history: History) -> None:
    dividend = CorporateAction("IBM", DAY, 1.0, 0.85)
    for received_ns in (10, 20):
        append_actions(history, [dividend], received_ns=received_ns, source="venue")
    assert actions_until(history, ("IBM", "MSFT"), DAY, as_of_ns=9) == {"IBM": (), "MSFT": ()}
    assert actions_until(history, ("IBM",), DAY, as_of_ns=10) == {"IBM": (dividend,)}
    corrected = dividend._replace(cash_usd=0.9)
    append_actions(history, [corrected], received_ns=30, source="venue")
    append_actions(history, [corrected], received_ns=40, source="venue")
    assert actions_until(history, ("IBM",), DAY, as_of_ns=29) == {"IBM": (dividend,)}
    assert actions_until(history, ("IBM",), DAY, as_of_ns=30) == {"IBM": (corrected,)}
    assert history.query("SELECT count(*) AS n FROM corporate_actions")["n"].to_pylist() == [2]


def test_a_split_and_a_dividend_of_one_day_are_both_kept(history: History) -> None:
    both = (CorporateAction("IBM", DAY, 2.0, 0.0), CorporateAction("IBM", DAY, 1.0, 0.5))
    append_actions(history, reversed(both), received_ns=10, source="venue")
    append_actions(history, both, received_ns=20, source="venue")
    assert actions_until(history, ("IBM",), DAY, as_of_ns=99) == {"IBM": both}
    assert actions_until(history, ("IBM",), date(2012, 9, 10), as_of_ns=99) == {"IBM": ()}


@pytest.mark.parametrize("imported", [True, False])
def test_bars_of_many_symbols_in_one_table_are_those_of_each_by_itself(
    history: History, imported: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    random = np.random.default_rng(3)

    def row(symbol: str, start: int, version: int) -> dict[str, object]:
        close = float(random.integers(10, 99))
        return bar(symbol, start, close, version=version, received_at_ns=version)._asdict()

    if imported:  # symbol by symbol, each bar once, in several parts
        monkeypatch.setattr(bar_history, "ROWS_OF_A_PART", 2048)
        history.append("bars", [row(symbol, at, 1) for symbol in ("AAPL", "IBM") for at in range(1500)])
    else:  # symbols and versions mixed up, as they come live
        for version, every in ((1, 1), (2, 3)):
            starts = random.permutation(np.arange(0, 40, every)).tolist()
            history.append(
                "bars", [row(symbol, start, version) for start in starts for symbol in ("IBM", "AAPL", "XYZ")]
            )
    symbols, last = ("AAPL", "FB", "IBM"), 1490 if imported else 30
    parts = newest_bars_between(history, symbols, Interval.DAY, 5, last, as_of_ns=9999)
    assert len(parts) == (2 if imported else 1)
    number = np.concatenate([part.symbol for part in parts])
    result = [np.concatenate(column) for column in zip(*(part.bars for part in parts), strict=True)]
    single = newest_bars(history, symbols, Interval.DAY, since_ns=5, as_of_ns=9999)
    for row, symbol in enumerate(symbols):
        expected = single[symbol].start_ns < last
        for column, of_symbol in zip(result, single[symbol], strict=True):
            assert column[number == row].tolist() == of_symbol[expected].tolist()
    assert sorted(number.tolist()) == [0] * (last - 5) + [2] * (last - 5)
