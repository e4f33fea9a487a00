"""The watchdog's sign of life: a small file that it touches at every look, for `status` and `make up`.

A file and no mark of the journal: it is given where the journal is locked and the disk is full. It names the
process; an orderly end takes it away, so that one which is there and silent says that the watchdog died. It
also says so where Dagster's definitions do not load.
"""

from __future__ import annotations

import json
import os
import socket
from contextlib import suppress
from enum import StrEnum
from pathlib import Path
from types import TracebackType
from typing import NamedTuple

from trading_assets.config import Settings
from trading_assets.log import get_logger
from trading_assets.market.clock import system_now_ns
from trading_assets.store.leases import process_start

log = get_logger(__name__)

SILENT_AFTER_SECONDS = 180.0  # one protection may take two minutes where a broker answers slowly


class Life(StrEnum):
    NONE = "none"  # it was not started, or has ended in order
    WATCHES = "watches"
    SILENT = "silent"  # its process is there, and has given no sign for too long: it hangs
    DIED = "died"


class Seen(NamedTuple):
    life: Life
    pid: int | None = None
    ago_s: float | None = None  # since its last sign, by the machine's clock
    at_ns: int | None = None  # its last sign
    not_loaded: str = ""  # that Dagster's definitions do not load, as it knows; empty where they do


class SignOfLife:
    """Given by the watchdog, as a context manager around its looks."""

    def __init__(self, settings: Settings) -> None:
        self._path = sign_file(settings)
        self._noted: str | None = None  # what it says of the definitions; None: nothing stands there

    def __enter__(self) -> SignOfLife:
        self.give()
        return self

    def give(self, not_loaded: str = "") -> None:
        """Now. A full disk refuses only what is new in it; that is logged, and tried again.

        not_loaded: that Dagster's definitions do not load
        """
        try:
            if self._noted != not_loaded:
                here = {
                    "host": socket.gethostname(),
                    "pid": os.getpid(),
                    "start": process_start(os.getpid()),
                    "not_loaded": not_loaded,
                }
                self._path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
                written = self._path.with_suffix(".new")  # whoever reads it meanwhile reads the old one
                written.write_text(json.dumps(here))
                written.replace(self._path)
                self._noted = not_loaded
            os.utime(self._path, ns=(system_now_ns(), system_now_ns()))
        except OSError as error:
            self._noted = None
            log.warning("no sign of life given", where=str(self._path), why=str(error))

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if kind is None:
            with suppress(OSError):  # then it is taken for dead, which is the safe side
                self._path.unlink(missing_ok=True)


def sign_file(settings: Settings) -> Path:
    return Path(settings.data_dir) / "watchdog.json"


def seen(settings: Settings) -> Seen:
    """What the file says of the configuration's watchdog."""
    path = sign_file(settings)
    try:
        at_ns = path.stat().st_mtime_ns
        ago_s = (system_now_ns() - at_ns) / 1e9
        here = json.loads(path.read_text())
        host, pid, start = here["host"], int(here["pid"]), here["start"]
        not_loaded = str(here.get("not_loaded", ""))
    except FileNotFoundError:
        return Seen(Life.NONE)
    except (OSError, ValueError, KeyError, TypeError):
        return Seen(Life.DIED)  # half written: it had no time, or no room, for more
    if host == socket.gethostname() and process_start(pid) != start:
        return Seen(Life.DIED, pid, ago_s, at_ns)
    life = Life.SILENT if ago_s > SILENT_AFTER_SECONDS else Life.WATCHES
    return Seen(life, pid, ago_s, at_ns, not_loaded)
