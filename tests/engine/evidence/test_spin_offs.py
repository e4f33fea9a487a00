"""A spin-off on its ex-date: no stop fires for the value that left, and it counts for SYMBOL_MOVE."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from decimal import Decimal
from typing import Any

import pytest
from engine_ticks import buy
from support.planted import Altered
from support.trading_floor import TradingFloor

from trading_assets.broker.port import CorporateActionState, QuoteState, Rows, SpinOffState, Unreachable
from trading_assets.engine.book.desk import Desk
from trading_assets.engine.decision.inputs import Phase
from trading_assets.engine.evidence.owned_shares import owned_by_ex_dates
from trading_assets.engine.evidence.stop_costs import costs_of
from trading_assets.engine.operation import operator
from trading_assets.engine.protection.protect import new_execution_id, protect_alone
from trading_assets.engine.protection.snapshot import take_snapshot

BEFORE = Decimal("1.3")  # what AAPL cost and closed at, in today's price: the rest left with the new shares
LEFT = 1 - 1 / float(BEFORE)


def today_price(desk: Desk) -> float:
    quote = desk.broker.quotes(["AAPL"])["AAPL"]
    assert quote.bid is not None
    assert quote.ask is not None
    return float(quote.bid + quote.ask) / 2


def announced(floor: TradingFloor, desk: Desk, worth: float | None) -> None:
    """AAPL is ex today: half a share of SPUN for each, at `worth` USD; None: nobody quotes it."""
    real, today, now = desk.broker, floor.session, desk.now_ns()
    action = CorporateActionState("AAPL", today, 1.0, 0.0, (SpinOffState("SPUN", 0.5),))
    close = (Decimal(repr(today_price(desk))) * BEFORE).quantize(Decimal("0.01"))

    def quotes(symbols: Sequence[str]) -> dict[str, Any]:
        result = dict(real.quotes([symbol for symbol in symbols if symbol != "SPUN"]))
        if "AAPL" in result:
            result["AAPL"] = replace(result["AAPL"], previous_close=close)
        if "SPUN" in symbols:
            if worth is None:
                raise Unreachable("SPUN is quoted by nobody")
            side = Decimal(repr(worth)).quantize(Decimal("0.01"))
            result["SPUN"] = QuoteState("SPUN", side, side, now, side, now, None)
        return result

    desk.broker = Altered(
        real,
        quotes=quotes,
        corporate_actions=lambda symbols, first, last: Rows.of(
            [action] if "AAPL" in symbols and first <= today <= last else []
        ),
    )


@pytest.mark.parametrize("priced", [True, False])
def test_a_parent_that_fell_by_what_it_gave_away_is_not_stopped_and_has_not_moved(
    floor: TradingFloor, priced: bool
) -> None:
    floor.go_to_tick(0)
    with floor.desk() as desk:
        buy(floor, desk)
        floor.keeper.move_to(desk.now_ns() + 10**9)
        desk.clock.sync()
        price = Decimal(repr(today_price(desk)))
        operator.adjust(desk, symbol="AAPL", cost=price * BEFORE, reason="planted", author="tester")
        cost = float(price * BEFORE)
    floor.go_to_session(floor.sessions.next(floor.session))
    with floor.desk() as desk:
        real = desk.broker
        worth = today_price(desk) * (float(BEFORE) - 1) / 0.5
        announced(floor, desk, worth if priced else None)
        assert protect_alone(desk, new_execution_id()).stopped == ()
        titles = [alert.title for alert in desk.journal.pending_alerts()]
        assert ("AAPL: the value of the spin-off SPUN is not known" in titles) == (not priced)
        # the first look decides: what the new shares do later is their own
        desk.broker = real
        announced(floor, desk, worth * 5)
        positions = {position.symbol: position for position in desk.broker.positions()}
        quotes = desk.broker.quotes(["AAPL"])
        owned = owned_by_ex_dates(desk, ["AAPL"], positions=positions, quotes=quotes)
        costs = costs_of(owned.held, ["AAPL"])
        assert costs["AAPL"] == pytest.approx(cost * (1 - LEFT), rel=1e-3)
        seen = take_snapshot(desk, desk.today(), desk.now_ns(), new_execution_id(), Phase.EXITS)
        (view,) = [symbol for symbol in seen.symbols if symbol.symbol == "AAPL"]
        assert view.previous_close == pytest.approx(today_price(desk), rel=1e-3)
        # without the announcement it is through its stop
        desk.broker = real
        assert protect_alone(desk, new_execution_id()).stopped == ("AAPL",)
