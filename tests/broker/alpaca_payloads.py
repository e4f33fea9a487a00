"""Answers in the form in which Alpaca documents them, for the tests to vary."""

from __future__ import annotations

from typing import Any

ACCOUNT: dict[str, Any] = {
    "id": "e6fe16f3-64a4-4921-8928-cadf02f92f98",
    "account_number": "PA0001",
    "status": "ACTIVE",
    "currency": "USD",
    "equity": "103820.56",
    "last_equity": "103529.24",
    "cash": "23140.2",
    "buying_power": "46280.4",
    "trading_blocked": False,
    "account_blocked": False,
    "trade_suspended_by_user": False,
}

CLOCK: dict[str, Any] = {
    "timestamp": "2012-07-03T09:35:00.123456789-04:00",
    "is_open": True,
    "next_open": "2012-07-05T09:30:00-04:00",
    "next_close": "2012-07-03T13:00:00-04:00",
}

ORDER: dict[str, Any] = {
    "id": "61e69015-8549-4bfd-b9c3-01e75843f47d",
    "client_order_id": "ta-0001",
    "created_at": "2012-07-03T13:35:00.1234Z",
    "updated_at": "2012-07-03T13:35:01Z",
    "submitted_at": "2012-07-03T13:35:00.123456789Z",
    "filled_at": None,
    "asset_class": "us_equity",
    "symbol": "AAPL",
    "qty": "3",
    "notional": None,
    "filled_qty": "1",
    "filled_avg_price": "594.11",
    "order_class": "",
    "order_type": "limit",
    "type": "limit",
    "side": "buy",
    "time_in_force": "day",
    "limit_price": "594.12",
    "stop_price": None,
    "status": "partially_filled",
    "extended_hours": False,
    "replaced_by": None,
    "replaces": None,
    "legs": None,
}

POSITION: dict[str, Any] = {
    "asset_id": "b0b6dd9d-8b9b-48a9-ba46-b9d54906e415",
    "symbol": "AAPL",
    "exchange": "NASDAQ",
    "asset_class": "us_equity",
    "avg_entry_price": "594.11",
    "qty": "5",
    "qty_available": "4",
    "side": "long",
    "market_value": "2975.5",
    "current_price": "595.1",
    "lastday_price": "590.25",
    "cost_basis": "2970.55",
}

FILL: dict[str, Any] = {
    "activity_type": "FILL",
    "id": "20120703093500123::8efc7b9a-8b2b-4000-9955-d36e7db0df74",
    "cum_qty": "1",
    "leaves_qty": "2",
    "order_id": ORDER["id"],
    "order_status": "partially_filled",
    "price": "594.11",
    "qty": "1",
    "side": "buy",
    "symbol": "AAPL",
    "transaction_time": "2012-07-03T13:35:00.5Z",
    "type": "partial_fill",
}

DIVIDEND: dict[str, Any] = {
    "activity_type": "DIV",
    "activity_sub_type": "SDIV",
    "id": "20120816000000000::5f596936-6f23-4cef-bdf1-3806aae57dbf",
    "created_at": "2012-08-16T10:01:04.650275Z",
    "date": "2012-08-16",
    "net_amount": "13.25",
    "per_share_amount": "2.65",
    "qty": "5",
    "status": "executed",
    "symbol": "AAPL",
}

SNAPSHOT: dict[str, Any] = {
    "latestTrade": {"t": "2012-07-03T13:34:59.9Z", "p": 594.11, "s": 100, "x": "V"},
    "latestQuote": {"t": "2012-07-03T13:35:00Z", "bp": 594.1, "ap": 594.12, "bs": 1, "as": 2},
    "minuteBar": {"t": "2012-07-03T13:34:00Z", "o": 594, "h": 595, "l": 593, "c": 594.11, "v": 100},
    "dailyBar": {"t": "2012-07-03T04:00:00Z", "o": 594, "h": 595, "l": 593, "c": 594.11, "v": 10_000},
    "prevDailyBar": {"t": "2012-07-02T04:00:00Z", "o": 584, "h": 593, "l": 583, "c": 592.52, "v": 90_000},
}


def bar(start: str, close: float = 10.0) -> dict[str, Any]:
    """A bar as the data API gives it; `start` is RFC 3339 text."""
    return {"t": start, "o": 10.0, "h": 11.0, "l": 9.5, "c": close, "v": 1200, "n": 9, "vw": 10.1}
