"""Two tapes that agree up to now and differ in everything after it must give the same answers."""

from __future__ import annotations

import asyncio
from datetime import date
from decimal import Decimal

import httpx
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tapes import SESSIONS, SmallTape, at, body

from trading_assets.config import PUBLIC_KEYS
from trading_assets.exchange.credentials import KEY_ID, SECRET
from trading_assets.exchange.fill_modes import FillMode
from trading_assets.exchange.http.public_apis import AlpacaApi
from trading_assets.exchange.store import EventStore
from trading_assets.exchange.venue import Venue, VenueSettings
from trading_assets.market.bars import Bars, CorporateAction

PATHS = [
    *(
        f"/v2/stocks/bars?symbols=AAA,BBB&timeframe={timeframe}&start=2012-09-01&end=2013-01-01&sort={sort}"
        for timeframe in ("1Min", "1Day")
        for sort in ("asc", "desc")
    ),
    "/v2/stocks/bars/latest?symbols=AAA,BBB",
    "/v2/stocks/quotes/latest?symbols=AAA,BBB",
    "/v2/stocks/trades/latest?symbols=AAA,BBB",
    "/v2/stocks/snapshots?symbols=AAA,BBB",
    "/v1/corporate-actions?symbols=AAA,BBB&start=2012-09-01&end=2013-01-01",
    "/v2/account",
    "/v2/account/activities",
    "/v2/account/portfolio/history?period=1W&timeframe=1D",
    "/v2/account/portfolio/history?period=3D&timeframe=5Min&intraday_reporting=continuous",
    "/v2/assets",
    "/v2/clock",
    "/v2/orders?status=all",
    "/v2/positions",
]


class AnotherFuture(SmallTape):
    """The small tape up to `now_ns`; every price after it is doubled, and nothing is known of the rest."""

    def __init__(self, now_ns: int, actions: tuple[CorporateAction, ...], first_day: dict[str, int]) -> None:
        today = SESSIONS.new_york_date(now_ns)
        past = tuple(action for action in actions if action.ex_date <= today)
        first_day = {s: d if date(2012, 10, d) <= today else 5 for s, d in first_day.items()}
        super().__init__(actions=past, first_day=first_day)
        self._now_ns = now_ns

    def minutes(self, symbol: str, session: date) -> Bars:
        bars = super().minutes(symbol, session)
        later = np.where(bars.end_ns > self._now_ns, 2.0, 1.0)
        begun_later = np.where(bars.start_ns > self._now_ns, 2.0, 1.0)
        return bars._replace(
            open=bars.open * begun_later,
            high=bars.high * later,
            low=bars.low * later,
            close=bars.close * later,
            volume=bars.volume * later,
        )


def answers(tape: SmallTape, start_ns: int, now_ns: int, fill_mode: str = "ideal") -> dict[str, object]:
    settings = VenueSettings(start_ns, fill_mode=fill_mode, participation=Decimal("0.01"))
    venue = Venue(tape, SESSIONS, EventStore(None), settings)
    venue.submit(body(qty="30"))
    venue.submit(body(symbol="AAA", qty="3", stop_price="101.50", time_in_force="gtc"))
    venue.submit(body(qty="3", limit_price="99.99", time_in_force="gtc", extended_hours=True))
    venue.submit(body(qty="3", stop_price="102.50", limit_price="103", time_in_force="gtc"))
    venue.move_clock(now_ns)
    keys = {"APCA-API-KEY-ID": KEY_ID, "APCA-API-SECRET-KEY": SECRET}
    transport = httpx.ASGITransport(AlpacaApi(venue, PUBLIC_KEYS))

    async def ask() -> dict[str, object]:
        async with httpx.AsyncClient(transport=transport, base_url="http://exchange", headers=keys) as client:
            return {path: (await client.get(path)).raise_for_status().json() for path in PATHS}

    return asyncio.run(ask())


ACTIONS = (
    CorporateAction("AAA", date(2012, 10, 3), 2.0, 0.0),
    CorporateAction("BBB", date(2012, 10, 4), 1.0, 0.5),
)


@pytest.mark.slow(seconds=5)
@settings(max_examples=20)
@given(
    st.one_of(
        st.integers(at(2, "09:30"), at(5, "18:00")),
        st.builds(
            lambda day, minute: at(day, "09:30") + minute * 60_000_000_000,
            st.integers(2, 5),
            st.integers(-600, 420),
        ),
    ).filter(lambda ns: ns >= at(2, "09:30")),
    st.sampled_from(list(FillMode)),
)
def test_the_future_shows_in_no_answer(now_ns: int, fill_mode: FillMode) -> None:
    start, first_day = at(2, "09:30"), {"BBB": 3}
    known = answers(SmallTape(actions=ACTIONS, first_day=first_day), start, now_ns, fill_mode)
    assert known == answers(AnotherFuture(now_ns, ACTIONS, first_day), start, now_ns, fill_mode)


@pytest.mark.parametrize("clock", ["09:30", "09:30:59", "10:00", "10:00:30", "15:59", "16:00"])
def test_the_other_future_does_differ(clock: str) -> None:
    """A guard on the test above: one minute later the two tapes are told apart."""
    now_ns = at(3, clock)
    later = now_ns + 20 * 3600 * 1_000_000_000
    actions, first_day = ACTIONS, {"BBB": 3}
    known = answers(SmallTape(actions=actions, first_day=first_day), at(2, "09:30"), later)
    assert known != answers(AnotherFuture(now_ns, actions, first_day), at(2, "09:30"), later)
