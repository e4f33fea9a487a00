"""The real command in a process of its own, for tests."""

from __future__ import annotations

import json
import os
import resource
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

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

    def limited() -> None:
        if file_bytes is not None:
            resource.setrlimit(resource.RLIMIT_FSIZE, (file_bytes, file_bytes))

    named = {} if config is None else {"TRADING_ASSETS_CONFIG": str(config)}
    ended = subprocess.run(
        [*COMMAND, *(text if isinstance(text, bytes) else str(text) for text in arguments)],
        env={**os.environ, "COLUMNS": "200", "TERM": "dumb", **named, **(environ or {})},
        capture_output=True,
        text=True,
        timeout=120,
        preexec_fn=limited,
        cwd=cwd,
        check=False,
    )
    return Done(ended.returncode, ended.stdout, ended.stderr)
