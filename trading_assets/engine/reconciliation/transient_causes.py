"""What forbids entries as long as it lasts, and latches nothing: a clock that cannot be read, for one.

Each is looked for anew at every look at the broker. What latches is `engine.book.halts`.
"""

from __future__ import annotations

from collections.abc import Collection
from typing import NamedTuple

from trading_assets.broker.port import AccountState, ClockState
from trading_assets.core.breakers import e0_agrees
from trading_assets.engine.book.desk import Desk
from trading_assets.engine.book.halts import Cause
from trading_assets.engine.reconciliation.equity import CLOSE_EQUITY_MARK, is_in_doubt, transfers_of
from trading_assets.log import get_logger
from trading_assets.market.clock import system_now_ns

log = get_logger(__name__)

MAX_CLOCK_SKEW_NS = 2_000_000_000


class ClockReading(NamedTuple):
    """The broker's clock as it was read, and how far it was ahead of the machine's then."""

    state: ClockState
    ahead_ns: int


def broker_clock(desk: Desk) -> ClockReading | None:
    """The broker's clock, by which the desk's own is set; None while it cannot be read. "Now" is then the
    last offset carried on, the calendar alone says whether the market is open, and entries wait
    (BROKER_UNREACHABLE). Where the broker is slow and exits wait it is not asked."""
    if desk.hurries:
        return None
    clocks: list[ClockState] = []

    def read() -> int:
        clocks.append(desk.broker.clock())
        return clocks[0].now_ns

    if not desk.clock.sync(read):
        log.warning("broker's clock not readable", book=desk.book, why=str(desk.clock.failure))
        return None
    return ClockReading(clocks[0], clocks[0].now_ns - system_now_ns())


def transient_causes(
    desk: Desk, account: AccountState | None, clock: ClockReading | None, waiting: Collection[Cause] = ()
) -> tuple[Cause, ...]:
    """What forbids entries as long as it lasts: a clock or an account that cannot be read, clock skew,
    calendars that disagree, an equity in doubt, a blocked account and an E0 that does not fit our stored
    close; these two alert once a session. The embedded exchange's clock is virtual and is not held to the
    machine's.

    waiting: what else the look could not read
    """
    causes = [Cause.BROKER_UNREACHABLE] if clock is None else _clock_causes(desk, clock)
    if account is None:
        causes.append(Cause.BROKER_UNREACHABLE)
    elif is_blocked(account):
        causes.append(Cause.ACCOUNT_BLOCKED)
        desk.alert(
            f"account_blocked:{desk.session_text()}",
            f"No entries: {Cause.ACCOUNT_BLOCKED}",
            f"the account is {account.status_word or 'without a status'}, trading blocked: "
            f"{account.trading_blocked}. Exits are tried all the same; ask the broker why.",
        )
    causes = list(dict.fromkeys([*causes, *waiting]))
    today = desk.today()
    previous = desk.sessions.previous(today).isoformat()
    stored = desk.journal.mark(desk.book, f"{CLOSE_EQUITY_MARK}:{previous}")
    if stored is not None and account is not None:
        e0, transfers = account.last_equity, transfers_of(desk, today)
        # Brokers differ in whether what was transferred since the close is in their figure.
        if not any(e0_agrees(float(e0), float(stored), float(moved)) for moved in (0, transfers)):
            causes.append(Cause.EQUITY_MISMATCH)
            desk.alert(
                f"equity_mismatch:{today.isoformat()}",
                f"No entries: {Cause.EQUITY_MISMATCH}",
                f"close of {previous}: {e0} by the broker, {stored} by us; {transfers} transferred since",
            )
    if is_in_doubt(desk):
        causes.append(Cause.EQUITY_UNCONFIRMED)
    for cause in causes:
        log.warning("no entries", cause=str(cause), book=desk.book)
    return tuple(causes)


def is_blocked(account: AccountState) -> bool:
    """Whether the broker takes no order that opens a position; also where it does not say so."""
    return account.trading_blocked or not account.is_active


def _clock_causes(desk: Desk, clock: ClockReading) -> list[Cause]:
    causes = []
    of_the_world = not desk.clock.stands and desk.settings.virtual_time != "runs"
    if of_the_world and abs(clock.ahead_ns) > MAX_CLOCK_SKEW_NS:
        causes.append(Cause.CLOCK_SKEW)
    state = clock.state
    if desk.sessions.is_open(state.now_ns) != state.is_open or (
        state.is_open and state.next_close_ns != desk.sessions.close_ns(desk.today())
    ):
        causes.append(Cause.CALENDARS_DISAGREE)
    return causes
