"""The command line `trading-assets`. A command parses, calls the engine or the demonstration, and exits.

Exit status: 0 done, 1 it failed or found something wrong, 2 the command line was wrong.
"""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated

import typer

from trading_assets.errors import TradingAssetsError

app = typer.Typer(no_args_is_help=True, add_completion=False, pretty_exceptions_enable=False)


@app.callback()
def root() -> None:
    """A trading desk as a Dagster project."""


@app.command()
def demo(
    home: Annotated[Path, typer.Option(help="Where everything of it goes.")] = Path("var/demo"),
) -> None:
    """Train, trade two sessions on the embedded exchange, show the gate at work, sum up."""
    from trading_assets.demo.play import play

    if not play(Path.cwd(), home.resolve()):
        raise typer.Exit(1)


def main() -> None:
    """The entry point: one clear line for every error of ours, no traceback."""
    try:
        app()
    except TradingAssetsError as error:
        print(f"trading-assets: {error}", file=sys.stderr)
        sys.exit(1)


if __name__ == "__main__":
    main()
