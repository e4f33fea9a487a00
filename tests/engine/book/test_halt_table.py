"""The table of triggers: for each its effect, who is told, that it outlives the process, and what ends it."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from datetime import date
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from support.planted import Altered
from support.trading_floor import TradingFloor
from wire import look, new_account, send, signal

from trading_assets.broker.port import NewOrder, Unreachable
from trading_assets.core.gate import reason
from trading_assets.core.orders import PREFIX
from trading_assets.core.words import HaltState, Side
from trading_assets.engine.book.desk import Desk
from trading_assets.engine.book.halts import Cause
from trading_assets.engine.book.locks import lock
from trading_assets.engine.book.place import journal_file
from trading_assets.engine.decision.decide import decide
from trading_assets.engine.decision.inputs import Phase
from trading_assets.engine.operation import operator
from trading_assets.engine.protection.protect import new_execution_id, protect_alone
from trading_assets.engine.reconciliation.equity import CLOSE_EQUITY_MARK
from trading_assets.engine.reconciliation.reconcile import BREAK_LOCK, reconcile
from trading_assets.store.records import OrderRecord

SESSION = date(2012, 9, 11)
pytestmark = pytest.mark.floor(SESSION, shared=True, tick=1)
SECOND_NS = 10**9
STATE_IN_A_NEW_PROCESS = """
import sys
from trading_assets.engine.book.halts import in_force
from trading_assets.store.journal import Journal
with Journal.open(sys.argv[1]) as journal:
    found = in_force(journal, sys.argv[2])
    print(found.state.name, *found.causes)
