"""What the runs of the desk need beyond the definitions, made ready once before the forks (`defs.launcher`).

Modules are imported and compiled functions compiled, or read from their cache on disk, with the types that
a tick calls them with. What they are given here means nothing; what they answer is not looked at.
"""

from __future__ import annotations

from importlib import import_module
from math import nan

import duckdb
import numpy as np

from trading_assets.config import Settings, limits
from trading_assets.defs import fallback

MODULES = (
    "pyarrow.dataset",
    "sqlalchemy.dialects.sqlite",
    "trading_assets.broker.alpaca",
    "trading_assets.engine.chain",
    "trading_assets.model.signal",
)


def warm() -> None:
    """Import and compile what a tick uses. Leaves no thread, no connection and no file open."""
    for name in MODULES:
        import_module(name)
    duckdb.close()  # the connection to memory, with a thread, that its import opens
    _compile_features()
    _compile_accounting()
    _compile_decisions()
    fallback.try_all()


def _compile_features() -> None:
    from trading_assets.features.daily import DAILY
    from trading_assets.market.bars import Bars

    count = DAILY.lookback
    starts, ones = np.arange(count, dtype=np.int64), np.ones(count)
    DAILY.compute_last(Bars(starts, starts, ones, ones, ones, ones, ones), ones, np.zeros(count))


def _compile_accounting() -> None:
    from trading_assets.core import breakers, ledger, losses, prices, tolerance

    figures = losses.observe(losses.LossFigures(1.0), 1.0, 0.0, 0.0)
    losses.losses_of(figures, 0.0)
    breakers.e0_agrees(1.0, 1.0, 0.0)
    breakers.is_tripped(0.0, 1.0)
    breakers.stop_hit(1.0, 1.0, 0, 1.0, 0, 1.0, 0, limits(Settings()))
    ledger.apply_fill(0.0, 0.0, 1, 1.0, 1.0)
    prices.mark(1.0, 1.0, 1.0, 1.0)
    tolerance.at_most(1.0, 1.0)
    tolerance.at_least(1.0, 1.0)


def _compile_decisions() -> None:
    from trading_assets.core.orders import Kind
    from trading_assets.core.words import HaltState
    from trading_assets.engine.decide import decide
    from trading_assets.engine.inputs import DecisionInput, Phase, SignalInput, SymbolInput

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
