"""What must hold after any sequence of orders, replacements, cancels, bookings, halts and clock moves."""

from __future__ import annotations

import json
import math
from collections import defaultdict
from collections.abc import Callable
from contextlib import suppress
from dataclasses import replace
from datetime import date
from decimal import Decimal as D
from itertools import pairwise
from typing import Any

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule
from tapes import MINUTE_NS, SmallTape, body, venue

from trading_assets.exchange import payloads
from trading_assets.exchange.account import VenueExecution
from trading_assets.exchange.amounts import SHARE_STEP, cents
from trading_assets.exchange.events import ClockMoved
from trading_assets.exchange.fill_modes import FillMode
from trading_assets.exchange.http.portfolio_history import HistoryRequest, portfolio_history
from trading_assets.exchange.payloads import activity_json
from trading_assets.exchange.recorder import Recorded
from trading_assets.exchange.refusals import ApiRefusal
from trading_assets.exchange.state import VenueState
from trading_assets.market.bars import CorporateAction

symbols = st.sampled_from(["AAA", "BBB"])
sides = st.sampled_from(["buy", "sell"])
quantities = st.one_of(
    st.integers(1, 400).map(str), st.decimals("0.001", "20", places=9, allow_nan=False).map(str)
)
limits = st.integers(4_000, 12_000).map(lambda price: str(cents(D(price) / 100)))
actions = (
    CorporateAction("AAA", date(2012, 10, 3), 2.0, 0.0),
    CorporateAction("BBB", date(2012, 10, 3), 1.0, 0.333),
    CorporateAction("BBB", date(2012, 10, 4), 1.5, 0.0),
)


DAY_NS = 1440 * MINUTE_NS
PARTICIPATION = D("0.02")  # of 1000 shares a minute
tifs = st.sampled_from(["day", "gtc"])


