"""The real command in a process of its own, that is ready at once (`forked`); for tests."""

from __future__ import annotations

import json
import os
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any

from support.forked import forkserver

COMMAND = (sys.executable, "-m", "trading_assets.cli")


@dataclass(frozen=True)
class Done:
    """How a command ended."""

    status: int
    out: str
    err: str

    @property
    def json(self) -> Any:
        return json.loads(self.out)

    def failed_with_one_message(self) -> str:
        """The message of a command that failed in a known way: one, on standard error, no traceback."""
        assert self.status == 1, (self.status, self.out, self.err)
        assert "Traceback" not in self.err
        assert "Logging error" not in self.err
        assert self.err.count("trading-assets: ") == 1
        assert self.err.startswith("trading-assets: ")
        return self.err


def command(
    *arguments: object,
    config: Path | None = None,
    environ: dict[str, str] | None = None,
    file_bytes: int | None = None,
    cwd: Path | None = None,
) -> Done:
    """Run `trading-assets` with these arguments. file_bytes: no file may grow beyond it."""
    named = {} if config is None else {"TRADING_ASSETS_CONFIG": str(config)}
    with tempfile.TemporaryFile() as out, tempfile.TemporaryFile() as err:
        started = forkserver("command").spawn(
            [os.fsdecode(text) if isinstance(text, bytes) else str(text) for text in arguments],
            stdout=out.fileno(),
            stderr=err.fileno(),
            environ={**os.environ, "COLUMNS": "200", "TERM": "dumb", **named, **(environ or {})},
            directory=Path.cwd() if cwd is None else cwd,
            file_bytes=file_bytes,
        )
        try:
            status = started.wait(120)
        finally:
            started.kill()
        return Done(status, *(_printed(file) for file in (out, err)))


def _printed(file: IO[bytes]) -> str:
    file.seek(0)
    return file.read().decode()
