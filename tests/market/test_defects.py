from __future__ import annotations

from datetime import date

import numpy as np
import pytest

from trading_assets.market.bars import Bars
from trading_assets.market.defects import BarFault, Defect, daily_defects
from trading_assets.market.sessions import Sessions

SESSIONS = Sessions()
DAYS = SESSIONS.between(date(2012, 10, 25), date(2012, 11, 2))  # across hurricane Sandy


def bars(days: list[date], **changed: float) -> Bars:
    """Sound bars on `days`, with columns of the second one changed."""
    starts, ends = SESSIONS.hours(days)
    columns = {"open": 10.0, "high": 11.0, "low": 9.0, "close": 10.5, "volume": 100.0}
    table = {name: np.full(len(days), value) for name, value in columns.items()}
    for name, value in changed.items():
        table[name][1] = value
    return Bars(starts, ends, **table)


def test_sound_bars_have_no_defect() -> None:
    assert daily_defects(bars(DAYS), SESSIONS) == ()
    assert daily_defects(bars([]), SESSIONS) == ()


@pytest.mark.parametrize(
    ("changed", "fault"),
    [
        ({"open": 11.01}, BarFault.OUTSIDE_RANGE),
        ({"close": 8.99}, BarFault.OUTSIDE_RANGE),
        ({"low": 10.01}, BarFault.OUTSIDE_RANGE),
        ({"high": 10.49}, BarFault.OUTSIDE_RANGE),
        ({"low": 0.0}, BarFault.NOT_POSITIVE),
        ({"close": float("nan")}, BarFault.NOT_POSITIVE),
        ({"high": float("inf")}, BarFault.NOT_POSITIVE),
        ({"volume": -1.0}, BarFault.NOT_POSITIVE),
        ({"volume": float("nan")}, BarFault.NOT_POSITIVE),
    ],
)
def test_a_bar_that_cannot_be_right_is_found(changed: dict[str, float], fault: BarFault) -> None:
    assert daily_defects(bars(DAYS, **changed), SESSIONS) == (Defect(DAYS[1], fault),)


@pytest.mark.parametrize("edge", [{"open": 11.0}, {"open": 9.0}, {"close": 11.0}, {"volume": 0.0}])
def test_a_bar_at_the_edge_of_what_is_right_is_sound(edge: dict[str, float]) -> None:
    assert daily_defects(bars(DAYS, **edge), SESSIONS) == ()


def test_a_missing_session_is_found_and_a_closed_day_is_not_missed() -> None:
    assert daily_defects(bars(DAYS[:2] + DAYS[3:]), SESSIONS) == (Defect(DAYS[2], BarFault.MISSING_SESSION),)


def test_bars_out_of_order_and_twice_are_found() -> None:
    swapped = [DAYS[1], DAYS[0], *DAYS[2:]]
    assert Defect(DAYS[0], BarFault.OUT_OF_ORDER) in daily_defects(bars(swapped), SESSIONS)
    twice = [DAYS[0], *DAYS]
    assert daily_defects(bars(twice), SESSIONS) == (Defect(DAYS[0], BarFault.OUT_OF_ORDER),)


def test_a_bar_on_a_closed_day_is_found() -> None:
    sound = bars(DAYS)
    starts = sound.start_ns.copy()
    starts[2] -= 86_400_000_000_000  # the 31st to the 30th, when the market was closed
    defects = daily_defects(sound._replace(start_ns=starts), SESSIONS)
    assert defects == (
        Defect(date(2012, 10, 30), BarFault.NOT_A_SESSION),
        Defect(date(2012, 10, 31), BarFault.MISSING_SESSION),
    )
