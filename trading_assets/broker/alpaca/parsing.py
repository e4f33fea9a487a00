"""Alpaca's JSON as the port's types. Values in, values out; what goes out is in `broker.alpaca.order_entry`.

What the desk does not depend on is tolerated: unknown fields, statuses, types and activities. What it
does depend on (an id, a side, a quantity) raises `Malformed` with the row named. In a list that costs the
row and not the others: it is kept as unread, and says whether entries must wait for it. A list that
silently lost a row would say that an order or a position does not exist.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable, Iterable, Mapping
from dataclasses import replace
from datetime import date, datetime, time, timedelta
from decimal import Decimal, InvalidOperation
from typing import Any, NamedTuple, TypeVar
from zoneinfo import ZoneInfo

from trading_assets.broker.alpaca.activity_types import TRADE, status_named, type_named
from trading_assets.broker.alpaca.order_words import state_of_status
from trading_assets.broker.port import (
    US_EQUITY,
    AccountActivity,
    AccountState,
    AssetState,
    BarState,
    ClockState,
    CorporateActionState,
    OrderState,
    PositionState,
    QuoteState,
    Rows,
    SpinOffState,
    Unreadable,
)
from trading_assets.core.orders import TERMINAL_STATES, is_ours
from trading_assets.core.words import Side
from trading_assets.market import timestamps

Row = Mapping[str, Any]
T = TypeVar("T")

NEW_YORK = ZoneInfo("America/New_York")
_STAMP = re.compile(
    r"\d{4}-\d\d-\d\d[T ]\d\d:\d\d:\d\d(?:\.\d+)?(?:Z|[+-]\d\d:\d\d)", re.ASCII | re.IGNORECASE
)
ACTIVE = "ACTIVE"  # the status of an account that trades
OPTION_MULTIPLIER = 100  # shares a contract
_ANNOUNCED = frozenset(
    {
        "forward_splits",
        "reverse_splits",
        "stock_dividends",
        "cash_dividends",
        "capital_gains_distributions",
        "spin_offs",
        "rights_distributions",
    }
)
_TOLD_BY_ACTIVITIES = frozenset(
    {
        "unit_splits",
        "cash_mergers",
        "stock_mergers",
        "stock_and_cash_mergers",
        "redemptions",
        "name_changes",
        "worthless_removals",
        "partial_calls",
        "reorganizations",
    }
)
MOST = Decimal(10) ** 15  # no price, quantity or amount of an account is larger; a float holds it to the cent
_SIDES = {"buy": Side.BUY, "sell": Side.SELL, "sell_short": Side.SELL}


class Malformed(ValueError):
    """An answer lacks what the desk depends on; the text names the row and the field."""


def rows(answer: Any, parse: Callable[[Row], T]) -> list[T]:
    """Each row of a list parsed. Raises Malformed, naming the row, when one cannot be."""
    if not isinstance(answer, list):
        raise Malformed(f"expected a list, got {_shown(answer)}")
    return [parse(_mapping(row)) for row in answer]


def readable(
    answer: Any, parse: Callable[[Row], T], unread: Callable[[Row, str], Unreadable] | None = None
) -> Rows[T]:
    """As `rows`, but a row that cannot be parsed is kept as unread and costs no other.

    unread: what the row is then, by what can still be read of it; None: a row named by its `id`. Raises
    Malformed for what is no list of objects: that is another answer than the one asked for.
    """
    if not isinstance(answer, list):
        raise Malformed(f"expected a list, got {_shown(answer)}")
    good, bad = list[T](), list[Unreadable]()
    for row in [_mapping(one) for one in answer]:
        try:
            good.append(parse(row))
        except Malformed as error:
            bad.append((unread or _unread)(row, str(error)))
    return Rows.of(good, bad)


def account(answer: Any) -> AccountState:
    """The account. A flag that is missing blocks: entries need the broker's word, exits do not."""
    row = _mapping(answer)
    cash = _decimal(row, "cash")
    blocked = row.get("trading_blocked") is not False or any(
        row.get(name, False) is not False for name in ("account_blocked", "trade_suspended_by_user")
    )
    status = row["status"] if isinstance(row.get("status"), str) else ""
    return AccountState(
        account_number=_text(row, "account_number"),
        status_word=status,
        is_active=status == ACTIVE,
        equity=_decimal(row, "equity"),
        last_equity=_decimal(row, "last_equity"),
        cash=cash,
        buying_power=_decimal(row, "buying_power"),
        trading_blocked=blocked,
        settled_cash=cash if row.get("settled_cash") is None else _decimal(row, "settled_cash"),
        multiplier=_decimal_or_none(row, "multiplier"),
        non_marginable_buying_power=_decimal_or_none(row, "non_marginable_buying_power"),
    )


