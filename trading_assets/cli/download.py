"""The command `download`: bars and corporate actions of past sessions from the broker into the history."""

from __future__ import annotations

from datetime import date
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import typer

from trading_assets.cli.options import Config, Json, day, settings_of
from trading_assets.cli.output import note, progress_bar, say, show_json
from trading_assets.errors import InvalidInput
from trading_assets.keyring import ENVIRON
from trading_assets.market.bar_files.shapes import with_point
from trading_assets.store.history import History

if TYPE_CHECKING:
    from trading_assets.engine.market_data.download import Download

NAMES_SHOWN = 10


def download(
    first: Annotated[
        date, typer.Option("--from", parser=day, metavar="DATE", help="The first day to download.")
    ],
    interval: Annotated[Literal["1d", "1m"], typer.Option(help="Daily bars, or one-minute bars.")],
    last: Annotated[
        date | None,
        typer.Option(
            "--to",
            parser=day,
            metavar="DATE",
            help="The last day (default: the newest session that ended 15 minutes ago or earlier).",
        ),
    ] = None,
    symbols: Annotated[
        str | None,
        typer.Option(metavar="A,B,…", help="Symbols, with commas between them (default: the configured)."),
    ] = None,
    symbols_file: Annotated[
        Path | None,
        typer.Option(metavar="FILE", help="A file with a symbol in each line; # begins a comment."),
    ] = None,
    feed: Annotated[
        Literal["sip", "iex"] | None,
        typer.Option(
            help="Of whose trades the bars are (default: sip, the whole market; where the account does not "
            "have it the configured feed)."
        ),
    ] = None,
    again: Annotated[
        bool, typer.Option("--again", help="Ask for days that were downloaded before, too.")
    ] = False,
    config: Config = None,
    as_json: Json = False,
) -> None:
    """Download bars, splits and dividends of past sessions from the broker into the history.

    Prices are raw, as they traded. Stopped at any moment and started again, it goes on where it was: what is
    stored is not asked for again. It keeps to its share of the broker's rate limit, so a desk that trades
    meanwhile is not held up. The rows are checked as those of `import-bars` are. Exit status 1: a symbol was
    refused, by the broker or by the checks; the others are stored.
    """
    from trading_assets.broker.port import BrokerError
    from trading_assets.broker.registry import entry_of
    from trading_assets.engine.market_data.download import Wanted, last_to_download
    from trading_assets.engine.market_data.download import download as run
    from trading_assets.market.bars import Interval
    from trading_assets.market.sessions import Sessions

    settings = settings_of(config)
    wanted_symbols = _symbols(symbols, symbols_file, settings.symbols)
    archive = entry_of(settings).open_archive(settings, ENVIRON)
    try:
        newest = last_to_download(Sessions(), archive.clock().now_ns)
        if last is not None and last > newest:
            note(f"to {newest}, the newest session that ended 15 minutes ago or earlier, not {last}")
        until = newest if last is None else min(last, newest)
        if until < first:
            raise InvalidInput(
                f"{first} to {until} are no days", where="--from and --to", remedy="Give an earlier --from."
            )
        wanted = Wanted(wanted_symbols, Interval(interval), first, until, feed, again)
        with progress_bar("download", "parts") as shown:
            done = run(
                archive,
                History(settings.data_dir / "history.duckdb"),
                wanted,
                venue=settings.venue,
                configured_feed=settings.feed,
                progress=shown,
            )
    except BrokerError as error:
        raise InvalidInput(
            f"the broker gave no usable answer: {error}",
            where="download",
            remedy="What was downloaded is stored. The same command goes on where it was.",
        ) from error
    finally:
        archive.close()
    if as_json:
        show_json(_figures(done))
    else:
        _show(done)
    if done.why_refused:
        raise typer.Exit(1)


def _symbols(given: str | None, file: Path | None, configured: tuple[str, ...]) -> tuple[str, ...]:
    """Each once, in the order given. Raises InvalidInput."""
    if given is not None and file is not None:
        raise InvalidInput("both are given", where="--symbols and --symbols-file", remedy="Keep one of them.")
    if file is not None:
        try:
            lines = file.read_text(encoding="utf-8-sig").splitlines()
        except (OSError, UnicodeDecodeError) as error:
            raise InvalidInput(
                f"cannot be read: {error}", where=str(file), remedy="Give a text file, a symbol in each line."
            ) from error
        names = [line.partition("#")[0].strip() for line in lines]
    else:
        names = list(configured) if given is None else [name.strip() for name in given.split(",")]
    distinct = tuple(dict.fromkeys(with_point(name) for name in names if name))
    for name in sorted({name for name in names if with_point(name) != name}):
        note(f"{name} is asked for as {with_point(name)}: a share class is written with a point")
    if not distinct:
        raise InvalidInput(
            "no symbol is given", where=str(file or "--symbols"), remedy="Name at least one, such as AAPL."
        )
    return distinct


def _figures(done: Download) -> dict[str, Any]:
    return {
        "symbols": len(done.wanted.symbols),
        "interval": str(done.wanted.interval),
        "first": done.wanted.first,
        "last": done.wanted.last,
        "feed": done.feed,
        "feed_refused": done.feed_refused,
        **{str(outcome): len(names) for outcome, names in done.classes.items()},
        "empty_symbols": next((names for one, names in done.classes.items() if one == "empty"), []),
        "refused_symbols": dict(done.why_refused),
        "parts": done.parts,
        "requests": done.answers,
        "bars": done.bars,
        "stored": done.stored,
        "corporate_actions": done.actions,
        "withdrawn": done.withdrawn,
        "unreadable_actions": [f"{one.symbol} {one.subject}: {one.why}" for one in done.unreadable_actions],
        "quarantined": done.quarantined,
        "outside_hours": done.outside_hours,
    }


def _show(done: Download) -> None:
    wanted, figures = done.wanted, _figures(done)
    days = f"{wanted.first} to {wanted.last}"
    if not done.parts:
        say(f"everything of {days} was downloaded before; --again asks for it once more")
    if done.feed_refused:
        say(f"the account does not have sip for these days ({done.feed_refused}): bars are of {done.feed}")
    say(
        f"{done.bars} bars of {wanted.interval} of {done.feed}, {done.stored} of them new or changed, "
        f"in {done.answers} requests"
    )
    say(f"{done.actions} splits and dividends")
    if done.withdrawn:
        say(f"{done.withdrawn} splits and dividends taken back: the broker no longer says them")
    for one in done.unreadable_actions[:NAMES_SHOWN]:
        say(f"a corporate action cannot be read: {one.symbol} {one.subject}: {one.why}")
    if done.outside_hours:
        say(f"{done.outside_hours} bars outside regular hours left out")
    if done.quarantined:
        say(f"{done.quarantined} rows quarantined: `trading-assets data report`")
    say(
        f"symbols of {days}: {figures['complete']} complete, {figures['empty']} empty, "
        f"{figures['refused']} refused"
    )
    _name("empty", figures["empty_symbols"])
    for symbol, why in list(done.why_refused.items())[:NAMES_SHOWN]:
        say(f"refused: {symbol}: {why}")
    if len(done.why_refused) > NAMES_SHOWN:
        say(f"and {len(done.why_refused) - NAMES_SHOWN} more refused: --json names all")
    say(f"Next: trading-assets replay --from {wanted.first} --to {wanted.last} --bars history")


def _name(what: str, symbols: list[str]) -> None:
    if symbols:
        more = len(symbols) - NAMES_SHOWN
        say(f"{what}: {', '.join(symbols[:NAMES_SHOWN])}" + (f" and {more} more" if more > 0 else ""))
