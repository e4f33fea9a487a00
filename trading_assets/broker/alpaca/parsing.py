"""Alpaca's JSON as the port's types. Values in, values out; what goes out is in `broker.alpaca.order_entry`.

What the desk does not depend on is tolerated: unknown fields, statuses, types and activities. What it
does depend on (an id, a side, a quantity) raises `Malformed` with the row named. In a list that costs the
row and not the others: it is kept as unread, and says whether entries must wait for it. A list that
silently lost a row would say that an order or a position does not exist.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable
from datetime import date, time, timedelta
from decimal import Decimal
from typing import Any, TypeVar

from trading_assets.broker.alpaca.activity_types import TRADE, status_named, type_named
from trading_assets.broker.alpaca.fields import (
    Malformed,
    Row,
    date_of,
    decimal,
    decimal_or_none,
    flag,
    local_ns,
    mapping,
    new_york_date,
    ns_of_field,
    ns_or_none,
    plain_number,
    price_if_any,
    price_or_none,
    shown,
    side_of,
    text,
    word,
)
from trading_assets.broker.alpaca.order_words import state_of_status
from trading_assets.broker.port import (
    US_EQUITY,
    AccountActivity,
    AccountState,
    AssetState,
    BarState,
    ClockState,
    OrderState,
    PositionState,
    QuoteState,
    Rows,
    Unreadable,
)
from trading_assets.core.orders import TERMINAL_STATES, is_ours
from trading_assets.market import timestamps

T = TypeVar("T")

ACTIVE = "ACTIVE"  # the status of an account that trades
OPTION_MULTIPLIER = 100  # shares a contract


def rows(answer: Any, parse: Callable[[Row], T]) -> list[T]:
    """Each row of a list parsed. Raises Malformed, naming the row, when one cannot be."""
    if not isinstance(answer, list):
        raise Malformed(f"expected a list, got {shown(answer)}")
    return [parse(mapping(row)) for row in answer]


def readable(
    answer: Any, parse: Callable[[Row], T], unread: Callable[[Row, str], Unreadable] | None = None
) -> Rows[T]:
    """As `rows`, but a row that cannot be parsed is kept as unread and costs no other.

    unread: what the row is then, by what can still be read of it; None: a row named by its `id`. Raises
    Malformed for what is no list of objects: that is another answer than the one asked for.
    """
    if not isinstance(answer, list):
        raise Malformed(f"expected a list, got {shown(answer)}")
    good, bad = list[T](), list[Unreadable]()
    for row in [mapping(one) for one in answer]:
        try:
            good.append(parse(row))
        except Malformed as error:
            bad.append((unread or _unread)(row, str(error)))
    return Rows.of(good, bad)


def account(answer: Any) -> AccountState:
    """The account. A flag that is missing blocks: entries need the broker's word, exits do not."""
    row = mapping(answer)
    cash = decimal(row, "cash")
    blocked = row.get("trading_blocked") is not False or any(
        row.get(name, False) is not False for name in ("account_blocked", "trade_suspended_by_user")
    )
    status = row["status"] if isinstance(row.get("status"), str) else ""
    return AccountState(
        account_number=text(row, "account_number"),
        status_word=status,
        is_active=status == ACTIVE,
        equity=decimal(row, "equity"),
        last_equity=decimal(row, "last_equity"),
        cash=cash,
        buying_power=decimal(row, "buying_power"),
        trading_blocked=blocked,
        settled_cash=cash if row.get("settled_cash") is None else decimal(row, "settled_cash"),
        multiplier=decimal_or_none(row, "multiplier"),
        non_marginable_buying_power=decimal_or_none(row, "non_marginable_buying_power"),
    )


def clock(answer: Any) -> ClockState:
    row = mapping(answer)
    return ClockState(
        now_ns=ns_of_field(row, "timestamp"),
        is_open=flag(row, "is_open"),
        next_open_ns=ns_of_field(row, "next_open"),
        next_close_ns=ns_of_field(row, "next_close"),
    )


def cancelled(row: Row) -> tuple[str, int]:
    """One order of a bulk cancel's answer: its id, and the HTTP status of its own cancel."""
    return text(row, "id"), int(decimal(row, "status"))


def session(row: Row) -> tuple[date, tuple[int, int]]:
    """One calendar day: its date with open and close, which Alpaca states in New York time."""
    day = date_of(row, "date")
    try:
        open_, close = (time.fromisoformat(text(row, name)) for name in ("open", "close"))
    except ValueError as error:
        raise Malformed(f"{error} in {shown(row)}") from error
    return day, (local_ns(day, open_), local_ns(day, close))


