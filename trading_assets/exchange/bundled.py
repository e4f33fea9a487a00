"""Opens an exchange over the bundled tape at its state directory: a new one, or the one that was left
there."""

from __future__ import annotations

from collections.abc import Iterable
from decimal import Decimal
from pathlib import Path

from trading_assets.errors import InvalidInput
from trading_assets.exchange.events import Opened
from trading_assets.exchange.store import EventStore
from trading_assets.exchange.venue import Venue, VenueSettings
from trading_assets.market.bundle import BundledTape
from trading_assets.market.sessions import Sessions


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
) -> Venue:
    """The venue whose journal is in `state_dir`. `VenueSettings` says what counts at its first start only.

    Raises InvalidInput for a new one without a start time or with an unknown fill mode, StateInUse while
    another process has it.
    """
    store = EventStore(state_dir)
    opened = next(store.events(), None)
    if opened is None and start_ns is None:
        store.close()
        raise InvalidInput("is missing", where="--start-ns", remedy="Give a new exchange a time to start at.")
    seed = opened.seed if isinstance(opened, Opened) else seed
    settings = VenueSettings(
        start_ns=start_ns or 0,
        cash=cash,
        seed=seed,
        spread_bps=spread_bps,
        not_fractionable=frozenset(not_fractionable),
        fill_mode=fill_mode,
        participation=participation,
    )
    return Venue(BundledTape(seed), Sessions(), store, settings)
