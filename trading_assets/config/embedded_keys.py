"""The embedded exchange's key pair: a file of its state directory, made at its first start, read by clients.

Who can read the file may trade on the exchange; nobody else on the machine can, its port notwithstanding. The
public pair is what an exchange takes that was started with `--public-keys`, as tests and examples do.
"""

from __future__ import annotations

import hmac
import json
import os
import secrets
import stat
from pathlib import Path
from typing import NamedTuple

from trading_assets.errors import InvalidInput

KEYS_NAME = "keys.json"
_OTHERS = 0o077


class KeyPair(NamedTuple):
    key_id: str
    secret: str

    def accepts(self, key_id: object, secret: object) -> bool:
        """Whether it is this pair, in a time that tells nothing of it."""
        given = f"{key_id}\n{secret}".encode(errors="replace")
        return hmac.compare_digest(given, f"{self.key_id}\n{self.secret}".encode())


PUBLIC_KEYS = KeyPair("EMBEDDED-PAPER", "loopback-only")


def key_pair(state_dir: Path, *, public: bool = False) -> KeyPair:
    """The pair of the exchange whose state is there, made where it has none of its own. What it takes is what
    the file says.

    public: take the public pair instead. Raises InvalidInput for a file that others may read.
    """
    path = state_dir / KEYS_NAME
    kept = read_key_pair(path)
    if public or kept is None or kept == PUBLIC_KEYS:
        fresh = PUBLIC_KEYS if public else _fresh()
        if fresh != kept:
            _write(path, fresh)
        return fresh
    return kept


def read_key_pair(path: Path) -> KeyPair | None:
    """The pair in the file; None where there is no file.

    Raises InvalidInput for a link, for a file of another user or one that others may read, and for one that
    holds no key pair.
    """
    try:
        opened = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK)
    except FileNotFoundError:
        return None
    except OSError as error:
        raise _unusable(path, str(error.strerror)) from error
    with os.fdopen(opened, "rb") as file:
        status = os.fstat(file.fileno())
        if not stat.S_ISREG(status.st_mode) or status.st_uid != os.geteuid():
            raise _unusable(path, "it is not a regular file of this user")
        if status.st_mode & _OTHERS:
            raise _unusable(path, f"others may read it (mode {stat.S_IMODE(status.st_mode):04o})")
        content = file.read(4096)
    try:
        members = json.loads(content)
        return KeyPair(str(members["key_id"]), str(members["secret"]))
    except (ValueError, KeyError, TypeError, RecursionError) as error:
        raise _unusable(path, "it holds no key pair") from error


def _fresh() -> KeyPair:
    return KeyPair(f"EMBEDDED{secrets.token_hex(6).upper()}", secrets.token_urlsafe(32))


def _write(path: Path, pair: KeyPair) -> None:
    """Replace the file whole: a client reads the old pair or the new one."""
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    beside = path.with_name(f"{KEYS_NAME}.{secrets.token_hex(4)}")
    opened = os.open(beside, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW, 0o600)
    with os.fdopen(opened, "w") as file:
        file.write(json.dumps(pair._asdict()))
    beside.replace(path)


def _unusable(path: Path, why: str) -> InvalidInput:
    return InvalidInput(
        f"the embedded exchange's key pair cannot be used: {why}",
        where=str(path),
        remedy="Remove the file and start the exchange again: it makes a new pair.",
    )
