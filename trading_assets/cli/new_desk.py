"""`trading-assets init`: a directory in which every command works, without a checkout of the project.

The files are the project's own (`workspace.yaml`, the configuration, Dagster's), which the wheel carries as
`trading_assets/template`, and two examples of what a person brings. Nothing that is there is overwritten.
"""

from __future__ import annotations

import csv
import io
import shutil
from datetime import date, timedelta
from pathlib import Path
from typing import Annotated

import typer

import trading_assets
from trading_assets.cli.output import say
from trading_assets.errors import InvalidInput

FILES = ("workspace.yaml", "dagster_home/dagster.yaml", "config/execution.yaml", "config/demo.yaml")
EXAMPLE_SYMBOL, EXAMPLE_FROM, EXAMPLE_SESSIONS = "MSFT", date(2012, 7, 2), 20
IGNORED = """\
# What the desk makes by itself. Everything else here is yours to keep under version control.
/var/
/dagster_home/*
!/dagster_home/dagster.yaml
"""


def init(
    directory: Annotated[Path, typer.Argument(help="Directory to make; it must be new or empty.")],
) -> None:
    """Make a directory for a desk: configuration, Dagster's files, example signals and bars.

    Run every other command there. `config/execution.yaml` has every key of the configuration and its default.
    """
    if directory.exists() and (not directory.is_dir() or any(directory.iterdir())):
        raise InvalidInput(
            "is not an empty directory",
            where=str(directory),
            remedy="Name a new one: nothing that is there is overwritten.",
        )
    for name in FILES:
        target = directory / name
        target.parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(template(name), target)
    (directory / ".gitignore").write_text(IGNORED, encoding="utf-8")
    examples = directory / "examples"
    examples.mkdir()
    (examples / "bars.csv").write_text(_bars(), encoding="utf-8")
    (examples / "signals.csv").write_text(_signals(), encoding="utf-8")
    sessions = _sessions()
    say(f"made {directory}. Next:")
    say(f"  cd {directory}")
    say("  trading-assets up       # the whole desk on the embedded exchange")
    say("or one command at a time:")
    say(
        "  trading-assets import-bars examples/bars.csv --interval 1d --stamps start --adjusted no "
        "--zone America/New_York"
    )
    say(
        f"  trading-assets replay --from {sessions[0]} --to {sessions[-1]} --signals examples/signals.csv "
        "--name example"
    )


def template(name: str) -> Path:
    """A file of the project: what the wheel carries, or in a checkout the file itself."""
    package = Path(trading_assets.__file__).parent
    carried = package / "template" / name
    return carried if carried.exists() else package.parent / name


def _sessions() -> list[date]:
    from trading_assets.market.sessions import Sessions

    after = EXAMPLE_FROM + timedelta(days=2 * EXAMPLE_SESSIONS)
    return Sessions().between(EXAMPLE_FROM, after)[:EXAMPLE_SESSIONS]


def _bars() -> str:
    """Daily bars as people have them: a date, prices as traded, a volume."""
    from trading_assets.market.bundle import BundledTape
    from trading_assets.market.timestamps import utc_time

    bars, wanted = BundledTape().daily(EXAMPLE_SYMBOL), set(_sessions())
    rows: list[tuple[object, ...]] = [("date", "symbol", "open", "high", "low", "close", "volume")]
    for place in range(len(bars.start_ns)):
        day = utc_time(int(bars.start_ns[place])).date()
        if day in wanted:
            prices = (f"{column[place]:.2f}" for column in (bars.open, bars.high, bars.low, bars.close))
            rows.append((day, EXAMPLE_SYMBOL, *prices, int(bars.volume[place])))
    return _text(rows)


def _signals() -> str:
    """A buy, a hold and a sale: each decided on at its session's tick."""
    first, *_, middle, last = _sessions()[:12]
    rows: list[tuple[object, ...]] = [("symbol", "value", "session")]
    rows += [(EXAMPLE_SYMBOL, value, day) for value, day in ((0.8, first), (0.0, middle), (-1.0, last))]
    return _text(rows)


def _text(rows: list[tuple[object, ...]]) -> str:
    written = io.StringIO()
    csv.writer(written, lineterminator="\n").writerows(rows)
    return written.getvalue()
