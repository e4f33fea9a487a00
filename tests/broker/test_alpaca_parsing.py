"""Alpaca's rows as the port's types: what is tolerated, what is not, and times to the nanosecond."""

from __future__ import annotations

from datetime import date
from decimal import Decimal
from typing import Any

import pytest
from alpaca_payloads import ACCOUNT, DIVIDEND, FILL, ORDER, POSITION, SNAPSHOT

from trading_assets.broker.alpaca import announcements, parsing
from trading_assets.broker.alpaca.fields import Malformed
from trading_assets.broker.port import CorporateActionState, SpinOffState, unread_of
from trading_assets.core.words import Side

T0 = 1_341_322_500_000_000_000  # 2012-07-03T13:35:00Z


def without(row: dict[str, Any], name: str) -> dict[str, Any]:
    return {key: value for key, value in row.items() if key != name}


@pytest.mark.parametrize(
    ("text", "ns"),
    [
        ("2012-07-03T13:35:00Z", T0),
        ("2012-07-03T13:35:00.1Z", T0 + 100_000_000),
        ("2012-07-03T13:35:00.000000001Z", T0 + 1),
        ("2012-07-03T13:35:00.0000000019Z", T0 + 1),
        ("2012-07-03T09:35:00.123456789-04:00", T0 + 123_456_789),
        ("1969-12-31T23:59:59.5Z", -500_000_000),
    ],
)
def test_times_are_exact_to_the_nanosecond_in_any_zone(text: str, ns: int) -> None:
    assert parsing.order({**ORDER, "submitted_at": text}).submitted_ns == ns


@pytest.mark.parametrize(
    "text", ["", "2012-07-03", "2012-07-03T13:35:00", "2012-13-03T13:35:00Z", 1341322500]
)
def test_what_is_no_time_is_malformed(text: object) -> None:
    with pytest.raises(Malformed, match="`submitted_at` is no time"):
        parsing.order({**ORDER, "submitted_at": text})


def test_stamps_read_back_as_the_same_time() -> None:
    for ns in (0, 1, T0, T0 + 999_999_999, 4_102_444_800_000_000_123):
        assert parsing.order({**ORDER, "submitted_at": parsing.stamp(ns)}).submitted_ns == ns
    assert parsing.stamp(-1) == "1970-01-01T00:00:00.000000000Z"


def test_an_order_is_read_with_its_quantities_exact() -> None:
    order = parsing.order(ORDER)
    assert (order.qty, order.filled_qty, order.limit_price) == (Decimal(3), Decimal(1), Decimal("594.12"))
    assert (order.side, order.status_word, order.replaced_by) == (Side.BUY, "partially_filled", None)
    assert parsing.order({**ORDER, "side": "sell", "replaced_by": "o2"}).replaced_by == "o2"
    assert (order.replaces, parsing.order({**ORDER, "replaces": "o0"}).replaces) == (None, "o0")


def test_an_order_sent_by_notional_has_the_quantity_that_it_filled() -> None:
    order = parsing.order(
        {**ORDER, "qty": None, "notional": "500", "limit_price": None, "filled_qty": "0.84"}
    )
    assert (order.qty, order.limit_price) == (Decimal("0.84"), None)


def test_a_held_order_without_a_submission_time_has_that_of_its_creation() -> None:
    order = parsing.order({**ORDER, "submitted_at": None, "updated_at": None})
    assert order.submitted_ns == order.updated_ns == T0 + 123_400_000


@pytest.mark.parametrize("name", ["id", "client_order_id", "symbol", "side", "status", "created_at"])
def test_an_order_without_what_identifies_it_is_malformed(name: str) -> None:
    with pytest.raises(Malformed, match=f"`{name}`"):
        parsing.order(without({**ORDER, "submitted_at": None}, name))


