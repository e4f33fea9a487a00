"""A terminal that a test opens for a program, and closes as a window is closed or a connection lost."""

from __future__ import annotations

import fcntl
import os
import pty
import subprocess
import termios
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

import psutil


class PseudoTerminal:
    """A terminal with a program as its first, and a reader of what it shows."""

    def __init__(
        self, command: list[str], *, cwd: Path | None = None, environ: dict[str, str] | None = None
    ) -> None:
        self._ours, theirs = pty.openpty()

        def begin() -> None:
            os.setsid()
            fcntl.ioctl(theirs, termios.TIOCSCTTY, 0)

        self.process = subprocess.Popen(
            command,
            stdin=theirs,
            stdout=theirs,
            stderr=theirs,
            cwd=cwd,
            env=environ,
            preexec_fn=begin,
        )
        os.close(theirs)
        self.shown = ""

    def read_until(self, words: str, seconds: float = 120) -> None:
        until = time.monotonic() + seconds
        while words not in self.shown:
            assert time.monotonic() < until, self.shown
            try:
                self.shown += os.read(self._ours, 4096).decode(errors="replace")
            except OSError:  # nobody has it open on the other side
                raise AssertionError(self.shown) from None

    def close(self) -> None:
        """As when its window is closed, or its connection is lost."""
        if self._ours >= 0:
            os.close(self._ours)
            self._ours = -1

    def end(self) -> None:
        self.close()
        with suppress(psutil.NoSuchProcess):
            for process in psutil.Process(self.process.pid).children(recursive=True):
                process.kill()
        self.process.kill()
        self.process.wait()


def wait_for(what: str, condition: Callable[[], object], seconds: float = 15) -> None:
    until = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < until, what
        time.sleep(0.05)
