"""The Broker port on alpaca-py: which endpoint answers which question, and the guard before it.

The client is the unmodified one of alpaca-py, in raw form: its models raise on an enum member that
they do not know and lose the whole list. Parsing is in `broker.alpaca.parsing`, timeouts and errors in
`broker.alpaca.transport`. Nothing is retried here, and nothing is decided.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Mapping, Sequence
from datetime import date, timedelta
from functools import partial
from typing import Any, Literal
from urllib.parse import quote as url_quote

from alpaca.data.historical.corporate_actions import CorporateActionsClient
from alpaca.data.historical.stock import StockHistoricalDataClient
from alpaca.trading.client import TradingClient

from trading_assets.broker.alpaca import announcements, order_entry, parsing
from trading_assets.broker.alpaca.fields import Malformed
from trading_assets.broker.alpaca.origins import Origins, refuse_other_host
from trading_assets.broker.alpaca.pages import (
    PAGES_A_LOOK,
    as_object,
    data_pages,
    in_urls,
    parts_of_refused,
    read_on,
)
from trading_assets.broker.alpaca.transport import TIMEOUTS, Timeouts, answered, harden
from trading_assets.broker.port import (
    AccountActivity,
    AccountState,
    AssetState,
    BarState,
    ClockState,
    CorporateActionState,
    MoreActivities,
    MoreOrders,
    NewOrder,
    NotFound,
    OrderState,
    PositionState,
    Quotes,
    QuoteState,
    Rejected,
    Rows,
    Unreachable,
    Unreadable,
    WriteRefused,
)
from trading_assets.broker.rate_budget import RateBudget
from trading_assets.errors import InvalidInput
from trading_assets.log import get_logger

log = get_logger(__name__)

ORDERS_PAGE = 500
ACTIVITIES_PAGE = 100
BARS_PAGE = 10_000
CORPORATE_ACTIONS_PAGE = 1_000
TIMEFRAMES = {"1m": "1Min", "1d": "1Day"}
CORPORATE_ACTION_TYPES = (
    "forward_split,reverse_split,stock_dividend,cash_dividend,"
    "capital_gains_distribution,spin_off,rights_distribution"
)
# Alpaca selects corporate actions by process date: a dividend's is its payable date, weeks after the ex-date
PROCESSED_BEFORE_EX = timedelta(days=14)
PROCESSED_AFTER_EX = timedelta(days=120)
ORDER_NOT_FOUND = 40410000
REFUSED_SYMBOL = (400, 422)  # the answers to a list with one symbol that the feed does not have
MAX_QUOTE_REQUESTS = 32  # for one list; one unnamed stranger among a thousand symbols takes 21


class AlpacaBroker:
    """`broker.port.Broker` over REST. For one thread; not to be carried across a fork.

    mode:           must fit the trading host: live to the live one only, paper to paper and loopback
    account_number: the only account that is written to; None: whichever the keys open (not for live)
    read_only:      refuse every write
    budget:         the account's rate limit as all processes know it; None: only the broker's 429
    """

    def __init__(
        self,
        at: Origins,
        key_id: str,
        secret: str,
        *,
        mode: Literal["paper", "live"] = "paper",
        feed: Literal["iex", "sip"] = "iex",
        account_number: str | None = None,
        read_only: bool = False,
        timeouts: Timeouts = TIMEOUTS,
        budget: RateBudget | None = None,
    ) -> None:
        refuse_other_host(at.trading, mode)
        if mode == "live" and account_number is None:
            raise InvalidInput(
                "a live account must be pinned",
                where="config `account_number`",
                remedy="Write the number of the account that orders may go to",
            )
        self._account_number = account_number
        self._confirmed = account_number is None
        self._read_only = read_only
        self._feed = feed
        self._refused: dict[str, str] = {}  # symbols for which this connection gets no quote, and why
        self._trading = TradingClient(
            key_id, secret, paper=mode == "paper", raw_data=True, url_override=at.trading
        )
        self._data = StockHistoricalDataClient(key_id, secret, raw_data=True, url_override=at.data)
        self._actions = CorporateActionsClient(key_id, secret, raw_data=True, url_override=at.data)
        harden(self._trading, timeouts, budget, "trading")
        for client in (self._data, self._actions):
            harden(client, timeouts, budget, "data")

    def account(self) -> AccountState:
        """The account. Raises InvalidInput when it is not the pinned one."""
        state = answered("account", lambda: parsing.account(self._trading.get("/account")))
        if self._account_number is not None and state.account_number != self._account_number:
            self._confirmed = False
            raise InvalidInput(
                f"the keys open account {state.account_number}, not the pinned {self._account_number}",
                where="config `account_number`",
                remedy="Use the keys of the pinned account, or pin the account that is meant",
            )
        self._confirmed = True
        return state

    def confirm(self) -> None:
        """Let orders go out before `account()` has been read: the keys are known to open the pinned one."""
        self._confirmed = True

    def clock(self) -> ClockState:
        return answered("clock", lambda: parsing.clock(self._trading.get("/clock")))

    def calendar(self, first: date, last: date) -> Mapping[date, tuple[int, int]]:
        span = {"start": first.isoformat(), "end": last.isoformat()}
        return answered(
            "calendar",
            lambda: {
                day: hours
                for day, hours in parsing.rows(self._trading.get("/calendar", span), parsing.session)
                if first <= day <= last
            },
        )

    def asset(self, symbol: str) -> AssetState:
        return answered(
            f"asset {symbol}",
            lambda: parsing.asset(self._trading.get(f"/assets/{url_quote(symbol, safe='')}")),
        )

    def assets(self) -> Rows[AssetState]:
        """Every active US equity, some 12 000 at Alpaca."""
        wanted = {"status": "active", "asset_class": "us_equity"}
        return answered(
            "assets", lambda: parsing.readable(self._trading.get("/assets", wanted), parsing.asset)
        )

    def quotes(self, symbols: Sequence[str]) -> Quotes:
        """One quote for each symbol asked for; a symbol that the answer lacks has all fields None. A symbol
        for which the broker refuses the whole list is found and left out, in a bounded number of requests,
        and is not asked for again by this connection."""
        read, unread = dict[str, QuoteState](), list[Unreadable]()
        refused = {symbol: why for symbol in symbols if (why := self._refused.get(symbol))}
        unread += [Unreadable(symbol, why) for symbol, why in refused.items()]
        lists = deque[Sequence[str]](in_urls([symbol for symbol in symbols if symbol not in refused]))
        most, requests = len(lists) - 1 + MAX_QUOTE_REQUESTS, 0
        failure: Rejected | None = None
        while lists:  # the longest lists first: what the bound cuts off are the fewest symbols
            wanted = lists.popleft()
            if requests == most and failure is not None and not read:
                raise failure  # it is not one symbol's fault
            if requests == most:
                unread += [Unreadable(symbol, "not asked: too many were refused") for symbol in wanted]
                continue
            requests += 1
            try:
                answer = answered("quotes", partial(self._snapshots, wanted))
            except Rejected as error:
                if error.status not in REFUSED_SYMBOL:
                    raise
                failure = error
                if len(wanted) == 1:
                    self._refused[wanted[0]] = str(error)
                    unread.append(Unreadable(wanted[0], str(error)))
                    continue
                lists += parts_of_refused(wanted, error.message)
                continue
            read |= answer
            unread += answer.unreadable
        return Quotes({symbol: read[symbol] for symbol in symbols if symbol in read}, unread)

    def _snapshots(self, symbols: Sequence[str]) -> Quotes:
        wanted = {"symbols": ",".join(symbols), "feed": self._feed}
        snapshots = as_object(self._data.get("/stocks/snapshots", wanted))
        read, unread = dict[str, QuoteState](), list[Unreadable]()
        for symbol in symbols:
            try:
                read[symbol] = parsing.quote(symbol, snapshots.get(symbol))
            except Malformed as error:
                unread.append(Unreadable(symbol, str(error)))
        return Quotes(read, unread)

    def positions(self) -> Rows[PositionState]:
        return answered("positions", lambda: parsing.positions(self._trading.get("/positions")))

    def open_orders(self) -> Rows[OrderState]:
        return self._orders("open", None)

    def orders_since(self, since_ns: int) -> Rows[OrderState]:
        return self._orders("all", since_ns)

    def order(self, order_id: str) -> OrderState:
        path = f"/orders/{url_quote(order_id, safe='')}"
        return answered(f"order {order_id}", lambda: parsing.order(self._trading.get(path)))

    def order_by_client_id(self, client_order_id: str) -> OrderState | None:
        """The order, or None for Alpaca's own "not found"; another 404 (a proxy's) is Unreachable."""
        wanted = {"client_order_id": client_order_id}
        try:
            return answered(
                f"order {client_order_id}",
                lambda: parsing.order(self._trading.get("/orders:by_client_order_id", wanted)),
            )
        except NotFound as error:
            if error.code == ORDER_NOT_FOUND:
                return None
            raise Unreachable(f"order {client_order_id}: {error}") from error

    def submit(self, order: NewOrder) -> OrderState:
        """Send the order once, quantised. Raises WriteRefused and InvalidInput before anything is sent."""
        self._may_write()
        fields = order_entry.order_fields(order_entry.quantised(order))

        def send() -> OrderState:
            placed = parsing.order(self._trading.post("/orders", fields))
            if placed.client_order_id != order.client_order_id:
                raise Malformed(f"the answer is about another order, {placed.client_order_id}")
            return placed

        return answered(f"submit {order.client_order_id}", send, write=True)

    def cancel(self, order_id: str) -> None:
        self._may_write()
        path = f"/orders/{url_quote(order_id, safe='')}"
        answered(f"cancel {order_id}", lambda: self._trading.delete(path), write=True)

    def cancel_all(self) -> Mapping[str, int]:
        """DELETE /v2/orders: 207 with a status for each order that was open."""
        self._may_write()
        return answered(
            "cancel all orders",
            lambda: dict(parsing.rows(self._trading.delete("/orders") or [], parsing.cancelled)),
            write=True,
        )

    def activities(self, since_ns: int, *, after_id: str | None = None) -> Rows[AccountActivity]:
        """As the port says. Lines without a time of their own are stamped with their date, which may
        lie before `since_ns`."""
        query = {"after": parsing.stamp(since_ns - 1), "direction": "asc", "page_size": ACTIVITIES_PAGE}
        if after_id is not None:
            query["page_token"] = after_id

        activities_by_id: dict[str, AccountActivity] = {}
        unread: dict[Unreadable, None] = {}

        def page() -> bool:
            """Read one more page; whether it is the last."""
            got = parsing.readable(self._trading.get("/account/activities", query), parsing.activity)
            fresh = {one.id: one for one in got if one.id not in activities_by_id}
            activities_by_id.update(fresh)
            unread.update(dict.fromkeys(got.unreadable))
            last = len(got) + len(got.unreadable) < ACTIVITIES_PAGE
            if not last:
                if not fresh:  # nor can one go on from a page of which no row can be read
                    raise Malformed(f"page_token {query.get('page_token')} leads to the same page again")
                query["page_token"] = got[-1].id
            return last

        complete = read_on("activities", page)
        in_time = Rows.of(sorted(activities_by_id.values(), key=lambda one: one.at_ns), unread)
        if not complete:
            raise MoreActivities(in_time, str(query["page_token"]))
        return in_time

    def bars(self, symbols: Sequence[str], interval: str, start_ns: int, end_ns: int) -> Sequence[BarState]:
        """As the port says; interval is a value of market.bars.Interval. Daily bars carry Alpaca's own
        start, midnight in New York."""
        if not symbols or start_ns >= end_ns:
            return []
        bars = [bar for some in in_urls(symbols) for bar in self._bars(some, interval, start_ns, end_ns)]
        return sorted(bars, key=lambda bar: (bar.symbol, bar.start_ns))

    def _bars(self, symbols: Sequence[str], interval: str, start_ns: int, end_ns: int) -> list[BarState]:
        query = {
            "symbols": ",".join(symbols),
            "timeframe": TIMEFRAMES[interval],
            "start": parsing.stamp(start_ns),
            "end": parsing.stamp(end_ns - 1),  # Alpaca's end is inclusive
            "adjustment": "raw",
            "feed": self._feed,
            "sort": "asc",
            "limit": BARS_PAGE,
        }

        def read() -> list[BarState]:
            bars = [
                bar
                for page in data_pages(lambda token: self._data.get("/stocks/bars", {**query, **token}))
                for symbol, listed in as_object(page.get("bars") or {}).items()
                for bar in parsing.rows(listed or [], partial(parsing.bar, symbol))
            ]
            return [bar for bar in bars if start_ns <= bar.start_ns < end_ns]

        return answered("bars", read)

    def corporate_actions(
        self, symbols: Sequence[str], first: date, last: date
    ) -> Rows[CorporateActionState]:
        """As the port says."""
        if not symbols or first > last:
            return Rows()
        announced = [self._corporate_actions(some, first, last) for some in in_urls(symbols)]
        actions = sorted(
            (one for some in announced for one in some), key=lambda one: (one.symbol, one.ex_date)
        )
        return Rows.of(actions, (one for some in announced for one in some.unreadable))

    def _corporate_actions(
        self, symbols: Sequence[str], first: date, last: date
    ) -> Rows[CorporateActionState]:
        wanted = frozenset(symbols)
        query = {
            "symbols": ",".join(symbols),
            "types": CORPORATE_ACTION_TYPES,
            "start": (first - PROCESSED_BEFORE_EX).isoformat(),
            "end": (last + PROCESSED_AFTER_EX).isoformat(),
            "sort": "asc",
            "limit": CORPORATE_ACTIONS_PAGE,
        }

        def read() -> Rows[CorporateActionState]:
            groups: dict[str, list[Any]] = {}
            for page in data_pages(lambda token: self._actions.get("/corporate-actions", {**query, **token})):
                for kind, listed in as_object(page.get("corporate_actions") or {}).items():
                    # what is no list is one row that cannot be read
                    groups.setdefault(kind, []).extend(listed if isinstance(listed, list) else [listed])
            announced = announcements.corporate_actions(groups)
            asked_for = (one for one in announced if first <= one.ex_date <= last and one.symbol in wanted)
            return Rows.of(
                asked_for,
                (
                    row
                    for row in announced.unreadable
                    if row.symbol in {"", *wanted} and announcements.is_ex_within(row, first, last)
                ),
            )

        return answered("corporate actions", read)

    def close(self) -> None:
        for client in (self._trading, self._data, self._actions):
            client._session.close()  # noqa: SLF001 - alpaca-py has no close of its own

    def _may_write(self) -> None:
        if self._read_only:
            raise WriteRefused("this connection is read-only; nothing was sent")
        if not self._confirmed:
            raise WriteRefused(
                f"account {self._account_number} has not been confirmed by the broker; nothing was sent"
            )

    def _orders(self, status: str, since_ns: int | None) -> Rows[OrderState]:
        """Ascending: all pages of the open ones, of all those of as many as one look reads. `after` is
        exclusive and the page's last order may share its time with the next page's first: each page begins
        just before the last one's end, and ids deduplicate."""
        query: dict[str, Any] = {
            "status": status,
            "limit": ORDERS_PAGE,
            "direction": "asc",
            "nested": "false",
        }
        if since_ns is not None:
            query["after"] = parsing.stamp(since_ns - 1)
        orders: dict[str, OrderState] = {}
        unread: dict[Unreadable, None] = {}

        def page() -> bool:
            """Read one more page; whether it is the last."""
            got = parsing.readable(self._trading.get("/orders", query), parsing.order, parsing.unread_order)
            fresh = {one.id: one for one in got if one.id not in orders}
            orders.update(fresh)
            unread.update(dict.fromkeys(got.unreadable))
            last = len(got) + len(got.unreadable) < ORDERS_PAGE
            if not last:
                if not fresh:
                    raise Malformed(f"more than {ORDERS_PAGE} orders submitted at {query.get('after')}")
                query["after"] = parsing.stamp(max(one.submitted_ns for one in got) - 1)
            return last

        complete = read_on(f"{status} orders", page, most=None if status == "open" else PAGES_A_LOOK)
        in_time = Rows.of(sorted(orders.values(), key=lambda one: one.submitted_ns), unread)
        if not complete:
            raise MoreOrders(in_time, in_time[-1].submitted_ns)
        return in_time