def asset(answer: Any) -> AssetState:
    row = mapping(answer)
    return AssetState(
        symbol=text(row, "symbol"),
        tradable=flag(row, "tradable") and row.get("status") == "active",
        fractionable=row.get("fractionable") is True,
        halted=row.get("halted") is True,
    )


def quote(symbol: str, snapshot: Any) -> QuoteState:
    """A snapshot's latest quote and trade; what is absent, null or zero is None.

    The previous close is prevDailyBar's, unless dailyBar itself is still that of an earlier day than
    the quote: a symbol that has not traded today has no bar of today.
    """
    parts = mapping({} if snapshot is None else snapshot)
    top, trade, today, before = (
        mapping(parts.get(name) or {}) for name in ("latestQuote", "latestTrade", "dailyBar", "prevDailyBar")
    )
    quote_ns = ns_or_none(top, "t")
    if quote_ns is not None and today and new_york_date(ns_of_field(today, "t")) < new_york_date(quote_ns):
        before = today
    return QuoteState(
        symbol=symbol,
        bid=price_or_none(top, "bp"),
        ask=price_or_none(top, "ap"),
        quote_ns=quote_ns,
        last_trade=price_or_none(trade, "p"),
        trade_ns=ns_or_none(trade, "t"),
        previous_close=price_or_none(before, "c"),
    )


def position(row: Row) -> PositionState:
    """A position by its quantity, side and symbol; what else is missing is not known."""
    qty = abs(decimal(row, "qty"))
    available = decimal_or_none(row, "qty_available")
    side = text(row, "side")
    if side not in ("long", "short"):
        raise Malformed(f"`side` is neither long nor short in {shown(row)}")
    return PositionState(
        symbol=text(row, "symbol"),
        qty=qty if side == "long" else -qty,
        avg_entry_price=decimal_or_none(row, "avg_entry_price") or Decimal(0),
        available=qty if available is None else abs(available),
        asset_class=_asset_class(row),
        market_value=decimal_or_none(row, "market_value"),
        current_price=price_if_any(row, "current_price"),
        last_close=price_if_any(row, "lastday_price"),
    )


def unread_position(row: Row, why: str) -> Unreadable:
    """A position of which nothing is known but perhaps its symbol: unknown is never flat."""
    symbol = word(row, "symbol")
    return Unreadable(symbol, why, holds_entries=True)


def positions(answer: Any) -> Rows[PositionState]:
    """The positions, one row for each. Of several rows of one symbol none says what is held of it: no rule of
    the broker's adds them up, so that its position cannot be read."""
    read = readable(answer, position, unread_position)
    named = Counter((one.asset_class, one.symbol) for one in read)
    named.update((US_EQUITY, symbol) for symbol in {row.symbol for row in read.unreadable})
    again = {
        key: [one for one in read if (one.asset_class, one.symbol) == key] for key in named if named[key] > 1
    }
    unreadable = [
        Unreadable(symbol, f"{len(rows)} rows of {symbol}: {_quantities(rows)} shares", holds_entries=True)
        for (_, symbol), rows in again.items()
        if len(rows) > 1
    ]
    good = [one for one in read if (one.asset_class, one.symbol) not in again]
    return Rows.of(good, (*read.unreadable, *unreadable))


def _quantities(held: Iterable[PositionState]) -> str:
    return " and ".join(f"{one.qty:f}" for one in held)


def order(answer: Any) -> OrderState:
    """An order. One that was sent by notional has no quantity: its filled quantity stands for it."""
    row = mapping(answer)
    filled = Decimal(0) if row.get("filled_qty") is None else decimal(row, "filled_qty")
    qty = filled if row.get("qty") is None else decimal(row, "qty")
    status = text(row, "status")
    state, needs_attention = state_of_status(status, filled, qty)
    submitted_ns = ns_of_field(row, "created_at" if row.get("submitted_at") is None else "submitted_at")
    return OrderState(
        id=text(row, "id"),
        client_order_id=text(row, "client_order_id"),
        symbol=text(row, "symbol"),
        side=side_of(row),
        qty=qty,
        limit_price=None if row.get("limit_price") is None else decimal(row, "limit_price"),
        status_word=status,
        state=state,
        filled_qty=filled,
        filled_avg_price=None if row.get("filled_avg_price") is None else decimal(row, "filled_avg_price"),
        submitted_ns=submitted_ns,
        updated_ns=submitted_ns if row.get("updated_at") is None else ns_of_field(row, "updated_at"),
        replaced_by=None if row.get("replaced_by") is None else text(row, "replaced_by"),
        type=str(row.get("type") or row.get("order_type") or ""),
        time_in_force=str(row.get("time_in_force") or ""),
        asset_class=_asset_class(row),
        replaces=None if row.get("replaces") is None else text(row, "replaces"),
        needs_attention=needs_attention,
    )


