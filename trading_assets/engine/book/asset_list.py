"""The broker's list of assets, kept for one session in a file beside the journal: some 12 000 rows that each
process of the session would otherwise ask for anew. The file can be deleted at any time.

What follows from an asset is `engine.book.session_cache`.
"""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from trading_assets.broker.port import AssetState
from trading_assets.log import get_logger

log = get_logger(__name__)

VERSION = 1
_TRADABLE, _FRACTIONABLE, _HALTED, _IN_DOUBT = "TFH?"


class AssetList:
    """One session's list in the file at `path`, which belongs to one venue and mode.

    Private to its user, and replaced at once by whoever has read the list last. A file that cannot be used
    costs a request and nothing else.
    """

    def __init__(self, path: Path, session: str) -> None:
        self._path = path
        self._session = session

    def read(self) -> dict[str, AssetState] | None:
        """The session's assets by symbol; None where no process has kept them yet."""
        try:
            kept = json.loads(self._path.read_bytes())
            if kept["version"] != VERSION or kept["session"] != self._session:
                return None
            return {symbol: _asset(symbol, flags) for symbol, flags in kept["assets"].items()}
        except FileNotFoundError:
            return None
        except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
            log.warning("kept list of assets not readable", where=str(self._path), why=str(error))
            return None

    def keep(self, assets: Mapping[str, AssetState]) -> None:
        """Replace what is kept. What cannot be written is asked for again by the next process."""
        text = json.dumps(
            {
                "version": VERSION,
                "session": self._session,
                "assets": {symbol: _flags(asset) for symbol, asset in assets.items()},
            }
        )
        part = self._path.with_name(f"{self._path.name}.{os.getpid()}.part")
        try:
            part.unlink(missing_ok=True)
            with os.fdopen(os.open(part, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w") as file:
                file.write(text)
            part.replace(self._path)
        except OSError as error:
            log.warning("list of assets not kept", where=str(self._path), why=str(error))


def _flags(asset: AssetState) -> str:
    return "".join(
        letter
        for letter, is_so in (
            (_TRADABLE, asset.tradable),
            (_FRACTIONABLE, asset.fractionable),
            (_HALTED, asset.halted),
            (_IN_DOUBT, not asset.known),
        )
        if is_so
    )


def _asset(symbol: str, flags: Any) -> AssetState:
    if not isinstance(flags, str):
        raise TypeError(f"{symbol}: {flags!r} is no text")
    return AssetState(
        symbol,
        tradable=_TRADABLE in flags,
        fractionable=_FRACTIONABLE in flags,
        halted=_HALTED in flags,
        known=_IN_DOUBT not in flags,
    )
