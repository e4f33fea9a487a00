"""A shell that a test types into, for the pages whose commands are typed."""

from __future__ import annotations

import os
import signal
import subprocess
import threading
from collections.abc import Mapping
from pathlib import Path

END = "--- end of command, status "


class Terminal:
    """A shell in the project's directory that keeps what is exported in it."""

    def __init__(self, home: Path, environ: Mapping[str, str], *, patience_seconds: float) -> None:
        self._patience_seconds = patience_seconds
        self._shell = subprocess.Popen(
            ["bash", "--noprofile", "--norc"],
            cwd=home,
            env=environ,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            start_new_session=True,
        )

    def type(self, command: str) -> tuple[int, str]:
        """Exit status and output."""
        assert self._shell.stdin is not None
        assert self._shell.stdout is not None
        watchdog = threading.Timer(self._patience_seconds, self.end)
        watchdog.start()
        self._shell.stdin.write(f'{command}\necho "{END}$?"\n')
        self._shell.stdin.flush()
        output = ""
        for line in self._shell.stdout:
            if line.startswith(END):
                watchdog.cancel()
                return int(line.removeprefix(END)), output
            output += line
        raise AssertionError(f"{command}: not done within {self._patience_seconds} s, so far:\n{output}")

    def end(self) -> None:
        if self._shell.poll() is None:
            os.killpg(self._shell.pid, signal.SIGKILL)
        self._shell.wait()
