"""What a person does to the book: kill, flatten, rearm, close an order. Each is recorded with author and
reason.

A kill needs no lease and takes precedence over a running tick; loosening is always a person's act.
"""

from __future__ import annotations

import os
import pwd
import uuid
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from decimal import Decimal
from pathlib import Path

from trading_assets import config
from trading_assets.broker.port import BrokerError
from trading_assets.broker.purpose import Purpose, for_purpose
from trading_assets.config import Settings
from trading_assets.core.words import HaltState
from trading_assets.engine.book.accounting import ledger_of
from trading_assets.engine.book.desk import Connect, Desk, connect_broker, store_limits
from trading_assets.engine.book.halts import Cause, clear_all
from trading_assets.engine.book.kill_latch import KillLatch, latch_kill, set_kill_file
from trading_assets.engine.book.locks import DISPUTE_LOCK
from trading_assets.engine.book.place import JOURNAL_FILE, KILL_FILE
from trading_assets.engine.orders.obstacles import cancel_account
from trading_assets.engine.protection.flattens import Held, begin_flatten, still_held
from trading_assets.engine.protection.protect import KILLED, cancel_of_flatten, new_execution_id, protect
from trading_assets.engine.reconciliation.closing_equity import take_close_as_stated
from trading_assets.engine.reconciliation.equity import new_loss_bases
from trading_assets.engine.reconciliation.reconcile import BREAK_LOCK
from trading_assets.engine.reconciliation.split_equity import take_as_stated
from trading_assets.errors import InvalidInput, TradingAssetsError
from trading_assets.log import get_logger
from trading_assets.market.clock import ClockUnread
from trading_assets.reasons import shortened, stated
from trading_assets.store.database import JournalBusy
from trading_assets.store.errors import StoreUnusable
from trading_assets.store.journal import Lease, LeaseHeld
from trading_assets.store.leases import when_free
from trading_assets.store.records import AdjustmentRecord, OrderRecord, VerdictRecord

log = get_logger(__name__)

MOST_ADJUSTED = Decimal(10) ** 12  # shares, or USD, of one entry of a person's


@dataclass(frozen=True, slots=True)
class Killed:
    """A kill in force, and how far it has got beyond that."""

    kept: str  # where it is kept
    cancelled: tuple[OrderRecord, ...] = ()  # of ours, as they stood after they were asked to cancel
    book: str = ""  # "": no desk could be opened
    state: str = HaltState.HALTED.name
    answered: bool = False  # the broker did
    failure: str = ""  # why nobody could be asked to cancel
    past_journal: str = ""  # why the cancels went to the broker past the journal
    cancels_sent: int = 0  # orders of the account whose cancel was asked so

    @property
    def nothing_cancelled(self) -> str:
        """What a person is told of the failure."""
        return (
            f"killed: {self.kept} stops every process of this configuration. But no order was cancelled: "
            f"{self.failure.rstrip('.')}. Mend that and kill again, or cancel at the broker"
        )

    @property
    def told_past_journal(self) -> str:
        """What a person is told where the journal could not be had."""
        return (
            f"The broker took the cancels of {self.cancels_sent} orders past the journal; the next "
            "protection brings the journal up to that. `trading-assets status` shows it"
        )


@for_purpose(Purpose.PROTECT)
def kill_now(
    settings: Settings,
    environ: Mapping[str, str] | None = None,
    *,
    reason: str,
    author: str,
    connect: Connect | None = None,
) -> Killed:
    """Kill, from anywhere: latched before a desk is opened, an account, a clock or a key is asked for; then
    every working order is cancelled, as far as there is a broker for it, whether or not there is a journal.

    `failure` says what kept it from asking for the cancels; the kill holds all the same.
    """
    latched = latch_kill(settings, reason=reason, author=author)
    why = "; ".join(latched.failures)
    if latched.journal is not None or not why:
        try:
            with Desk.open(settings, environ, connect=connect) as desk:
                orders = kill(desk, reason=reason, author=author)
                return Killed(
                    latched.text, tuple(orders), desk.book, desk.halts().state.name, desk.clock.sync()
                )
        except (JournalBusy, StoreUnusable) as error:
            why = str(error)
        except TradingAssetsError as error:
            log.error("killed, but nothing could be cancelled", kept=latched.text, why=str(error))
            return Killed(latched.text, failure=str(error))
    try:
        cancels = _cancel_past_journal(settings, environ, connect)
    except TradingAssetsError as error:
        log.error("killed, but nothing could be cancelled", kept=latched.text, why=str(error))
        return Killed(latched.text, failure=f"{why}; {error}")
    if latched.journal is None:
        latched = latch_kill(settings, reason=reason, author=author)  # it may have come free meanwhile
    return Killed(latched.text, answered=True, past_journal=why, cancels_sent=cancels)


