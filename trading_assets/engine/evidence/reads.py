"""What each read of the broker is needed for, and how a look goes on where one fails: the table, the telling.

An exit needs a position, a tick size and any price. Whatever else cannot be read, whole or in one row, holds
entries back, is told to a person, and keeps no exit from getting out. Here that is said once for each read;
protect and the snapshot ask. Which orders follow is `engine.decision.decide`'s, what a missing row means for
our books `engine.reconciliation.reconcile`'s.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterable, Mapping, Sequence
from datetime import date
from enum import StrEnum
from functools import partial
from typing import NamedTuple, TypeVar

from trading_assets.broker.port import (
    US_EQUITY,
    AssetState,
    BrokerError,
    CorporateActionState,
    PositionState,
    QuoteState,
    Unreachable,
    Unreadable,
    unread_of,
)
from trading_assets.engine.book.alerts import tell
from trading_assets.engine.book.desk import Desk
from trading_assets.engine.book.halts import Cause
from trading_assets.log import get_logger

log = get_logger(__name__)

T = TypeVar("T")


class Act(StrEnum):
    """What a read may be needed for."""

    NEW_STOPS = "new stops"  # to see that a position has reached its stop
    STOPS = "stops"  # to sell what a stop in force holds
    SIGNAL_EXITS = "exits by signal"
    FLATTEN = "flatten"
    KILL = "kill"
    ENTRIES = "entries"


EXITS = (Act.STOPS, Act.SIGNAL_EXITS, Act.FLATTEN)
SEEN_AND_SOLD = (Act.NEW_STOPS, *EXITS)


class Read(StrEnum):
    """A question to the broker, by the port's name for it."""

    ACCOUNT = "account"
    CLOCK = "clock"
    CALENDAR = "calendar"
    POSITIONS = "positions"
    OPEN_ORDERS = "open_orders"
    ORDERS = "orders_since"
    ORDER = "order"
    ORDER_BY_CLIENT_ID = "order_by_client_id"
    ACTIVITIES = "activities"
    QUOTES = "quotes"
    ASSET = "asset"
    ASSETS = "assets"
    CORPORATE_ACTIONS = "corporate_actions"
    BARS = "bars"


class Need(NamedTuple):
    """acts: what does not happen without the read. by_symbol: only the symbols concerned are held back."""

    acts: frozenset[Act]
    by_symbol: bool
    without: str  # what is done where it fails


_ENTRIES = frozenset({Act.ENTRIES})
NEEDS: Mapping[Read, Need] = {
    Read.ACCOUNT: Need(
        _ENTRIES, False, "Breakers and cash are not looked at; exits go out on positions, quotes and journal."
    ),
    Read.CLOCK: Need(
        _ENTRIES, False, "The last reading is carried on, and the calendar says whether the market is open."
    ),
    Read.CALENDAR: Need(
        frozenset(), False, "Premarket tells a person; the calendar of this program is the one that counts."
    ),
    Read.POSITIONS: Need(
        frozenset({Act.NEW_STOPS, Act.STOPS, Act.SIGNAL_EXITS, Act.FLATTEN, Act.ENTRIES}),
        False,
        "Nothing can be sized: orders are cancelled where a halt or a timeout says so, and the next look "
        "tries again. A row that cannot be read holds its symbol and all entries.",
    ),
    Read.OPEN_ORDERS: Need(
        _ENTRIES,
        False,
        "Our orders stand as in the journal; of each position the part is sold that the broker calls "
        "available. A kill cancels ours, and tells that others' could not be listed.",
    ),
    Read.ORDERS: Need(_ENTRIES, False, "Our orders stand as in the journal; nothing is compared."),
    Read.ORDER: Need(frozenset(), True, "The order stays as it is in the journal until the next look."),
    Read.ORDER_BY_CLIENT_ID: Need(
        frozenset(), True, "The order stays as it is in the journal until the next look."
    ),
    Read.ACTIVITIES: Need(_ENTRIES, False, "The ledger's cost stands as it was; nothing is compared."),
    Read.QUOTES: Need(
        frozenset({Act.NEW_STOPS, Act.ENTRIES}),
        True,
        "Exits are priced by the last close, else by the broker's mark; no new stop can be seen.",
    ),
    Read.ASSET: Need(_ENTRIES, True, "Whole shares are sold, and a fraction where the position has one."),
    Read.ASSETS: Need(frozenset(), True, "Assets are asked for one by one."),
    Read.CORPORATE_ACTIONS: Need(
        _ENTRIES, True, "Stops count from the ledger's cost without the adjustment."
    ),
    Read.BARS: Need(_ENTRIES, False, "The data checks fail, which vetoes entries."),
}


def needed(what: Read, *acts: Act) -> bool:
    """Whether any of these cannot happen without the read."""
    return not NEEDS[what].acts.isdisjoint(acts)


