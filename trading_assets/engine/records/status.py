"""Where a book stands: what a person or a script looks at first, from the journal and, where it answers,
the broker. Reads only; nothing is concluded from a broker that does not answer."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from math import nan

from trading_assets.broker.port import BrokerError, PositionState
from trading_assets.broker.purpose import Purpose, for_purpose
from trading_assets.core.words import HaltState
from trading_assets.engine.book.accounting import ledger_of
from trading_assets.engine.book.arming import why_not_armed
from trading_assets.engine.book.desk import Desk
from trading_assets.engine.book.halts import Cause
from trading_assets.engine.checks.table import missing_or_failed
from trading_assets.engine.decision.inputs import Phase
from trading_assets.engine.evidence.breaks import QUANTITY_TOLERANCE
from trading_assets.engine.evidence.catch_up import WATERMARK
from trading_assets.engine.evidence.marks import marks
from trading_assets.engine.protection.flattens import Held, still_held
from trading_assets.engine.protection.sign_of_life import Life, Seen, seen
from trading_assets.engine.reconciliation.equity import measured_losses
from trading_assets.store.records import BreakRecord, EquityRecord, FlattenRecord, HaltRecord, LockRecord


@dataclass(frozen=True, slots=True)
class Loss:
    """One loss breaker: the fraction measured and where it trips."""

    name: str
    measured: float
    limit: float


@dataclass(frozen=True, slots=True)
class BookStatus:
    book: str
    venue: str
    mode: str
    now_ns: int
    unreachable: str  # why the broker does not answer, or empty: then the figures are the journal's last
    session: str | None  # today's, where there is one
    market_open: bool
    halt_state: str
    halts: tuple[HaltRecord, ...]  # as latched, with author and reason
    kill_switch: str | None  # where a kill is set now
    locks: tuple[LockRecord, ...]
    opened: bool  # False: waits for `adopt`, or for its first reconciliation
    reconciled_ns: int | None
    breaks: tuple[BreakRecord, ...]
    equity: EquityRecord | None
    losses: tuple[Loss, ...]
    open_orders: int
    sent_today: int
    pending_signals: int
    pending_alerts: int
    lease: str | None  # who runs the book at this moment
    limits_waiting: tuple[str, ...]  # looser in the file than in force
    not_armed: str  # why the book enters on nothing, with the command; empty where it is armed
    last_tick_ns: int | None  # today's last
    vetoed: tuple[str, ...]  # blocking checks that did not pass at the last tick
    watchdog: Seen  # by its sign of life
    flatten: FlattenRecord | None = None  # in force
    held: tuple[Held, ...] = ()  # under it; empty too where the broker does not answer
    time_source: str = ""  # whose `now_ns` is, where the broker's clock cannot be read

    @property
    def well(self) -> bool:
        """Reachable, reconciled, its equity known, ACTIVE, nothing broken, no watchdog dead, and
        Dagster's definitions load."""
        return (
            not self.unreachable
            and self.opened
            and self.equity is not None
            and self.halt_state == HaltState.ACTIVE.name
            and self.kill_switch is None
            and not self.breaks
            and not self.locks
            and self.watchdog.life not in (Life.SILENT, Life.DIED)
            and not self.watchdog.not_loaded
        )


@dataclass(frozen=True, slots=True)
class HeldPosition:
    """One symbol in ledger and broker. Prices in USD a share."""

    symbol: str
    qty: float
    avg_cost: float
    mark: float | None
    market_value: float | None
    unrealised: float | None
    broker_qty: float | None  # None: the broker did not answer
    broker_avg_cost: float | None  # for information: the broker's method differs; None: not held there

    @property
    def agrees(self) -> bool:
        return self.broker_qty is None or abs(self.qty - self.broker_qty) <= QUANTITY_TOLERANCE


@dataclass(frozen=True, slots=True)
class Positions:
    """unreachable: why the broker does not answer, or empty. at_ns: the venue's time of the reading."""

    book: str
    at_ns: int
    unreachable: str
    cash: float
    positions: tuple[HeldPosition, ...]


