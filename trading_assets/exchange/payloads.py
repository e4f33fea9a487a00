"""The JSON forms of Alpaca's APIs. Amounts are decimal text in the trading API and numbers in the data
API; times are RFC 3339 with nanoseconds. It does not write what Alpaca withdrew (day-trade fields).
"""

from __future__ import annotations

from collections.abc import Callable
from datetime import date
from decimal import Decimal
from fractions import Fraction
from typing import Any

from trading_assets.core.words import Side
from trading_assets.exchange.account import VenueAccount, VenueActivity, VenueExecution, VenueHolding
from trading_assets.exchange.amounts import ZERO, text
from trading_assets.exchange.ids import asset_id, seeded_uuid
from trading_assets.exchange.orders import Status, VenueOrder
from trading_assets.exchange.quotes import QUOTED_SIZE, VenueQuote
from trading_assets.exchange.tape_view import Bar, Print
from trading_assets.exchange.times import new_york_text, utc_text
from trading_assets.market.bars import CorporateAction
from trading_assets.market.sessions import Sessions

Json = dict[str, Any]

_LISTED_AT = {"IBM": "NYSE"}  # all others of the bundled tape are NASDAQ's
_EXCHANGE_CODE, _TAPE_CODE = "V", "C"
_SIX = Decimal("0.000001")
_SETTLEMENT_DAYS = ((date(2024, 5, 28), 1), (date(2017, 9, 5), 2), (date(1995, 6, 7), 3), (date.min, 5))


def listing_exchange(symbol: str) -> str:
    return _LISTED_AT.get(symbol, "NASDAQ")


def account_json(account: VenueAccount, *, equity: Decimal, new_york_date: Callable[[int], date]) -> Json:
    """A cash account: multiplier 1, so every kind of buying power is the same."""
    market_value, power = equity - account.cash, text(account.buying_power)
    return {
        "id": account.id,
        "account_number": account.number,
        "status": "ACTIVE",
        "crypto_status": "INACTIVE",
        "currency": "USD",
        "cash": text(account.cash),
        "equity": text(equity),
        "portfolio_value": text(equity),
        "last_equity": text(account.last_equity),
        "balance_asof": new_york_date(account.last_equity_ns).isoformat(),
        "buying_power": power,
        "regt_buying_power": power,
        "non_marginable_buying_power": power,
        "options_buying_power": "0",
        "long_market_value": text(market_value),
        "short_market_value": "0",
        "position_market_value": text(market_value),
        "initial_margin": text(market_value),
        "maintenance_margin": "0",
        "last_maintenance_margin": "0",
        "sma": "0",
        "multiplier": "1",
        "accrued_fees": "0",
        "pending_transfer_in": "0",
        "pending_transfer_out": "0",
        "intraday_adjustments": "0",
        "trading_blocked": False,
        "transfers_blocked": False,
        "account_blocked": False,
        "trade_suspended_by_user": account.configuration.suspend_trade,
        "shorting_enabled": False,
        "options_approved_level": 0,
        "options_trading_level": 0,
        "created_at": utc_text(account.opened_ns),
    }


def clock_json(now_ns: int, sessions: Sessions) -> Json:
    """Times with New York's offset, as Alpaca's clock has them."""
    day = sessions.new_york_date(now_ns)
    is_open = sessions.is_open(now_ns)
    today_to_come = sessions.is_session(day) and now_ns < sessions.open_ns(day)
    next_open = sessions.open_ns(day if today_to_come else sessions.next(day))
    next_close = sessions.close_ns(day if is_open or today_to_come else sessions.next(day))
    return {
        "timestamp": new_york_text(now_ns),
        "is_open": is_open,
        "next_open": new_york_text(next_open),
        "next_close": new_york_text(next_close),
    }


def calendar_json(session: date, sessions: Sessions) -> Json:
    """Settlement is T+5, T+3 (1995), T+2 (2017), T+1 (2024)."""
    settlement = session
    for _ in range(next(days for since, days in _SETTLEMENT_DAYS if session >= since)):
        settlement = sessions.next(settlement)
    first_ns, end_ns = sessions.extended_hours(session)
    return {
        "date": session.isoformat(),
        "open": _wall_clock(sessions.open_ns(session)),
        "close": _wall_clock(sessions.close_ns(session)),
        "session_open": _wall_clock(first_ns).replace(":", ""),
        "session_close": _wall_clock(end_ns).replace(":", ""),
        "settlement_date": settlement.isoformat(),
    }