class Ledger(RuleBasedStateMachine):
    @initialize(
        step=st.sampled_from([-0.02, 0.0, 0.01]),
        cash=st.sampled_from([0, 3_000, 300_000]),
        fill_mode=st.sampled_from(list(FillMode)),
    )
    def open(self, step: float, cash: int, fill_mode: FillMode) -> None:
        opens = {"AAA": {3: 50.0, 4: 60.0, 5: 40.0}, "BBB": {4: 66.0, 5: 70.0}}
        tape = SmallTape(opens, step=step, actions=actions, last_day={"BBB": 4})
        self.exchange = venue(tape, cash=D(cash), fill_mode=fill_mode, participation=PARTICIPATION)
        self.reported: list[Recorded] = []
        self.exchange.subscribe(self.reported.extend)
        self.opened = D(cash)
        self.last_ns = self.exchange.now_ns

    def submit(self, raw: bytes) -> None:
        before = self.exchange.journal_bytes()
        with suppress(ApiRefusal):
            self.exchange.submit(raw)
            return
        assert self.exchange.journal_bytes() == before, "a refused order left a trace"

    @rule(symbol=symbols, side=sides, qty=quantities)
    def market(self, symbol: str, side: str, qty: str) -> None:
        self.submit(body(symbol, side, qty))

    @rule(symbol=symbols, side=sides, qty=quantities, limit=limits, tif=tifs, extended=st.booleans())
    def limit(self, symbol: str, side: str, qty: str, limit: str, tif: str, extended: bool) -> None:
        self.submit(body(symbol, side, qty, limit_price=limit, time_in_force=tif, extended_hours=extended))

    @rule(symbol=symbols, side=sides, qty=quantities, stop=limits, tif=tifs)
    def stop(self, symbol: str, side: str, qty: str, stop: str, tif: str) -> None:
        self.submit(body(symbol, side, qty, stop_price=stop, time_in_force=tif))

    @rule(symbol=symbols, side=sides, qty=quantities, stop=limits, limit=limits, tif=tifs)
    def stop_limit(self, symbol: str, side: str, qty: str, stop: str, limit: str, tif: str) -> None:
        self.submit(body(symbol, side, qty, stop_price=stop, limit_price=limit, time_in_force=tif))

    @rule(symbol=symbols, side=sides, notional=st.integers(1, 5_000))
    def notional(self, symbol: str, side: str, notional: int) -> None:
        self.submit(body(symbol, side, None, notional=str(notional)))

    @rule(symbol=symbols, percentage=st.one_of(st.none(), st.integers(1, 100).map(D)))
    def close_position(self, symbol: str, percentage: D | None) -> None:
        with suppress(ApiRefusal):
            self.exchange.close_position(symbol, percentage=percentage)

    @rule(
        pick=st.integers(0, 50),
        qty=st.one_of(st.none(), st.integers(1, 300)),
        price=st.one_of(st.none(), limits),
        tif=st.one_of(st.none(), tifs),
    )
    def replace(self, pick: int, qty: int | None, price: str | None, tif: str | None) -> None:
        if not (ids := list(self.exchange.state.account.open_ids)):
            return
        old, before = self.exchange.order(ids[pick % len(ids)]), self.exchange.journal_bytes()
        prices = {name: price for name in ("limit_price", "stop_price") if getattr(old, name) is not None}
        raw = json.dumps({"qty": qty, "time_in_force": tif} | prices).encode()
        try:
            new = self.exchange.replace(old.id, raw)
        except ApiRefusal:
            assert self.exchange.journal_bytes() == before, "a refused replacement left a trace"
        else:
            assert self.exchange.order(old.id).replaced_by == new.id

    @rule(pick=st.integers(0, 50))
    def cancel(self, pick: int) -> None:
        if ids := list(self.exchange.state.account.open_ids):
            self.exchange.cancel(ids[pick % len(ids)])

    @rule(minutes=st.sampled_from([0, 1, 7, 30, 200, 700, 1440]), seconds=st.integers(0, 59))
    def wait(self, minutes: int, seconds: int) -> None:
        self.exchange.move_clock(self.exchange.now_ns + minutes * MINUTE_NS + seconds * 1_000_000_000)

    @rule(amount=st.integers(-20_000, 20_000).filter(bool))
    def transfer(self, amount: int) -> None:
        with suppress(ApiRefusal):
            self.exchange.transfer(D(amount))

    @rule(kind=st.sampled_from(["FEE", "INT", "JNLC"]), cents=st.integers(-50_000, 50_000))
    def post(self, kind: str, cents: int) -> None:
        self.booked(lambda: self.exchange.post_activity(kind, D(cents) / 100))

    @rule(symbol=symbols, qty=st.integers(-50, 50).filter(bool))
    def move_shares(self, symbol: str, qty: int) -> None:
        self.booked(lambda: self.exchange.move_shares(symbol, D(qty)))

    @rule(pick=st.integers(0, 50), price=st.one_of(st.none(), limits.map(D)))
    def amend(self, pick: int, price: D | None) -> None:
        """Bust a fill, or correct its price."""
        if fills := [a.id for a in self.exchange.state.account.activities if a.type == "FILL"]:
            fill = fills[pick % len(fills)]
            bust, correct = self.exchange.bust, self.exchange.correct
            self.booked(lambda: bust(fill) if price is None else correct(fill, price))

    def booked(self, act: Callable[[], None]) -> None:
        before = self.exchange.journal_bytes()
        try:
            act()
        except ApiRefusal:
            assert self.exchange.journal_bytes() == before, "a refused booking left a trace"

    @rule(symbol=symbols, halted=st.booleans())
    def halt(self, symbol: str, halted: bool) -> None:
        (self.exchange.halt if halted else self.exchange.resume)(symbol)

    @rule(symbol=symbols, bid=st.sampled_from([None, 0, 45, 99]), width=st.sampled_from([0, 1, 30]))
    def quote(self, symbol: str, bid: int | None, width: int) -> None:
        sides = (None, None) if bid is None else (D(bid), D(bid + width))
        self.exchange.override_quote(symbol, bid=sides[0], ask=sides[1], spread_bps=None)

    @invariant()
    def cash_and_positions_are_the_equity(self) -> None:
        exchange, account = self.exchange, self.exchange.state.account
        stated = payloads.account_json(
            account, equity=exchange.equity(), new_york_date=exchange.sessions.new_york_date
        )
        values = sum(
            (holding.qty * exchange.mark(symbol) for symbol, holding in account.holdings.items()), D(0)
        )
        assert D(stated["cash"]) + values == D(stated["equity"])
        assert D(stated["cash"]) + D(stated["long_market_value"]) == D(stated["equity"])

    @invariant()
    def nothing_is_ever_negative(self) -> None:
        account = self.exchange.state.account
        assert account.cash >= account.reserved_cash >= 0
        for symbol in ("AAA", "BBB"):
            assert account.position_qty(symbol) - account.held_for_orders(symbol) >= 0
        for symbol, holding in account.holdings.items():
            assert holding.qty > 0, symbol
            assert holding.cost >= 0

    @invariant()
    def the_fills_are_the_filled_quantities(self) -> None:
        account = self.exchange.state.account
        fills = [a for a in account.activities if a.order is not None and a.execution is VenueExecution.FILL]
        for order in account.orders.values():
            mine = [a for a in fills if a.order is not None and a.order.id == order.id]
            assert sum((a.qty or D(0) for a in mine), D(0)) == order.filled_qty
            if order.qty is not None:
                assert order.filled_qty <= order.qty
                assert (order.status == "filled") == (order.filled_qty == order.qty)
            for fill in mine:
                if not math.isnan(order.match_limit):
                    assert (order.match_limit - float(fill.price or 0)) * order.side >= 0

    @invariant()
    def cash_and_shares_are_what_the_activities_say(self) -> None:
        """From the lines as they are shown, without the account's own sums."""
        account = self.exchange.state.account
        lines = {a.id: activity_json(a, account, day=date(2012, 10, 1)) for a in account.activities}
        cash, held = self.opened, defaultdict[str, D](D)
        for line in lines.values():
            kind = line.get("type", line["activity_type"])
            if kind in ("fill", "partial_fill", "trade_bust", "trade_correct"):
                sign = D(1 if line["side"] == "buy" else -1)
                qty, price = D(line["qty"]), D(line["price"])
                if kind == "trade_bust":
                    sign = -sign
                elif kind == "trade_correct":
                    cash += sign * qty * D(lines[line["previous_id"]]["price"])
                cash -= sign * qty * price
                held[line["symbol"]] += sign * qty if kind != "trade_correct" else D(0)
            else:
                cash += D(line["net_amount"])
                if kind in ("SPLIT", "JNLS"):
                    held[line["symbol"]] += D(line["qty"])
        assert cash == account.cash
        assert {symbol: qty for symbol, qty in held.items() if qty} == {
            symbol: holding.qty for symbol, holding in account.holdings.items()
        }

    @invariant()
    def a_replaced_order_and_its_replacement_name_each_other(self) -> None:
        orders = self.exchange.state.account.orders
        for order in orders.values():
            assert (order.status == "replaced") == (order.replaced_by is not None)
            if order.replaced_by is not None:
                assert orders[order.replaced_by].replaces == order.id
            if order.replaces is not None:
                assert orders[order.replaces].replaced_by == order.id

    @invariant()
    def participation_takes_no_more_than_its_share_of_a_minute(self) -> None:
        if self.exchange.state.fill_mode is not FillMode.PARTICIPATION:
            return
        taken = defaultdict[tuple[str | None, int], D](D)
        for a in self.exchange.state.account.activities:
            if a.order is not None and a.execution is VenueExecution.FILL and a.qty is not None:
                taken[a.symbol, a.at_ns // MINUTE_NS] += a.qty
        assert all(qty <= 1000 * PARTICIPATION for qty in taken.values())

    @invariant()
    def listeners_are_told_what_is_stored(self) -> None:
        """All of it, and a move of the clock also where the next one takes its place."""
        reported = [recorded.event for recorded in self.reported]
        stored = list(self.exchange._recorder.store.events())[2:]
        replaced = {
            at
            for at, pair in enumerate(pairwise(reported))
            if all(isinstance(one, ClockMoved) for one in pair)
        }
        assert [event for at, event in enumerate(reported) if at not in replaced] == stored

    @invariant()
    def time_and_stamps_never_run_ahead(self) -> None:
        account, now_ns = self.exchange.state.account, self.exchange.now_ns
        assert now_ns >= self.last_ns
        self.last_ns = now_ns
        stamps = [a.at_ns for a in account.activities]
        assert stamps == sorted(stamps)
        assert all(stamp <= now_ns for stamp in stamps)
        assert all(order.updated_ns <= now_ns for order in account.orders.values())
        wanted = HistoryRequest("1H", 0, now_ns + DAY_NS, "continuous", True, None)
        assert all(stamp * 10**9 < now_ns for stamp in self.history(wanted)["timestamp"])

    @invariant()
    def the_history_ends_at_a_close_with_that_closes_equity(self) -> None:
        wanted = HistoryRequest("1D", 0, self.exchange.now_ns, "market_hours", True, None)
        closings = self.exchange.state.account.closings
        assert self.history(wanted)["equity"] == [round(float(equity), 2) for _, equity in closings]

    def history(self, wanted: HistoryRequest) -> dict[str, Any]:
        exchange = self.exchange
        start_ns = exchange.state.account.opened_ns
        wanted = replace(wanted, start_ns=start_ns)
        return portfolio_history(wanted, exchange.state.account, exchange.view, exchange.now_ns)

    @invariant()
    def quantities_have_at_most_nine_decimals(self) -> None:
        for holding in self.exchange.state.account.holdings.values():
            assert holding.qty % SHARE_STEP == 0

    def teardown(self) -> None:
        """The stored events alone give the same state again."""
        if hasattr(self, "exchange"):
            state = VenueState()
            for event in self.exchange._recorder.store.events():
                state.apply(event)
            assert state == self.exchange.state
            self.exchange.close()


Ledger.TestCase.settings = settings(max_examples=40, stateful_step_count=25, deadline=None)
TestLedger = Ledger.TestCase
