"""All commands in one list, and how the program ends.

Exit status, for scripts: 0 done and nothing wrong; 1 it failed, or found what it looks for (a halt, a
break, a difference); 2 the command line was wrong.
"""

from __future__ import annotations

import sys
from collections.abc import Callable
from importlib.metadata import version
from typing import Annotated, NoReturn

import typer
from rich.console import Console

from trading_assets import log, process_setup
from trading_assets.cli import books, data_report, down, import_bars, new_desk, operate, run, trade, watch
from trading_assets.errors import TradingAssetsError, of_the_system
from trading_assets.escapes import for_terminal
from trading_assets.redaction import clean

app = typer.Typer(
    name="trading-assets",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode="markdown",
    context_settings={"help_option_names": ["-h", "--help"]},
)
config_app = typer.Typer(no_args_is_help=True, help="The configuration file.")
data_app = typer.Typer(no_args_is_help=True, help="The bars in the history.")


def _version(wanted: bool) -> None:
    if wanted:
        Console().print(f"trading-assets {version('trading_assets')}", highlight=False)
        raise typer.Exit


@app.callback()
def root(
    shown: Annotated[
        bool, typer.Option("--version", callback=_version, is_eager=True, help="Show the version and exit.")
    ] = False,
) -> None:
    """A trading desk as a Dagster project: signals in, gated orders out, positions reconciled.

    Every command reads config/execution.yaml with your config/local.yaml over it, or the one file that
    --config or TRADING_ASSETS_CONFIG names.

    Exit status: 0 done and nothing wrong; 1 it failed or found something wrong; 2 wrong command line.
    """


_COMMANDS: dict[str, tuple[Callable[..., None], ...]] = {
    "Run": (new_desk.init, run.demo, run.up, down.down, run.exchange, run.listen, run.replay),
    "Trade": (trade.tick, trade.signal),
    "Watch": (watch.status, watch.orders, watch.positions),
    "Operate": (
        operate.kill,
        operate.flatten,
        operate.rearm,
        operate.close_order,
        operate.adopt,
        operate.adjust,
        operate.arm,
        operate.disarm,
        operate.alert_test,
    ),
    "Data and records": (import_bars.import_bars, books.rebuild, books.verify),
}
for _panel, _commands in _COMMANDS.items():
    for _command in _commands:
        app.command(rich_help_panel=_panel)(_command)
config_app.command("check")(books.check_config)
data_app.command("report")(data_report.data_report)
app.add_typer(data_app, name="data", rich_help_panel="Data and records")
app.add_typer(config_app, name="config", rich_help_panel="Data and records")


def main() -> None:
    """The entry point: one clear message for whatever goes wrong in a known way, no traceback."""
    process_setup.begin()
    try:
        app()
    except TradingAssetsError as error:
        _fail(str(error))
    except OSError as error:
        _fail(of_the_system(error))
    finally:
        log.shutdown()


def _fail(message: str) -> NoReturn:
    console = Console(stderr=True, soft_wrap=True, highlight=False, markup=False)
    console.print(for_terminal(f"trading-assets: {clean(message)}"))
    sys.stdout.flush()
    sys.exit(1)
