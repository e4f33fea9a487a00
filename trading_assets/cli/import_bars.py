"""The command `import-bars`: a person's own files of bars into the history, or the plan of that."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from datetime import date
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import typer

from trading_assets.cli.options import Config, Json, day, settings_of
from trading_assets.cli.output import progress_bar, say, show_json, show_lines
from trading_assets.errors import InvalidInput
from trading_assets.market.quarantine.rules import BarRule
from trading_assets.store.history import History

if TYPE_CHECKING:
    from trading_assets.engine.market_data.imported_bars import FilesInOrder
    from trading_assets.market.bar_files.reading import BarFile
    from trading_assets.store.bar_history import Appended

ROWS_AT_ONCE = 1_000_000  # stored in one transaction, or one file that has more
NAMES_SHOWN = 10


def import_bars(
    files: Annotated[
        list[Path],
        typer.Argument(
            metavar="FILE…", help="Files ending in .csv, .txt or .parquet, or directories of them."
        ),
    ],
    interval: Annotated[Literal["1d", "1m"], typer.Option(help="Daily bars, or one-minute bars.")],
    adjusted: Annotated[
        Literal["no", "split", "yes", "previous-close", "ex-date-close"],
        typer.Option(
            help="What prices are adjusted for: nothing; splits; splits and dividends (yes, or by which "
            "close). All but `no` need raw_close; `split` takes a column of splits as well."
        ),
    ],
    stamps: Annotated[
        Literal["start", "end"] | None,
        typer.Option(
            help="Whether a stamp marks the start or the end of its bar (default: as the shape has it)."
        ),
    ] = None,
    symbol: Annotated[str | None, typer.Option(help="Symbol of a file without a symbol column.")] = None,
    zone: Annotated[
        str | None,
        typer.Option(metavar="ZONE", help="Zone of times that have none, such as America/New_York."),
    ] = None,
    first: Annotated[
        date | None, typer.Option("--from", parser=day, metavar="DATE", help="Leave earlier days out.")
    ] = None,
    last: Annotated[
        date | None, typer.Option("--to", parser=day, metavar="DATE", help="Leave later days out.")
    ] = None,
    on_defect: Annotated[
        Literal["refuse", "quarantine"],
        typer.Option(
            help="A row that cannot be right: refuse its file, or keep the row apart and take the rest."
        ),
    ] = "quarantine",
    plan: Annotated[
        bool, typer.Option("--plan", help="Show how each file would be read; store nothing.")
    ] = False,
    config: Config = None,
    as_json: Json = False,
) -> None:
    """Store bars from your own files in the history: of each file all of it, or nothing.

    Recognises the columns of Yahoo, yfinance, Stooq, Kibot, FirstRate, Polygon, Databento, Tiingo, zipline
    and Alpaca. Otherwise name them timestamp (or date), open, high, low, close, volume, symbol, and for daily
    bars split_ratio, cash_usd and raw_close. Several files without a symbol column are named after their
    symbols. A bar that equals a stored one is not stored again; one that differs becomes its next version.
    Bars outside regular hours are left out and counted. Exit status 1: a file was refused; the others are
    stored.
    """
    from trading_assets.engine.market_data.imported_bars import FilesInOrder
    from trading_assets.market.bar_files.adjusted import Adjusted
    from trading_assets.market.bar_files.reading import read_bars
    from trading_assets.market.bar_files.shapes import Stamps
    from trading_assets.market.bar_files.table import files_of, symbol_of_name
    from trading_assets.market.bars import Interval
    from trading_assets.market.quarantine.rules import OnDefect

    settings = settings_of(config)
    paths = files_of(files)
    in_order = FilesInOrder(
        History(settings.data_dir / "history.duckdb"), Interval(interval), OnDefect(on_defect)
    )

    def read(path: Path) -> BarFile:
        return read_bars(
            path,
            Interval(interval),
            stamps=None if stamps is None else Stamps(stamps),
            adjusted=Adjusted(adjusted),
            symbol=symbol,
            named_after=symbol_of_name(path) if len(paths) > 1 else None,
            zone=zone,
            on_defect=OnDefect(on_defect),
            first=first,
            last=last,
        )

    refused: list[str] = []
    if len(paths) == 1:  # refused as any command is
        contents = [(paths[0], in_order.judged(read(paths[0])))]
        stored = [] if plan else [_store(settings.data_dir, settings.venue, contents)]
        figures = [_figures(path, file) for path, file in contents]
    else:
        figures, stored = [], []
        with progress_bar("import", "files") as shown:
            for batch in _batches(paths, read, in_order, refused, shown):
                figures += [_figures(path, file) for path, file in batch]
                if not plan:
                    stored.append(_store(settings.data_dir, settings.venue, batch))
    if as_json:
        show_json({**_total(figures, stored, plan), "files": figures, "refused": refused})
    elif plan:
        _show_plan(figures)
    else:
        _show_stored(figures, stored)
    for sentence in refused if not as_json else ():
        say(f"REFUSED: {sentence}")
    if refused:
        raise typer.Exit(1)


def _batches(
    paths: Sequence[Path],
    read: Callable[[Path], BarFile],
    in_order: FilesInOrder,
    refused: list[str],
    shown: Callable[[int, int, str], None],
) -> Iterator[list[tuple[Path, BarFile]]]:
    """The files that can be taken, some at a time and no symbol twice in them, so that each is judged behind
    what is stored; what is wrong with the others goes to `refused`."""
    batch: list[tuple[Path, BarFile]] = []
    symbols: set[str] = set()
    for number, path in enumerate(paths, start=1):
        shown(number, len(paths), path.name)
        try:
            file = read(path)
        except InvalidInput as error:
            refused.append(str(error))
            continue
        if not symbols.isdisjoint(file.symbols):
            yield batch
            batch, symbols = [], set()
        try:
            file = in_order.judged(file)
        except InvalidInput as error:
            refused.append(str(error))
            continue
        batch.append((path, file))
        symbols.update(file.symbols)
        if sum(held.count for _, held in batch) >= ROWS_AT_ONCE:
            yield batch
            batch, symbols = [], set()
    if batch:
        yield batch


def _store(data_dir: Path, venue: str, batch: Sequence[tuple[Path, BarFile]]) -> Appended:
    from trading_assets.engine.market_data.bars import import_files
    from trading_assets.market.clock import system_now_ns

    return import_files(
        History(data_dir / "history.duckdb"),
        [(f"file:{path.name}", file) for path, file in batch],
        # Virtual time has no moment at which a file came: its bars were there as they became available.
        received_ns=None if venue == "embedded" else system_now_ns(),
    )


def _figures(path: Path, file: BarFile) -> dict[str, Any]:
    first, last = file.days or (None, None)
    return {
        "file": str(path),
        "shape": file.shape.name,
        "about": file.shape.about,
        "zone": file.zone,
        "stamps": str(file.stamps),
        "interval": str(file.interval),
        "symbols": list(file.symbols),
        "ticker_affix": file.ticker_affix,
        "other_tickers": list(file.other_tickers),
        "bars": file.count,
        "first": None if first is None else first.isoformat(),
        "last": None if last is None else last.isoformat(),
        "unread": list(file.unread),
        "corporate_actions": sum(map(len, file.actions.values())),
        "quarantined": [fault.sentence() for fault in file.faults],
        "kept": _kept(file),
        "outside_hours": file.outside_hours,
        "left_out": file.left_out,
        "missing_sessions": {name: count for name, count in file.missing_sessions.items() if count},
    }


def _kept(file: BarFile) -> list[dict[str, Any]]:
    """What is doubtful and kept, by rule: how often, and the largest of it."""
    return [
        {
            "rule": one.rule.name,
            "sentence": str(one.rule),
            "count": len(one),
            "symbols": len(set(one.number.tolist())),
            "first": [
                {"symbol": at.symbol, "session": at.session.isoformat(), "measured": at.measured}
                for at in one.largest(NAMES_SHOWN).each(file.symbols)
            ],
        }
        for one in file.findings
    ]


def _total(figures: Sequence[dict[str, Any]], stored: Sequence[Appended], plan: bool) -> dict[str, Any]:
    symbols = sorted({symbol for one in figures for symbol in one["symbols"]})
    summed = ("bars", "corporate_actions", "outside_hours", "left_out")
    missing: dict[str, int] = {}
    for one in figures:
        for symbol, count in one["missing_sessions"].items():
            missing[symbol] = missing.get(symbol, 0) + count
    return {
        "symbols": symbols,
        "stored": sum(one.bars for one in stored),
        "withdrawn": sum(one.withdrawn for one in stored),
        "plan": plan,
        **{name: sum(one[name] for one in figures) for name in summed},
        "missing_sessions": missing,
    }


def _show_plan(figures: Sequence[dict[str, Any]]) -> None:
    for one in figures:
        bare = f", read without {one['ticker_affix']!r}" if one["ticker_affix"] else ""
        missing = one["missing_sessions"]
        show_lines(
            [
                ("file", one["file"]),
                ("shape", f"{one['shape']}{'; ' + one['about'] if one['about'] else ''}"),
                ("symbols", f"{_few(one['symbols'])}{bare}"),
                ("bars", f"{one['bars']}{_span(one)}"),
                ("stamps", f"{one['stamps']} of the bar of {one['interval']}; zone: {one['zone']}"),
                ("not read", ", ".join(one["unread"]) or "every column is read"),
                ("actions", f"{one['corporate_actions']} splits and dividends"),
                ("quarantined", f"{len(one['quarantined'])} rows{_first(one['quarantined'])}"),
                (
                    "left out",
                    f"{one['outside_hours']} outside regular hours, {one['left_out']} other days",
                ),
                ("missing", f"{sum(missing.values())} sessions, of {len(missing)} symbols"),
            ]
        )
    say("Nothing is stored. The same command without --plan stores it.")


def _span(one: dict[str, Any]) -> str:
    return f", sessions {one['first']} to {one['last']}" if one["first"] else ""


def _show_stored(figures: Sequence[dict[str, Any]], stored: Sequence[Appended]) -> None:
    total = _total(figures, stored, False)
    where = figures[0]["file"] if len(figures) == 1 else f"{len(figures)} files"
    summary = f"{total['bars']} bars of {_few(total['symbols'])} read from {where}"
    say(f"{summary}, {total['stored']} of them new or changed")
    say(f"{total['corporate_actions']} splits and dividends")
    if total["withdrawn"]:
        say(f"{total['withdrawn']} splits and dividends taken back: the file no longer says them")
    if others := sorted({name for one in figures for name in one["other_tickers"]}):
        say(f"left out as no tickers: {_few(others)}")
    for affix in sorted({one["ticker_affix"] for one in figures} - {""}):
        say(f"tickers are read without {affix!r}")
    if unread := sorted({name for one in figures for name in one["unread"]}):
        say(f"columns that are not read: {', '.join(unread)}")
    wrong = [sentence for one in figures for sentence in one["quarantined"]]
    for sentence in wrong[:NAMES_SHOWN]:
        say(f"quarantined: {sentence}")
    if len(wrong) > NAMES_SHOWN:
        say(f"and {len(wrong) - NAMES_SHOWN} rows more: `trading-assets data report`")
    if total["outside_hours"]:
        say(f"{total['outside_hours']} bars outside regular hours left out")
    if total["left_out"]:
        say(f"{total['left_out']} bars of days that were not asked for left out")
    _show_kept(figures)
    missing = total["missing_sessions"]
    for name in sorted(missing, key=lambda name: (-missing[name], name))[:NAMES_SHOWN]:
        say(f"{name}: {missing[name]} sessions between its first and its last have no bar")
    if len(missing) > NAMES_SHOWN:
        say(f"and {len(missing) - NAMES_SHOWN} symbols more: --json names all")


def _show_kept(figures: Sequence[dict[str, Any]]) -> None:
    """Counts, and the first of each rule; missing sessions are told by symbol."""
    by_rule: dict[str, list[dict[str, Any]]] = {}
    for one in figures:
        for kept in one["kept"]:
            if kept["rule"] != BarRule.MISSING_SESSIONS.name:
                by_rule.setdefault(kept["rule"], []).append(kept)
    for of_rule in by_rule.values():
        count = sum(one["count"] for one in of_rule)
        named = [f"{at['symbol']} {at['session']}" for one in of_rule for at in one["first"]][:NAMES_SHOWN]
        more = f" and {count - len(named)} more" if count > len(named) else ""
        say(f"kept, but look at it: {of_rule[0]['sentence']}: {', '.join(named)}{more}")
    if by_rule:
        say("all of them: `trading-assets data report`")


def _first(sentences: Sequence[str]) -> str:
    return f", first {sentences[0]}" if sentences else ""


def _few(symbols: Sequence[str]) -> str:
    more = len(symbols) - NAMES_SHOWN
    return ", ".join(symbols[:NAMES_SHOWN]) + (f" and {more} more" if more > 0 else "")