def _cancel_past_journal(
    settings: Settings, environ: Mapping[str, str] | None, connect: Connect | None
) -> int:
    """Ask the broker to cancel every order of the account; how many it took."""
    broker = connect_broker(settings, environ, connect)
    try:
        answers = broker.cancel_all()
    finally:
        broker.close()
    log.warning("cancels asked past the journal", orders=len(answers))
    return sum(200 <= status < 300 for status in answers.values())


@for_purpose(Purpose.PROTECT)
def kill(desk: Desk, *, reason: str, author: str) -> list[OrderRecord]:
    """HALTED, durable before anything else; then every working order of the account is cancelled.

    Works without the lease and while a tick runs: the tick reads the halt state again before each
    order it sends. With the broker out of reach the halt holds and the cancels follow at the next
    protect. Returns the orders that were asked to cancel, as they stand.
    """
    latch_kill(desk.settings, reason=reason, author=author, book=desk.book, now_ns=desk.known_ns)
    if desk.settings.flatten_on_kill:
        try:
            begin_flatten(desk, reason=f"flatten_on_kill: {reason}", author=author)
        except JournalBusy as error:  # protect begins it: the kill is latched
            log.error("flatten not begun yet", book=desk.book, why=str(error))
    cancelled = cancel_account(desk, spare=(), why=KILLED, unseen=True)
    log.warning("killed", book=desk.book, cancelled=len(cancelled), reason=reason, author=author)
    if desk.settings.flatten_on_kill:
        try:
            _protect_at_once(desk, author)
        except TradingAssetsError as error:  # the cancels were asked; who protects next goes on with it
            desk.alert(f"kill_flatten:{desk.now_ns()}", "Kill: flatten waits for protect", str(error))
    return cancelled


def kill_unconfigured(
    file: Path, error: InvalidInput, *, reason: str, author: str, environ: Mapping[str, str]
) -> Killed:
    """Kill where the configuration file cannot be used (`error`): by the kill file in the data directory that
    it names, and in that of the last configuration that could be used, by which protection goes on. Whatever
    runs already obeys that; nothing new starts with such a configuration.

    Raises InvalidInput where no desk is: the wrong working directory, or a name that is mistyped.
    """
    places = [config.data_dir_of(file)]
    last_good = config.kept(config.home_of(environ), file)
    if last_good is None and not any(map(os.path.lexists, (*config.layers(file), places[0] / JOURNAL_FILE))):
        raise InvalidInput(
            "NOTHING IS KILLED: there is no such file, and no journal of a desk's",
            where=str(file.resolve()),
            remedy="Type it again in the desk's directory, or name the desk's file with --config",
        ) from error
    if last_good is not None and last_good.data_dir not in places:
        places.append(last_good.data_dir)
    kept_in = list[str]()
    for path in (place / KILL_FILE for place in places):
        try:
            set_kill_file(path, reason, author)
            kept_in.append(KillLatch(path).text)
        except OSError as failed:  # the other place may be the one that is in use
            why = f"the kill file {path} cannot be made: {failed.strerror or failed}"
            kept_in.append(KillLatch(failures=(why,)).text)
    return Killed(" and ".join(kept_in), failure=str(error))


@for_purpose(Purpose.PROTECT)
def flatten(
    desk: Desk, *, reason: str, author: str, waits: Callable[[Lease], None] | None = None
) -> tuple[tuple[VerdictRecord, ...], tuple[OrderRecord, ...]]:
    """Sell (or buy back) every position by the broker's quantities; all that a kill lets through.

    The intent is durable before anything is asked, and lasts until every position is zero: each protect
    tries again. One that is in force goes on, and is tried at once. What is still held after it is
    `flattens.still_held`'s to say.

    waits: told of who holds the book while it is waited for; without it nobody is waited for. Raises
    LeaseHeld and BrokerError; the flatten is in force all the same, and the next protect goes on with it.
    """
    begin_flatten(desk, reason=stated("flatten", shortened(reason)), author=author)
    if waits is None:
        return _protect_at_once(desk, author)
    return when_free(lambda: _protect_at_once(desk, author), waits)


