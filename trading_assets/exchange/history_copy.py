"""The tape of a person's own history, copied into an exchange's state directory.

It is made anew at a start where the history's imported bars or corporate actions have changed. The history's
file is held for as long as copying it takes. From then on the exchange plays its copy, and whoever else wants
the history has it for himself.
"""

from __future__ import annotations

from pathlib import Path

from trading_assets.errors import InvalidInput
from trading_assets.market.stored_tape import StoredTape
from trading_assets.market.tape_files import read_head, write_tape
from trading_assets.store.history import History
from trading_assets.store.imported_bars import (
    imported_actions,
    imported_days,
    imported_digest,
    imported_minutes,
    imported_symbols,
)

TAPE_NAME = "tape"
RETRY_SECONDS = 30.0  # for a history that another process holds: a tick's steps are over by then


def copied_tape(history_path: Path, state_dir: Path, seed: int) -> StoredTape:
    """The tape of the history's imported bars in `state_dir`, as new as the history is.

    Raises InvalidInput for a history without imported bars, HistoryLocked while another process holds it.
    """
    place = state_dir / TAPE_NAME
    if not history_path.exists():
        raise _no_bars(history_path)
    copied = place.with_name(f"{place.name}.duckdb")
    try:
        History(history_path, retry_seconds=RETRY_SECONDS).snapshot(copied)
        snapshot = History(copied)
        digest, head = imported_digest(snapshot), read_head(place)
        if head is None or head.copy_of != digest:
            symbols = imported_symbols(snapshot)
            if not symbols:
                raise _no_bars(history_path)
            write_tape(
                place,
                symbols,
                imported_days(snapshot, symbols),
                imported_minutes(snapshot, symbols),
                imported_actions(snapshot, symbols),
                copy_of=digest,
            )
    finally:
        copied.unlink(missing_ok=True)
    return StoredTape(place, seed)


def _no_bars(history_path: Path) -> InvalidInput:
    return InvalidInput(
        "no imported bars",
        where=str(history_path),
        remedy="Import some first (trading-assets import-bars), or take the bundled ones (bars: bundled).",
    )
