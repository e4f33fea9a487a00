"""The secrets of this process: taken out of its environment as it starts, kept in its memory.

Whatever an environment variable holds, `{"env": NAME}` in a run's configuration reads, and so does every user
of the machine's `/proc` who may look at the process. So a process of ours takes what is named here out of
`os.environ` before it does anything else, and out of the copy of its first environment that the kernel shows.
Whoever needs one of them reads it through `ENVIRON`. Children get none, except those that are given them by
name (`given`).
"""

from __future__ import annotations

import ctypes
import os
import re
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path

from trading_assets.venues import BROKER_KEYS

CONTROL_TOKEN = "TRADING_ASSETS_EXCHANGE_TOKEN"
ALERT_URLS = "TRADING_ASSETS_ALERT_URLS"
SECRETS = (*BROKER_KEYS, CONTROL_TOKEN, ALERT_URLS)

# What a process needs in order to find its files, to speak a person's language and to be told of a kill.
_PUBLIC = frozenset(
    {
        *(
            "PATH",
            "HOME",
            "USER",
            "LOGNAME",
            "SHELL",
            "TMPDIR",
            "TMP",
            "TEMP",
            "TZ",
            "LANG",
            "LANGUAGE",
            "TERM",
        ),
        *("COLUMNS", "LINES", "NO_COLOR", "CI", "VIRTUAL_ENV", "LD_LIBRARY_PATH", "DYLD_LIBRARY_PATH"),
        *("SSL_CERT_FILE", "SSL_CERT_DIR", "JE_ARROW_MALLOC_CONF", "KILL_SWITCH"),
        *("TRADING_ASSETS_CONFIG", "TRADING_ASSETS_LOG", "TRADING_ASSETS_DAGSTER_URL"),
        "TRADING_ASSETS_SOURCE_URL",
    }
)
_PUBLIC_PREFIXES = ("LC_", "PYTHON", "XDG_", "DAGSTER_", "NUMBA_", "OMP_", "OPENBLAS_", "MKL_")
_SECRET_NAME = re.compile(r"SECRET|TOKEN|PASSW|CREDENTIAL|KEY", re.IGNORECASE)

_ENV_START, _ENV_END = 50, 51  # fields of /proc/PID/stat, counted from 1 as proc(5) does

_held: dict[str, str] = {}


class _Environ(Mapping[str, str]):
    """The environment with what was taken out of it; what is set there now comes first."""

    def __getitem__(self, name: str) -> str:
        value = os.environ.get(name)
        return _held[name] if value is None else value

    def __iter__(self) -> Iterator[str]:
        yield from os.environ
        yield from (name for name in _held if name not in os.environ)

    def __len__(self) -> int:
        return len(os.environ.keys() | _held.keys())

    def __repr__(self) -> str:
        return f"the environment with {', '.join(sorted(_held)) or 'no secret'} in memory"


ENVIRON: Mapping[str, str] = _Environ()


def take() -> None:
    """Take the secrets out of the environment. Done again, it takes what was put there since."""
    for name in SECRETS:
        value = os.environ.pop(name, None)
        if value is not None:
            _held[name] = value
    _wipe()


def take_beside_stock_runs() -> None:
    """As `take`, in a code server: a run that Dagster's own launcher starts there is a new interpreter, which
    gets the C library's environment and nothing else. There the secrets stay, out of reach of `os.environ`.
    """
    values = {name: os.environ[name] for name in SECRETS if name in os.environ}
    take()
    for name, value in values.items():
        os.putenv(name, value)


def cover() -> None:
    """In Dagster's webserver and daemon, which resolve no run's configuration and give a code server their
    `os.environ`: leave that as it is, and take the secrets out of what the kernel shows."""
    values = {name: os.environ[name] for name in SECRETS if name in os.environ}
    for name in values:
        os.unsetenv(name)
    _wipe()
    for name, value in values.items():
        os.putenv(name, value)  # in memory of the C library, for the parts that `dagster dev` starts


def given(*names: str) -> dict[str, str]:
    """Those of the secrets that this process has, for the environment of exactly one child."""
    return {name: ENVIRON[name] for name in names if name in ENVIRON}


def public(environ: Mapping[str, str]) -> dict[str, str]:
    """What a child that talks to no broker is given of an environment: what is listed, and nothing that is
    called like a secret."""
    return {
        name: value
        for name, value in environ.items()
        if (name in _PUBLIC or name.startswith(_PUBLIC_PREFIXES)) and not _SECRET_NAME.search(name)
    }


def known() -> dict[str, str]:
    """Every secret that this process has, by its variable."""
    return given(*SECRETS)


def forget() -> None:
    """Forget what was taken. For tests, which are one process."""
    _held.clear()


def holds_broker_keys() -> bool:
    return any(name in ENVIRON for name in BROKER_KEYS)


def _wipe() -> None:
    """Overwrite the secrets in the memory of the first environment, which /proc/PID/environ shows for ever.

    Only on Linux. The C library no longer points there: the variables are unset, or copies of it.
    """
    if sys.platform != "linux":
        return
    fields = Path("/proc/self/stat").read_text().rpartition(")")[2].split()  # from the third on
    start, end = int(fields[_ENV_START - 3]), int(fields[_ENV_END - 3])
    if not start < end:
        return
    region = b"\0" + ctypes.string_at(start, end - start)
    for name in SECRETS:
        mark = b"\0" + name.encode() + b"="
        at = region.find(mark)
        while at >= 0:
            value = at + len(mark)  # of the region, which is a byte ahead of the memory
            length = region.index(b"\0", value) - value if b"\0" in region[value:] else len(region) - value
            ctypes.memset(start + value - 1, 0, length)
            at = region.find(mark, value)
