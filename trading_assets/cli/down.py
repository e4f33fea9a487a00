"""The command `down`: what a person reads of the end of a desk. What ends it is `trading_assets.down`."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path
from typing import Annotated

import typer

from trading_assets.cli.options import Config, Json
from trading_assets.cli.output import note, plain, say, show_json
from trading_assets.config import data_dir_of, path_in_use
from trading_assets.down import NOTHING, PATIENCE_SECONDS, Ending, desk_on, end
from trading_assets.environment import dagster_home
from trading_assets.roster import Roster


def down(
    watchdog: Annotated[
        bool,
        typer.Option(
            "--watchdog",
            help="End the watchdog of a book at Alpaca too, where it has outlived its `up`.",
        ),
    ] = False,
    wait: Annotated[
        float,
        typer.Option(min=0, metavar="SECONDS", help="How long `up` may take to end before it is killed."),
    ] = PATIENCE_SECONDS,
    home: Annotated[
        Path | None,
        typer.Option(
            help="End the desk of this Dagster home (default: that of the configured data directory).",
            show_default=False,
        ),
    ] = None,
    config: Config = None,
    as_json: Json = False,
) -> None:
    """End the desk that `up` runs, also when its terminal is gone, and what a killed `up` has left.

    Needs neither keys nor a usable configuration, only its `data_dir`. The watchdog of a book at Alpaca that
    has outlived its `up` goes on protecting, unless `--watchdog` ends it. Exit status 1: something of the
    desk still runs; the output says what.
    """
    path = path_in_use(config, os.environ)
    data_dir = data_dir_of(path)
    dagster = dagster_home(Path.cwd()) if home is None else home.resolve()
    desk = desk_on(data_dir, dagster, path, home_is_named=home is not None)
    ending = NOTHING
    if desk is not None:
        output = note if as_json else say
        ending = end(desk, with_watchdog=watchdog, patience_seconds=wait, say=output)
    if as_json:
        show_json({**plain(ending), "down": ending.is_down})
    elif desk is None:
        say(f"no desk runs on {data_dir.resolve()}. Start one with `trading-assets up`")
    else:
        for line in _lines(desk, ending):
            say(line)
    if not ending.is_down:
        raise typer.Exit(1)


def _lines(desk: Roster, ending: Ending) -> Iterator[str]:
    for part in ending.ended:
        yield f"{'killed' if part.by_force else 'ended'}  {part.name}, process {part.pid}"
    for name, pid in ending.left:
        yield f"STILL RUNS: {name}, process {pid}. Look at it with `ps -p {pid}`, then try again"
    if ending.protecting is not None:
        yield (
            f"left running: the watchdog, process {ending.protecting}. It goes on protecting the book at "
            f"Alpaca: stops, losses and a kill. End it too with {desk.command('down --watchdog')}"
        )
    elif ending.unprotected:
        yield (
            "Nothing protects the book at Alpaca now: no stop fires, no loss halts it, nobody follows its "
            f"orders. Keep the positions protected with {desk.command('listen')}, or sell them with "
            f"{desk.command('flatten --reason …')}"
        )
    if ending.is_down:
        yield "no process of the desk is left"