@for_purpose(Purpose.LOOK)
def book_status(desk: Desk) -> BookStatus:
    """Look at journal and broker once."""
    desk.clock.sync()
    unreachable = "" if desk.clock.synced else str(desk.clock.failure)
    now, today = desk.now_ns(), desk.today()
    session = desk.session_text() if desk.sessions.is_session(today) else None
    journal, book = desk.journal, desk.book
    equity = journal.latest_equity(book)
    watermark = journal.mark(book, WATERMARK)
    lease = journal.lease_holder(book)
    last_tick = _last_tick(desk) if session else None
    counts = journal.sent_counts(book, session) if session else {}
    held: tuple[Held, ...] = ()
    if not unreachable:
        try:
            held = still_held(desk)
        except BrokerError as error:
            unreachable = str(error)
    return BookStatus(
        book=book,
        venue=desk.settings.venue,
        mode=desk.settings.mode,
        now_ns=now,
        time_source=desk.time_source(),
        unreachable=unreachable,
        session=session,
        market_open=desk.sessions.is_open(now),
        halt_state=desk.halts().state.name,
        halts=tuple(journal.latched(book)),
        kill_switch=desk.kill_switch(),
        locks=tuple(journal.locks(book)),
        opened=bool(journal.opening(book)),
        reconciled_ns=None if watermark is None else int(watermark),
        breaks=tuple(journal.open_breaks(book)),
        equity=equity,
        losses=() if equity is None else tuple(_losses(desk, equity)),
        open_orders=len(journal.open_orders(book)),
        sent_today=sum(sum(count) for count in counts.values()),
        pending_signals=len(journal.pending_signals(book)),
        pending_alerts=len(journal.pending_alerts()),
        lease=None if lease is None else f"{lease.holder}, process {lease.pid}",
        limits_waiting=desk.looser_waiting,
        not_armed=why_not_armed(desk),
        last_tick_ns=last_tick,
        vetoed=() if last_tick is None else missing_or_failed(desk, last_tick),
        watchdog=seen(desk.settings),
        flatten=journal.flatten_in_force(book),
        held=held,
    )


@for_purpose(Purpose.LOOK)
def positions(desk: Desk) -> Positions:
    """The ledger beside the broker."""
    ledger = ledger_of(desk.journal, desk.book)
    held = {symbol: holding for symbol, holding in ledger.holdings.items() if holding.qty}
    theirs: dict[str, PositionState] | None = None
    priced: dict[str, float] = {}
    unreachable = ""
    try:
        theirs = {position.symbol: position for position in desk.broker.positions()}
        priced = marks(desk, sorted(held.keys() | theirs.keys()))
    except BrokerError as error:
        unreachable = str(error)
    lines = []
    for symbol in sorted(held.keys() | (theirs or {}).keys()):
        qty = held[symbol].qty if symbol in held else 0.0
        cost = held[symbol].avg_cost if symbol in held else nan
        price = priced.get(symbol)
        broker_qty = None
        position = theirs.get(symbol) if theirs is not None else None
        if theirs is not None:
            broker_qty = float(position.qty) if position is not None else 0.0
        lines.append(
            HeldPosition(
                symbol=symbol,
                qty=qty,
                avg_cost=cost,
                mark=price,
                market_value=None if price is None else qty * price,
                unrealised=None if price is None else qty * (price - cost),
                broker_qty=broker_qty,
                broker_avg_cost=float(position.avg_entry_price) if position is not None else None,
            )
        )
    return Positions(desk.book, desk.now_ns(), unreachable, ledger.cash_usd, tuple(lines))


def _last_tick(desk: Desk) -> int | None:
    """The last of today's ticks: one that decided, or stored its checks and had nothing to decide."""
    inputs = desk.journal.tick_inputs(desk.book, session=desk.session_text())
    ticks = [record.tick_ns for record in inputs if record.phase != Phase.PROTECT]
    checked = desk.journal.latest_gate_checks_ns(desk.book, desk.sessions.open_ns(desk.today()))
    return max(ticks if checked is None else [*ticks, checked], default=None)


def _losses(desk: Desk, equity: EquityRecord) -> Iterator[Loss]:
    """Each breaker as it is latched by; those of a session only while it lasts."""
    of_today = equity.session == desk.session_text()
    for cause, measured, limit in measured_losses(desk, equity):
        if of_today or cause is Cause.MAX_DRAWDOWN:
            yield Loss(cause.lower(), measured, limit)
