"""Inputs of a decision, by hand."""

from __future__ import annotations

from dataclasses import asdict, replace
from datetime import date
from math import nan
from typing import Any

from trading_assets import config
from trading_assets.config import Settings
from trading_assets.core.orders import Kind
from trading_assets.core.words import HaltState
from trading_assets.engine.decision.decide import Decision
from trading_assets.engine.decision.inputs import RULES, DecisionInput, Phase, SignalInput, SymbolInput
from trading_assets.store.records import VerdictRecord

SESSION = date(2012, 7, 5)


SECOND_NS = 1_000_000_000


OPEN_NS = 1_341_495_000 * SECOND_NS


NOW_NS = OPEN_NS + 3_600 * SECOND_NS


LIMITS = config.limits(Settings())


SYMBOLS = ("AAA", "BBB", "CCC", "DDD")


def view(symbol: str = "AAA", **changes: Any) -> SymbolInput:
    """A symbol that is not held, quoted 99.99 to 100.01."""
    nothing = SymbolInput(
        symbol=symbol,
        qty=0.0,
        reserved_qty=0.0,
        open_entry_usd=0.0,
        bid=99.99,
        ask=100.01,
        quote_ns=NOW_NS,
        last_trade=100.0,
        previous_close=100.0,
        tradable=True,
        fractionable=True,
        halted=False,
        locked=False,
        in_flight=0,
        lowest_sell_limit=nan,
        highest_buy_limit=nan,
        orders_today=0,
    )
    return replace(nothing, **changes)


def opinion(symbol: str = "AAA", value: float = 1.0, **changes: Any) -> SignalInput:
    """A fresh signal."""
    fresh = SignalInput(
        symbol=symbol,
        value=value,
        as_of_ns=NOW_NS,
        reference_price=100.0,
        limit_price=nan,
        volatility=nan,
        kind=Kind.EXTERNAL,
        decision_id=f"decision-{symbol}",
    )
    return replace(fresh, **changes)


def inputs(phase: Phase = Phase.ENTRIES, **changes: Any) -> DecisionInput:
    """An account of $100 000 in cash in the middle of a session, nothing held."""
    calm = DecisionInput(
        book="test:1:paper",
        session=SESSION.isoformat(),
        tick_ns=NOW_NS,
        execution_id="execution",
        phase=phase,
        now_ns=NOW_NS,
        equity_usd=100_000.0,
        buying_power_usd=100_000.0,
        settled_cash_usd=100_000.0,
        account_ns=NOW_NS,
        open_ns=OPEN_NS,
        close_ns=OPEN_NS + 23_400 * SECOND_NS,
        calendar_open=True,
        broker_open=True,
        halt_state=int(HaltState.ACTIVE),
        halt_causes=(),
        reconciling=False,
        orders_today=0,
        execution_orders=0,
        exit_orders_today=0,
        reject_streak=0,
        symbols=tuple(view(symbol) for symbol in SYMBOLS),
        signals=(),
        forced_exits=(),
        sent_ids=(),
        limits=LIMITS,
        rules=RULES,
    )
    return replace(calm, **changes)


def notional(verdict: VerdictRecord) -> float:
    return float(verdict.qty * verdict.limit_price)


def fields_of(decision: Decision) -> str:
    """Every field of every verdict to the last bit; NaN equals itself as text."""
    return repr(([asdict(verdict) for verdict in decision.verdicts], decision.outcomes))
