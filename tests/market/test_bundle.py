from __future__ import annotations

import gzip
from datetime import date
from importlib import resources

import numpy as np
import pytest

from trading_assets.market.aggregate import aggregate
from trading_assets.market.bars import Bars, Tape
from trading_assets.market.bundle import BundleDamaged, BundledTape, checked
from trading_assets.market.defects import daily_defects
from trading_assets.market.sessions import MINUTE_NS, Sessions

SESSIONS = Sessions()
TAPE = BundledTape()
CONTENT = resources.files("trading_assets.market").joinpath("data", "stocks.csv.gz").read_bytes()


def on(symbol: str, day: date) -> tuple[float, ...]:
    """Open, high, low, close and volume of one day."""
    daily = TAPE.daily(symbol)
    (row,) = np.flatnonzero(daily.start_ns == SESSIONS.open_ns(day))
    return tuple(float(column[row]) for column in daily[2:])


def test_it_is_a_tape() -> None:
    tape: Tape = TAPE
    assert tape.symbols == ("AAPL", "FB", "GOOG", "IBM", "MSFT")
    assert tape.derived


def test_prices_and_volumes_are_as_traded() -> None:
    assert on("AAPL", date(2000, 3, 1)) == (118.56, 132.06, 118.5, 130.31, 9_616_100)
    assert on("FB", date(2012, 5, 18)) == (42.05, 45.0, 38.0, 38.2318, 573_576_400)


def test_googles_doubled_volume_is_halved_and_no_other() -> None:
    for line in gzip.decompress(CONTENT).decode().splitlines()[1:]:
        symbol, day, *_, volume, _adjusted = line.split(",")
        if day == "2012-10-18":
            in_file = float(volume)
            assert on(symbol, date(2012, 10, 18))[-1] == (in_file / 2 if symbol == "GOOG" else in_file)
    assert on("GOOG", date(2012, 10, 18))[-1] == pytest.approx(12.4e6, rel=0.02)


@pytest.mark.parametrize("symbol", TAPE.symbols)
def test_every_session_is_there_and_every_bar_is_sound(symbol: str) -> None:
    daily = TAPE.daily(symbol)
    assert daily_defects(daily, SESSIONS) == ()
    days = SESSIONS.between(SESSIONS.new_york_date(int(daily.start_ns[0])), date(2013, 3, 1))
    assert len(days) == len(daily.start_ns)
    assert daily.end_ns.tolist() == [SESSIONS.close_ns(day) for day in days]


@pytest.mark.parametrize("symbol", TAPE.symbols)
@pytest.mark.parametrize("day", [date(2012, 7, 3), date(2012, 9, 21)])
def test_the_minutes_of_a_session_make_its_daily_bar(symbol: str, day: date) -> None:
    minutes = TAPE.minutes(symbol, day)
    assert len(minutes.start_ns) * MINUTE_NS == SESSIONS.close_ns(day) - SESSIONS.open_ns(day)
    assert tuple(float(column[0]) for column in aggregate(minutes)[2:]) == on(symbol, day)


def test_there_are_no_minutes_where_the_symbol_did_not_trade() -> None:
    for symbol, day in (("FB", date(2012, 5, 17)), ("IBM", date(2012, 10, 29)), ("IBM", date(2013, 3, 4))):
        assert [len(column) for column in TAPE.minutes(symbol, day)] == [0] * 7


def test_an_unknown_symbol_is_an_error() -> None:
    with pytest.raises(KeyError):
        TAPE.daily("ZZZZ")
    with pytest.raises(KeyError):
        TAPE.minutes("ZZZZ", date(2012, 7, 3))


def test_tapes_of_one_seed_play_the_same_and_of_another_do_not() -> None:
    day = date(2012, 7, 3)
    closes = [BundledTape(seed).minutes("IBM", day).close for seed in (7, 7, 8)]
    assert (closes[0] == closes[1]).all()
    assert (closes[0] != closes[2]).any()


def test_nobody_can_change_the_tape() -> None:
    shared: list[Bars] = [TAPE.daily("IBM"), TAPE.minutes("IBM", date(2012, 7, 3))]
    for bars in shared:
        for column in bars:
            with pytest.raises(ValueError, match="read-only"):
                column[0] = 1


def test_a_damaged_file_is_refused() -> None:
    assert checked(CONTENT) == CONTENT
    with pytest.raises(BundleDamaged, match="install the package again"):
        checked(CONTENT[:-1] + bytes([CONTENT[-1] ^ 1]))
