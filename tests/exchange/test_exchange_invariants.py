"""What must hold after any sequence of orders, cancels, transfers, halts and clock moves."""

from __future__ import annotations

from contextlib import suppress
from datetime import date
from decimal import Decimal as D

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule
from tapes import MINUTE_NS, SmallTape, body, venue

from trading_assets.core.words import Side
from trading_assets.exchange import payloads
from trading_assets.exchange.amounts import SHARE_STEP, cents
from trading_assets.exchange.refusals import Refusal
from trading_assets.exchange.state import State
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


class Ledger(RuleBasedStateMachine):
    @initialize(step=st.sampled_from([-0.02, 0.0, 0.01]), cash=st.sampled_from([0, 1_000, 30_000]))
    def open(self, step: float, cash: int) -> None:
        opens = {"AAA": {3: 50.0, 4: 60.0, 5: 40.0}, "BBB": {4: 66.0, 5: 70.0}}
        self.exchange = venue(SmallTape(opens, step=step, actions=actions), cash=D(cash))
        self.deposits = D(cash)
        self.last_ns = self.exchange.now_ns

    def submit(self, raw: bytes) -> None:
        before = self.exchange.journal_bytes()
        with suppress(Refusal):
            self.exchange.submit(raw)
            return
        assert self.exchange.journal_bytes() == before, "a refused order left a trace"

    @rule(symbol=symbols, side=sides, qty=quantities)
    def market(self, symbol: str, side: str, qty: str) -> None:
        self.submit(body(symbol, side, qty))

    @rule(symbol=symbols, side=sides, qty=quantities, limit=limits, tif=st.sampled_from(["day", "gtc"]))
    def limit(self, symbol: str, side: str, qty: str, limit: str, tif: str) -> None:
        self.submit(body(symbol, side, qty, limit_price=limit, time_in_force=tif))

    @rule(symbol=symbols, side=sides, notional=st.integers(1, 5_000))
    def notional(self, symbol: str, side: str, notional: int) -> None:
        self.submit(body(symbol, side, None, notional=str(notional)))

    @rule(pick=st.integers(0, 50))
    def cancel(self, pick: int) -> None:
        if ids := list(self.exchange.state.account.open_ids):
            self.exchange.cancel(ids[pick % len(ids)])

    @rule(minutes=st.sampled_from([0, 1, 7, 30, 200, 700, 1440]), seconds=st.integers(0, 59))
    def wait(self, minutes: int, seconds: int) -> None:
        self.exchange.move_clock(self.exchange.now_ns + minutes * MINUTE_NS + seconds * 1_000_000_000)

    @rule(amount=st.integers(-20_000, 20_000).filter(bool))
    def transfer(self, amount: int) -> None:
        with suppress(Refusal):
            self.exchange.transfer(D(amount))
            self.deposits += amount

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
    def the_fills_are_the_filled_quantities_and_the_positions(self) -> None:
        account = self.exchange.state.account
        fills = [a for a in account.activities if a.type == "FILL"]
        for order in account.orders.values():
            mine = [a for a in fills if a.order is not None and a.order.id == order.id]
            assert sum((a.qty or D(0) for a in mine), D(0)) == order.filled_qty
            if order.status == "filled" and order.qty is not None:
                assert order.filled_qty == order.qty
            if order.limit_price is not None and mine:
                assert (order.limit_price - mine[0].price) * order.side >= 0
        for symbol in ("AAA", "BBB"):
            changes = [
                (a.qty or D(0)) * (a.order.side if a.order is not None else Side.BUY)
                for a in account.activities
                if a.symbol == symbol and a.type in ("FILL", "SPLIT")
            ]
            assert sum(changes, D(0)) == account.position_qty(symbol)

    @invariant()
    def cash_is_deposits_fills_and_dividends(self) -> None:
        account = self.exchange.state.account
        traded = sum(
            (a.order.side * a.qty * a.price for a in account.activities if a.order and a.qty and a.price),
            D(0),
        )
        paid = sum((a.net_amount for a in account.activities if a.type == "DIV"), D(0))
        assert account.cash == self.deposits - traded + paid

    @invariant()
    def time_and_stamps_never_run_ahead(self) -> None:
        account, now_ns = self.exchange.state.account, self.exchange.now_ns
        assert now_ns >= self.last_ns
        self.last_ns = now_ns
        stamps = [a.at_ns for a in account.activities]
        assert stamps == sorted(stamps)
        assert all(stamp <= now_ns for stamp in stamps)
        assert all(order.updated_ns <= now_ns for order in account.orders.values())

    @invariant()
    def quantities_have_at_most_nine_decimals(self) -> None:
        for holding in self.exchange.state.account.holdings.values():
            assert holding.qty % SHARE_STEP == 0

    def teardown(self) -> None:
        """The stored events alone give the same state again."""
        if hasattr(self, "exchange"):
            state = State()
            for event in self.exchange._store.events():
                state.apply(event)
            assert state == self.exchange.state
            self.exchange.close()


Ledger.TestCase.settings = settings(max_examples=40, stateful_step_count=25, deadline=None)
TestLedger = Ledger.TestCase