class Look:
    """One look at the broker: what it could not read is told to a person, once for each cause, and kept for
    whoever decides on the look."""

    def __init__(self, desk: Desk) -> None:
        self._desk = desk
        self.missed: dict[Read, BrokerError] = {}
        self.unread: list[tuple[Read, Unreadable]] = []

    def read(self, what: Read, ask: Callable[[], T]) -> T | None:
        """The answer; None where there is none, or where the broker is slow and no exit needs it."""
        try:
            if self._desk.hurries and not needed(what, *SEEN_AND_SOLD):
                raise Unreachable("not asked: the broker is slow, and the exits go first")
            return ask()
        except BrokerError as error:
            self.missed[what] = error
            tell_missed(self._desk, what, error)
            return None

    def require(self, *acts: Act) -> None:
        """Raises the broker.port.BrokerError of a read without which one of these is not possible."""
        for what, error in self.missed.items():
            if needed(what, *acts):
                raise error

    def rows(self, what: Read, answer: Iterable[T]) -> Iterable[T]:
        """The same answer; what could not be read of it is told and kept."""
        for row in unread_of(answer):
            self.unread.append((what, row))
            _tell_unread(self._desk, what, row)
        return answer

    @property
    def causes(self) -> tuple[Cause, ...]:
        """Why entries wait."""
        whole = any(needed(what, Act.ENTRIES) and not NEEDS[what].by_symbol for what in self.missed)
        row = any(row.holds_entries for _, row in self.unread)
        return (Cause.BROKER_UNREACHABLE,) * whole + (Cause.UNREADABLE_ROW,) * row

    def quotes(self, symbols: Sequence[str]) -> Mapping[str, QuoteState]:
        """A quote of each symbol that has one."""
        if not symbols:
            return {}
        quotes = self.read(Read.QUOTES, lambda: self._desk.broker.quotes(symbols))
        if quotes is None:
            return {}
        self.rows(Read.QUOTES, quotes)
        return quotes

    def corporate_actions(
        self, symbols: Sequence[str], first: date, last: date
    ) -> Sequence[CorporateActionState]:
        """Those that could be read."""
        ask = partial(self._desk.broker.corporate_actions, symbols, first, last)
        actions = self.read(Read.CORPORATE_ACTIONS, ask)
        if actions is None:
            return ()
        self.rows(Read.CORPORATE_ACTIONS, actions)
        return actions

    def assets(self, symbols: Iterable[str]) -> dict[str, AssetState]:
        """Each symbol's asset; one that cannot be read is not known."""
        ask = partial(self._desk.facts.asset, self._desk.broker)
        return {
            symbol: self.read(Read.ASSET, partial(ask, symbol))
            or AssetState(symbol, tradable=False, fractionable=False, halted=False, known=False)
            for symbol in symbols
        }


def by_class(
    positions: Iterable[PositionState],
) -> tuple[dict[str, PositionState], tuple[PositionState, ...]]:
    """The equities by symbol, which the desk trades, and what else the account holds."""
    held = list(positions)
    return (
        {one.symbol: one for one in held if one.asset_class == US_EQUITY},
        tuple(one for one in held if one.asset_class != US_EQUITY),
    )


def tell_others(desk: Desk, others: Iterable[PositionState]) -> None:
    """A person hears once a session of what the account holds and this desk does not sell."""
    for one in others:
        desk.alert(
            f"other_class:{one.symbol}:{desk.session_text()}",
            f"{one.symbol}: a position that this desk does not trade",
            f"{one.qty} of {one.asset_class}, worth {one.market_value} USD: it counts into the exposure, and "
            "neither a stop nor `flatten` sells it. Sell it at the broker.",
            severity="WARN",
        )


def tell_missed(desk: Desk, what: Read, error: Exception | None) -> None:
    """A person hears that a read failed, why, and what waits for it; not again within the cool-down."""
    need, now = NEEDS[what], desk.now_ns()
    log.warning("not readable", read=str(what), why=str(error), book=desk.book)
    held = ", ".join(sorted(need.acts)) or "nothing"
    title = f"The broker's {what.replace('_', ' ')} cannot be read"
    body = f"{error}\n{need.without} Waiting for it: {held}."
    tell(desk.journal, desk.book, f"unreadable:{what}", title, body, now_ns=now)


def _tell_unread(desk: Desk, what: Read, row: Unreadable) -> None:
    name = row.subject or row.symbol or hashlib.sha256(row.why.encode()).hexdigest()[:12]
    waiting = "Entries wait until it can be read." if row.holds_entries else NEEDS[what].without
    desk.alert(
        f"unreadable_row:{what}:{row.symbol}:{name}:{desk.session_text()}",
        f"{row.symbol or name}: one row of the broker's {what.replace('_', ' ')} cannot be read",
        f"{row.why}\nThe other rows stand. {waiting}",
    )
