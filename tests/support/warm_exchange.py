"""Exchange processes that are ready at once (`forked`)."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import IO, Any

from support.forked import Forked, forkserver
from trading_assets.exchange import process


def start_process(**options: Any) -> process.ExchangeProcess:
    """As `trading_assets.exchange.process.start_process`."""
    return process.start_process(**options, spawn=_spawn)


def _spawn(
    arguments: Sequence[str], *, log: IO[bytes], environ: Mapping[str, str], own_session: bool
) -> Forked:
    output, ready = os.pipe()
    try:
        started = forkserver("exchange").spawn(
            arguments,
            stdout=ready,
            stderr=log.fileno(),
            environ=environ,
            directory=Path.cwd(),
            own_session=own_session,
        )
    finally:
        os.close(ready)
    started.stdout = os.fdopen(output, "rb")
    return started
