"""Commands for data and records: `import-bars`, `rebuild`, `verify`, `config check`."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Annotated, Literal

import typer

from trading_assets.cli.options import Config, Json, SessionArgument, opened, opened_journal, settings_of
from trading_assets.cli.output import plain, progress, say, show_json, show_lines
from trading_assets.config import keys, layers, path_in_use
from trading_assets.keyring import ENVIRON
from trading_assets.store.history import History

DIFFERENCES_SHOWN = 40


def import_bars(
    file: Annotated[Path, typer.Argument(metavar="FILE", help="A .csv with a header, or a .parquet file.")],
    interval: Annotated[Literal["1d", "1m"], typer.Option(help="Daily bars, or one-minute bars.")],
    stamps: Annotated[
        Literal["start", "end"], typer.Option(help="Whether a stamp marks the start or the end of its bar.")
    ],
    adjusted: Annotated[
        Literal["yes", "no"],
        typer.Option(help="Whether prices are adjusted for splits and dividends; `yes` needs raw_close."),
    ],
    symbol: Annotated[str | None, typer.Option(help="Symbol of a file without a symbol column.")] = None,
    zone: Annotated[
        str | None,
        typer.Option(metavar="ZONE", help="Zone of times that have none, such as America/New_York."),
    ] = None,
    config: Config = None,
    as_json: Json = False,
) -> None:
    """Store bars from your own file in the history: the whole file, or nothing.

    Columns: timestamp (or date), open, high, low, close, volume, symbol; for daily bars also split_ratio,
    cash_usd and raw_close, if you have them. A bar that equals a stored one is not stored again; one that
    differs becomes its next version. Bars outside regular hours are left out and counted.
    """
    from trading_assets.engine.market_data.bars import import_file
    from trading_assets.market.bar_files import Stamps, read_bars
    from trading_assets.market.bars import Interval
    from trading_assets.market.clock import system_now_ns

    settings = settings_of(config)
    with progress(f"import {file.name}") as step:
        step("reading")
        read = read_bars(
            file,
            Interval(interval),
            stamps=Stamps(stamps),
            adjusted=adjusted == "yes",
            symbol=symbol,
            zone=zone,
        )
        step("storing")
        appended = import_file(
            History(settings.data_dir / "history.duckdb"),
            read,
            source=f"file:{file.name}",
            # Virtual time has no moment at which a file came: its bars were there as they became available.
            received_ns=None if settings.venue == "embedded" else system_now_ns(),
        )
    figures = {
        "file": str(file),
        "symbols": list(read.bars),
        "bars": read.count,
        "stored": appended,
        "corporate_actions": sum(map(len, read.actions.values())),
        "outside_hours": read.outside_hours,
        "missing_sessions": {name: count for name, count in read.missing_sessions.items() if count},
    }
    if as_json:
        show_json(figures)
        return
    say(f"{read.count} bars of {', '.join(read.bars)} read from {file}, {appended} of them new or changed")
    say(f"{figures['corporate_actions']} splits and dividends")
    if read.outside_hours:
        say(f"{read.outside_hours} bars outside regular hours left out")
    for name, count in read.missing_sessions.items():
        if count:
            say(f"{name}: {count} sessions between its first and its last have no bar")


def rebuild(config: Config = None, as_json: Json = False) -> None:
    """Fill the history from the journal, after its file was lost or moved away.

    Signals, verdicts, orders, fills, positions and equity come from the journal. What only the history had
    stays lost: bars as received (`verify` then reports them as missing), feature rows, marks, model scores
    and past breaks. Bars come back with the next ticks, or by `import-bars`. The command removes nothing.
    """
    from trading_assets.engine.records.projection import rebuild as project_again

    with progress("rebuild"), opened(config) as desk:
        sessions = project_again(desk)
        book = desk.book
    if as_json:
        show_json({"book": book, "sessions": sessions})
    elif sessions:
        say(f"the history holds {len(sessions)} sessions of {book}: {sessions[0]} to {sessions[-1]}")
    else:
        say(f"the journal holds no session of {book} yet")


def verify(session: SessionArgument, config: Config = None, as_json: Json = False) -> None:
    """Derive every decision of a traded session again from its stored inputs, and compare field by field.

    Also compares the inputs with the tick's signals, and feature rows with the bars as received. Needs no
    broker. Exit status 1: something differs. A locked history is left out; the output says so.
    """
    from trading_assets.engine.records.verify import verify as derive_again

    with progress(f"verify {session}") as step, opened_journal(config) as (settings, journal, book):
        report = derive_again(
            journal, History(settings.data_dir / "history.duckdb"), book, session, progress=step
        )
    if as_json:
        show_json({**plain(report), "identical": report.identical})
    else:
        show_lines(
            [
                ("book", report.book),
                ("session", report.session),
                ("decided", f"{report.executions} executions, {report.inputs} inputs"),
                ("compared", f"{report.verdicts} verdicts, {report.orders} orders, {report.signals} signals"),
                ("", f"in the history {report.projected} verdicts, {report.feature_rows} rows of features"),
            ]
        )
        if report.not_read:
            say(f"the history was left out: {report.not_read}")
        for difference in report.differences[:DIFFERENCES_SHOWN]:
            say(f"DIFFERS: {difference}")
        if len(report.differences) > DIFFERENCES_SHOWN:
            say(f"and {len(report.differences) - DIFFERENCES_SHOWN} more: --json shows all")
        say("identical, field by field" if report.identical else f"{len(report.differences)} differences")
    if not report.identical:
        raise typer.Exit(1)


def check_config(config: Config = None, as_json: Json = False) -> None:
    """Check that the configuration can be used: every key, the keys for its venue, the model's files.

    Makes no network call. Exit status 1: something cannot be used; the message says what.
    """
    from trading_assets.broker.registry import entry_of
    from trading_assets.engine.signals.tick_signals import champion

    settings = settings_of(config)
    keys(settings, ENVIRON)
    version = champion(settings).version if settings.model.enabled else None
    path = path_in_use(config, os.environ)
    _, *over = layers(path)
    if as_json:
        show_json(
            {
                "file": str(path),
                "over": [str(local) for local in over],
                "model": version,
                "settings": settings.model_dump(mode="json"),
            }
        )
        return
    feed = "" if settings.venue == "embedded" else f" ({settings.feed})"
    show_lines(
        [
            ("file", f"{path}{''.join(f', {local} over it,' for local in over)} can be used"),
            ("trades", f"{', '.join(settings.symbols)} every {settings.tick_minutes} minutes"),
            ("on", f"{entry_of(settings).title}{feed}, {settings.mode}"),
            ("signals", f"from the model {version}" if version else "from outside"),
            ("data", settings.data_dir),
        ]
    )