@pytest.mark.parametrize("value", ["abc", "NaN", "Infinity", True, float("nan"), [], ""])
def test_a_quantity_that_is_no_finite_number_is_malformed(value: object) -> None:
    with pytest.raises(Malformed, match="`qty` is no number"):
        parsing.order({**ORDER, "qty": value})


def test_numbers_may_come_as_text_or_as_json_numbers() -> None:
    assert parsing.order({**ORDER, "qty": 0.3}).qty == Decimal("0.3")
    assert parsing.order({**ORDER, "qty": 3}).qty == Decimal(3)


@pytest.mark.parametrize("name", ["account_number", "equity", "last_equity", "cash", "buying_power"])
def test_an_account_without_a_needed_figure_is_malformed(name: str) -> None:
    with pytest.raises(Malformed, match=f"`{name}`"):
        parsing.account(without(ACCOUNT, name))


@pytest.mark.parametrize("name", ["trading_blocked", "account_blocked", "trade_suspended_by_user"])
def test_any_block_blocks_trading(name: str) -> None:
    assert not parsing.account(ACCOUNT).trading_blocked
    assert parsing.account({**ACCOUNT, name: True}).trading_blocked
    assert parsing.account({**ACCOUNT, name: "false"}).trading_blocked  # no word of the broker's that we know


def test_an_account_that_does_not_say_that_it_may_trade_is_blocked() -> None:
    assert parsing.account(without(ACCOUNT, "trading_blocked")).trading_blocked
    assert parsing.account(without(ACCOUNT, "status")).status_word == ""
    assert not parsing.account(without(ACCOUNT, "status")).is_active


@pytest.mark.parametrize("status", ["ACTIVE", "ACCOUNT_CLOSED", "active", "APPROVED", None, 1])
def test_one_status_alone_says_that_an_account_trades_and_any_is_kept_for_a_person(status: object) -> None:
    account = parsing.account({**ACCOUNT, "status": status})
    assert account.is_active == (status == "ACTIVE")
    assert account.status_word == (status if isinstance(status, str) else "")


def test_settled_cash_is_taken_where_it_is_stated() -> None:
    assert parsing.account({**ACCOUNT, "settled_cash": "20000"}).settled_cash == Decimal(20000)


def test_a_short_position_is_negative_and_its_availability_is_not() -> None:
    for qty in ("5", "-5"):
        short = parsing.position({**POSITION, "side": "short", "qty": qty, "qty_available": qty})
        assert (short.qty, short.available) == (Decimal(-5), Decimal(5))
    assert parsing.position(without(POSITION, "qty_available")).available == Decimal(5)
    with pytest.raises(Malformed, match="neither long nor short"):
        parsing.position({**POSITION, "side": "sideways"})


@pytest.mark.parametrize(("field", "attribute"), [("bp", "bid"), ("ap", "ask")])
@pytest.mark.parametrize("value", [0, 0.0, None, -1])
def test_a_side_of_zero_is_no_side(field: str, attribute: str, value: object) -> None:
    quote = parsing.quote("AAPL", {**SNAPSHOT, "latestQuote": {**SNAPSHOT["latestQuote"], field: value}})
    assert getattr(quote, attribute) is None


def test_parts_that_a_snapshot_lacks_are_none() -> None:
    quote = parsing.quote("AAPL", {"latestQuote": None, "latestTrade": {"t": "0001-01-01T00:00:00Z", "p": 0}})
    assert (quote.quote_ns, quote.trade_ns, quote.last_trade, quote.previous_close) == (
        None,
        None,
        None,
        None,
    )


def test_before_todays_first_trade_the_last_daily_bar_is_the_previous_close() -> None:
    thursday = {**SNAPSHOT["latestQuote"], "t": "2012-07-05T13:31:00Z"}
    assert parsing.quote("AAPL", {**SNAPSHOT, "latestQuote": thursday}).previous_close == Decimal("594.11")
    assert parsing.quote("AAPL", SNAPSHOT).previous_close == Decimal("592.52")


