"""Every read of the broker fails, whole and in one row, alone and in pairs: what can get out does."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from decimal import Decimal
from itertools import combinations, product
from math import nan
from pathlib import Path
from typing import Any, NamedTuple

import pytest
from counter import NS, SESSION, TICK_NS, Counter, desk_at
from support.broker_words import stated
from support.planted import Altered, plant_order

from trading_assets.broker.port import (
    BrokerError,
    NotFound,
    OrderState,
    PositionState,
    Quotes,
    Rows,
    Unreachable,
    Unreadable,
)
from trading_assets.core.orders import Kind, State, decision_id
from trading_assets.core.words import Side
from trading_assets.engine.book.desk import Desk
from trading_assets.engine.book.halts import Cause
from trading_assets.engine.book.locks import lock
from trading_assets.engine.decision.decide import decide
from trading_assets.engine.decision.inputs import Phase, SignalInput
from trading_assets.engine.evidence.reads import NEEDS, Act, Read, needed
from trading_assets.engine.operation import operator
from trading_assets.engine.protection.exits_over import STOP_LOCK
from trading_assets.engine.protection.protect import new_execution_id
from trading_assets.engine.protection.snapshot import take_snapshot
from trading_assets.engine.reconciliation.reconcile import adopt, reconcile
from trading_assets.engine.signals import tick_signals
from trading_assets.engine.ticks import tick

STOPPED, AT_ITS_STOP, SOLD, KEPT, BOUGHT, RESTING = "AAPL", "IBM", "MSFT", "GE", "KO", "PEP"
HELD = {STOPPED: (10, 110), AT_ITS_STOP: (20, 110), SOLD: (30, 100), KEPT: (40, 100)}
SYMBOLS = (*HELD, BOUGHT, RESTING)
LEG = Unreadable("", "no `symbol` in {'order_class': 'mleg'}", "leg-1")


class Fault(NamedTuple):
    """What a broker answers where it fails, of one read. row: only of these symbols (empty: of none of ours).

    holds: what is held back for these symbols all the same; every: entries of all symbols wait
    """

    read: Read
    answers: Callable[[Counter], dict[str, Callable[..., Any]]]
    whole: bool = False
    symbols: frozenset[str] = frozenset()
    every: bool = False


def whole(read: Read) -> Fault:
    def down(*_: object, **__: object) -> Any:
        raise Unreachable(f"{read}: HTTP 503")

    return Fault(read, lambda _: {str(read): down}, whole=True)


def in_a_row(read: Read, *rows: Unreadable, lose: str = "", every: bool = False) -> Fault:
    """The read's list with rows that cannot be read, without what it says of the symbol `lose`."""

    def answers(counter: Counter) -> dict[str, Callable[..., Any]]:
        def listed(*about: Any) -> Any:
            good = getattr(counter, read)(*about)
            if isinstance(good, Quotes):
                return Quotes({k: v for k, v in good.items() if k != lose}, rows)
            return Rows.of([one for one in good if one.symbol != lose or not lose], rows)

        return {str(read): listed}

    return Fault(read, answers, symbols=frozenset({lose} - {""}), every=every)


def other_classes(counter: Counter) -> dict[str, Callable[..., Any]]:
    coin = PositionState(
        "BTCUSD",
        Decimal("0.5"),
        Decimal(10_000),
        Decimal("0.5"),
        asset_class="crypto",
        market_value=Decimal(6_000),
    )
    return {"positions": lambda: Rows([*counter.positions(), coin])}


def a_flag_is_missing(counter: Counter) -> dict[str, Callable[..., Any]]:
    return {"account": lambda: replace(counter.account(), trading_blocked=True)}


def an_asset_is_gone(counter: Counter) -> dict[str, Callable[..., Any]]:
    def asset(symbol: str) -> Any:
        if symbol in (STOPPED, BOUGHT):
            raise NotFound(404, 40410000, f"asset not found for {symbol}")
        return counter.asset(symbol)

    return {"asset": asset}


