from __future__ import annotations

from datetime import date
from decimal import Decimal as D
from pathlib import Path

import pytest
from tapes import MINUTE_NS, SmallTape, at, body, submit, venue

from trading_assets.errors import InvalidInput
from trading_assets.exchange.events import Event
from trading_assets.exchange.refusals import ApiRefusal
from trading_assets.exchange.store import EventStore, StateInUse
from trading_assets.market.bars import CorporateAction

# The small tape: opens at 100.00, each minute closes a cent higher. At 10:00 thirty minutes are over.


def test_the_quote_lies_around_the_last_minutes_close_and_is_stamped_now() -> None:
    exchange = venue(spread_bps=D(2))
    quote = exchange.quote("AAA")
    assert (quote.bid, quote.ask, quote.at_ns) == (D("100.28"), D("100.32"), at(2, "10:00"))
    exchange.move_clock(at(2, "10:00:59"))
    assert exchange.quote("AAA")[:2] == (D("100.28"), D("100.32"))
    exchange.move_clock(at(2, "10:01"))
    assert exchange.quote("AAA")[:2] == (D("100.29"), D("100.33"))


def test_within_the_first_minute_the_quote_is_around_the_open_and_before_it_around_the_previous_close() -> (
    None
):
    exchange = venue(start_ns=at(2, "08:00"), spread_bps=D(0))
    assert exchange.mark("AAA") == D("103.90")
    exchange.move_clock(at(2, "09:29:59"))
    assert exchange.mark("AAA") == D("103.90")
    exchange.move_clock(at(2, "09:30"))
    assert exchange.mark("AAA") == D("100.00")
    assert exchange.quote("AAA")[:2] == (D("99.99"), D("100.01"))
    exchange.move_clock(at(2, "09:31"))
    assert exchange.mark("AAA") == D("100.01")
    exchange.move_clock(at(2, "18:00"))
    assert exchange.mark("AAA") == D("103.90")


def test_a_session_without_bars_has_no_quote() -> None:
    exchange = venue(start_ns=at(5, "15:00"))
    exchange.move_clock(at(8, "10:00"))
    assert exchange.quote("AAA")[:2] == (D(0), D(0))
    assert exchange.mark("AAA") == D("103.90")


def test_a_marketable_order_is_answered_as_pending_and_read_as_filled_at_the_far_side() -> None:
    exchange = venue(spread_bps=D(2))
    answer = exchange.submit(body(qty="10", limit_price="100.40"))
    assert (answer.status, answer.filled_qty) == ("pending_new", D(0))
    order = exchange.order(answer.id)
    assert (order.status, order.filled_qty, order.filled_value) == ("filled", D(10), D("1003.20"))
    assert order.ended_ns == at(2, "10:00")
    account = exchange.state.account
    assert account.cash == D("98996.80")
    assert account.buying_power == account.cash
    sold = submit(exchange, side="sell", qty="10", limit_price="100.28")
    assert sold.filled_value == D("1002.80")
    assert account.cash == D("99999.60")
    assert account.holdings == {}


def test_a_resting_buy_reserves_its_limit_and_trades_at_the_limit_when_a_bar_touches_it() -> None:
    exchange = venue(SmallTape(step=-0.01))
    order = submit(exchange, qty="10", limit_price="99.50")
    assert order.status == "new"
    assert exchange.state.account.buying_power == D("99005")
    exchange.move_clock(at(2, "10:19"))
    assert exchange.order(order.id).status == "new"
    exchange.move_clock(at(2, "10:20"))
    filled = exchange.order(order.id)
    assert (filled.status, filled.filled_value, filled.ended_ns) == ("filled", D("995.0"), at(2, "10:20"))
    assert exchange.state.account.cash == D("99005")


def test_a_resting_order_gets_the_open_of_a_bar_that_gaps_over_its_limit() -> None:
    exchange = venue(SmallTape({"AAA": {3: 90.0}}))
    order = submit(exchange, qty="1", limit_price="95", time_in_force="gtc")
    exchange.move_clock(at(3, "09:30"))
    assert exchange.order(order.id).filled_value == D("90")


def test_an_order_sent_within_a_minute_does_not_trade_in_the_minute_that_had_begun() -> None:
    exchange = venue(SmallTape(step=-0.01), start_ns=at(2, "10:00:30"), spread_bps=D(10))
    order = submit(exchange, qty="1", limit_price="99.69")
    exchange.move_clock(at(2, "10:01"))
    assert exchange.order(order.id).status == "new", "that minute's low was 99.69 before or after the order"
    exchange.move_clock(at(2, "10:02"))
    assert exchange.order(order.id).status == "filled"