def test_a_fill_carries_its_order_and_cumulative_quantity() -> None:
    fill = parsing.activity({**FILL, "side": "sell_short"})
    assert (fill.side, fill.qty, fill.cum_qty, fill.order_id) == (
        Side.SELL,
        Decimal(1),
        Decimal(1),
        ORDER["id"],
    )
    assert fill.at_ns == T0 + 500_000_000
    for name in ("id", "order_id", "cum_qty", "price", "side"):
        with pytest.raises(Malformed, match=f"`{name}`"):
            parsing.activity(without(FILL, name))


def test_an_activity_is_stamped_when_it_was_made_or_else_at_its_date_in_new_york() -> None:
    assert parsing.activity(DIVIDEND).at_ns == 1_345_111_264_650_275_000
    assert parsing.activity(without(DIVIDEND, "created_at")).at_ns == 1_345_089_600_000_000_000
    with pytest.raises(Malformed, match="`date`"):
        parsing.activity(without(without(DIVIDEND, "created_at"), "date"))


def test_a_trade_in_a_word_that_nobody_knows_keeps_its_order() -> None:
    strange = parsing.activity({**FILL, "activity_type": "never seen"})
    assert (strange.type.name, strange.order_id) == ("never seen", FILL["order_id"])
    assert parsing.activity(DIVIDEND).order_id is None


def test_actions_of_one_ex_date_are_merged_and_a_reverse_split_shrinks() -> None:
    day = "2012-08-09"
    groups: dict[str, list[dict[str, Any]]] = {
        "reverse_splits": [{"symbol": "IBM", "ex_date": day, "new_rate": 1, "old_rate": 10}],
        "stock_dividends": [{"symbol": "AAPL", "ex_date": day, "rate": 0.05}],
        "cash_dividends": [
            {"symbol": "AAPL", "ex_date": day, "rate": 2.0, "special": True},
            {"symbol": "AAPL", "ex_date": day, "rate": 0.5, "currency": "USD"},
        ],
    }
    assert tuple(announcements.corporate_actions(groups)) == (
        CorporateActionState("AAPL", date(2012, 8, 9), 1.05, 2.5),
        CorporateActionState("IBM", date(2012, 8, 9), 0.1, 0.0),
    )


def test_a_capital_gain_is_cash_and_a_spin_off_and_rights_are_shares_of_another_for_each_old_share() -> None:
    day = date(2012, 8, 9)
    fund = {"symbol": "FUND", "ex_date": "2012-08-09"}
    parent = {"source_symbol": "OLD", "ex_date": "2012-08-09"}
    groups: dict[str, list[dict[str, Any]]] = {
        "capital_gains_distributions": [
            {**fund, "long_term_rate": 0.4, "short_term_rate": 0.1},
            {**fund, "long_term_rate": 0.5, "short_term_rate": None, "currency": "USD"},
        ],
        "spin_offs": [{**parent, "source_rate": 20, "new_symbol": "NEW", "new_rate": 1}],
        "rights_distributions": [{**parent, "new_symbol": "OLDR", "rate": 2}],
    }
    assert tuple(announcements.corporate_actions(groups)) == (
        CorporateActionState("FUND", day, 1.0, 1.0),
        CorporateActionState("OLD", day, 1.0, 0.0, (SpinOffState("NEW", 0.05), SpinOffState("OLDR", 2.0))),
    )


def test_a_kind_that_ends_or_moves_a_position_is_left_to_the_activities() -> None:
    actions = announcements.corporate_actions({"name_changes": [{"old_symbol": "FB", "new_symbol": "META"}]})
    assert (list(actions), actions.unreadable) == ([], ())


GOOD = {"symbol": "GOOD", "ex_date": "2012-08-09", "rate": 1}


