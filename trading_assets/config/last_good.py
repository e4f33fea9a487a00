"""The configuration of a service: read again and again, and the last good one where it cannot be used."""

from __future__ import annotations

from pathlib import Path

from trading_assets.config.file import load
from trading_assets.config.settings import Settings
from trading_assets.errors import InvalidInput


class LastGood:
    """A file that somebody may be editing. Raises InvalidInput where the first reading cannot be used.

    settings: as last read and usable. fault: why the file cannot be used now, or None.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self.settings: Settings = load(path)
        self.fault: InvalidInput | None = None

    def read(self) -> Settings:
        """Read the file again; the last good one where it cannot be used, and `fault` says why."""
        try:
            self.settings = load(self._path)
            self.fault = None
        except InvalidInput as fault:
            self.fault = fault
        return self.settings