def _wall_clock(ns: int) -> str:
    return new_york_text(ns)[11:16]


def asset_json(symbol: str, *, active: bool, fractionable: bool, halted: bool) -> Json:
    """Only this exchange has `halted`: Alpaca tells halts on its data stream only."""
    return {
        "id": asset_id(symbol),
        "class": "us_equity",
        "exchange": listing_exchange(symbol),
        "symbol": symbol,
        "name": f"{symbol} Common Stock",
        "status": "active" if active else "inactive",
        "tradable": active,
        "marginable": False,
        "shortable": False,
        "easy_to_borrow": False,
        "borrow_status": "hard_to_borrow",
        "fractionable": fractionable,
        "maintenance_margin_requirement": 100,
        "margin_requirement_long": "100",
        "margin_requirement_short": "100",
        "attributes": [],
        "halted": halted,
    }


def order_json(order: VenueOrder) -> Json:
    def ended(*statuses: Status) -> str | None:
        if order.ended_ns is None or order.status not in statuses:
            return None
        return utc_text(order.ended_ns)

    average = (order.filled_value / order.filled_qty).quantize(_SIX) if order.filled_qty else None
    return {
        "id": order.id,
        "client_order_id": order.client_order_id,
        "created_at": utc_text(order.submitted_ns),
        "updated_at": utc_text(order.updated_ns),
        "submitted_at": utc_text(order.submitted_ns),
        "filled_at": ended(Status.FILLED),
        "expired_at": ended(Status.EXPIRED),
        "canceled_at": ended(Status.CANCELED),
        "failed_at": ended(Status.REJECTED),
        "expires_at": utc_text(order.expires_ns),
        "replaced_at": ended(Status.REPLACED),
        "replaced_by": order.replaced_by,
        "replaces": order.replaces,
        "asset_id": asset_id(order.symbol),
        "symbol": order.symbol,
        "asset_class": "us_equity",
        "notional": _text_or_none(order.notional),
        "qty": _text_or_none(order.qty),
        "filled_qty": text(order.filled_qty),
        "filled_avg_price": _text_or_none(average),
        "order_class": "",
        "order_type": order.type,
        "type": order.type,
        "side": order.side.name.lower(),
        "position_intent": "buy_to_open" if order.side is Side.BUY else "sell_to_close",
        "time_in_force": order.time_in_force,
        "limit_price": _text_or_none(order.limit_price),
        "stop_price": _text_or_none(order.stop_price),
        "status": order.status.value,
        "extended_hours": order.extended_hours,
        "legs": None,
        "trail_percent": None,
        "trail_price": None,
        "hwm": None,
        "subtag": None,
        "source": None,
    }


def position_json(
    symbol: str, holding: VenueHolding, *, held_for_orders: Decimal, price: Decimal, previous_close: Decimal
) -> Json:
    """Figures of the day compare the present holding with the previous close, whenever it was bought."""
    value = holding.qty * price
    gain, day_gain = value - holding.cost, (price - previous_close) * holding.qty
    return {
        "asset_id": asset_id(symbol),
        "symbol": symbol,
        "exchange": listing_exchange(symbol),
        "asset_class": "us_equity",
        "asset_marginable": False,
        "qty": text(holding.qty),
        "qty_available": text(holding.qty - held_for_orders),
        "side": "long",
        "avg_entry_price": text(holding.avg_entry_price.quantize(_SIX)),
        "cost_basis": text(holding.cost.quantize(_SIX)),
        "market_value": text(value),
        "current_price": text(price),
        "lastday_price": text(previous_close),
        "change_today": text(_ratio(price - previous_close, previous_close)),
        "unrealized_pl": text(gain.quantize(_SIX)),
        "unrealized_plpc": text(_ratio(gain, holding.cost)),
        "unrealized_intraday_pl": text(day_gain.quantize(_SIX)),
        "unrealized_intraday_plpc": text(_ratio(day_gain, previous_close * holding.qty)),
    }


