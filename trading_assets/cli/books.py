"""Commands for records: `rebuild`, `verify`, `config check`."""

from __future__ import annotations

import os

import typer

from trading_assets.cli.options import Config, Json, SessionArgument, opened, opened_journal, settings_of
from trading_assets.cli.output import plain, progress, say, show_json, show_lines
from trading_assets.config import keys, layers, path_in_use
from trading_assets.keyring import ENVIRON
from trading_assets.store.history import History

DIFFERENCES_SHOWN = 40


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
    where = "the embedded exchange" if settings.venue == "embedded" else f"Alpaca ({settings.feed})"
    show_lines(
        [
            ("file", f"{path}{''.join(f', {local} over it,' for local in over)} can be used"),
            ("trades", f"{', '.join(settings.symbols)} every {settings.tick_minutes} minutes"),
            ("on", f"{where}, {settings.mode}"),
            ("signals", f"from the model {version}" if version else "from outside"),
            ("data", settings.data_dir),
        ]
    )
