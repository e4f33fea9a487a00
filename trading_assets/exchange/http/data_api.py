"""The market data API, `/v2/stocks` and `/v1/corporate-actions`, cut at the exchange's now.

An answer leaves out symbols that the tape does not have or that are not yet listed. It has raw prices, and
bars of one minute or one day only.
"""

from __future__ import annotations

from base64 import urlsafe_b64decode, urlsafe_b64encode
from collections.abc import Callable, Iterator
from datetime import date, timedelta
from itertools import chain, islice
from typing import Any

from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from trading_assets.exchange import payloads
from trading_assets.exchange.http.query import Query
from trading_assets.exchange.refusals import bad_data_request, not_found
from trading_assets.exchange.tape_view import Bar
from trading_assets.exchange.times import midnight_ns
from trading_assets.exchange.venue import Venue

BARS_PER_PAGE, MOST_BARS = 1_000, 10_000
ACTIONS_PER_PAGE, MOST_ACTIONS = 100, 1_000
FEEDS = ("iex", "sip", "delayed_sip", "otc", "boats", "overnight")
_TIMEFRAMES = {"1Min": "minute", "1T": "minute", "1Day": "day", "1D": "day"}
_A_DAY = timedelta(days=1)
_ACTION_TYPES = {
    "forward_split": "forward_splits",
    "reverse_split": "reverse_splits",
    "cash_dividend": "cash_dividends",
}

Latest = Callable[[str], payloads.Json | None]