def activity_json(activity: VenueActivity, account: VenueAccount, *, day: date) -> Json:
    """A trade activity for a fill, else a non-trade activity. SPLIT, JNLS: qty is the position's change.

    A fill that is busted or corrected stays; a later line of the same type names it as `previous_id`, with
    the fill's quantity and, in a correction, the price that counts from then on.
    """
    common = {"id": activity.id, "account_id": account.id, "activity_type": activity.type}
    order = activity.order
    if order is not None:
        assert activity.qty is not None
        assert activity.price is not None
        kind = activity.execution.value
        if activity.execution is VenueExecution.FILL and order.status is not Status.FILLED:
            kind = "partial_fill"
        amends = {} if activity.amends is None else {"previous_id": activity.amends}
        return common | {
            "transaction_time": utc_text(activity.at_ns),
            "type": kind,
            "execution_type": activity.execution.value,
            "order_id": order.id,
            "order_status": order.status.value,
            "symbol": order.symbol,
            "side": order.side.name.lower(),
            "qty": text(activity.qty),
            "price": text(activity.price),
            "cum_qty": text(order.filled_qty),
            "leaves_qty": text(order.leaves_qty),
            **amends,
        }
    amounts = {"qty": activity.qty, "price": activity.price, "per_share_amount": activity.per_share}
    return (
        common
        | {
            "date": day.isoformat(),
            "created_at": utc_text(activity.at_ns),
            "net_amount": text(activity.net_amount),
            "currency": "USD",
            "description": activity.description,
            "status": "executed",
        }
        | ({} if activity.symbol is None else {"symbol": activity.symbol})
        | {name: text(amount) for name, amount in amounts.items() if amount is not None}
    )


def bar_json(bar: Bar) -> Json:
    """The tape has neither trade counts nor volume-weighted prices: n is 0, vw the mean of o, h, l, c. A
    derived bar says so, in a member that Alpaca's bars do not have."""
    mark = {"derived": True} if bar.derived else {}
    return {
        "t": utc_text(bar.start_ns),
        "o": bar.open,
        "h": bar.high,
        "l": bar.low,
        "c": bar.close,
        "v": int(bar.volume) if bar.volume.is_integer() else bar.volume,
        "n": 0,
        "vw": round((bar.open + bar.high + bar.low + bar.close) / 4.0, 6),
    } | mark


def quote_json(quote: VenueQuote) -> Json:
    """A side that is absent has price 0 and size 0."""
    return {
        "t": utc_text(quote.at_ns),
        "bx": _EXCHANGE_CODE,
        "bp": float(quote.bid),
        "bs": QUOTED_SIZE if quote.bid else 0,
        "ax": _EXCHANGE_CODE,
        "ap": float(quote.ask),
        "as": QUOTED_SIZE if quote.ask else 0,
        "c": ["R"],
        "z": _TAPE_CODE,
    }


def trade_json(print_: Print) -> Json:
    """The last price as a trade of one round lot at the time it was made; its id is that time."""
    return {
        "t": utc_text(print_.at_ns),
        "x": _EXCHANGE_CODE,
        "p": float(print_.price),
        "s": QUOTED_SIZE,
        "c": ["@"],
        "i": print_.at_ns // 1_000_000_000,
        "z": _TAPE_CODE,
    }


def corporate_action_json(action: CorporateAction) -> list[tuple[str, Json]]:
    """(kind, payload) of its split and its dividend. CUSIPs are not known; all dates are the ex-date."""
    day = action.ex_date.isoformat()
    dates = {"process_date": day, "ex_date": day, "record_date": day, "payable_date": day}
    payloads: list[tuple[str, Json]] = []
    if action.split_ratio != 1.0:
        ratio = Fraction(action.split_ratio).limit_denominator(1000)
        kind = "forward_splits" if ratio > 1 else "reverse_splits"
        cusips = {"cusip": ""} if ratio > 1 else {"old_cusip": "", "new_cusip": ""}
        rates = {"new_rate": ratio.numerator, "old_rate": ratio.denominator}
        payloads.append((kind, _action_head(action, kind) | cusips | rates | dates))
    if action.cash_usd:
        kind = "cash_dividends"
        terms = {"cusip": "", "rate": action.cash_usd, "special": False, "foreign": False}
        payloads.append((kind, _action_head(action, kind) | terms | dates))
    return payloads


def _action_head(action: CorporateAction, kind: str) -> Json:
    return {"id": seeded_uuid(kind, action.symbol, action.ex_date), "symbol": action.symbol}


def _ratio(numerator: Decimal, denominator: Decimal) -> Decimal:
    return (numerator / denominator).quantize(_SIX) if denominator else ZERO


def _text_or_none(value: Decimal | None) -> str | None:
    return None if value is None else text(value)
