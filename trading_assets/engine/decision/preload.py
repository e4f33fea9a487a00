"""What protecting and deciding need, made ready before it is needed: nothing is then read from the sources.

Modules are imported and compiled functions compiled, or read from their cache on disk, with the types that
they are called with. What they are given here means nothing; what they answer is not looked at. A service
that has done this goes on while somebody edits the sources, or the disk is full.
"""

from __future__ import annotations

from importlib import import_module
from math import nan

from trading_assets.config import Settings, limits
from trading_assets.core import backoff, breakers, gate, ledger, losses, prices, tolerance
from trading_assets.core.orders import Kind
from trading_assets.core.words import HaltState
from trading_assets.engine.decision.decide import decide
from trading_assets.engine.decision.inputs import DecisionInput, Phase, SignalInput, SymbolInput
from trading_assets.market.sessions import FIRST_DAY, Sessions

MODULES = ("apprise", "sqlalchemy.dialects.sqlite", "trading_assets.broker.connection")


def preload() -> None:
    """Everything that a protection and its alerts use."""
    for name in MODULES:
        import_module(name)
    Sessions().is_session(FIRST_DAY)  # the calendar
    compile_accounting()
    compile_decisions()


def compile_accounting() -> None:
    """The ledger, the breakers, the stops."""
    figures = losses.observe(losses.LossFigures(1.0), 1.0, 0.0, 0.0)
    losses.losses_of(figures, 0.0)
    breakers.e0_agrees(1.0, 1.0, 0.0)
    breakers.is_tripped(0.0, 1.0)
    breakers.stop_hit(1.0, 1.0, 0, 1.0, 0, 1.0, 0, limits(Settings()))
    breakers.stop_price(1.0, limits(Settings()))
    gate.exit_count(0, 0, 0, limits(Settings()).max_exit_orders_per_day)
    gate.symbol_exit_cap(float(limits(Settings()).max_exit_orders_per_day))
    backoff.is_due(backoff.spread_wait_ns(2, backoff.Share(1, 1, 1.0, 1.0)), 0, 0)
    ledger.apply_fill(0.0, 0.0, 1, 1.0, 1.0)
    prices.mark(1.0, 1.0, 1.0, 1.0)
    tolerance.at_most(1.0, 1.0)
    tolerance.at_least(1.0, 1.0)
    tolerance.is_positive(1.0)


def compile_decisions() -> None:
    """Sizing and the gate, by one decision."""
    held = SymbolInput(
        symbol="A",
        qty=10.0,
        reserved_qty=0.0,
        open_entry_usd=0.0,
        bid=99.0,
        ask=99.0,
        quote_ns=0,
        last_trade=99.0,
        previous_close=99.0,
        tradable=True,
        fractionable=True,
        halted=False,
        locked=False,
        in_flight=0,
        lowest_sell_limit=nan,
        highest_buy_limit=nan,
        orders_today=0,
    )
    decide(
        DecisionInput(
            book="",
            session="",
            tick_ns=0,
            execution_id="",
            phase=Phase.EXITS,
            now_ns=0,
            equity_usd=1e5,
            buying_power_usd=1e5,
            settled_cash_usd=1e5,
            account_ns=0,
            open_ns=0,
            close_ns=0,
            calendar_open=True,
            broker_open=True,
            halt_state=int(HaltState.ACTIVE),
            halt_causes=(),
            reconciling=False,
            orders_today=0,
            execution_orders=0,
            exit_orders_today=0,
            reject_streak=0,
            symbols=(held,),
            signals=(SignalInput("A", -1.0, 0, 99.0, nan, nan, Kind.EXTERNAL, "a"),),
            forced_exits=(),
            sent_ids=("b",),
            limits=limits(Settings()),
        )
    )
