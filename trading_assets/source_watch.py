"""Whether the definitions still load after a file of the package has changed, found out before Dagster does.

Dagster reads a file that a person edits when it next begins a run, and its webserver goes on with what it has
loaded: a broken file shows when protection does not run. So whoever watches the desk looks at the files every
few seconds, and after a change loads the definitions in a process of its own.
"""

from __future__ import annotations

import hashlib
import os
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Protocol

import trading_assets
from trading_assets import keyring, redaction
from trading_assets.engine.operation.asking import Trouble
from trading_assets.log import get_logger
from trading_assets.market.clock import monotonic_ns

log = get_logger(__name__)

PACKAGE = Path(trading_assets.__file__).parent
SUFFIXES = (".py", ".yaml", ".yml")
FIRST_LOAD_SECONDS = 180.0  # after the start, when Dagster has loaded them itself and the machine has time
LOAD_SECONDS = 120.0
LOG_VARIABLE = "TRADING_ASSETS_LOG"  # a file that others write
NICENESS = 10
SHOWN = 3_000  # characters, from the end: where a traceback says what is wrong
_LOAD = (
    f"import os; os.nice({NICENESS})\n"
    "from trading_assets.definitions import defs\n"
    "defs.get_repository_def()\n"
)


class Load(Protocol):
    def __call__(self) -> str:
        """Why the definitions do not load; empty where they do."""


class SourceWatch:
    """The package's files, looked at again and again.

    first_load_seconds: from the start until they are loaded though none has changed
    """

    def __init__(
        self,
        load: Load,
        folder: Path = PACKAGE,
        *,
        first_load_seconds: float = FIRST_LOAD_SECONDS,
    ) -> None:
        self._load, self._folder = load, folder
        self._loaded = signature(folder)  # what the parts of the desk began with
        self._first_ns: int | None = monotonic_ns() + int(first_load_seconds * 1e9)
        self._why = ""

    def troubles(self) -> tuple[Trouble, ...]:
        """That the definitions do not load, for as long as they do not."""
        now = signature(self._folder)
        first = self._first_ns is not None and monotonic_ns() >= self._first_ns
        if now != self._loaded or first:
            why, self._first_ns = self._load(), None
            if bool(why) != bool(self._why):
                log.warning("definitions loaded again", ok=not why, why=why[-SHOWN:])
            self._loaded, self._why = now, why
        if not self._why:
            return ()
        body = (
            "No run begins: no tick, and no protection but the watchdog's. Mend the file that the error "
            f"names; `dg check defs` says when all is right.\n{self._why[-SHOWN:]}"
        )
        title = "The definitions do not load"
        return (Trouble("dagster:definitions", title, body, occurrence=self._loaded, not_loaded=True),)


def signature(folder: Path) -> str:
    """Of the names, times and sizes of the sources below a folder, without what goes meanwhile."""
    digest = hashlib.sha256()
    for place, folders, names in os.walk(folder):
        folders[:] = sorted(name for name in folders if name != "__pycache__")
        for name in sorted(names):
            if name.endswith(SUFFIXES):
                digest.update(_stamp(Path(place) / name))
    return digest.hexdigest()[:16]


def _stamp(file: Path) -> bytes:
    try:
        status = file.stat()
    except FileNotFoundError:
        return b""
    return f"{file}\0{status.st_mtime_ns}\0{status.st_size}\0".encode()


def load_definitions(environ: Mapping[str, str] = os.environ) -> str:
    """Load them in a process without a secret, at low priority: why they do not, the error last, or empty."""
    try:
        done = subprocess.run(
            [sys.executable, "-c", _LOAD],
            env={name: value for name, value in keyring.public(environ).items() if name != LOG_VARIABLE},
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=LOAD_SECONDS,
        )
    except subprocess.TimeoutExpired:
        return f"They had not loaded after {LOAD_SECONDS:.0f} s."
    if done.returncode == 0:
        return ""
    output = redaction.clean(done.stderr.strip())
    return output or f"The process that loads them ended with {done.returncode}."