@dataclass(frozen=True, slots=True)
class Flattening:
    """How far a flatten has got with one try."""

    verdicts: tuple[VerdictRecord, ...]
    orders: tuple[OrderRecord, ...]
    held: tuple[Held, ...]  # what keeps it in force
    failure: str  # why it could not try, or could not say what is held; "": it did both

    @property
    def flat(self) -> bool:
        return not (self.held or self.failure)


@for_purpose(Purpose.PROTECT)
def flatten_now(
    desk: Desk, *, reason: str, author: str, waits: Callable[[Lease], None] | None = None
) -> Flattening:
    """`flatten`, and what is still held after it. What fails is said: the flatten is in force all the same.

    Raises InvalidInput without a reason.
    """
    verdicts: tuple[VerdictRecord, ...] = ()
    orders: tuple[OrderRecord, ...] = ()
    held: tuple[Held, ...] = ()
    failures = list[str]()
    try:
        verdicts, orders = flatten(desk, reason=reason, author=author, waits=waits)
    except (BrokerError, LeaseHeld, ClockUnread) as error:
        log.warning("flatten could not try", book=desk.book, why=str(error))
        failures.append(f"not tried: {error}. The next protection goes on with it.")
    try:
        held = still_held(desk)
    except (BrokerError, ClockUnread) as error:
        log.warning("what is held is not known", book=desk.book, why=str(error))
        failures.append(f"not known what is held: {error}.")
    return Flattening(verdicts, orders, held, " ".join(failures))


def _protect_at_once(desk: Desk, author: str) -> tuple[tuple[VerdictRecord, ...], tuple[OrderRecord, ...]]:
    """Protection now, with the flatten in force whenever its turn would be."""
    desk.begin()
    with desk.journal.lease(desk.book, f"flatten:{author}") as lease:
        report = protect(desk, lease, tick_ns=desk.now_ns(), execution_id=new_execution_id(), at_once=True)
    return report.verdicts, report.orders


def rearm(desk: Desk, *, reason: str, author: str) -> tuple[Cause, ...]:
    """Clear every latched cause and break lock, end a flatten in force, take up looser limits, and say which
    causes those were. Where shares and prices are apart the equity counts as it is stated. What a flatten has
    at work is cancelled at once, as far as the broker answers; protection goes on with the rest.

    Losses that were latched are measured anew from here on; a break that still is there locks again.
    The foreign orders that were found so far count as seen; any other one halts.
    Raises InvalidInput without a reason, and while the kill switch is still set in the environment or
    as a file: it would latch again at once.
    """
    reason = stated("rearm", reason)
    seen = desk.kill_switch()
    if seen is not None:
        raise InvalidInput(f"the kill is still set in {seen}", where="rearm", remedy="Remove it first.")
    now = desk.now_ns()
    cleared = clear_all(
        desk.journal, desk.book, at_ns=now, session=desk.session_text(), reason=reason, author=author
    )
    if desk.journal.end_flatten(desk.book, at_ns=now, reason=f"rearm by {author}: {reason}"):
        log.warning("flatten ended by rearm", book=desk.book, author=author, reason=reason)
        cleared = (*cleared, Cause.FLATTEN)
        cancel_of_flatten(desk)
    seen_now = desk.journal.acknowledge_foreign(desk.book, at_ns=now, author=author, reason=reason)
    if seen_now:
        log.warning("foreign orders acknowledged", book=desk.book, orders=seen_now, author=author)
    for record in desk.journal.locks(desk.book):
        if record.cause in (BREAK_LOCK, DISPUTE_LOCK):
            desk.journal.unlock(
                desk.book, record.symbol, record.cause, at_ns=now, author=author, reason=reason
            )
    new_loss_bases(desk, cleared)
    if taken := take_as_stated(desk):
        log.warning("equity taken as stated", book=desk.book, symbols=taken, author=author, reason=reason)
    if take_close_as_stated(desk):
        log.warning("close taken as stated", book=desk.book, author=author, reason=reason)
    wanted = config.limits(desk.settings)
    if wanted != desk.limits or desk.looser_waiting:
        store_limits(desk.journal, desk.book, wanted, at_ns=now)
        log.warning("limits in force changed by rearm", book=desk.book, looser=list(desk.looser_waiting))
        desk.limits, desk.looser_waiting = wanted, ()
    return cleared


