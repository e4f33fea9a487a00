"""The trading API, `/v2` without `/v2/stocks`: reads the request, asks the venue, writes the answer."""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections.abc import Iterator
from datetime import timedelta
from itertools import islice

from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from trading_assets.exchange import payloads
from trading_assets.exchange.account import Activity
from trading_assets.exchange.ids import asset_id
from trading_assets.exchange.orders import Order
from trading_assets.exchange.query import Query
from trading_assets.exchange.refusals import malformed, not_found, unprocessable
from trading_assets.exchange.venue import Venue

MOST_ORDERS, MOST_ACTIVITIES = 500, 100
_DAY_NS = 86_400_000_000_000
_CALENDAR_SPAN = timedelta(days=366)


class TradingApi:
    def __init__(self, venue: Venue) -> None:
        self._venue = venue

    def routes(self) -> list[Route]:
        return [
            Route("/v2/account", self.account),
            Route("/v2/account/activities", self.activities),
            Route("/v2/account/activities/{type}", self.activities),
            Route("/v2/clock", self.clock),
            Route("/v2/calendar", self.calendar),
            Route("/v2/assets", self.assets),
            Route("/v2/assets/{symbol}", self.asset),
            Route("/v2/orders", self.submit, methods=["POST"]),
            Route("/v2/orders", self.orders, methods=["GET"]),
            Route("/v2/orders", self.cancel_all, methods=["DELETE"]),
            Route("/v2/orders:by_client_order_id", self.order_by_client_id),
            Route("/v2/orders/{order_id}", self.order, methods=["GET"]),
            Route("/v2/orders/{order_id}", self.cancel, methods=["DELETE"]),
            Route("/v2/positions", self.positions),
            Route("/v2/positions/{symbol}", self.position),
        ]

    async def account(self, request: Request) -> Response:
        venue = self._venue
        return JSONResponse(
            payloads.account_json(
                venue.state.account, equity=venue.equity(), new_york_date=venue.sessions.new_york_date
            )
        )

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
        wanted = (query.text("status") or "active", query.text("asset_class") or "us_equity")
        exchange = query.text("exchange")
        if wanted != ("active", "us_equity"):
            return JSONResponse([])
        found = [self._asset(symbol) for symbol in self._venue.view.listed(self._venue.now_ns)]
        return JSONResponse([asset for asset in found if exchange in (None, asset["exchange"])])

    async def asset(self, request: Request) -> Response:
        return JSONResponse(self._asset(self._symbol(request)))

    def _asset(self, symbol: str) -> payloads.Json:
        return payloads.asset_json(
            symbol,
            fractionable=self._venue.is_fractionable(symbol),
            halted=symbol in self._venue.state.halted_since,
        )

    def _symbol(self, request: Request) -> str:
        """The path's symbol or asset id, as a symbol that is listed. Raises Refusal 404."""
        wanted = request.path_params["symbol"]
        for symbol in self._venue.view.listed(self._venue.now_ns):
            if wanted in (symbol, asset_id(symbol)):
                return symbol
        raise not_found(f"asset not found for {wanted}")

    async def submit(self, request: Request) -> Response:
        return JSONResponse(payloads.order_json(self._venue.submit(await request.body())))

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

    def _selected_orders(self, query: Query) -> Iterator[Order]:
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

    async def activities(self, request: Request) -> Response:
        query = Query(request.query_params, malformed)
        page_size = query.count("page_size", MOST_ACTIVITIES, largest=MOST_ACTIVITIES)
        account, day = self._venue.state.account, self._venue.sessions.new_york_date
        found = islice(self._selected_activities(query, request.path_params.get("type")), page_size)
        return JSONResponse([payloads.activity_json(a, account, day=day(a.at_ns)) for a in found])

    def _selected_activities(self, query: Query, type_: str | None) -> Iterator[Activity]:
        """after < time ≤ until, or all of `date` (UTC); `page_token` is the last id of the page before."""
        account = self._venue.state.account
        types = [type_] if type_ else query.words("activity_types")
        category = query.word("category", ("", "trade_activity", "non_trade_activity"), "")
        if types and category:
            raise unprocessable("category cannot be used with activity_types")
        descending = query.word("direction", ("asc", "desc"), "desc") == "desc"
        after, until, order_id = query.time_ns("after"), query.time_ns("until"), query.text("order_id")
        if (day := query.time_ns("date")) is not None:
            start = day - day % _DAY_NS
            after, until = start - 1, start + _DAY_NS - 1
        rows = account.activities
        first = 0 if after is None else bisect_right(rows, after, key=lambda a: a.at_ns)
        last = len(rows) if until is None else bisect_right(rows, until, key=lambda a: a.at_ns)
        if (token := query.text("page_token")) is not None:
            if token not in account.activity_rows:
                raise malformed(f"invalid page_token: {token!r}")
            row = account.activity_rows[token]
            first, last = (first, min(last, row)) if descending else (max(first, row + 1), last)
        for row in range(last - 1, first - 1, -1) if descending else range(first, last):
            activity = rows[row]
            if (
                (not types or activity.type in types)
                and (not category or (category == "trade_activity") == (activity.order is not None))
                and (order_id is None or (activity.order is not None and activity.order.id == order_id))
            ):
                yield activity