@pytest.mark.parametrize(
    ("kind", "row", "symbol"),
    [
        ("cash_dividends", {"symbol": "X", "ex_date": "2012-08-09", "rate": 1, "currency": "EUR"}, "X"),
        ("cash_dividends", {"symbol": "X", "ex_date": "2012-08-09", "rate": -1}, "X"),
        ("forward_splits", {"symbol": "X", "ex_date": "2012-08-09", "new_rate": 2, "old_rate": 0}, "X"),
        ("forward_splits", {"symbol": "X", "ex_date": "soon", "new_rate": 2, "old_rate": 1}, "X"),
        ("stock_dividends", {"ex_date": "2012-08-09", "rate": 1}, ""),
        ("capital_gains_distributions", {"symbol": "X", "long_term_rate": 1}, "X"),
        ("spin_offs", {"source_symbol": "X", "ex_date": "2012-08-09", "new_rate": 1, "source_rate": 2}, "X"),
        ("rights_distributions", {"source_symbol": "X", "ex_date": "2012-08-09", "new_symbol": "Y"}, "X"),
        ("never_heard_of", {"symbol": "X"}, "X"),
        ("cash_dividends", 5, ""),
    ],
)
def test_an_announcement_that_cannot_be_used_is_named_and_leaves_the_others(
    kind: str, row: Any, symbol: str
) -> None:
    actions = announcements.corporate_actions({kind: [row], "stock_dividends": [row, GOOD]})
    assert CorporateActionState("GOOD", date(2012, 8, 9), 2.0, 0.0) in actions
    assert symbol in [one.symbol for one in actions.unreadable]
    assert kind in actions.unreadable[0].why


ORDERS_OF_OTHERS = {
    "a multi-leg order that works": (
        {
            "symbol": "",
            "side": "",
            "asset_class": "",
            "order_class": "mleg",
            "qty": "2",
            "limit_price": "0.6",
        },
        (False, Decimal(120)),
    ),
    "one that has ended": ({"symbol": "", "side": "", "status": "canceled"}, (False, Decimal(0))),
    "one that another replaced": ({"symbol": "", "side": "", "replaced_by": "o2"}, (False, Decimal(0))),
    "a share order without a side": (
        {"side": None, "qty": "3", "filled_qty": "1", "limit_price": "50"},
        (False, Decimal(100)),
    ),
    "one without a price": ({"side": "", "limit_price": None}, (True, Decimal(0))),
    "one without a quantity": ({"side": "", "qty": None}, (True, Decimal(0))),
    "one of ours": ({"side": "", "client_order_id": "ta-0001"}, (True, Decimal(0))),
    "one without a name": ({"client_order_id": None}, (True, Decimal(0))),
}


@pytest.mark.parametrize("what", ORDERS_OF_OTHERS)
def test_an_order_that_cannot_be_read_holds_entries_where_it_may_be_ours_or_a_risk_unknown(what: str) -> None:
    changed, expected = ORDERS_OF_OTHERS[what]
    row = {**ORDER, "client_order_id": "web-1", "status": "new", "filled_qty": "0", **changed}
    result = parsing.readable([row, ORDER], parsing.order, parsing.unread_order)
    assert [one.client_order_id for one in result] == [ORDER["client_order_id"]]
    (unread,) = unread_of(result)
    assert (unread.holds_entries, unread.exposure_usd) == expected


def test_a_position_needs_its_symbol_side_and_quantity_and_nothing_else() -> None:
    needed = {"symbol", "side", "qty"}
    for name in POSITION:
        result = parsing.readable([without(POSITION, name)], parsing.position, parsing.unread_position)
        assert (len(result), [row.holds_entries for row in unread_of(result)]) == (
            (0, [True]) if name in needed else (1, [])
        )
    (coin,) = parsing.readable([{**POSITION, "symbol": "BTCUSD", "asset_class": "crypto"}], parsing.position)
    assert (coin.asset_class, coin.market_value) == ("crypto", Decimal("2975.5"))
