"""Opens an exchange at its state directory, over the bundled tape or over a person's own history: a new one,
or the one that was left there.
"""

from __future__ import annotations

from collections.abc import Iterable
from datetime import date
from decimal import Decimal
from pathlib import Path

from trading_assets.errors import InvalidInput
from trading_assets.exchange.events import Opened
from trading_assets.exchange.store import EventStore
from trading_assets.exchange.venue import Venue, VenueSettings
from trading_assets.market.bars import Tape
from trading_assets.market.bundle import BundledTape
from trading_assets.market.sessions import Sessions

SESSIONS_BEFORE = 130  # of the tape, before the one that a new exchange begins with: what a desk looks back
RAGGED_SESSIONS = 5  # files of one import end on different days
LEAD_NS = 3_600 * 10**9  # before the open of the session that a new exchange begins with


def open_venue(
    state_dir: Path,
    *,
    start_ns: int | None,
    cash: Decimal = Decimal(100_000),
    seed: int = 7,
    spread_bps: Decimal = Decimal(2),
    not_fractionable: Iterable[str] = (),
    fill_mode: str = "ideal",
    participation: Decimal = Decimal("0.1"),
    history: Path | None = None,
) -> Venue:
    """The venue whose journal is in `state_dir`. `VenueSettings` says what counts at its first start only.

    history:  the file whose imported bars it plays; None: the bundled tape
    start_ns: None for a new exchange on a history: an hour before its first session that has enough before it

    Raises InvalidInput for a new one that would start outside its tape or has an unknown fill mode, for a
    history without imported bars, and for a state directory of another tape; StateInUse while another process
    has the directory, HistoryLocked while one has the history.
    """
    store = EventStore(state_dir)
    try:
        opened = next(store.events(), None)
        bars = "bundled" if history is None else "history"
        if isinstance(opened, Opened):
            seed = opened.seed
            _refuse_other_bars(state_dir, opened.bars, bars)
        tape = _tape(history, state_dir, seed)
        sessions = Sessions()
        if opened is None:
            start_ns = _start(tape, sessions, start_ns, may_choose=history is not None)
        settings = VenueSettings(
            start_ns=start_ns or 0,
            cash=cash,
            seed=seed,
            spread_bps=spread_bps,
            not_fractionable=frozenset(not_fractionable),
            fill_mode=fill_mode,
            participation=participation,
            bars=bars,
            ragged_sessions=1 if history is None else RAGGED_SESSIONS,
        )
        venue = Venue(tape, sessions, store, settings)
        _refuse_unknown_holdings(venue, state_dir)
    except BaseException:
        store.close()
        raise
    return venue


def _tape(history: Path | None, state_dir: Path, seed: int) -> Tape:
    if history is None:
        return BundledTape(seed)
    from trading_assets.exchange.history_copy import copied_tape  # DuckDB, which the bundled one does without

    return copied_tape(history, state_dir, seed)


def _start(tape: Tape, sessions: Sessions, start_ns: int | None, *, may_choose: bool) -> int:
    """Where a new exchange's clock begins: as told, within the tape's sessions."""
    if start_ns is None and not may_choose:
        raise InvalidInput("is missing", where="--start-ns", remedy="Give a new exchange a time to start at.")
    daily = [tape.daily(symbol).start_ns for symbol in tape.symbols]
    first = sessions.new_york_date(min(int(starts[0]) for starts in daily))
    last = sessions.new_york_date(max(int(starts[-1]) for starts in daily))
    if start_ns is None:
        days = sessions.between(first, last)
        day = days[SESSIONS_BEFORE] if len(days) > SESSIONS_BEFORE else days[len(days) // 2]
        return sessions.open_ns(day) - LEAD_NS
    day = sessions.new_york_date(start_ns)
    if not first <= day <= last:
        raise _outside(day, first, last)
    return start_ns


def _outside(day: date, first: date, last: date) -> InvalidInput:
    return InvalidInput(
        f"{day} lies outside the tape, which has sessions from {first} to {last}",
        where="the start of a new exchange",
        remedy="Give a session within it: `--first DATE` with up, `--start DATE` with exchange.",
    )


def _refuse_other_bars(state_dir: Path, had: str, wanted: str) -> None:
    if had != wanted:
        raise InvalidInput(
            f"this exchange began on {had} bars, and is now asked for {wanted} ones",
            where=str(state_dir),
            remedy=f"Set `bars: {had}` below `embedded` again, or choose another `data_dir`: "
            "an account does not move to another market.",
        )


def _refuse_unknown_holdings(venue: Venue, state_dir: Path) -> None:
    account = venue.state.account
    involved = set(account.holdings) | {order.symbol for order in account.open_orders()}
    gone = sorted(symbol for symbol in involved if not venue.view.is_listed(symbol, venue.now_ns))
    if gone:
        raise InvalidInput(
            f"the account has {', '.join(gone[:5])}{' …' if len(gone) > 5 else ''}, of which the history has "
            "no bars any more",
            where=str(state_dir),
            remedy="Import them again, or choose another `data_dir`.",
        )
