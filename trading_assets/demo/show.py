"""The demonstration from beginning to end."""

from __future__ import annotations

import os
import time
from importlib.metadata import version
from pathlib import Path

from rich.console import Console

from trading_assets import log
from trading_assets.demo import story, summary
from trading_assets.demo.demo_desk import demo_desk
from trading_assets.errors import InvalidInput


def show(project: Path, home: Path) -> bool:
    """Play it below `home`; True when everything that must hold held. Raises TradingAssetsError."""
    if not (project / "workspace.yaml").exists():
        raise InvalidInput(
            "no workspace.yaml here",
            where=str(project),
            remedy="Run it in the project's root, or in a directory that `trading-assets init` made.",
        )
    console = Console(soft_wrap=True)
    began = time.monotonic()
    with demo_desk(project, home, story.CONTROLS_SESSION) as demo:
        log.configure(json_path=home / "log.jsonl", level="INFO", terminal_level="ERROR")
        try:
            console.rule("1  Train on daily bars of 2000–2010")
            story.train(demo, console)
            summary.model_figures(demo, console)
            console.rule("2  The exchange")
            console.print(
                f"  process {demo.exchange.pid} (this one is {os.getpid()}) serves Alpaca's API on "
                f"{demo.exchange.url}; the client is alpaca-py {version('alpaca-py')}, unmodified, over HTTP"
            )
            console.rule(f"3  The gate at work, {story.CONTROLS_SESSION}")
            story.controls(demo, console)
            for session in story.MODEL_SESSIONS:
                console.rule(f"4  The model trades {session}, a Dagster run every 30 minutes")
                story.trade(demo, console, session)
            console.rule("5  Replay 2011 and 2012 through the same decisions")
            began_replay = time.monotonic()
            story.replay(demo, console)
            console.print(f"  took {time.monotonic() - began_replay:.0f} s")
            console.rule("6  Summary")
            good = summary.summarise(demo, console)
        finally:
            log.shutdown()
    console.print(
        f"{'All of it held' if good else 'SOMETHING DID NOT HOLD'}; {time.monotonic() - began:.0f} s."
    )
    return good
