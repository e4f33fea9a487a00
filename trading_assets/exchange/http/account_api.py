"""The account's part of the trading API: the account itself, its configuration, activities and history."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterator
from dataclasses import asdict
from itertools import islice

from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from trading_assets.exchange import payloads
from trading_assets.exchange.account import VenueActivity
from trading_assets.exchange.http.portfolio_history import portfolio_history, read_history
from trading_assets.exchange.http.query import Query
from trading_assets.exchange.refusals import malformed, unprocessable
from trading_assets.exchange.venue import Venue

MOST_ACTIVITIES = 100
_DAY_NS = 86_400_000_000_000


class AccountApi:
    def __init__(self, venue: Venue) -> None:
        self._venue = venue

    def routes(self) -> list[Route]:
        return [
            Route("/v2/account", self.account),
            Route("/v2/account/configurations", self.configuration, methods=["GET"]),
            Route("/v2/account/configurations", self.configure, methods=["PATCH"]),
            Route("/v2/account/portfolio/history", self.history),
            Route("/v2/account/activities", self.activities),
            Route("/v2/account/activities/{type}", self.activities),
        ]

    async def account(self, request: Request) -> Response:
        venue = self._venue
        return JSONResponse(
            payloads.account_json(
                venue.state.account, equity=venue.equity(), new_york_date=venue.sessions.new_york_date
            )
        )

    async def configuration(self, request: Request) -> Response:
        return JSONResponse(asdict(self._venue.state.account.configuration))

    async def configure(self, request: Request) -> Response:
        self._venue.configure(await request.body())
        return await self.configuration(request)

    async def history(self, request: Request) -> Response:
        venue = self._venue
        wanted = read_history(Query(request.query_params, malformed), venue.sessions, venue.now_ns)
        return JSONResponse(portfolio_history(wanted, venue.state.account, venue.view, venue.now_ns))

    async def activities(self, request: Request) -> Response:
        query = Query(request.query_params, malformed)
        page_size = query.count("page_size", MOST_ACTIVITIES, largest=MOST_ACTIVITIES)
        account, day = self._venue.state.account, self._venue.sessions.new_york_date
        activities = islice(self._selected_activities(query, request.path_params.get("type")), page_size)
        return JSONResponse([payloads.activity_json(a, account, day=day(a.at_ns)) for a in activities])

    def _selected_activities(self, query: Query, type_: str | None) -> Iterator[VenueActivity]:
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
