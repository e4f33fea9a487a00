"""The exchange as a process of its own: started, waited for, ended."""

from __future__ import annotations

import json
import os
import selectors
import subprocess
import sys
from collections.abc import Mapping, Sequence
from decimal import Decimal
from pathlib import Path
from types import TracebackType
from typing import IO, Protocol

from trading_assets import keyring
from trading_assets.errors import TradingAssetsError
from trading_assets.exchange.credentials import CONTROL_TOKEN_VARIABLE
from trading_assets.exchange.http.app import HOST, Urls
from trading_assets.parentage import STARTED_BY

LOG_NAME = "exchange.log"
START_SECONDS = 60.0
COPY_SECONDS = 900.0  # of a history with hundreds of millions of minute bars


class ExchangeDidNotStart(TradingAssetsError):
    """The process ended, or was silent for too long; the message shows the end of its log."""


class Spawn(Protocol):
    """Starts the command with these arguments. Its standard output is a pipe; everything else goes to
    `log`."""

    def __call__(
        self, arguments: Sequence[str], *, log: IO[bytes], environ: Mapping[str, str], own_session: bool
    ) -> subprocess.Popen[bytes]: ...


class ExchangeProcess:
    """A running exchange. As a context manager it is terminated at the end."""

    def __init__(self, process: subprocess.Popen[bytes], urls: Urls) -> None:
        self._process = process
        self.url, self.control_url = urls

    @property
    def pid(self) -> int:
        return self._process.pid

    @property
    def is_running(self) -> bool:
        return self._process.poll() is None

    def terminate(self, timeout_seconds: float = 10.0) -> None:
        """End it in an orderly way, by force after the timeout. Whatever it has answered is stored either
        way."""
        if self.is_running:
            self._process.terminate()
        try:
            self._process.wait(timeout_seconds)
        except subprocess.TimeoutExpired:
            self.kill()

    def kill(self) -> None:
        """SIGKILL, and wait for its end."""
        self._process.kill()
        self._process.wait()

    def __enter__(self) -> ExchangeProcess:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.terminate()


def spawn(
    arguments: Sequence[str], *, log: IO[bytes], environ: Mapping[str, str], own_session: bool
) -> subprocess.Popen[bytes]:
    return subprocess.Popen(
        [sys.executable, "-m", "trading_assets.exchange", *arguments],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=log,
        env=environ,
        start_new_session=own_session,
    )


def start_process(
    *,
    state_dir: Path,
    token: str,
    start_ns: int | None = None,
    cash: Decimal | None = None,
    port: int = 0,
    control_port: int = 0,
    spread_bps: Decimal | None = None,
    requests_per_minute: int | None = None,
    seed: int | None = None,
    fill_mode: str | None = None,
    participation: Decimal | None = None,
    speed: float | None = None,
    public_keys: bool = False,
    own_session: bool = False,
    history: Path | None = None,
    timeout_seconds: float | None = None,
    spawn: Spawn = spawn,
) -> ExchangeProcess:
    """Start `python -m trading_assets.exchange` and wait until it takes connections.

    None keeps the command's default. It plays the bundled tape, or the imported bars of `history`, which it
    copies first. `start_ns` is needed at the first start on the bundled tape in a state directory and has no
    effect afterwards; `cash`, `seed`, `fill_mode` and `participation` have none either. The log is
    `exchange.log` in the state directory, the key pair `keys.json` there (`public_keys`: the public pair).
    With `own_session` a terminal's Ctrl-C reaches only the parent process, which then ends the exchange in
    order; the exchange ends with its parent in any case. Raises ExchangeDidNotStart.
    """
    options = {
        "--start-ns": start_ns,
        "--cash": cash,
        "--port": port,
        "--control-port": control_port,
        "--spread-bps": spread_bps,
        "--requests-per-minute": requests_per_minute,
        "--seed": seed,
        "--fill-mode": fill_mode,
        "--participation": participation,
        "--speed": speed,
        "--history": history,
    }
    arguments = ["--state-dir", str(state_dir)]
    arguments += [part for name, value in options.items() if value is not None for part in (name, str(value))]
    arguments += ["--public-keys"] if public_keys else []
    state_dir.mkdir(mode=0o700, parents=True, exist_ok=True)
    log_path = state_dir / LOG_NAME
    with log_path.open("ab") as log:
        environ = keyring.public(os.environ) | {CONTROL_TOKEN_VARIABLE: token}
        environ |= {STARTED_BY: str(os.getpid())} if own_session else {}
        process = spawn(arguments, log=log, environ=environ, own_session=own_session)
    assert process.stdout is not None
    with process.stdout as output, selectors.DefaultSelector() as selector:
        selector.register(output, selectors.EVENT_READ)
        patience = timeout_seconds or (START_SECONDS if history is None else COPY_SECONDS)
        line = output.readline() if selector.select(patience) else b""
    if not line:
        process.kill()
        process.wait()
        raise ExchangeDidNotStart(
            f"the exchange on {HOST}:{port} did not start; the end of {log_path}:\n{_tail(log_path)}"
        )
    return ExchangeProcess(process, Urls(**json.loads(line)))


def _tail(path: Path, lines: int = 20) -> str:
    return "\n".join(path.read_text(errors="replace").splitlines()[-lines:])
