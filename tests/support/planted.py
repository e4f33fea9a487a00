"""Answers and records planted to see a check turn red."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from decimal import Decimal
from math import nan
from typing import Any

from trading_assets.broker.port import AccountState, NewOrder, OrderState
from trading_assets.core.codes import CODE_COUNT
from trading_assets.core.orders import Kind, State, client_order_id, decision_id
from trading_assets.core.words import Side
from trading_assets.engine.book.desk import Desk
from trading_assets.engine.checks.table import CheckOutcome
from trading_assets.store.records import IntentRecord, OrderRecord, VerdictRecord


class Altered:
    """A broker or journal that answers some calls with what is planted and all others truly."""

    def __init__(self, real: Any, **answers: Callable[..., Any]) -> None:
        self._real = real
        self._answers = answers

    def __getattr__(self, name: str) -> Any:
        return self._answers.get(name) or getattr(self._real, name)


def red(outcomes: list[CheckOutcome]) -> set[str]:
    """The names of the checks that failed."""
    return {outcome.check.name for outcome in outcomes if not outcome.passed}


def outcome_of(outcomes: list[CheckOutcome], name: str) -> CheckOutcome:
    return next(outcome for outcome in outcomes if outcome.check.name == name)


def buy_behind_our_back(desk: Desk, symbol: str, qty: int, client_id: str) -> OrderState:
    """A person's marketable order at the broker, past gate and journal."""
    ask = desk.broker.quotes([symbol])[symbol].ask
    assert ask is not None
    limit = (ask * Decimal("1.01")).quantize(Decimal("0.01"))
    return desk.broker.submit(NewOrder(client_id, symbol, Side.BUY, Decimal(qty), limit))


def plant_order(
    desk: Desk,
    number: int,
    *,
    symbol: str = "AAPL",
    qty: str = "1",
    limit_price: str = "600",
    reducing: bool = False,
    kind: Kind = Kind.EXTERNAL,
    execution: str = "run",
    states: tuple[State, ...] = (State.SUBMITTING, State.ACCEPTED),
    at_ns: int | None = None,
    signal_ns: int | None = None,
    extended_hours: bool = False,
    decided_on: Mapping[str, Mapping[str, float]] | None = None,
) -> OrderRecord:
    """An order of ours in the journal, moved through `states`, that the broker has never seen.

    decided_on: what differs in the gate's stored input from a locked quote at the limit price, just now
    """
    now, session = desk.now_ns() if at_ns is None else at_ns, desk.session_text()
    price = float(limit_price)
    sound: dict[str, dict[str, float]] = {
        "quote": {"bid": price, "ask": price, "last_trade": price, "previous_close": price, "as_of_ns": now},
        "account": {"as_of_ns": now},
        "signal": {"as_of_ns": now, "reference_price": price},
    }
    gate_input = {word: {**fields, **(decided_on or {}).get(word, {})} for word, fields in sound.items()}
    decision = decision_id(desk.book, kind, symbol, f"planted:{number}")
    client_id = client_order_id(decision, Side.BUY, 0, 1)
    intent = IntentRecord(
        client_order_id=client_id,
        verdict_id=f"{client_id}:{execution}",
        book=desk.book,
        session=session,
        tick_ns=now,
        decision_id=decision,
        kind=kind,
        symbol=symbol,
        side=Side.SELL if reducing else Side.BUY,
        slice=0,
        attempt=1,
        qty=Decimal(qty),
        limit_price=Decimal(limit_price),
        reducing=reducing,
        extended_hours=extended_hours,
        signal_as_of_ns=now if signal_ns is None else signal_ns,
        created_ns=now,
    )
    verdict = VerdictRecord(
        verdict_id=intent.verdict_id,
        book=desk.book,
        session=session,
        tick_ns=now,
        execution_id=execution,
        client_order_id=client_id,
        decision_id=decision,
        kind=intent.kind,
        symbol=symbol,
        side=intent.side,
        slice=0,
        attempt=1,
        qty=intent.qty,
        limit_price=intent.limit_price,
        reducing=reducing,
        at_ns=now,
        failed=0,
        cause="",
        measured=(nan,) * CODE_COUNT,
        limits=(nan,) * CODE_COUNT,
        gate_input=gate_input,
    )
    desk.journal.record_intents([(verdict, intent)])
    record = desk.journal.order(client_id)
    for state in states:
        record = desk.journal.move(client_id, state, at_ns=now).after
    return record


def with_limits(desk: Desk, **limits: Any) -> None:
    desk.limits = desk.limits._replace(**limits)


def with_less(desk: Desk, usd: int, **others: Callable[..., object]) -> None:
    """From now on the broker's account has so much less cash and equity. others: what else it answers"""
    whole = desk.broker

    def less() -> AccountState:
        account = whole.account()
        return replace(account, equity=account.equity - usd, cash=account.cash - usd)

    desk.broker = Altered(whole, account=less, **others)


def with_account(desk: Desk, **fields: Any) -> None:
    """The broker's account with some figures planted."""
    account = replace(desk.broker.account(), **fields)
    desk.broker = Altered(desk.broker, account=lambda: account)
