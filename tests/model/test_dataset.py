from __future__ import annotations

from collections.abc import Iterator
from datetime import date
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from trading_assets.errors import InvalidInput
from trading_assets.market.bundle import BundledTape
from trading_assets.market.sessions import Sessions
from trading_assets.model.dataset import training_set_from_history
from trading_assets.model.training_set import SymbolHistory, TrainingSet, build_training_set
from trading_assets.store.history import History

SYMBOLS = ("AAPL", "IBM", "MSFT")
FIRST, LAST = date(2004, 6, 1), date(2005, 6, 30)
RECEIVED = Sessions().close_ns(date(2006, 1, 3))


def daily_rows(symbol: str) -> Iterator[dict[str, object]]:
    """The bars of 2004 and 2005, so that both ends of the range have more beyond them."""
    daily = BundledTape().daily(symbol)
    for index, start_ns in enumerate(daily.start_ns.tolist()):
        session = Sessions().new_york_date(start_ns)
        if session.year in (2004, 2005):
            values = {name: float(getattr(daily, name)[index]) for name in daily._fields[2:]}
            yield {
                "symbol": symbol, "interval": "1d", "session": session, "start_ns": start_ns,
                "available_at_ns": int(daily.end_ns[index]), "received_at_ns": RECEIVED, "version": 1,
                "source": "bundled", "derived": False, **values,
            }  # fmt: skip


@pytest.fixture
def history(tmp_path: Path) -> History:
    tape, history = BundledTape(), History(tmp_path / "history.duckdb")
    history.append("bars", [row for symbol in SYMBOLS for row in daily_rows(symbol)])
    history.append(
        "corporate_actions",
        [
            {**action._asdict(), "received_at_ns": RECEIVED, "source": "bundled"}
            for symbol in SYMBOLS
            for action in tape.actions(symbol)
        ],
    )
    return history


def read(history: History, **arguments: Any) -> TrainingSet:
    return training_set_from_history(history, SYMBOLS, FIRST, LAST, **{"as_of_ns": RECEIVED, **arguments})


def same(one: TrainingSet, other: TrainingSet) -> bool:
    return np.array_equal(one.X, other.X) and np.array_equal(one.y, other.y)


def test_stored_bars_give_the_training_set_of_the_same_bars_in_memory(history: History) -> None:
    tape = BundledTape()
    in_memory = {}
    for symbol in SYMBOLS:
        daily = tape.daily(symbol)
        days = [Sessions().new_york_date(start_ns) for start_ns in daily.start_ns.tolist()]
        within = np.array([FIRST <= day <= LAST for day in days])
        cut = type(daily)._make(column[within] for column in daily)
        in_memory[symbol] = SymbolHistory(cut, tape.actions(symbol), "bundled")
    stored, built = read(history), build_training_set(in_memory)
    assert same(stored, built)
    assert stored.sources == ("bundled",) * 3
    assert stored.dropped == built.dropped
    assert {action.ex_date for action in tape.actions("AAPL")} & set(stored.sessions)  # the split is inside


def test_nothing_after_the_last_session_is_read(history: History) -> None:
    before = read(history)
    with history.writing() as connection:
        connection.execute("UPDATE bars SET open = open * 2, close = close * 2 WHERE session > ?", [LAST])
    assert before.sessions[-1] == LAST
    assert same(before, read(history))


def test_the_newest_version_received_by_then_is_used(history: History) -> None:
    before = read(history)
    (bar,) = (row for row in daily_rows("IBM") if row["session"] == date(2005, 3, 1))
    revised = {**bar, "close": bar["low"], "version": 2, "received_at_ns": RECEIVED + 9}
    history.append("bars", [revised])
    assert same(before, read(history))
    later = read(history, as_of_ns=RECEIVED + 9)
    assert not np.array_equal(before.X, later.X)
    assert later.X.shape == before.X.shape


def test_a_corrected_action_takes_the_place_of_the_earlier_one(history: History) -> None:
    before = read(history)
    split = {"symbol": "AAPL", "ex_date": date(2005, 2, 28), "split_ratio": 3.0, "cash_usd": 0.0}
    history.append("corporate_actions", [{**split, "received_at_ns": RECEIVED + 9, "source": "other"}])
    assert same(before, read(history))
    corrected = read(history, as_of_ns=RECEIVED + 9)
    around = corrected.session == corrected.sessions.index(date(2005, 2, 23))
    jump = corrected.y[around] - before.y[around]
    assert np.abs(jump).max() == pytest.approx(0.5 * 2 / 3, rel=0.1)  # a third share, less the mean of three


def test_derived_bars_are_never_trained_on(history: History) -> None:
    before = read(history)
    derived = [
        {**row, "open": 1.0, "version": 7, "derived": True, "source": "derived"} for row in daily_rows("IBM")
    ]
    history.append("bars", derived)
    after = read(history)
    assert same(before, after)
    assert after.sources == ("bundled",) * 3


def test_a_symbol_without_bars_is_refused_by_name(history: History) -> None:
    with pytest.raises(InvalidInput, match=r"no daily bars of FB from 2004-06-01 to 2005-06-30"):
        training_set_from_history(history, (*SYMBOLS, "FB"), FIRST, LAST, as_of_ns=RECEIVED)
    with pytest.raises(InvalidInput, match="no daily bars of AAPL"):
        read(history, as_of_ns=RECEIVED - 1)