def test_the_clock_in_one_step_and_in_many_gives_the_same_fills() -> None:
    def played(*stops: str) -> list[tuple[str, int]]:
        exchange = venue(SmallTape(step=-0.01))
        for cents in range(10):
            submit(exchange, qty="1", limit_price=f"99.{60 - 3 * cents:02d}")
        for stop in stops:
            exchange.move_clock(at(2, stop))
        return [(a.id, a.at_ns) for a in exchange.state.account.activities]

    assert len(played("11:00")) == 10
    assert (
        played("11:00") == played(*(f"10:{m:02d}" for m in range(60)), "11:00") == played("10:17:09", "11:00")
    )


def test_a_day_order_expires_at_the_close_and_a_gtc_order_does_not() -> None:
    exchange = venue()
    day = submit(exchange, limit_price="50")
    gtc = submit(exchange, limit_price="50", time_in_force="gtc")
    exchange.move_clock(at(2, "15:59:59"))
    assert exchange.order(day.id).status == "new"
    exchange.move_clock(at(2, "16:00"))
    assert (exchange.order(day.id).status, exchange.order(day.id).ended_ns) == ("expired", at(2, "16:00"))
    assert exchange.state.account.buying_power == D("99500")
    exchange.move_clock(at(5, "16:00"))
    assert exchange.order(gtc.id).status == "new"
    exchange.move_clock(at(2, "16:00") + 92 * 1440 * MINUTE_NS)
    assert exchange.order(gtc.id).status == "expired"


def test_a_day_order_sent_after_the_close_is_accepted_and_works_at_the_next_open() -> None:
    exchange = venue(start_ns=at(2, "17:00"))
    answer = exchange.submit(body(qty="1"))
    low = submit(exchange, qty="1", limit_price="50")
    assert (answer.status, low.status) == ("accepted", "accepted")
    exchange.move_clock(at(3, "09:29:59"))
    assert exchange.order(answer.id).status == "accepted"
    exchange.move_clock(at(3, "09:30"))
    order = exchange.order(answer.id)
    assert (order.status, order.filled_value) == ("filled", D("100"))
    assert exchange.order(low.id).status == "new"
    exchange.move_clock(at(3, "16:00"))
    assert exchange.order(low.id).status == "expired"


def test_a_waiting_market_buy_that_opens_dearer_than_the_account_has_is_rejected() -> None:
    exchange = venue(SmallTape({"AAA": {3: 150.0}}), start_ns=at(2, "17:00"), cash=D("10000"))
    order = submit(exchange, qty="90")
    exchange.move_clock(at(3, "09:30"))
    assert exchange.order(order.id).status == "rejected"
    assert exchange.state.account.cash == D("10000")


def test_a_notional_order_trades_what_its_dollars_buy() -> None:
    exchange = venue(spread_bps=D(2))
    order = submit(exchange, qty=None, notional="1000")
    assert (order.status, order.filled_qty) == ("filled", D("9.968102073"))
    assert exchange.state.account.cash >= D("99000")
    sold = submit(exchange, side="sell", qty=None, notional="500")
    assert (sold.status, sold.filled_qty) == ("filled", D("4.986039090"))


def test_cancelling_frees_what_was_reserved_and_a_second_cancel_is_refused() -> None:
    exchange = venue()
    order = submit(exchange, limit_price="50")
    exchange.cancel(order.id)
    assert exchange.order(order.id).status == "canceled"
    assert exchange.state.account.buying_power == D("100000")
    with pytest.raises(ApiRefusal) as refusal:
        exchange.cancel(order.id)
    assert refusal.value.body == {"code": 42210000, "message": 'order is already in "canceled" state'}
    with pytest.raises(ApiRefusal, match="404/40410000"):
        exchange.cancel("00000000-0000-4000-8000-000000000000")


def test_cancel_all_cancels_every_open_order_once() -> None:
    exchange = venue()
    submit(exchange)
    ids = [submit(exchange, limit_price="50").id for _ in range(3)]
    assert [order.id for order in exchange.cancel_all()] == ids
    assert exchange.cancel_all() == []


def test_a_split_multiplies_the_shares_on_the_morning_of_the_ex_date_and_keeps_the_equity() -> None:
    split = CorporateAction("AAA", date(2012, 10, 3), 2.0, 0.0)
    exchange = venue(SmallTape({"AAA": {3: 51.95}}, actions=(split,)), spread_bps=D(0))
    submit(exchange, qty="10")
    resting = submit(exchange, qty="1", limit_price="20", time_in_force="gtc")
    exchange.move_clock(at(2, "23:59:59"))
    before = exchange.equity()
    assert exchange.state.account.position_qty("AAA") == 10
    exchange.move_clock(at(3, "00:00"))
    account = exchange.state.account
    assert account.position_qty("AAA") == 20
    assert account.holdings["AAA"].cost == D("1003.1")
    assert exchange.equity() == before
    assert exchange.order(resting.id).status == "canceled"
    assert [(a.type, a.qty, a.net_amount) for a in account.activities[1:]] == [("SPLIT", D(10), D(0))]
    exchange.move_clock(at(3, "10:00"))
    assert exchange.equity() > 0


