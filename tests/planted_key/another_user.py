"""What another user of this machine gets who tries: run in a fork that has taken that user's id."""

from __future__ import annotations

import json
import os
import socket
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

NOBODY = 65_534  # user and group of nothing, on every Linux

Attempt = Callable[[], bytes]


def tried(attempts: dict[str, Attempt]) -> dict[str, str]:
    """What each attempt comes to as `NOBODY`: the text that it got, or the name of the refusing error."""
    reads, writes = os.pipe()
    pid = os.fork()
    if pid == 0:
        try:
            os.close(reads)
            os.setgroups([])
            os.setresgid(NOBODY, NOBODY, NOBODY)
            os.setresuid(NOBODY, NOBODY, NOBODY)
            with os.fdopen(writes, "w") as pipe:
                json.dump({name: _come_of(attempt) for name, attempt in attempts.items()}, pipe)
        finally:
            os._exit(0)
    os.close(writes)
    with os.fdopen(reads) as pipe:
        result: dict[str, str] = json.load(pipe)
    os.waitpid(pid, 0)
    return result


def _come_of(attempt: Attempt) -> str:
    try:
        return attempt().decode("latin-1")
    except OSError as refused:
        return type(refused).__name__


def read(path: Path) -> Attempt:
    return lambda: path.read_bytes()


def write(path: Path) -> Attempt:
    """Without changing what is there."""

    def attempt() -> bytes:
        os.close(os.open(path, os.O_WRONLY | (0 if path.exists() else os.O_CREAT)))
        return b"written"

    return attempt


def lists(path: Path) -> Attempt:
    return lambda: b" ".join(bytes(one) for one in path.iterdir())


def signals(pid: int) -> Attempt:
    def attempt() -> bytes:
        os.kill(pid, 0)
        return b"taken"

    return attempt


def connects(path: Path) -> Attempt:
    def attempt() -> bytes:
        with socket.socket(socket.AF_UNIX) as connection:
            connection.connect(str(path))
        return b"connected"

    return attempt


def asks(port: int, head: str, body: str = "") -> Attempt:
    """The first line of an HTTP answer."""
    length = f"Content-Type: application/json\r\nContent-Length: {len(body)}\r\n" if body else ""
    request = f"{head} HTTP/1.1\r\nHost: 127.0.0.1:{port}\r\n{length}Connection: close\r\n\r\n{body}"

    def attempt() -> bytes:
        with socket.create_connection(("127.0.0.1", port), timeout=30) as connection:
            connection.sendall(request.encode())
            return connection.recv(4_096).splitlines()[0]

    return attempt


@contextmanager
def as_in_a_home_of_its_own(home: Path) -> Iterator[None]:
    """With every directory above open to all, so that nothing but the desk's own modes keeps others out."""
    above = [home, *home.parents]
    modes = {path: path.stat().st_mode for path in above if path.stat().st_uid == os.getuid()}
    for path, mode in modes.items():
        path.chmod(mode | 0o055)
    try:
        yield
    finally:
        for path, mode in modes.items():
            path.chmod(mode)