def clock(answer: Any) -> ClockState:
    row = _mapping(answer)
    return ClockState(
        now_ns=_ns(row, "timestamp"),
        is_open=_flag(row, "is_open"),
        next_open_ns=_ns(row, "next_open"),
        next_close_ns=_ns(row, "next_close"),
    )


def cancelled(row: Row) -> tuple[str, int]:
    """One order of a bulk cancel's answer: its id, and the HTTP status of its own cancel."""
    return _text(row, "id"), int(_decimal(row, "status"))


def session(row: Row) -> tuple[date, tuple[int, int]]:
    """One calendar day: its date with open and close, which Alpaca states in New York time."""
    day = _date(row, "date")
    try:
        open_, close = (time.fromisoformat(_text(row, name)) for name in ("open", "close"))
    except ValueError as error:
        raise Malformed(f"{error} in {_shown(row)}") from error
    return day, (_local_ns(day, open_), _local_ns(day, close))


def asset(answer: Any) -> AssetState:
    row = _mapping(answer)
    return AssetState(
        symbol=_text(row, "symbol"),
        tradable=_flag(row, "tradable") and row.get("status") == "active",
        fractionable=row.get("fractionable") is True,
        halted=row.get("halted") is True,
    )


def quote(symbol: str, snapshot: Any) -> QuoteState:
    """A snapshot's latest quote and trade; what is absent, null or zero is None.

    The previous close is prevDailyBar's, unless dailyBar itself is still that of an earlier day than
    the quote: a symbol that has not traded today has no bar of today.
    """
    parts = _mapping({} if snapshot is None else snapshot)
    top, trade, today, before = (
        _mapping(parts.get(name) or {}) for name in ("latestQuote", "latestTrade", "dailyBar", "prevDailyBar")
    )
    quote_ns = _ns_or_none(top, "t")
    if quote_ns is not None and today and _new_york_date(_ns(today, "t")) < _new_york_date(quote_ns):
        before = today
    return QuoteState(
        symbol=symbol,
        bid=_price_or_none(top, "bp"),
        ask=_price_or_none(top, "ap"),
        quote_ns=quote_ns,
        last_trade=_price_or_none(trade, "p"),
        trade_ns=_ns_or_none(trade, "t"),
        previous_close=_price_or_none(before, "c"),
    )


def position(row: Row) -> PositionState:
    """A position by its quantity, side and symbol; what else is missing is not known."""
    qty = abs(_decimal(row, "qty"))
    available = _decimal_or_none(row, "qty_available")
    side = _text(row, "side")
    if side not in ("long", "short"):
        raise Malformed(f"`side` is neither long nor short in {_shown(row)}")
    return PositionState(
        symbol=_text(row, "symbol"),
        qty=qty if side == "long" else -qty,
        avg_entry_price=_decimal_or_none(row, "avg_entry_price") or Decimal(0),
        available=qty if available is None else abs(available),
        asset_class=_asset_class(row),
        market_value=_decimal_or_none(row, "market_value"),
        current_price=_price_if_any(row, "current_price"),
        last_close=_price_if_any(row, "lastday_price"),
    )


def unread_position(row: Row, why: str) -> Unreadable:
    """A position of which nothing is known but perhaps its symbol: unknown is never flat."""
    symbol = _word(row, "symbol")
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
    told = [
        Unreadable(symbol, f"{len(rows)} rows of {symbol}: {_quantities(rows)} shares", holds_entries=True)
        for (_, symbol), rows in again.items()
        if len(rows) > 1
    ]
    good = [one for one in read if (one.asset_class, one.symbol) not in again]
    return Rows.of(good, (*read.unreadable, *told))