def test_a_dividend_is_paid_to_who_held_the_evening_before_and_keeps_the_equity() -> None:
    dividend = CorporateAction("AAA", date(2012, 10, 3), 1.0, 0.265)
    exchange = venue(SmallTape(actions=(dividend,)))
    submit(exchange, qty="10")
    exchange.move_clock(at(2, "20:00"))
    before, cash = exchange.equity(), exchange.state.account.cash
    exchange.move_clock(at(3, "08:00"))
    assert exchange.state.account.cash == cash + D("2.65")
    assert exchange.equity() == before
    paid = exchange.state.account.activities[-1]
    assert (paid.type, paid.qty, paid.per_share, paid.net_amount) == ("DIV", D(10), D("0.265"), D("2.65"))
    submit(exchange, symbol="BBB")
    exchange.move_clock(at(3, "12:00"))
    assert [a.type for a in exchange.state.account.activities].count("DIV") == 1


def test_last_equity_is_the_equity_of_the_previous_close() -> None:
    exchange = venue()
    submit(exchange, qty="100")
    account = exchange.state.account
    exchange.move_clock(at(2, "16:00"))
    closing = exchange.equity()
    assert account.last_equity == D("100000")
    exchange.move_clock(at(3, "00:00"))
    assert account.last_equity == closing != exchange.state.account.cash
    exchange.move_clock(at(3, "12:00"))
    assert account.last_equity == closing


def test_a_halted_symbol_keeps_its_quote_and_trades_nothing_until_it_is_resumed() -> None:
    exchange = venue(SmallTape(step=-0.01))
    exchange.halt("AAA")
    exchange.halt("AAA")
    order = submit(exchange, qty="1", limit_price="101")
    other = submit(exchange, symbol="BBB", qty="1", limit_price="101")
    exchange.move_clock(at(2, "10:30"))
    assert (exchange.order(order.id).status, other.status) == ("new", "filled")
    assert exchange.quote("AAA").at_ns == at(2, "10:00")
    assert exchange.quote("BBB").at_ns == at(2, "10:30")
    exchange.resume("AAA")
    filled = exchange.order(order.id)
    assert (filled.status, filled.ended_ns) == ("filled", at(2, "10:30"))
    with pytest.raises(ApiRefusal, match="404"):
        exchange.halt("ZZZ")


def test_a_quote_by_hand_is_what_orders_trade_with_until_it_is_taken_back() -> None:
    exchange = venue(SmallTape(step=-0.01))
    order = submit(exchange, qty="1", limit_price="99")
    exchange.override_quote("AAA", bid=D("104"), ask=D("105"), spread_bps=None)
    exchange.move_clock(at(2, "12:00"))
    assert exchange.order(order.id).status == "new", "the tape is at 98.50, the quote by hand is not"
    assert exchange.mark("AAA") == D("104.5")
    exchange.override_quote("AAA", bid=D("98.01"), ask=D("98.75"), spread_bps=None)
    assert exchange.order(order.id).filled_value == D("98.75")
    exchange.override_quote("AAA", bid=None, ask=None, spread_bps=D(100))
    assert exchange.quote("AAA")[:2] == (D("98.00"), D("99.00"))
    exchange.override_quote("AAA", bid=None, ask=None, spread_bps=None)
    assert exchange.mark("AAA") == D("98.50")


def test_transfers_move_cash_and_cannot_take_what_is_reserved() -> None:
    exchange = venue()
    exchange.transfer(D("500"))
    submit(exchange, qty="100", limit_price="50")
    with pytest.raises(ApiRefusal, match="withdrawal exceeds buying power"):
        exchange.transfer(D("-95500.01"))
    exchange.transfer(D("-95500"))
    account = exchange.state.account
    assert (account.cash, account.buying_power) == (D("5000"), D(0))
    assert [(a.type, a.net_amount) for a in account.activities] == [("CSD", D(500)), ("CSW", D(-95500))]


def test_a_reset_opens_another_account_with_nothing_of_the_one_before() -> None:
    exchange = venue()
    old = submit(exchange, client_order_id="one")
    exchange.open_account(D("5000"))
    account = exchange.state.account
    assert (account.number, account.cash, account.holdings, account.activities) == ("PA0002", D(5000), {}, [])
    with pytest.raises(ApiRefusal, match="404"):
        exchange.order(old.id)
    again = submit(exchange, client_order_id="one")
    assert again.id != old.id


