"""A stand-in for `make up`, ready within a second: it holds a desk's directories as the real one does, and
its parts are processes that sleep, each in a session of its own."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import psutil

from trading_assets import roster

_STARTER = """
import json, signal, subprocess, sys
from pathlib import Path
from trading_assets import roster

told = json.loads(sys.argv[1])
signal.signal(signal.SIGTERM, lambda *_: None if told["deaf"] else sys.exit())
held = roster.held(config_path=Path(told["config"]), data_dir=Path(told["data_dir"]),
    dagster_home=Path(told["home"]), since_ns=1347366600 * 10**9, addresses={"Dagster": "http://127.0.0.1:1"},
    outlives=told["outlives"])
with held as holder:
    parts = {name: subprocess.Popen(command, start_new_session=True, cwd=told["data_dir"])
             for name, command in told["parts"].items()}
    holder.keep({name: part.pid for name, part in parts.items()})
    try:  # from here on a signal may come
        print(*(f"{name}={part.pid}" for name, part in parts.items()), flush=True)
        while True:
            signal.pause()
    finally:
        for part in parts.values():
            part.kill()
            part.wait()
"""
SLEEPS = (sys.executable, "-c", "import time; time.sleep(600)")


@dataclass
class StandInDesk:
    process: subprocess.Popen[str]
    data_dir: Path
    home: Path
    config: Path
    parts: dict[str, psutil.Process]

    def kill(self) -> None:
        """As the kernel does to a process that uses too much memory; no part is told."""
        self.process.kill()
        self.process.wait()

    def end(self) -> None:
        for part in self.parts.values():
            if part.is_running():
                for child in part.children(recursive=True):
                    child.kill()
                part.kill()
        self.kill()


def stand_in(
    place: Path,
    *,
    parts: Sequence[str] = (roster.EXCHANGE, "dagster-daemon", "trading-assets"),
    commands: dict[str, Sequence[str]] | None = None,
    outlives: Sequence[str] = (),
    deaf: bool = False,
) -> StandInDesk:
    """A desk in `place`, laid out as one that `init` made. deaf: `make up` does not hear SIGTERM."""
    data_dir, home, config = place / "var", place / "dagster_home", place / "config" / "execution.yaml"
    for directory in (data_dir, home, config.parent):
        directory.mkdir(parents=True, exist_ok=True)
    config.touch()
    members = {
        "config": str(config),
        "data_dir": str(data_dir),
        "home": str(home),
        "outlives": list(outlives),
        "deaf": deaf,
        "parts": {name: list((commands or {}).get(name, SLEEPS)) for name in parts},
    }
    process = subprocess.Popen(
        [sys.executable, "-c", _STARTER, json.dumps(members)],
        stdout=subprocess.PIPE,
        text=True,
        env=os.environ,
    )
    assert process.stdout is not None
    pids = dict(word.split("=") for word in process.stdout.readline().split())
    running = {name: psutil.Process(int(pid)) for name, pid in pids.items()}
    return StandInDesk(process, data_dir, home, config, running)


def runs(process: psutil.Process) -> bool:
    return process.is_running() and roster.start_of(process) is not None
