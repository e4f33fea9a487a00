"""Options that several commands share, and the opening of a desk for a command."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import date
from decimal import Decimal, InvalidOperation
from pathlib import Path
from typing import Annotated

import typer

from trading_assets import config, log
from trading_assets.config import CONFIG_VARIABLE, Settings
from trading_assets.engine.book.desk import Desk
from trading_assets.engine.book.place import journal_file, known_book
from trading_assets.errors import InvalidInput
from trading_assets.market.timestamps import ZoneMissing, parse_ns
from trading_assets.store.journal import Journal


def day(text: str) -> date:
    try:
        return date.fromisoformat(text)
    except ValueError:
        raise typer.BadParameter(f"{text!r} is no date: write it as 2012-09-11") from None


def nanoseconds(text: str) -> int:
    """A time on the command line. Raises typer.BadParameter for one without its zone."""
    try:
        return parse_ns(text)
    except ZoneMissing:
        raise typer.BadParameter(f"{text!r} has no time zone: add Z or such as -04:00") from None
    except ValueError:
        raise typer.BadParameter(f"{text!r} is no time: write it as 2012-09-11T14:00:00Z") from None


def decimal(text: str) -> Decimal:
    """A number on the command line, as written. Raises typer.BadParameter for what is none."""
    try:
        number = Decimal(text)
    except InvalidOperation:
        number = Decimal("NaN")
    if not number.is_finite():
        raise typer.BadParameter(f"{text!r} is no number")
    return number


def given_reason(reason: str) -> str:
    """Raises typer.BadParameter for an empty one. How long it may be, the act says (`reasons`)."""
    if not reason.strip():
        raise typer.BadParameter("say why: it is kept with the act", param_hint="--reason")
    return reason


Config = Annotated[
    Path | None,
    typer.Option(
        "--config",
        envvar=CONFIG_VARIABLE,
        help="Configuration file (default: config/execution.yaml).",
        show_default=False,
    ),
]
Json = Annotated[bool, typer.Option("--json", help="Print JSON and nothing else on standard output.")]
Reason = Annotated[
    str, typer.Option("--reason", callback=given_reason, help="Why; kept in the journal with the author.")
]
Session = Annotated[
    date | None,
    typer.Option("--session", parser=day, metavar="DATE", help="Session date (default: today)."),
]
SessionArgument = Annotated[
    date, typer.Argument(parser=day, metavar="SESSION", help="Session date in New York, such as 2012-09-11.")
]


def settings_of(path: Path | None) -> Settings:
    """The configuration in use, with the log in its data directory. Raises InvalidInput."""
    settings = config.load(config.path_in_use(path, os.environ))
    log_beside(settings)
    return settings


def log_beside(settings: Settings) -> None:
    """Have the log written into the configuration's data directory."""
    try:
        log.configure(json_path=settings.data_dir / "log.jsonl", level="INFO", terminal_level="CRITICAL")
    except OSError:  # a log that cannot be written must not keep a kill from being set
        log.configure(json_path=None, level="INFO", terminal_level="ERROR")


@contextmanager
def opened(path: Path | None) -> Iterator[Desk]:
    """The configured desk. Raises what Desk.open does."""
    with Desk.open(settings_of(path)) as desk:
        yield desk


@contextmanager
def opened_journal(path: Path | None) -> Iterator[tuple[Settings, Journal, str]]:
    """The configured journal and its book, without a broker. Raises InvalidInput where there is none yet."""
    settings = settings_of(path)
    file = journal_file(settings)
    nothing = InvalidInput(
        "there is no journal of a book yet" if not file.exists() else "it has seen no account yet",
        where=str(file),
        remedy="Run `trading-assets status` once with the exchange or the broker in reach.",
    )
    if not file.exists():
        raise nothing
    with Journal.open(file) as journal:
        book = known_book(settings, journal)
        if book is None:
            raise nothing
        yield settings, journal, book