def _quantities(held: Iterable[PositionState]) -> str:
    return " and ".join(f"{one.qty:f}" for one in held)


def order(answer: Any) -> OrderState:
    """An order. One that was sent by notional has no quantity: its filled quantity stands for it."""
    row = _mapping(answer)
    filled = Decimal(0) if row.get("filled_qty") is None else _decimal(row, "filled_qty")
    qty = filled if row.get("qty") is None else _decimal(row, "qty")
    status = _text(row, "status")
    state, needs_attention = state_of_status(status, filled, qty)
    submitted_ns = _ns(row, "created_at" if row.get("submitted_at") is None else "submitted_at")
    return OrderState(
        id=_text(row, "id"),
        client_order_id=_text(row, "client_order_id"),
        symbol=_text(row, "symbol"),
        side=_side(row),
        qty=qty,
        limit_price=None if row.get("limit_price") is None else _decimal(row, "limit_price"),
        status_word=status,
        state=state,
        filled_qty=filled,
        filled_avg_price=None if row.get("filled_avg_price") is None else _decimal(row, "filled_avg_price"),
        submitted_ns=submitted_ns,
        updated_ns=submitted_ns if row.get("updated_at") is None else _ns(row, "updated_at"),
        replaced_by=None if row.get("replaced_by") is None else _text(row, "replaced_by"),
        type=str(row.get("type") or row.get("order_type") or ""),
        time_in_force=str(row.get("time_in_force") or ""),
        asset_class=_asset_class(row),
        replaces=None if row.get("replaces") is None else _text(row, "replaces"),
        needs_attention=needs_attention,
    )


def unread_order(row: Row, why: str) -> Unreadable:
    """An order of which something is missing: a person's order of several legs has neither symbol nor side.

    Entries wait for one that may be ours. A person's adds its leaves at the limit to the exposure, by the
    contract where it is no share's; one that still works and does not tell them holds entries too.
    """
    client_id = _word(row, "client_order_id")
    status = row.get("status")
    filled = _decimal_or_none(row, "filled_qty") or Decimal(0)
    qty, limit = _decimal_or_none(row, "qty"), _decimal_or_none(row, "limit_price")
    subject, symbol = _word(row, "id") or client_id, _word(row, "symbol")
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
    kind = _text(row, "activity_type")
    if kind == TRADE:
        execution = row.get("type")
        changed = execution in ("trade_bust", "trade_correct")
        return AccountActivity(
            id=_text(row, "id"),
            type=type_named(str(execution).upper() if changed else kind),
            at_ns=_ns(row, "transaction_time"),
            symbol=_text(row, "symbol"),
            side=_side(row),
            qty=_decimal(row, "qty"),
            price=_decimal(row, "price"),
            cum_qty=_decimal(row, "cum_qty"),
            order_id=_text(row, "order_id"),
            net_amount=None,
            changes=_text(row, "previous_id") if changed else None,
        )
    stamps = [_ns(row, name) for name in ("transaction_time", "created_at") if row.get(name) is not None][:1]
    status = str(row.get("status") or "executed")
    dates = [_local_ns(_date(row, "date"), time())] if not stamps or row.get("date") else []
    return AccountActivity(
        id=_text(row, "id"),
        type=type_named(kind),
        at_ns=max(stamps + dates),
        symbol=str(row["symbol"]) if row.get("symbol") else None,
        side=None,
        qty=None if row.get("qty") is None else _decimal(row, "qty"),
        price=None if row.get("price") is None else _decimal(row, "price"),
        cum_qty=None,
        order_id=None if row.get("order_id") is None else _text(row, "order_id"),
        net_amount=None if row.get("net_amount") is None else _decimal(row, "net_amount"),
        changes=str(row["previous_id"]) if row.get("previous_id") else None,
        status=status_named(status),
        status_word=status,
        group=str(row["group_id"]) if row.get("group_id") else None,
        currency=str(row.get("currency") or "USD"),
        dated=max(stamps + dates) not in stamps,
    )