class DataApi:
    def __init__(self, venue: Venue) -> None:
        self._venue = venue

    def routes(self) -> list[Route]:
        routes = [
            Route("/v2/stocks/bars", self.bars),
            Route("/v2/stocks/{symbol}/bars", self.bars_of_one),
            Route("/v2/stocks/snapshots", self.snapshots),
            Route("/v2/stocks/{symbol}/snapshot", self.snapshot),
            Route("/v1/corporate-actions", self.corporate_actions),
        ]
        for plural, singular, latest in (
            ("quotes", "quote", self._quote),
            ("trades", "trade", self._trade),
            ("bars", "bar", self._minute),
        ):
            many, one = self._latest_endpoints(plural, singular, latest)
            routes.append(Route(f"/v2/stocks/{plural}/latest", many))
            routes.append(Route(f"/v2/stocks/{{symbol}}/{plural}/latest", one))
        return routes

    # Latest quote, trade and minute bar; snapshots

    def _quote(self, symbol: str) -> payloads.Json:
        return payloads.quote_json(self._venue.quote(symbol))

    def _trade(self, symbol: str) -> payloads.Json | None:
        view, now_ns = self._venue.view, self._venue.now_ns
        print_ = view.last_print(symbol, now_ns) or view.previous_close(symbol, now_ns)
        return None if print_ is None else payloads.trade_json(print_)

    def _minute(self, symbol: str) -> payloads.Json | None:
        bar = self._venue.view.latest_minute(symbol, self._venue.now_ns)
        return None if bar is None else payloads.bar_json(bar)

    def _snapshot(self, symbol: str) -> payloads.Json:
        """`dailyBar` is the last session that has begun, so far; `prevDailyBar` the session before it."""
        view, now_ns, sessions = self._venue.view, self._venue.now_ns, self._venue.sessions
        today = sessions.session_at(now_ns)
        has_begun = today is not None and now_ns >= sessions.open_ns(today)
        session = today if today and has_begun else sessions.previous(sessions.new_york_date(now_ns))
        last = view.daily_bar(symbol, session, now_ns)
        previous = view.daily_bar(symbol, sessions.previous(session), now_ns)
        return {
            "latestTrade": self._trade(symbol),
            "latestQuote": self._quote(symbol),
            "minuteBar": self._minute(symbol),
            "dailyBar": None if last is None else payloads.bar_json(last),
            "prevDailyBar": None if previous is None else payloads.bar_json(previous),
        }

    def _latest_endpoints(self, plural: str, singular: str, latest: Latest) -> tuple[Any, Any]:
        async def many(request: Request) -> Response:
            latest_values = self._for_each(self._data_query(request).symbols(), latest)
            return JSONResponse({plural: latest_values})

        async def one(request: Request) -> Response:
            self._data_query(request)
            symbol = request.path_params["symbol"]
            latest_values = self._for_each([symbol], latest)
            if symbol not in latest_values:
                raise not_found(f"no {singular} found for {symbol}")
            return JSONResponse({"symbol": symbol, singular: latest_values[symbol]})

        return many, one

    async def snapshots(self, request: Request) -> Response:
        return JSONResponse(self._for_each(self._data_query(request).symbols(), self._snapshot))

    async def snapshot(self, request: Request) -> Response:
        self._data_query(request)
        symbol = request.path_params["symbol"]
        snapshots = self._for_each([symbol], self._snapshot)
        if symbol not in snapshots:
            raise not_found(f"no snapshot found for {symbol}")
        return JSONResponse({"symbol": symbol, **snapshots[symbol]})

    def _for_each(self, symbols: list[str], latest: Latest) -> dict[str, payloads.Json]:
        listed = [s for s in symbols if self._venue.view.is_listed(s, self._venue.now_ns)]
        by_symbol = {symbol: latest(symbol) for symbol in listed}
        return {symbol: member for symbol, member in by_symbol.items() if member is not None}

    # Bars

    async def bars(self, request: Request) -> Response:
        query = self._data_query(request)
        rows, token = self._page_of_bars(query, query.symbols())
        grouped: dict[str, list[payloads.Json]] = {}
        for symbol, bar in rows:
            grouped.setdefault(symbol, []).append(payloads.bar_json(bar))
        return JSONResponse({"bars": grouped, "next_page_token": token})

    async def bars_of_one(self, request: Request) -> Response:
        symbol = request.path_params["symbol"]
        rows, token = self._page_of_bars(self._data_query(request), [symbol])
        bars = [payloads.bar_json(bar) for _, bar in rows]
        return JSONResponse({"symbol": symbol, "bars": bars, "next_page_token": token})

    def _page_of_bars(self, query: Query, symbols: list[str]) -> tuple[list[tuple[str, Bar]], str | None]:
        """One page, by symbol and then by start, and the token of the next page."""
        view, now_ns = self._venue.view, self._venue.now_ns
        timeframe = query.text("timeframe")
        if timeframe not in _TIMEFRAMES:
            raise bad_data_request(f"timeframe {timeframe!r} is not supported: 1Min or 1Day")
        if (adjustment := query.text("adjustment")) not in (None, "raw"):
            raise bad_data_request(f"adjustment {adjustment!r} is not supported: raw")
        limit = query.count("limit", BARS_PER_PAGE, largest=MOST_BARS)
        descending = query.word("sort", ("asc", "desc"), "asc") == "desc"
        start_ns, end_ns = self._range(query)
        bars = view.minute_bars if _TIMEFRAMES[timeframe] == "minute" else view.daily_bars
        symbols = sorted(symbol for symbol in symbols if view.is_listed(symbol, now_ns))
        resume: tuple[str, int] | None = None
        if (token := query.text("page_token")) is not None:
            resume = _read_token(token)
            symbols = [symbol for symbol in symbols if symbol >= resume[0]]

        def rows() -> Iterator[tuple[str, Bar]]:
            for symbol in symbols:
                first, last = start_ns, end_ns
                if resume is not None and symbol == resume[0]:
                    first, last = (first, resume[1]) if descending else (resume[1], last)
                for bar in bars(symbol, first, last, now_ns, descending=descending):
                    yield symbol, bar

        page = list(islice(rows(), limit + 1))
        if len(page) <= limit:
            return page, None
        symbol, bar = page.pop()
        return page, _write_token(symbol, bar.start_ns)

    def _range(self, query: Query) -> tuple[int, int]:
        """[start, end] by bar start. A date alone is that whole day in New York; default: today so far."""
        now_ns = self._venue.now_ns
        start_ns, end_ns = query.time_ns("start"), query.time_ns("end")
        if start_ns is None:
            start_ns = midnight_ns(self._venue.sessions.new_york_date(now_ns))
        elif query.is_day("start") and (day := query.day("start")) is not None:
            start_ns = midnight_ns(day)
        if end_ns is None:
            end_ns = now_ns
        elif query.is_day("end") and (day := query.day("end")) is not None:
            end_ns = midnight_ns(min(day, date.max - _A_DAY) + _A_DAY) - 1  # a day of 23 or 25 hours too
        if query.text("start") and query.text("end") and end_ns < start_ns:
            raise bad_data_request("end should not be before start")
        return max(start_ns, 0), end_ns

    def _data_query(self, request: Request) -> Query:
        """The query, its feed and currency checked."""
        query = Query(request.query_params, bad_data_request)
        query.word("feed", FEEDS, "iex")
        query.word("currency", ("USD",), "USD")
        return query

    # Corporate actions

    async def corporate_actions(self, request: Request) -> Response:
        """By ex-date, both ends included. Future ones appear only when the control plane has announced them.
        Default: today."""
        query, venue = Query(request.query_params, bad_data_request), self._venue
        today = venue.sessions.new_york_date(venue.now_ns)
        first, last = query.day("start") or today, query.day("end") or today
        types, ids = query.words("types") or list(_ACTION_TYPES), query.words("ids")
        kinds = {_ACTION_TYPES[type_] for type_ in types if type_ in _ACTION_TYPES}
        limit = query.count("limit", ACTIONS_PER_PAGE, largest=MOST_ACTIONS)
        descending = query.word("sort", ("asc", "desc"), "asc") == "desc"
        symbols = query.words("symbols") or venue.view.listed(venue.now_ns)
        actions = [
            (payload["ex_date"], payload["symbol"], kind, payload)
            for symbol in symbols
            if venue.view.is_listed(symbol, venue.now_ns)
            for action in chain(
                venue.view.actions(symbol, first, last, venue.now_ns),
                venue.splits.announced(symbol, first, last),
            )
            for kind, payload in payloads.corporate_action_json(action)
            if kind in kinds and (not ids or payload["id"] in ids)
        ]
        actions.sort(key=lambda row: row[:3], reverse=descending)
        start = 0
        if (token := query.text("page_token")) is not None:
            start = _read_token(token)[1]
        grouped: dict[str, list[payloads.Json]] = {}
        for _, _, kind, payload in actions[start : start + limit]:
            grouped.setdefault(kind, []).append(payload)
        more = start + limit < len(actions)
        token = _write_token("", start + limit) if more else None
        return JSONResponse({"corporate_actions": grouped, "next_page_token": token})


def _write_token(symbol: str, position: int) -> str:
    return urlsafe_b64encode(f"{symbol}|{position}".encode()).decode()


def _read_token(token: str) -> tuple[str, int]:
    """(symbol, position). Raises ApiRefusal 400 for what is no token of ours."""
    try:
        symbol, position = urlsafe_b64decode(token.encode()).decode().split("|")
        return symbol, int(position)
    except ValueError as error:
        raise bad_data_request(f"invalid page_token: {token!r}") from error