FAULTS: dict[str, Fault] = {
    **{f"{read}": whole(read) for read in Read},
    "account, a flag": Fault(Read.ACCOUNT, a_flag_is_missing, every=True),
    "positions, one of ours": in_a_row(
        Read.POSITIONS, Unreadable(SOLD, "`qty` is no number", holds_entries=True), lose=SOLD, every=True
    ),
    "positions, another class": Fault(Read.POSITIONS, other_classes),
    "open_orders, a multi-leg order": in_a_row(Read.OPEN_ORDERS, LEG),
    "open_orders, one of ours": in_a_row(
        Read.OPEN_ORDERS, Unreadable("", "no `side`", "o9", holds_entries=True), every=True
    ),
    "orders_since, a multi-leg order": in_a_row(Read.ORDERS, LEG),
    "activities, a line": in_a_row(Read.ACTIVITIES, Unreadable(KEPT, "`qty` is no number", "a9")),
    "quotes, of a stopped position": in_a_row(
        Read.QUOTES, Unreadable(STOPPED, "invalid symbol"), lose=STOPPED
    ),
    "quotes, of one at its stop": in_a_row(
        Read.QUOTES, Unreadable(AT_ITS_STOP, "invalid symbol"), lose=AT_ITS_STOP
    ),
    "asset, gone": Fault(Read.ASSET, an_asset_is_gone, symbols=frozenset({STOPPED, BOUGHT})),
    "corporate_actions, a row": in_a_row(
        Read.CORPORATE_ACTIONS, Unreadable(AT_ITS_STOP, "it is not in USD", SESSION.isoformat())
    ),
}
# What no act needs, and bars, which only data checks need, cannot hold anything back together with another.
ALONE = {Read.CALENDAR, Read.ORDER, Read.ORDER_BY_CLIENT_ID, Read.ASSETS, Read.BARS, Read.POSITIONS}
WHOLE = [name for name, fault in FAULTS.items() if fault.whole and fault.read not in ALONE]
IN_A_ROW = [name for name, fault in FAULTS.items() if not fault.whole]
PAIRS = [
    *combinations(WHOLE, 2),
    *((one, two) for one, two in product(WHOLE, IN_A_ROW) if FAULTS[one].read is not FAULTS[two].read),
    *((one, two) for one, two in combinations(IN_A_ROW, 2) if FAULTS[one].read is not FAULTS[two].read),
]


def happens(act: Act, symbol: str, faults: Sequence[Fault]) -> bool:
    """Whether the table says that the act takes place for the symbol."""
    for fault in faults:
        if not needed(fault.read, act):
            continue
        if fault.whole or symbol in fault.symbols:
            return False
        if act is Act.ENTRIES and fault.every:
            return False
    return True


