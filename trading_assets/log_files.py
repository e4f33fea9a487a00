"""Log files that do not grow for ever: how large one gets, how many earlier ones stay, how one is put aside.

A file that several processes append to line by line is renamed, and each of them opens the new one for its
next line. A file that a child process holds open as its output is copied and emptied: whoever appends goes
on at its new end.
"""

from __future__ import annotations

import fcntl
import os
import shutil
from pathlib import Path

MOST_BYTES = 20_000_000
EARLIER_FILES = 5


def earlier(path: Path, number: int) -> Path:
    """log.jsonl.1 is the one before, log.jsonl.5 the oldest."""
    return path.with_name(f"{path.name}.{number}")


def put_aside(path: Path, most_bytes: int) -> None:
    """Rename the file where it is too large, unless another process has done it meanwhile. Raises OSError."""
    lock = os.open(path.with_name(f"{path.name}.lock"), os.O_WRONLY | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if path.exists() and path.stat().st_size > most_bytes:
            _make_room(path)
            path.rename(earlier(path, 1))
    finally:
        os.close(lock)


def empty(path: Path, most_bytes: int = MOST_BYTES) -> None:
    """Copy the file and empty it where it is too large; what is written between is lost. Raises OSError."""
    if path.exists() and path.stat().st_size > most_bytes:
        _make_room(path)
        aside = earlier(path, 1)
        aside.touch(mode=0o600)
        shutil.copyfile(path, aside)
        os.truncate(path, 0)


def _make_room(path: Path) -> None:
    for number in range(EARLIER_FILES - 1, 0, -1):
        if earlier(path, number).exists():
            earlier(path, number).replace(earlier(path, number + 1))