def adjust(
    desk: Desk,
    *,
    symbol: str = "",
    qty_delta: Decimal = Decimal(0),
    cash_delta: Decimal = Decimal(0),
    cost: Decimal | None = None,
    reason: str,
    author: str,
) -> AdjustmentRecord:
    """Correct the ledger where the broker has no activity to say what happened: a journaled entry with
    its author, never an overwritten position.

    symbol: "" for cash alone; qty_delta: signed shares; cash_delta: USD; cost: USD a share of the shares that
    come, which else take the broker's average entry price, or without a quantity of all that are held.
    Raises InvalidInput without a reason, for an entry that changes nothing, for shares of no symbol or of
    one that is neither held nor traded, for a number that no account has, and for a cost of shares that go or
    that are not there.
    """
    reason = stated("adjust", reason)
    if not (qty_delta or cash_delta or cost is not None) or ((qty_delta or cost is not None) and not symbol):
        raise InvalidInput(
            f"symbol {symbol!r}, {qty_delta} shares, {cash_delta} USD",
            where="adjust",
            remedy="Give a change of cash, or a symbol with its change of shares or its cost.",
        )
    for what, number in (("shares", qty_delta), ("USD", cash_delta), ("USD a share", cost or Decimal(0))):
        if not (number.is_finite() and abs(number) < MOST_ADJUSTED):
            raise InvalidInput(
                f"{number} {what} is no change of an account",
                where="adjust",
                remedy="Give the difference between the books and the broker: `trading-assets positions`.",
            )
    if symbol and symbol not in _known_symbols(desk):
        raise InvalidInput(
            f"{symbol!r} is neither held nor traded",
            where="adjust",
            remedy="Write the symbol as the broker does: `trading-assets positions`.",
        )
    now = desk.now_ns()
    entry = AdjustmentRecord(
        book=desk.book,
        adjustment_id=f"person:{uuid.uuid4().hex}",
        kind="CORRECTION",
        symbol=symbol,
        qty_delta=qty_delta,
        cash_delta=cash_delta,
        at_ns=now,
        author=author,
        reason=reason,
        cost_delta=None if cost is None else _cost_delta(desk, symbol, qty_delta, cost),
    )
    desk.journal.record_adjustments([entry])
    log.warning(
        "ledger adjusted",
        book=desk.book,
        symbol=symbol,
        qty=str(qty_delta),
        cash=str(cash_delta),
        cost=str(cost),
    )
    return entry


def _known_symbols(desk: Desk) -> set[str]:
    """What the desk trades, what its books hold, and what the broker holds, where it says so."""
    known = {*desk.settings.symbols, *ledger_of(desk.journal, desk.book).holdings}
    try:
        known |= {position.symbol for position in desk.broker.positions()}
    except BrokerError as error:
        log.warning("positions not readable", why=str(error))
    return known


def _cost_delta(desk: Desk, symbol: str, qty_delta: Decimal, cost: Decimal) -> Decimal:
    """What an entry at that cost, USD a share, changes of the position's whole cost."""
    if cost <= 0 or qty_delta < 0:
        raise InvalidInput(
            f"{qty_delta} shares at a cost of {cost} USD",
            where="adjust",
            remedy="Give a cost above 0, of shares that come. Shares that go take their part of it along.",
        )
    if qty_delta:
        return qty_delta * cost
    held = ledger_of(desk.journal, desk.book).holdings.get(symbol)
    if held is None or held.qty <= 0:
        raise InvalidInput(
            f"the ledger holds no {symbol}",
            where="adjust",
            remedy="Give --qty with its --cost, or the symbol of a position.",
        )
    return (Decimal(repr(held.qty)) * (cost - Decimal(repr(held.avg_cost)))).quantize(Decimal("1e-9"))


def person() -> str:
    """Who acts: the user that this process runs as, whatever the environment says."""
    try:
        return pwd.getpwuid(os.getuid()).pw_name
    except KeyError:
        return f"uid {os.getuid()}"