@pytest.fixture(scope="module")
def book(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A book that has adopted what is held, with a stop in force and an order at work."""
    data_dir = tmp_path_factory.mktemp("book")
    with desk_at(Counter(HELD), data_dir, *SYMBOLS) as desk:
        adopt(desk, author="tester", reason="held before")
        reconcile(desk)
        lock(desk, STOPPED, STOP_LOCK, "its bid was at the stop")
    return data_dir


class Case(NamedTuple):
    counter: Counter
    desk: Desk
    titles: Callable[[], list[str]]


@pytest.fixture
def case(book: Path, tmp_path: Path) -> Iterator[Callable[..., Case]]:
    opened: list[Desk] = []

    def start(*faults: Fault) -> Case:
        shutil.copytree(book, tmp_path / "desk")
        counter = Counter(HELD)
        answers = {name: answer for fault in faults for name, answer in fault.answers(counter).items()}
        desk = desk_at(counter, tmp_path / "desk", *SYMBOLS)
        opened.append(desk)
        desk.broker = Altered(counter, **answers)
        desk.begin()
        return Case(counter, desk, lambda: [alert.title for alert in desk.journal.pending_alerts()])

    yield start
    for desk in opened:
        desk.close()


def resting(client_order_id: str) -> OrderState:
    """An order of ours that works at the counter."""
    return stated(
        id="o-1",
        client_order_id=client_order_id,
        symbol=RESTING,
        side=Side.BUY,
        qty=Decimal(1),
        limit_price=Decimal(90),
        status="new",
        filled_qty=Decimal(0),
        submitted_ns=TICK_NS,
        updated_ns=TICK_NS,
    )


def signal(desk: Desk, symbol: str, value: float) -> SignalInput:
    return SignalInput(
        symbol=symbol,
        value=value,
        as_of_ns=desk.now_ns(),
        reference_price=100.0,
        limit_price=nan,
        volatility=nan,
        kind=Kind.EXTERNAL,
        decision_id=decision_id(desk.book, Kind.EXTERNAL, symbol, "1"),
    )


def failure(act: Callable[[], object]) -> BrokerError | None:
    """What broke the act off, if anything did."""
    try:
        act()
    except BrokerError as error:
        return error
    return None


def is_let_in(desk: Desk, symbol: str) -> bool:
    """Whether the gate lets an entry pass, by a snapshot of now; none where the snapshot cannot be taken."""
    broker, now = desk.broker, desk.now_ns()
    unreadable = failure(lambda: broker.bars(SYMBOLS, "1m", now - NS, now))  # the data checks fail then
    vetoed = (Cause.CHECKS_FAILED,) if unreadable else ()
    opinion = signal(desk, symbol, 1.0)
    result = []

    def look() -> None:
        result.append(
            take_snapshot(
                desk, SESSION, TICK_NS, "entries", Phase.ENTRIES, signals=[opinion], transient=vetoed
            )
        )

    failure(look)
    return any(not verdict.failed for seen in result for verdict in decide(seen).verdicts)


def check(case: Case, *faults: Fault) -> None:
    """A tick with stops and a signal's exit, an entry, a kill and a flatten on one account: each takes place
    as the table has it, and what breaks off does so for the positions alone."""
    counter, desk = case.counter, case.desk
    tick_signals.receive(desk, SOLD, -1.0)
    errors = [failure(lambda: tick.execute(desk, SESSION, TICK_NS, new_execution_id()))]
    gone = {symbol for symbol, (qty, _) in counter.shares.items() if not qty}
    assert (STOPPED in gone) == happens(Act.STOPS, STOPPED, faults)
    assert (AT_ITS_STOP in gone) == happens(Act.NEW_STOPS, AT_ITS_STOP, faults)
    assert (SOLD in gone) == happens(Act.SIGNAL_EXITS, SOLD, faults)
    assert is_let_in(desk, BOUGHT) == happens(Act.ENTRIES, BOUGHT, faults)
    working = plant_order(desk, 1, symbol=RESTING, limit_price="90")
    counter.orders["o-1"] = resting(working.intent.client_order_id)
    desk.journal.move(working.intent.client_order_id, State.ACCEPTED, at_ns=TICK_NS, broker_order_id="o-1")
    operator.kill(desk, reason="enough", author="tester")
    assert Cause.KILL in desk.halts().causes
    assert counter.orders["o-1"].state is State.CANCELED
    errors.append(failure(lambda: operator.flatten(desk, reason="all of it", author="tester")))
    left = {symbol for symbol, (qty, _) in counter.shares.items() if qty}
    assert left == {symbol for symbol in HELD if not happens(Act.FLATTEN, symbol, faults)}
    without = Read.POSITIONS in {fault.read for fault in faults if fault.whole}
    assert {str(error) for error in errors} == {"positions: HTTP 503" if without else "None"}


def alert_titles(case: Case) -> list[str]:
    return [title for title in case.titles() if "cannot be read" in title or "No entries" in title]


def test_without_a_fault_everything_gets_out_an_entry_gets_in_and_nobody_is_told(
    case: Callable[..., Case],
) -> None:
    started = case()
    check(started)
    assert alert_titles(started) == []


def test_the_faults_cover_the_table() -> None:
    assert {fault.read for fault in FAULTS.values() if fault.whole} == set(NEEDS) == set(Read)
    rows = {fault.read for fault in FAULTS.values() if not fault.whole}
    assert rows >= {read for read in Read if NEEDS[read].acts and read not in (Read.CLOCK, Read.BARS)}


@pytest.mark.parametrize("name", FAULTS)
def test_one_fault_keeps_back_what_needs_the_read_and_nothing_else_and_is_told_once(
    case: Callable[..., Case], name: str
) -> None:
    fault = FAULTS[name]
    started = case(fault)
    check(started, fault)
    silent = fault.read in ALONE - {Read.POSITIONS} or name in ("positions, another class", "asset, gone")
    assert len(alert_titles(started)) == (0 if silent else 1)
    assert any("this desk does not trade" in title for title in started.titles()) == (
        name == "positions, another class"
    )


@pytest.mark.slow(seconds=0.5)  # each
@pytest.mark.parametrize(("one", "two"), PAIRS, ids=[" and ".join(pair) for pair in PAIRS])
def test_two_faults_keep_back_what_needs_either_read_and_nothing_else(
    case: Callable[..., Case], one: str, two: str
) -> None:
    faults = FAULTS[one], FAULTS[two]
    check(case(*faults), *faults)
