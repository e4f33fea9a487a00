"""Rows that an account's lists hold when its owner, or the broker, does something that no equity desk does:
an option order of several legs, a position in another asset class, an activity and a corporate action of
kinds that are unknown here. Their fields are those of Alpaca's own examples, the numbers made up.
"""

from __future__ import annotations

from typing import Any

Json = dict[str, Any]

_STAMP = "2012-09-04T13:31:00Z"

MULTI_LEG_ORDER: Json = {
    "id": "0d9a3c52-64b8-4c1e-9f0a-b3f2a4c7d911",
    "client_order_id": "by-hand-two-legs",
    "created_at": _STAMP,
    "updated_at": _STAMP,
    "submitted_at": _STAMP,
    "filled_at": None,
    "expired_at": None,
    "canceled_at": None,
    "failed_at": None,
    "replaced_at": None,
    "replaced_by": None,
    "replaces": None,
    "asset_id": "",
    "symbol": "",
    "asset_class": "",
    "notional": None,
    "qty": "2",
    "filled_qty": "0",
    "filled_avg_price": None,
    "order_class": "mleg",
    "order_type": "limit",
    "type": "limit",
    "side": "",
    "time_in_force": "day",
    "limit_price": "1.15",
    "stop_price": None,
    "status": "new",
    "extended_hours": False,
    "legs": None,
}
OPTION_POSITION: Json = {
    "asset_id": "5f2c6f4e-0d55-4f53-8f5c-2a1f6c0f7b6e",
    "symbol": "XYZ120921C00100000",
    "exchange": "",
    "asset_class": "us_option",
    "avg_entry_price": "2.5",
    "qty": "1",
    "qty_available": "1",
    "side": "long",
    "cost_basis": "250",
    "market_value": None,
    "current_price": None,
    "lastday_price": None,
}
UNKNOWN_ACTIVITY: Json = {
    "id": "20120904000000000::6d3b1a9c-strange",
    "activity_type": "ZZNEW",
    "date": "2012-09-04",
    "net_amount": "0",
    "status": "executed",
}
FOREIGN_DIVIDEND: Json = {
    "symbol": "IBM",
    "ex_date": "2012-09-04",
    "process_date": "2012-09-20",
    "payable_date": "2012-09-20",
    "rate": 0.61,
    "currency": "CAD",
    "foreign": True,
    "special": False,
}


def with_strange_row(path: str, members: Any) -> Any:
    """The answer to a list's path with one more row of its kind; any other answer as it is."""
    row = {
        "/v2/orders": MULTI_LEG_ORDER,
        "/v2/positions": OPTION_POSITION,
        "/v2/account/activities": UNKNOWN_ACTIVITY,
    }.get(path)
    if row is not None and isinstance(members, list):
        return [*members, row]
    if path == "/v1/corporate-actions" and isinstance(members, dict):
        groups = members.get("corporate_actions") or {}
        dividends = [*groups.get("cash_dividends", []), FOREIGN_DIVIDEND]
        return members | {"corporate_actions": groups | {"cash_dividends": dividends}}
    return members