def bar(symbol: str, row: Row) -> BarState:
    o, h, low, c, v = (float(_decimal(row, name)) for name in "ohlcv")
    return BarState(symbol=symbol, start_ns=_ns(row, "t"), open=o, high=h, low=low, close=c, volume=v)


class _Announced(NamedTuple):
    """What one row announces for a symbol's ex-date."""

    symbol: str
    ex_date: date
    ratio: float = 1.0
    cash: float = 0.0
    spin_off: SpinOffState | None = None


def corporate_actions(groups: Mapping[str, Any]) -> Rows[CorporateActionState]:
    """What changes price, shares or cost of each symbol, one row for each symbol and ex-date, ascending.

    groups: Alpaca's lists by kind. The ratio of a split is new_rate ÷ old_rate, that of a stock dividend
    1 + rate. A row that cannot be used is named in `unreadable` and costs no other row.
    """
    found: list[_Announced] = []
    unreadable: list[Unreadable] = []
    for kind, items in groups.items():
        if not isinstance(items, list):
            unreadable.append(Unreadable("", f"{kind}: expected a list, got {_shown(items)}"))
            continue
        for item in items:
            try:
                announced = _announced(kind, _mapping(item))
            except Malformed as error:
                day = _word(item, "ex_date") if isinstance(item, Mapping) else ""
                unreadable.append(Unreadable(_symbol_of(item), f"{kind}: {error}", day))
                continue
            if announced is not None:
                found.append(announced)
    merged: dict[tuple[str, date], CorporateActionState] = {}
    for one in found:
        key = (one.symbol, one.ex_date)
        before = merged.get(key, CorporateActionState(*key, 1.0, 0.0))
        merged[key] = replace(
            before,
            split_ratio=before.split_ratio * one.ratio,
            cash_usd=before.cash_usd + one.cash,
            spin_offs=before.spin_offs if one.spin_off is None else (*before.spin_offs, one.spin_off),
        )
    return Rows.of((merged[key] for key in sorted(merged)), unreadable)


def _announced(kind: str, row: Row) -> _Announced | None:
    """What a row announces; None for a kind that moves a position to another symbol or ends it, which the
    account's activities say. Raises Malformed."""
    if kind in _TOLD_BY_ACTIVITIES:
        return None
    if kind not in _ANNOUNCED:
        raise Malformed(f"a kind nobody knows: {_shown(row)}")
    if row.get("currency") not in (None, "", "USD"):
        raise Malformed(f"it is not in USD: {_shown(row)}")
    day = _date(row, "ex_date")
    if kind in ("spin_offs", "rights_distributions"):
        per_share = _positive(row, "new_rate" if kind == "spin_offs" else "rate")
        if kind == "spin_offs":
            per_share /= _positive(row, "source_rate")
        return _Announced(
            _text(row, "source_symbol"), day, spin_off=SpinOffState(_text(row, "new_symbol"), per_share)
        )
    symbol = _text(row, "symbol")
    if kind in ("forward_splits", "reverse_splits"):
        return _Announced(symbol, day, ratio=_positive(row, "new_rate") / _positive(row, "old_rate"))
    if kind == "stock_dividends":
        return _Announced(symbol, day, ratio=1.0 + _positive(row, "rate"))
    if kind == "capital_gains_distributions":
        rates = ("long_term_rate", "short_term_rate")  # either may be absent, null or 0
        return _Announced(symbol, day, cash=sum(_positive(row, name) for name in rates if row.get(name)))
    return _Announced(symbol, day, cash=_positive(row, "rate"))


def _symbol_of(row: Any) -> str:
    """Whose row it is, as far as it says so."""
    if not isinstance(row, Mapping):
        return ""
    names = ("symbol", "source_symbol", "old_symbol", "acquiree_symbol")
    return next((str(row[name]) for name in names if row.get(name)), "")


def is_ex_within(row: Unreadable, first: date, last: date) -> bool:
    """Whether an unreadable corporate action may be ex in these days; one without a date may."""
    try:
        return first <= date.fromisoformat(row.subject[:10]) <= last
    except ValueError:
        return True


