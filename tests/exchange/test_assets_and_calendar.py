from __future__ import annotations

import asyncio
from datetime import date
from typing import Any

import httpx
from tapes import SESSIONS, SmallTape, at, venue

from trading_assets.config import PUBLIC_KEYS
from trading_assets.exchange.credentials import KEY_ID, SECRET
from trading_assets.exchange.http.public_apis import AlpacaApi
from trading_assets.exchange.venue import Venue


def answer(exchange: Venue, path: str) -> Any:
    keys = {"APCA-API-KEY-ID": KEY_ID, "APCA-API-SECRET-KEY": SECRET}
    transport = httpx.ASGITransport(AlpacaApi(exchange, PUBLIC_KEYS))

    async def ask() -> Any:
        async with httpx.AsyncClient(transport=transport, base_url="http://exchange", headers=keys) as client:
            return (await client.get(path)).raise_for_status().json()

    return asyncio.run(ask())


def test_a_delisted_asset_is_inactive_and_cannot_be_traded() -> None:
    exchange = venue(SmallTape(last_day={"BBB": 3}))
    exchange.move_clock(at(3, "16:00"))
    assert [a["symbol"] for a in answer(exchange, "/v2/assets?status=active")] == ["AAA", "BBB"]
    exchange.move_clock(at(4, "00:00"))
    assert [a["symbol"] for a in answer(exchange, "/v2/assets?status=active")] == ["AAA"]
    (delisted,) = answer(exchange, "/v2/assets?status=inactive")
    assert (delisted["symbol"], delisted["status"], delisted["tradable"]) == ("BBB", "inactive", False)
    assert len(answer(exchange, "/v2/assets")) == 2
    assert answer(exchange, "/v2/assets?asset_class=crypto") == []


def test_a_half_day_closes_early_in_the_calendar_and_so_do_its_extended_hours() -> None:
    days = answer(venue(), "/v2/calendar?start=2012-07-02&end=2012-07-03")
    names = ("date", "open", "close", "session_open", "session_close")
    assert [tuple(day[name] for name in names) for day in days] == [
        ("2012-07-02", "09:30", "16:00", "0400", "2000"),
        ("2012-07-03", "09:30", "13:00", "0400", "1700"),
    ]
    assert SESSIONS.is_half_day(date(2012, 7, 3))