def test_the_clock_does_not_go_back() -> None:
    exchange = venue()
    with pytest.raises(InvalidInput, match="cannot go back"):
        exchange.move_clock(at(2, "09:59:59"))
    before = exchange.journal_bytes()
    exchange.move_clock(exchange.now_ns)
    assert exchange.journal_bytes() == before


def session_of_everything(directory: Path | None) -> bytes:
    actions = (
        CorporateAction("AAA", date(2012, 10, 4), 2.0, 0.0),
        CorporateAction("BBB", date(2012, 10, 4), 1.0, 0.5),
    )
    exchange = venue(SmallTape({"AAA": {4: 52.0}}, actions=actions), directory=directory)
    submit(exchange, qty="12.5")
    submit(exchange, symbol="BBB", qty=None, notional="777.77")
    submit(exchange, side="sell", qty="1", stop_price="100.40")
    submit(exchange, qty="1", limit_price="90")
    exchange.cancel(exchange.replace(submit(exchange, qty="1", limit_price="91").id, b'{"qty": 2}').id)
    exchange.configure(b'{"trade_confirm_email": "none"}')
    exchange.move_shares("BBB", D(3))
    exchange.post_activity("INT", D("1.23"), description="interest")
    fills = [activity.id for activity in exchange.state.account.activities if activity.type == "FILL"]
    exchange.correct(fills[0], D("100.30"))
    exchange.bust(fills[1])
    exchange.halt("BBB")
    exchange.override_quote("AAA", bid=D("100"), ask=D(0), spread_bps=None)
    exchange.move_clock(at(2, "17:00"))
    submit(exchange, symbol="BBB", qty="1", limit_price="90")
    exchange.move_clock(at(3, "11:00"))
    exchange.resume("BBB")
    exchange.override_quote("AAA", bid=None, ask=None, spread_bps=None)
    exchange.transfer(D("123.45"))
    exchange.splits.hold_back("AAA", held_back=True)
    exchange.move_clock(at(5, "11:00"))
    exchange.splits.book("AAA")
    exchange.open_account(D("1000"))
    journal = exchange.journal_bytes()
    exchange.close()
    return journal


def test_the_same_inputs_give_the_same_journal_byte_for_byte(tmp_path: Path) -> None:
    journal = session_of_everything(tmp_path / "one")
    assert journal == session_of_everything(tmp_path / "two") == session_of_everything(None)
    kinds = {line.split(b"\t")[1].decode() for line in journal.splitlines()}
    assert kinds == {kind.__name__ for kind in Event.__subclasses__()}, "an event is not covered"


def test_another_seed_gives_other_ids() -> None:
    assert submit(venue(seed=1)).id != submit(venue(seed=2)).id


def test_a_restarted_exchange_stands_where_it_stood(tmp_path: Path) -> None:
    journal = session_of_everything(tmp_path)
    reopened = venue(directory=tmp_path, start_ns=0, cash=D(1), seed=99)
    assert reopened.journal_bytes() == journal
    assert (reopened.now_ns, reopened.state.account.cash) == (at(5, "11:00"), D("1000"))
    assert reopened.state.seed == 7


def test_orders_and_holdings_survive_a_restart(tmp_path: Path) -> None:
    first = venue(directory=tmp_path)
    submit(first, qty="12.5", client_order_id="held")
    submit(first, limit_price="50", client_order_id="open")
    first.move_clock(at(2, "11:00"))
    account = first.state.account
    first.close()
    second = venue(directory=tmp_path)
    assert second.state.account == account
    with pytest.raises(ApiRefusal, match="must be unique"):
        second.submit(body(client_order_id="held"))
    second.cancel(second.order_by_client_id("open").id)


def test_a_state_directory_belongs_to_one_exchange_at_a_time(tmp_path: Path) -> None:
    first = venue(directory=tmp_path)
    with pytest.raises(StateInUse, match="stop the exchange that uses this state directory"):
        EventStore(tmp_path)
    submit(first)


def test_a_failed_write_leaves_the_exchange_as_it_was(monkeypatch: pytest.MonkeyPatch) -> None:
    exchange = venue()
    before = exchange.journal_bytes()

    def fail(events: object) -> None:
        raise OSError("disk full")

    with monkeypatch.context() as patch:
        patch.setattr(exchange._recorder.store, "append", fail)
        with pytest.raises(OSError, match="disk full"):
            exchange.submit(body())
    assert exchange.state.account.orders == {}
    assert exchange.state.account.cash == D("100000")
    assert exchange.journal_bytes() == before
    assert submit(exchange).status == "filled"