def stamp(ns: int) -> str:
    """A time as RFC 3339 text with all nine decimals; times before 1970 as 1970."""
    seconds, fraction = divmod(max(ns, 0), 1_000_000_000)
    return f"{timestamps.EPOCH + timedelta(seconds=seconds):%Y-%m-%dT%H:%M:%S}.{fraction:09d}Z"


def _unread(row: Row, why: str) -> Unreadable:
    return Unreadable(_word(row, "symbol"), why, _word(row, "id"))


def _word(row: Row, name: str) -> str:
    """Text where the row has some, else empty."""
    value = row.get(name)
    return value if isinstance(value, str) else ""


def _asset_class(row: Row) -> str:
    return _word(row, "asset_class") or US_EQUITY


def _mapping(row: Any) -> Row:
    if not isinstance(row, Mapping):
        raise Malformed(f"expected an object, got {_shown(row)}")
    return row


def _text(row: Row, name: str) -> str:
    value = row.get(name)
    if not isinstance(value, str) or not value:
        raise Malformed(f"no `{name}` in {_shown(row)}")
    return value


def _flag(row: Row, name: str) -> bool:
    value = row.get(name)
    if not isinstance(value, bool):
        raise Malformed(f"no `{name}` in {_shown(row)}")
    return value


def _decimal(row: Row, name: str) -> Decimal:
    """A number that came as text or as a JSON number; a float is taken at its shortest text."""
    value = row.get(name)
    try:
        number = Decimal(str(value)) if isinstance(value, str | int | float) else None
    except InvalidOperation:
        number = None
    if number is None or isinstance(value, bool) or not (number.is_finite() and abs(number) < MOST):
        raise Malformed(f"`{name}` is no number in {_shown(row)}")
    return number


def _decimal_or_none(row: Row, name: str) -> Decimal | None:
    """A figure that nothing depends on: None where it cannot be read."""
    try:
        return _decimal(row, name)
    except Malformed:
        return None


def _positive(row: Row, name: str) -> float:
    number = float(_decimal(row, name))
    if number <= 0:
        raise Malformed(f"`{name}` is not positive in {_shown(row)}")
    return number


def _price_if_any(row: Row, name: str) -> Decimal | None:
    price = _decimal_or_none(row, name)
    return price if price is not None and price > 0 else None


def _price_or_none(row: Row, name: str) -> Decimal | None:
    if row.get(name) is None:
        return None
    price = _decimal(row, name)
    return price if price > 0 else None


def _side(row: Row) -> Side:
    side = _SIDES.get(str(row.get("side")))
    if side is None:
        raise Malformed(f"`side` is neither buy nor sell in {_shown(row)}")
    return side


def _ns(row: Row, name: str) -> int:
    """RFC 3339 text as UTC nanoseconds, exact to the ninth decimal."""
    text = str(row.get(name))
    if _STAMP.fullmatch(text) is None:
        raise Malformed(f"`{name}` is no time in {_shown(row)}")
    try:
        return timestamps.parse_ns(text.upper())
    except ValueError as error:
        raise Malformed(f"`{name}` is no time in {_shown(row)}") from error


def _ns_or_none(row: Row, name: str) -> int | None:
    """As `_ns`; Alpaca's zero time (year 1) and an absent one are None."""
    if row.get(name) is None:
        return None
    ns = _ns(row, name)
    return ns if ns > 0 else None


def _date(row: Row, name: str) -> date:
    try:
        return date.fromisoformat(_text(row, name)[:10])
    except ValueError as error:
        raise Malformed(f"`{name}` is no date in {_shown(row)}") from error


def _local_ns(day: date, at: time) -> int:
    return timestamps.ns_of(datetime.combine(day, at, tzinfo=NEW_YORK))


def _new_york_date(ns: int) -> date:
    return timestamps.utc_time(ns).astimezone(NEW_YORK).date()


def _shown(value: Any) -> str:
    text = repr(value)
    return text if len(text) <= 300 else f"{text[:300]}…"
