"""The trading API: orders, positions, assets, clock and calendar. It reads the request, asks the venue and
writes the answer. `account_api.py` answers for the account itself.
"""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections.abc import Iterator
from datetime import timedelta
from itertools import islice

from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from trading_assets.exchange import payloads
from trading_assets.exchange.http.account_api import AccountApi
from trading_assets.exchange.http.query import Query
from trading_assets.exchange.orders import VenueOrder
from trading_assets.exchange.refusals import ApiRefusal, malformed, not_found
from trading_assets.exchange.venue import Venue

MOST_ORDERS = 500
_CALENDAR_SPAN = timedelta(days=366)


class TradingApi:
    def __init__(self, venue: Venue) -> None:
        self._venue = venue

    def routes(self) -> list[Route]:
        return [
            *AccountApi(self._venue).routes(),
            Route("/v2/clock", self.clock),
            Route("/v2/calendar", self.calendar),
            Route("/v2/assets", self.assets),
            Route("/v2/assets/{symbol}", self.asset),
            Route("/v2/orders", self.submit, methods=["POST"]),
            Route("/v2/orders", self.orders, methods=["GET"]),
            Route("/v2/orders", self.cancel_all, methods=["DELETE"]),
            Route("/v2/orders:by_client_order_id", self.order_by_client_id),
            Route("/v2/orders/{order_id}", self.order, methods=["GET"]),
            Route("/v2/orders/{order_id}", self.replace, methods=["PATCH"]),
            Route("/v2/orders/{order_id}", self.cancel, methods=["DELETE"]),
            Route("/v2/positions", self.positions, methods=["GET"]),
            Route("/v2/positions", self.close_positions, methods=["DELETE"]),
            Route("/v2/positions/{symbol}", self.position, methods=["GET"]),
            Route("/v2/positions/{symbol}", self.close_position, methods=["DELETE"]),
        ]

    async def clock(self, request: Request) -> Response:
        return JSONResponse(payloads.clock_json(self._venue.now_ns, self._venue.sessions))

    async def calendar(self, request: Request) -> Response:
        """Without start and end: a year back and a year ahead of now."""
        query, sessions = Query(request.query_params, malformed), self._venue.sessions
        today = sessions.new_york_date(self._venue.now_ns)
        days = sessions.between(
            query.day("start") or today - _CALENDAR_SPAN, query.day("end") or today + _CALENDAR_SPAN
        )
        return JSONResponse([payloads.calendar_json(day, sessions) for day in days])

    async def assets(self, request: Request) -> Response:
        query = Query(request.query_params, malformed)
        status, exchange = query.word("status", ("", "active", "inactive"), ""), query.text("exchange")
        if (query.text("asset_class") or "us_equity") != "us_equity":
            return JSONResponse([])
        assets = [self._asset(symbol) for symbol in self._venue.view.listed(self._venue.now_ns)]
        return JSONResponse(
            [a for a in assets if exchange in (None, a["exchange"]) and status in ("", a["status"])]
        )

    async def asset(self, request: Request) -> Response:
        return JSONResponse(self._asset(self._symbol(request)))

    def _asset(self, symbol: str) -> payloads.Json:
        return payloads.asset_json(
            symbol,
            active=self._venue.view.is_active(symbol, self._venue.now_ns),
            fractionable=self._venue.is_fractionable(symbol),
            halted=symbol in self._venue.state.halted_since,
        )

    def _symbol(self, request: Request) -> str:
        """The path's symbol or asset id, as a symbol that is listed. Raises ApiRefusal 404."""
        wanted = request.path_params["symbol"]
        symbol = self._venue.symbol_of(wanted)
        if symbol is None:
            raise not_found(f"asset not found for {wanted}")
        return symbol

    async def submit(self, request: Request) -> Response:
        return JSONResponse(payloads.order_json(self._venue.submit(await request.body())))

    async def replace(self, request: Request) -> Response:
        new = self._venue.replace(request.path_params["order_id"], await request.body())
        return JSONResponse(payloads.order_json(new))

    async def order(self, request: Request) -> Response:
        return JSONResponse(payloads.order_json(self._venue.order(request.path_params["order_id"])))

    async def order_by_client_id(self, request: Request) -> Response:
        wanted = Query(request.query_params, malformed).text("client_order_id")
        if wanted is None:
            raise malformed("client_order_id is required")
        return JSONResponse(payloads.order_json(self._venue.order_by_client_id(wanted)))

    async def cancel(self, request: Request) -> Response:
        self._venue.cancel(request.path_params["order_id"])
        return Response(status_code=204)

    async def cancel_all(self, request: Request) -> Response:
        cancelled = self._venue.cancel_all()
        return JSONResponse([{"id": order.id, "status": 200} for order in cancelled], status_code=207)

    async def orders(self, request: Request) -> Response:
        query = Query(request.query_params, malformed)
        limit = query.count("limit", 50, largest=MOST_ORDERS)
        return JSONResponse([payloads.order_json(o) for o in islice(self._selected_orders(query), limit)])

    def _selected_orders(self, query: Query) -> Iterator[VenueOrder]:
        """after < submitted ≤ until; `after_order_id` and `before_order_id` page among equal stamps."""
        account = self._venue.state.account
        status = query.word("status", ("open", "closed", "all"), "open")
        descending = query.word("direction", ("asc", "desc"), "desc") == "desc"
        side, symbols = query.text("side"), query.words("symbols")
        after, until = query.time_ns("after"), query.time_ns("until")
        ids = list(account.open_ids) if status == "open" else account.order_ids

        def submitted(order_id: str) -> int:
            return account.orders[order_id].submitted_ns

        def sequence(order_id: str) -> int:
            return account.orders[order_id].sequence

        first = 0 if after is None else bisect_right(ids, after, key=submitted)
        last = len(ids) if until is None else bisect_right(ids, until, key=submitted)
        if (page := query.text("after_order_id")) is not None:
            first = max(first, bisect_right(ids, self._venue.order(page).sequence, key=sequence))
        if (page := query.text("before_order_id")) is not None:
            last = min(last, bisect_left(ids, self._venue.order(page).sequence, key=sequence))
        rows = range(last - 1, first - 1, -1) if descending else range(first, last)
        for order in (account.orders[ids[row]] for row in rows):
            if (
                (status != "closed" or not order.is_open)
                and (side is None or side == order.side.name.lower())
                and (not symbols or order.symbol in symbols)
            ):
                yield order

    async def positions(self, request: Request) -> Response:
        return JSONResponse([self._position(symbol) for symbol in sorted(self._venue.state.account.holdings)])

    async def position(self, request: Request) -> Response:
        symbol = self._symbol(request)
        if symbol not in self._venue.state.account.holdings:
            raise not_found("position does not exist")
        return JSONResponse(self._position(symbol))

    async def close_position(self, request: Request) -> Response:
        query = Query(request.query_params, malformed)
        order = self._venue.close_position(
            self._symbol(request), qty=query.amount("qty"), percentage=query.amount("percentage")
        )
        return JSONResponse(payloads.order_json(order))

    async def close_positions(self, request: Request) -> Response:
        """One answer for each position, with the order that closes it or why there is none."""
        query = Query(request.query_params, malformed)
        if query.word("cancel_orders", ("true", "false", "True", "False"), "false").lower() == "true":
            self._venue.cancel_all()
        closed = [self._closed(symbol) for symbol in sorted(self._venue.state.account.holdings)]
        return JSONResponse(closed, status_code=207)

    def _closed(self, symbol: str) -> payloads.Json:
        try:
            status, body = 200, payloads.order_json(self._venue.close_position(symbol))
        except ApiRefusal as refusal:
            status, body = refusal.status, refusal.body
        return {"symbol": symbol, "status": status, "body": body}

    def _position(self, symbol: str) -> payloads.Json:
        venue, account = self._venue, self._venue.state.account
        price = venue.mark(symbol)
        previous = venue.view.previous_close(symbol, venue.now_ns)
        return payloads.position_json(
            symbol,
            account.holdings[symbol],
            held_for_orders=account.held_for_orders(symbol),
            price=price,
            previous_close=price if previous is None else previous.price,
        )
