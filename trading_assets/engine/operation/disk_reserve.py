"""Room on the disk that is kept for protection: given up when the disk is full and a stop must be journaled.

Written before sent holds on a full disk too: without a few blocks for the journal nothing could be sent. So
the watchdog keeps a file of some megabytes beside the journal, takes it away when the journal has no room,
and makes it again once there is plenty.
"""

from __future__ import annotations

import os
import shutil
from pathlib import Path

from trading_assets.config import Settings
from trading_assets.log import get_logger

log = get_logger(__name__)

RESERVE_BYTES = 8 << 20  # a day of protections writes less
PLENTY = 4  # times the reserve must be free before it is made


class Reserve:
    """The file `reserve` in the data directory."""

    def __init__(self, settings: Settings, size: int = RESERVE_BYTES) -> None:
        self._path = Path(settings.data_dir) / "reserve"
        self._size = size

    def keep(self) -> None:
        """Make it where it is not, and there is plenty of room."""
        try:
            if self._path.exists() or shutil.disk_usage(self._path.parent).free < PLENTY * self._size:
                return
            file = os.open(self._path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
            try:
                os.write(file, os.urandom(self._size))  # blocks of its own on every file system
            finally:
                os.close(file)
        except OSError as error:
            log.warning("no room is kept for protection", where=str(self._path), why=str(error))
            self.give_up()

    def give_up(self) -> bool:
        """Take it away; whether there was one."""
        try:
            self._path.unlink()
        except OSError:
            return False  # there is none, or nothing can be changed here: then it was no help
        return True
