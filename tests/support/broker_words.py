"""What a broker states, by its own words: a test says the word, and the adapter's tables what it means."""

from __future__ import annotations

from dataclasses import replace
from decimal import Decimal
from typing import Any

from trading_assets.broker.alpaca.activity_types import status_named, type_named
from trading_assets.broker.alpaca.order_words import state_of_status
from trading_assets.broker.port import AccountActivity, OrderState


def stated(*, status: str, filled_qty: Decimal, qty: Decimal, **fields: Any) -> OrderState:
    """The order that the broker states with the word `status`: a DAY limit order, unless told otherwise."""
    state, needs_attention = state_of_status(status, filled_qty, qty)
    of_the_desk = {"filled_avg_price": None, "replaced_by": None, "type": "limit", "time_in_force": "day"}
    return OrderState(
        status_word=status,
        state=state,
        needs_attention=needs_attention,
        filled_qty=filled_qty,
        qty=qty,
        **of_the_desk | fields,
    )


def restated(order: OrderState, *, status: str | None = None, **changes: Any) -> OrderState:
    """The order as the broker states it next: with another word, or more of it filled."""
    changed = replace(order, **changes)
    status = changed.status_word if status is None else status
    state, needs_attention = state_of_status(status, changed.filled_qty, changed.qty)
    return replace(changed, status_word=status, state=state, needs_attention=needs_attention)


def activity(
    name: str,
    word: str,
    at_ns: int,
    symbol: str | None = None,
    side: int | None = None,
    qty: Decimal | None = None,
    price: Decimal | None = None,
    *,
    cum_qty: Decimal | None = None,
    order_id: str | None = None,
    net_amount: Decimal | None = None,
    **fields: Any,
) -> AccountActivity:
    """The line of the account's history that has the type `word`."""
    return AccountActivity(
        name, type_named(word), at_ns, symbol, side, qty, price, cum_qty, order_id, net_amount, **fields
    )


def reworded(line: AccountActivity, *, word: str = "", status: str = "", **changes: Any) -> AccountActivity:
    """The line with another type, or with another status."""
    changed = replace(line, **changes)
    if word:
        changed = replace(changed, type=type_named(word))
    return replace(changed, status=status_named(status), status_word=status) if status else changed
