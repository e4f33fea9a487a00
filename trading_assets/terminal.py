"""The terminal that `make up` was typed in: what is said there, and in a file that outlives it, and whether
the terminal is still there.

A terminal that closes tells who is in front (SIGHUP), mostly: not where `make` is the first program in it, as
with `ssh -t host make up`. What was started with nohup, or in the background and disowned, stays.
"""

from __future__ import annotations

import os
import signal
import sys
from pathlib import Path

from trading_assets.escapes import for_terminal
from trading_assets.market.clock import system_now_ns
from trading_assets.market.sessions import new_york_time
from trading_assets.redaction import clean


class Terminal:
    """Says lines on standard output and in a file; a line that one of them does not take breaks nothing."""

    def __init__(self) -> None:
        self._file: Path | None = None
        self._file_failed = False
        self._in_front = False
        self._device: int | None = None
        if signal.getsignal(signal.SIGHUP) is signal.SIG_IGN:  # nohup
            return
        try:
            self._device = os.open("/dev/tty", os.O_RDONLY | os.O_NOCTTY | os.O_CLOEXEC)
        except OSError:  # a service, a program of somebody's own
            return
        self.has_gone()

    def keep(self, file: Path) -> None:
        """Keep from now on what is said in this file too, with the time and without secrets."""
        file.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        self._file = file

    def say(self, line: str) -> None:
        self.note(line)
        self._print(line)

    def note(self, line: str) -> None:
        """Only in the file."""
        if self._file is None:
            return
        try:
            with self._file.open("a", encoding="utf-8") as output:
                output.write(f"{new_york_time(system_now_ns())}  {clean(for_terminal(line))}\n")
            self._file_failed = False
        except OSError as error:  # a full disk: the desk goes on, and what is said is on the terminal
            if not self._file_failed:
                self._print(f"{self._file} does not take what follows: {error.strerror}")
            self._file_failed = True

    def has_gone(self) -> bool:
        """Whether it has closed while this process was in front in it."""
        if self._device is None:
            return False
        try:
            self._in_front = os.tcgetpgrp(self._device) == os.getpgrp()
        except OSError:
            return self._in_front
        return False

    def close(self) -> None:
        if self._device is not None:
            os.close(self._device)
            self._device = None

    def _print(self, line: str) -> None:
        try:
            sys.stdout.write(for_terminal(line) + "\n")
            sys.stdout.flush()
        except OSError:  # the terminal, or the program that read this, is gone: the file has the line
            _write_nowhere()


def _write_nowhere() -> None:
    """Standard output, and standard error where both go to the same place: also as Python flushes them at the
    end, which else makes the exit status 120."""
    output = sys.stdout.fileno()
    nowhere = os.open(os.devnull, os.O_WRONLY | os.O_CLOEXEC)
    try:
        if os.path.sameopenfile(output, sys.stderr.fileno()):
            os.dup2(nowhere, sys.stderr.fileno())
        os.dup2(nowhere, output)
    finally:
        os.close(nowhere)