def unread_order(row: Row, why: str) -> Unreadable:
    """An order of which something is missing: a person's order of several legs has neither symbol nor side.

    Entries wait for one that may be ours. A person's adds its leaves at the limit to the exposure, by the
    contract where it is no share's; one that still works and does not tell them holds entries too.
    """
    client_id = word(row, "client_order_id")
    status = row.get("status")
    filled = decimal_or_none(row, "filled_qty") or Decimal(0)
    qty, limit = decimal_or_none(row, "qty"), decimal_or_none(row, "limit_price")
    subject, symbol = word(row, "id") or client_id, word(row, "symbol")
    if not client_id or is_ours(client_id):
        return Unreadable(symbol, why, subject, holds_entries=True)
    ended = isinstance(status, str) and state_of_status(status, filled, qty or filled)[0] in TERMINAL_STATES
    if ended or row.get("replaced_by") is not None:
        return Unreadable(symbol, why, subject)
    if qty is None or limit is None:
        return Unreadable(symbol, why, subject, holds_entries=True)
    of_shares = symbol and _asset_class(row) == US_EQUITY and row.get("order_class") != "mleg"
    leaves = (qty - filled) * (1 if of_shares else OPTION_MULTIPLIER)
    return Unreadable(symbol, why, subject, exposure_usd=abs(leaves * limit))


def activity(row: Row) -> AccountActivity:
    """A line of the account's history. What is no trade is stamped when it was made, but not before its date,
    on which it takes effect: a transfer may be asked for days earlier. A bust or correction of a fill is told
    by its execution type, a trade of whatever word by its order."""
    kind = text(row, "activity_type")
    if kind == TRADE:
        execution = row.get("type")
        changed = execution in ("trade_bust", "trade_correct")
        return AccountActivity(
            id=text(row, "id"),
            type=type_named(str(execution).upper() if changed else kind),
            at_ns=ns_of_field(row, "transaction_time"),
            symbol=text(row, "symbol"),
            side=side_of(row),
            qty=decimal(row, "qty"),
            price=decimal(row, "price"),
            cum_qty=decimal(row, "cum_qty"),
            order_id=text(row, "order_id"),
            net_amount=None,
            changes=text(row, "previous_id") if changed else None,
        )
    stamps = [
        ns_of_field(row, name) for name in ("transaction_time", "created_at") if row.get(name) is not None
    ][:1]
    status = str(row.get("status") or "executed")
    dates = [local_ns(date_of(row, "date"), time())] if not stamps or row.get("date") else []
    return AccountActivity(
        id=text(row, "id"),
        type=type_named(kind),
        at_ns=max(stamps + dates),
        symbol=str(row["symbol"]) if row.get("symbol") else None,
        side=None,
        qty=None if row.get("qty") is None else decimal(row, "qty"),
        price=None if row.get("price") is None else decimal(row, "price"),
        cum_qty=None,
        order_id=None if row.get("order_id") is None else text(row, "order_id"),
        net_amount=None if row.get("net_amount") is None else decimal(row, "net_amount"),
        changes=str(row["previous_id"]) if row.get("previous_id") else None,
        status=status_named(status),
        status_word=status,
        group=str(row["group_id"]) if row.get("group_id") else None,
        currency=str(row.get("currency") or "USD"),
        dated=max(stamps + dates) not in stamps,
    )


def bar(symbol: str, row: Row) -> BarState:
    o, h, low, c, v = (plain_number(row, name) for name in "ohlcv")
    return BarState(symbol, ns_of_field(row, "t"), o, h, low, c, v, derived=row.get("derived") is True)


def stamp(ns: int) -> str:
    """A time as RFC 3339 text with all nine decimals; times before 1970 as 1970."""
    seconds, fraction = divmod(max(ns, 0), 1_000_000_000)
    return f"{timestamps.EPOCH + timedelta(seconds=seconds):%Y-%m-%dT%H:%M:%S}.{fraction:09d}Z"


def _unread(row: Row, why: str) -> Unreadable:
    return Unreadable(word(row, "symbol"), why, word(row, "id"))


def _asset_class(row: Row) -> str:
    return word(row, "asset_class") or US_EQUITY