"""


@pytest.fixture
def desk(floor: TradingFloor, tmp_path: Path) -> Iterator[Desk]:
    """With a filled position in AAPL, and in IBM an entry that rests."""
    with new_account(floor, tmp_path) as desk:
        floor.control("/clock", step_ns=SECOND_NS)
        entries = [signal(desk), signal(desk, "IBM", resting=True)]
        filled, resting = send(desk, decide(look(desk, *entries)))
        reconcile(desk)
        assert desk.journal.order(filled.intent.client_order_id).state == "FILLED"
        assert resting.state == "ACCEPTED"
        yield desk
    floor.control("/quote", symbol="AAPL")


def protect(desk: Desk) -> tuple[Cause, ...]:
    """Protect as the sensor runs it; what forbids entries only as long as it lasts."""
    return protect_alone(desk, new_execution_id()).transient


def lose(floor: TradingFloor, desk: Desk, share: float) -> None:
    """Quote the position so that equity falls by this share; the position is 5 % of it."""
    account, (position,) = desk.broker.account(), desk.broker.positions()
    bid = float(account.equity) * share / float(position.qty)
    quote = desk.broker.quotes(["AAPL"])["AAPL"]
    assert quote.bid is not None
    price = quote.bid - Decimal(f"{bid:.2f}")
    floor.control("/quote", symbol="AAPL", bid=str(price), ask=str(price + Decimal("0.01")))


# --- the triggers


def by_environment(floor: TradingFloor, desk: Desk) -> None:
    desk.environ = {"KILL_SWITCH": "on"}


def by_file(floor: TradingFloor, desk: Desk) -> None:
    desk.kill_file.touch()


def by_command(floor: TradingFloor, desk: Desk) -> None:
    operator.kill(desk, reason="test", author="tester")


def a_foreign_order(floor: TradingFloor, desk: Desk) -> None:
    desk.broker.submit(NewOrder(f"{PREFIX}stray", "MSFT", Side.BUY, Decimal(1), Decimal(1)))


def losing(**limits: Any) -> Callable[[TradingFloor, Desk], None]:
    """A loss of 0.5 % of the equity, beyond these limits and no others."""

    def trigger(floor: TradingFloor, desk: Desk) -> None:
        wide = {"session_drawdown": 0.9, "max_daily_loss": 0.9, "max_drawdown": 0.9, "stop_loss": 0.9}
        desk.limits = desk.limits._replace(**wide | limits)
        protect(desk)
        lose(floor, desk, 0.005)

    return trigger


def cash_apart(floor: TradingFloor, desk: Desk) -> None:
    real = desk.broker
    desk.broker = Altered(real, account=lambda: replace(real.account(), cash=real.account().cash - 2))
    reconcile(desk)
    floor.control("/clock", step_ns=SECOND_NS)


def no_clock(floor: TradingFloor, desk: Desk) -> None:
    def unreadable() -> Any:
        raise Unreachable("the clock does not answer")

    desk.broker = Altered(desk.broker, clock=unreadable)


def another_calendar(floor: TradingFloor, desk: Desk) -> None:
    real = desk.broker
    early = 3600 * SECOND_NS
    desk.broker = Altered(
        real, clock=lambda: replace(real.clock(), next_close_ns=real.clock().next_close_ns - early)
    )


def skewed(floor: TradingFloor, desk: Desk) -> None:
    desk.clock.stands = False  # a clock of the world: years apart from the machine's


def another_close(floor: TradingFloor, desk: Desk) -> None:
    previous = desk.sessions.previous(desk.today()).isoformat()
    desk.journal.set_mark(desk.book, f"{CLOSE_EQUITY_MARK}:{previous}", "99000", desk.now_ns())


@dataclass(frozen=True)
class Trigger:
    cause: Cause
    pull: Callable[[TradingFloor, Desk], None]
    state: HaltState = HaltState.REDUCE_ONLY
    latched: bool = True
    cancels: bool = False  # the entry that rests
    alerts: bool = True
    title: str = ""  # of its alert, where another than the cause's


TRIGGERS = {
    "kill by environment": Trigger(Cause.KILL, by_environment, HaltState.HALTED, cancels=True),
    "kill by file": Trigger(Cause.KILL, by_file, HaltState.HALTED, cancels=True),
    "kill by command": Trigger(Cause.KILL, by_command, HaltState.HALTED, cancels=True),
    "foreign order": Trigger(Cause.FOREIGN_ORDER, a_foreign_order, HaltState.HALTED, cancels=True),
    "session drawdown": Trigger(Cause.SESSION_DRAWDOWN, losing(session_drawdown=0.005)),
    "daily loss": Trigger(Cause.DAILY_LOSS, losing(max_daily_loss=0.005), cancels=True),
    "maximum drawdown": Trigger(Cause.MAX_DRAWDOWN, losing(max_drawdown=0.005)),
    "break": Trigger(Cause.BREAK, cash_apart),
    "broker unreachable": Trigger(
        Cause.BROKER_UNREACHABLE, no_clock, latched=False, title="The broker's clock cannot be read"
    ),
    "calendars disagree": Trigger(Cause.CALENDARS_DISAGREE, another_calendar, latched=False, alerts=False),
    "clock skew": Trigger(Cause.CLOCK_SKEW, skewed, latched=False, alerts=False),
    "equity mismatch": Trigger(Cause.EQUITY_MISMATCH, another_close, latched=False),
}


def refused(desk: Desk, *transient: Cause) -> str:
    """What the gate says to a new entry."""
    given = replace(look(desk, signal(desk, "GOOG", key="new")), now_ns=desk.now_ns())
    view = desk.halts().with_transient(transient)
    given = replace(given, halt_state=int(view.state), halt_causes=tuple(map(str, view.causes)))
    (verdict,) = decide(given).verdicts
    return reason(verdict.failed, verdict.cause)


def exit_passes(desk: Desk) -> bool:
    (verdict,) = decide(look(desk, signal(desk, "AAPL", -1.0, key="out"), phase=Phase.EXITS)).verdicts
    return not verdict.failed


def resting(desk: Desk) -> OrderRecord:
    (order,) = (o for o in desk.journal.orders(desk.book) if o.intent.symbol == "IBM")
    return order


def in_a_new_process(desk: Desk) -> list[str]:
    arguments = [sys.executable, "-c", STATE_IN_A_NEW_PROCESS, str(journal_file(desk.settings)), desk.book]
    return subprocess.run(arguments, capture_output=True, text=True, check=True).stdout.split()


@pytest.mark.parametrize("name", TRIGGERS)
def test_a_trigger_has_its_effect_outlives_the_process_and_ends_as_the_table_says(
    floor: TradingFloor, desk: Desk, name: str
) -> None:
    trigger = TRIGGERS[name]
    real = desk.broker
    trigger.pull(floor, desk)
    transient = protect(desk)
    halted = trigger.state is HaltState.HALTED
    # its effect
    assert transient == (() if trigger.latched else (trigger.cause,))
    assert desk.halts().causes == ((trigger.cause,) if trigger.latched else ())
    shown = "KILL_SWITCH_ACTIVE" if halted else "REDUCE_ONLY"
    assert refused(desk, *transient) == f"{shown} cause={trigger.cause}"
    assert exit_passes(desk) is not halted
    assert resting(desk).state == ("CANCELED" if trigger.cancels else "ACCEPTED")
    assert [order.symbol for order in real.open_orders()] == ([] if trigger.cancels else ["IBM"])
    titles = {alert.title for alert in desk.journal.pending_alerts()}
    title = trigger.title or f"{trigger.state.name if trigger.latched else 'No entries'}: {trigger.cause}"
    assert (title in titles) is trigger.alerts
    # a new process
    state = [trigger.state.name, trigger.cause] if trigger.latched else ["ACTIVE"]
    assert in_a_new_process(desk) == state
    # the cause gone: what is latched stays, and a person ends it
    desk.broker, desk.environ, desk.clock.stands = real, {}, True
    desk.kill_file.unlink(missing_ok=True)
    floor.control("/quote", symbol="AAPL")
    desk.journal.set_mark(desk.book, f"{CLOSE_EQUITY_MARK}:{desk.sessions.previous(SESSION)}", "100000", 0)
    assert protect(desk) == ()
    assert desk.halts().causes == ((trigger.cause,) if trigger.latched else ())
    cleared = operator.rearm(desk, reason="test over", author="tester")
    assert cleared == ((trigger.cause,) if trigger.latched else ())
    assert protect(desk) == ()
    assert desk.halts().state is HaltState.ACTIVE
    assert refused(desk) == "PASS"
    acts = [(act.action, act.cause, act.author) for act in desk.journal.halts(desk.book)]
    author = "tester" if trigger.pull is by_command else "system"
    latch_and_clear = [("latch", trigger.cause, author), ("clear", trigger.cause, "tester")]
    assert acts == (latch_and_clear if trigger.latched else [])


def test_a_locked_symbol_refuses_entries_and_lets_exits_go_and_others_trade(desk: Desk) -> None:
    lock(desk, "GOOG", BREAK_LOCK, "planted")
    lock(desk, "AAPL", BREAK_LOCK, "planted")
    assert refused(desk) == "RECONCILIATION_LOCK"
    assert exit_passes(desk)
    assert in_a_new_process(desk) == ["ACTIVE"]
    operator.rearm(desk, reason="seen", author="tester")
    assert refused(desk) == "PASS"


@pytest.mark.parametrize("value", ["1", "true", "on", "yes", "kill"])
def test_the_kill_variable_of_any_process_kills(desk: Desk, value: str) -> None:
    desk.environ = {"KILL_SWITCH": value}
    protect(desk)
    assert desk.halts().causes == (Cause.KILL,)
