"""Programs that start at once: each is a fork of a process that has imported it and compiled what it needs.

What runs is the program itself, from its `main`, in a process of its own with the arguments, environment,
directory and files that it is given; only the seconds of imports are left out. Programs started from nothing
are tested beside it: the exchange in tests/exchange, the commands in test_up, tests/demo and tests/docs.

No fork is made of a process of the tests: these have threads, connections and a broker's client.
"""

from __future__ import annotations

import json
import os
import resource
import select
import signal
import socket
import subprocess
import sys
import tempfile
import traceback
from collections.abc import Callable, Mapping, Sequence
from datetime import date
from functools import cache
from pathlib import Path
from typing import IO, Any, NoReturn

MOST_BYTES = 1 << 20
FAILED = 1


class Forked:
    """What `subprocess.Popen` says of a child, of a process that is another one's."""

    def __init__(self, pid: int, status: int, stdout: IO[bytes] | None = None) -> None:
        self.pid, self.stdout, self._status = pid, stdout, os.fdopen(status, "rb")
        self._pidfd = os.pidfd_open(pid)
        self.returncode: int | None = None

    def poll(self) -> int | None:
        """None while it runs."""
        return self._ended(0.0)

    def wait(self, timeout: float | None = None) -> int:
        """Raises subprocess.TimeoutExpired."""
        code = self._ended(timeout)
        if code is None:
            raise subprocess.TimeoutExpired("a forked program", timeout or 0.0)
        return code

    def terminate(self) -> None:
        self._send(signal.SIGTERM)

    def kill(self) -> None:
        self._send(signal.SIGKILL)

    def _send(self, number: signal.Signals) -> None:
        if self.poll() is None:
            signal.pidfd_send_signal(self._pidfd, number)

    def _ended(self, timeout: float | None) -> int | None:
        if self.returncode is None and select.select([self._pidfd], [], [], timeout)[0]:
            os.close(self._pidfd)
            with self._status as status:
                self.returncode = int(status.read() or -signal.SIGKILL)  # it says nothing when it is killed
        return self.returncode


class Forkserver:
    """A warm process of one program, for as long as this one lives."""

    def __init__(self, program: str, environ: Mapping[str, str]) -> None:
        self._ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        with theirs:
            self._process = subprocess.Popen(
                [sys.executable, __file__, program, str(theirs.fileno())],
                pass_fds=[theirs.fileno()],
                stdin=subprocess.DEVNULL,
                env=environ,
                start_new_session=True,  # a Ctrl-C ends the tests first
            )

    def spawn(
        self,
        arguments: Sequence[str],
        *,
        stdout: int,
        stderr: int,
        environ: Mapping[str, str],
        directory: Path,
        own_session: bool = False,
        file_bytes: int | None = None,
    ) -> Forked:
        """Start it; file_bytes: no file of its may grow beyond it."""
        program = {
            "arguments": list(arguments),
            "environ": dict(environ),
            "directory": str(directory),
            "own_session": own_session,
            "file_bytes": file_bytes,
        }
        ours, status = os.pipe()
        try:
            socket.send_fds(self._ours, [json.dumps(program).encode()], [stdout, stderr, status])
        finally:
            os.close(status)
        pid = int(self._ours.recv(32) or b"0")
        if not pid:
            raise RuntimeError("the process that programs are forked from has ended")
        return Forked(pid, ours)


@cache
def forkserver(program: str) -> Forkserver:
    return Forkserver(program, {**os.environ, "COLUMNS": "200", "TERM": "dumb"})


def _exchange() -> Callable[[], object]:
    """The exchange, with what each one reads, imports and compiles before its first answer."""
    from trading_assets.exchange import __main__ as exchange
    from trading_assets.exchange import opening, venue
    from trading_assets.exchange.http import app
    from trading_assets.market.sessions import Sessions

    opening.BundledTape = cache(opening.BundledTape)
    opening.Sessions = cache(opening.Sessions)
    venue.TapeView = cache(venue.TapeView)
    with tempfile.TemporaryDirectory() as directory, app.listening(0, "nothing") as unused:
        opened = opening.open_venue(Path(directory), start_ns=Sessions().open_ns(date(2012, 9, 11)))
        app.prepare(opened)
        opened.close()
        served = app.server_of(app.ExchangeApis(unused)).config
        served.load()
        served.get_loop_factory()
    return exchange.main


def _command() -> Callable[[], object]:
    """The command line, with what its commands import and compile as they are needed."""
    from trading_assets import cli, desk
    from trading_assets.engine.decision import preload
    from trading_assets.engine.records import verify
    from trading_assets.engine.replay import walk
    from trading_assets.store import history

    preload.preload()
    assert desk
    assert verify
    assert walk
    assert history
    return cli.main


PROGRAMS = {"exchange": _exchange, "command": _command}


def _serve(requests: socket.socket, main: Callable[[], object]) -> None:
    """Fork the program for each request, until nobody can ask any more."""
    signal.signal(signal.SIGCHLD, signal.SIG_IGN)  # what ends is gone at once
    while True:
        program, fds, _, _ = socket.recv_fds(requests, MOST_BYTES, 3)
        if not program:
            return
        pid = os.fork()
        if pid == 0:
            requests.close()
            _be(json.loads(program), *fds, main)
        for fd in fds:
            os.close(fd)
        requests.send(str(pid).encode())


def _be(
    orders: dict[str, Any], stdout: int, stderr: int, status: int, main: Callable[[], object]
) -> NoReturn:
    """What the program's process is, from here on."""
    code = FAILED
    try:
        signal.signal(signal.SIGCHLD, signal.SIG_DFL)
        if orders["own_session"]:
            os.setsid()
        os.chdir(orders["directory"])
        os.environ.clear()
        os.environ.update(orders["environ"])
        for fd, target in ((stdout, 1), (stderr, 2)):
            os.dup2(fd, target)
            os.close(fd)
        if orders["file_bytes"] is not None:
            resource.setrlimit(resource.RLIMIT_FSIZE, (orders["file_bytes"], orders["file_bytes"]))
        sys.argv = ["trading-assets", *orders["arguments"]]
        main()
        code = 0
    except SystemExit as end:
        if isinstance(end.code, str):
            print(end.code, file=sys.stderr)
        code = end.code if isinstance(end.code, int) else FAILED if end.code else 0
    except BaseException:  # noqa: BLE001 - as Python ends a program
        traceback.print_exc()
    finally:
        sys.stdout.flush()
        sys.stderr.flush()
        os.write(status, str(code).encode())
        os._exit(code)


if __name__ == "__main__":
    with socket.socket(fileno=int(sys.argv[2])) as requests:
        _serve(requests, PROGRAMS[sys.argv[1]]())
