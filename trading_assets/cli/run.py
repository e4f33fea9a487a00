"""Commands that run something and stay: `demo`, `up`, `exchange`, `listen`, `replay`."""

from __future__ import annotations

import os
from contextlib import ExitStack, closing, suppress
from datetime import date
from decimal import Decimal, InvalidOperation
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal
from urllib.parse import urlsplit

import typer

from trading_assets.cli.options import Config, Json, day, log_beside, settings_of
from trading_assets.cli.output import note, plain, progress_bar, say, show_json, show_lines
from trading_assets.config import LastGood, home_of, path_in_use
from trading_assets.dagster_health import URL_VARIABLE, DagsterHealth
from trading_assets.errors import InvalidInput
from trading_assets.keyring import ENVIRON
from trading_assets.source_watch import SourceWatch, load_definitions

if TYPE_CHECKING:
    from trading_assets.engine.replay.report import ReplayReport


def demo(
    home: Annotated[Path, typer.Option(help="Directory for everything that it makes.")] = Path("var/demo"),
) -> None:
    """Train a model, show the gate at work, trade two sessions on the embedded exchange, replay two years."""
    from trading_assets.demo.show import show

    if not show(Path.cwd(), home.resolve()):
        raise typer.Exit(1)


def up(
    port: Annotated[int, typer.Option(min=1, max=65535, help="Port of Dagster's web interface.")] = 3000,
    first: Annotated[
        date | None,
        typer.Option(
            parser=day,
            metavar="DATE",
            help="First session of a new exchange (default: 2012-09-11; of a history: one with 130 sessions "
            "before it).",
        ),
    ] = None,
    config: Config = None,
) -> None:
    """Run the whole desk here: embedded exchange, Dagster's web interface and daemon, until Ctrl-C.

    Waits until everything is ready, then prints the addresses. `make up` runs this. It ends with its
    terminal, unless it is started with nohup; `down` ends it from anywhere. What it says is also kept in
    `logs/up.log` of the data directory.
    """
    from trading_assets.up import up as run_desk

    path = path_in_use(config, os.environ)
    run_desk(Path.cwd(), path, port=port, first=first)


def replay(
    first: Annotated[
        date, typer.Option("--from", parser=day, metavar="DATE", help="First day of the range.")
    ],
    last: Annotated[date, typer.Option("--to", parser=day, metavar="DATE", help="Last day of the range.")],
    signals: Annotated[
        Path | None,
        typer.Option(help="CSV, JSON or Parquet: symbol, value, session or as_of (default: the model)."),
    ] = None,
    interval: Annotated[str, typer.Option(help="`daily`, or the minutes between two ticks.")] = "daily",
    bars: Annotated[
        Literal["bundled", "history"], typer.Option(help="Use the bundled bars, or those in the history.")
    ] = "bundled",
    cash: Annotated[str, typer.Option(help="Starting cash, USD.")] = "100000",
    limit: Annotated[
        list[str] | None,
        typer.Option(metavar="NAME=VALUE", help="Replace a limit of the configuration; inf lifts it."),
    ] = None,
    spread_bps: Annotated[
        float | None, typer.Option(help="Spread around prices, basis points (default: as configured).")
    ] = None,
    fill_mode: Annotated[
        Literal["ideal", "next_open"],
        typer.Option(
            help="`next_open` fills at the next minute bar's open whatever the limit price; needs minutes."
        ),
    ] = "ideal",
    usd_per_share: Annotated[float, typer.Option(help="Cost of each fill, USD a share.")] = 0.0,
    cost_bps: Annotated[float, typer.Option(help="Cost of each fill, basis points of its notional.")] = 0.0,
    sale_fees: Annotated[
        bool, typer.Option(help="Sales pay what the SEC and FINRA charge, at the rates of their day.")
    ] = True,
    rearm_daily: Annotated[
        bool, typer.Option("--rearm-daily", help="Assume that a person rearms before each session.")
    ] = False,
    settlement: Annotated[
        bool,
        typer.Option("--settlement", help="Cash account: sale proceeds buy nothing before they settle."),
    ] = False,
    continues: Annotated[
        bool,
        typer.Option("--continues", help="Continue the book of --name where its earlier range ended."),
    ] = False,
    name: Annotated[str, typer.Option(help="Name of the book and its files (default: the range).")] = "",
    config: Config = None,
    as_json: Json = False,
) -> None:
    """Replay past sessions through the live decisions; write a DuckDB file and an HTML page.

    A replay cannot reach a broker. After an interruption the same command continues it. Exit status 1: a
    limit did not hold in some session, or a loss breaker tripped.
    """
    from trading_assets.engine.replay import (
        COMPILING,
        ExternalSignals,
        ModelSignals,
        ReplaySpec,
        must_compile,
        run,
    )
    from trading_assets.engine.replay.limit_groups import WARNINGS, Group
    from trading_assets.engine.replay.signal_file import read_signals

    settings = settings_of(config)
    source: ExternalSignals | ModelSignals
    if signals is not None:
        source = ExternalSignals(read_signals(signals))
    elif settings.model_path is not None and settings.features_path is not None:
        source = ModelSignals(settings.model_path, settings.features_path)
    else:
        raise InvalidInput(
            "neither --signals nor a model",
            where="replay",
            remedy="Give a file of signals, or set model_path and features_path in the configuration.",
        )
    minutes: Any = int(interval) if interval.isdecimal() else interval
    spec = ReplaySpec(
        first=first,
        last=last,
        source=source,
        name=name,
        interval=minutes,
        bars=bars,
        cash_usd=float(_usd(cash)),
        limits=dict(_limit(text) for text in limit or ()),
        spread_bps=spread_bps,
        fill_mode=fill_mode,
        usd_per_share=usd_per_share,
        cost_bps=cost_bps,
        sale_fees=sale_fees,
        rearm_daily=rearm_daily,
        settlement=settlement,
        continues=continues,
    )
    if must_compile():
        note(COMPILING)
    with progress_bar(f"replay {first} to {last}", "sessions") as show:
        report = run(
            settings,
            spec,
            progress=lambda pace: show(
                pace.done,
                pace.sessions,
                f"{pace.rows_per_second:,.0f} rows/s, {pace.seconds_left:.0f} s left",
            ),
        )
    failing = {group: report.failing(group) for group in Group}
    figures = plain(report.figures)
    if as_json:
        show_json(
            {
                "book": report.book,
                "history": report.history_path,
                "page": report.page_path,
                "sessions": len(report.sessions),
                "closing_equity": report.closing_equity,
                "figures": figures,
                "verdict_codes": report.verdict_codes,
                "failing_sessions": failing,
                "model_version": report.model_version,
                "in_sample_sessions": report.in_sample,
                "derived": report.derived,
                "missing_bars": report.missing_bars,
                "costs_usd": sum(result.costs_usd for result in report.sessions),
                "fees_usd": sum(result.fees_usd for result in report.sessions),
                "dividends_usd": sum(result.dividends_usd for result in report.sessions),
                "seconds": report.seconds,
            }
        )
    else:
        show_lines(
            [
                ("replayed", f"{len(report.sessions)} sessions in {report.seconds:.1f} s"),
                ("equity", f"{spec.cash_usd:,.2f} to {report.closing_equity:,.2f} USD"),
                *((f"  {figure}", value) for figure, value in figures.items()),
                ("costs", _costs(report)),
                ("verdicts", ", ".join(f"{code} {count}" for code, count in report.verdict_codes.items())),
                *((f"  {group} failed", f"{len(days)} sessions") for group, days in failing.items() if days),
                ("page", report.page_path),
                ("history", report.history_path),
            ]
        )
        if report.derived:
            say("minute bars are derived from daily ones, which know the close: no figure is evidence")
        if report.in_sample:
            say(f"the model was trained on {report.in_sample} of these sessions: no evidence in them")
    if any(days for group, days in failing.items() if group not in WARNINGS):
        raise typer.Exit(1)


def _costs(report: ReplayReport) -> str:
    """What fills cost beside their prices, and what the positions were paid."""
    costs = sum(result.costs_usd for result in report.sessions)
    fees = sum(result.fees_usd for result in report.sessions)
    dividends = sum(result.dividends_usd for result in report.sessions)
    return (
        f"{costs - fees:,.2f} USD of commissions, {fees:,.2f} USD of SEC and FINRA fees on sales; "
        f"{dividends:,.2f} USD of dividends received"
    )


def _limit(text: str) -> tuple[str, float]:
    name, _, value = text.partition("=")
    try:
        return name.strip(), float(value)
    except ValueError:
        raise typer.BadParameter(f"{text!r} is no NAME=VALUE", param_hint="--limit") from None


def exchange(
    state_dir: Annotated[
        Path | None,
        typer.Option(help="Directory of its journal (default: `exchange` in the data directory)."),
    ] = None,
    start: Annotated[
        date | None,
        typer.Option(
            parser=day, metavar="DATE", help="A new exchange's clock begins at the open of this session."
        ),
    ] = None,
    cash: Annotated[str, typer.Option(help="Cash in a new exchange's account, USD.")] = "100000",
    port: Annotated[
        int | None,
        typer.Option(
            min=0, max=65535, help="Port of the Alpaca API; 0: any free port (default: as configured)."
        ),
    ] = None,
    control_port: Annotated[
        int | None,
        typer.Option(
            min=0, max=65535, help="Port of the control plane; 0: any free port (default: as configured)."
        ),
    ] = None,
    bars: Annotated[
        Literal["bundled", "history"] | None,
        typer.Option(help="Play the bundled bars, or your imported ones (default: as configured)."),
    ] = None,
    fill_mode: Annotated[
        Literal["ideal", "alpaca_paper", "participation"],
        typer.Option(help="How much of an order a new exchange fills at once."),
    ] = "ideal",
    participation: Annotated[
        str, typer.Option(help="With `participation`: largest share of a minute's volume that fills.")
    ] = "0.1",
    speed: Annotated[
        float | None, typer.Option(help="Virtual seconds per second (default: the clock stands).")
    ] = None,
    public_keys: Annotated[
        bool, typer.Option("--public-keys", help="Use the public key pair instead of a secret one.")
    ] = False,
    config: Config = None,
    as_json: Json = False,
) -> None:
    """Run the embedded exchange alone, in the foreground, until Ctrl-C. It keeps every order and fill.

    It serves Alpaca's API on loopback to any Alpaca client that has its key pair. It makes the pair at its
    first start and keeps it in its state directory. Its clock stands until the control plane moves it. The
    control plane takes the token that you set in TRADING_ASSETS_EXCHANGE_TOKEN.
    """
    from trading_assets.config import key_pair
    from trading_assets.config.embedded_keys import KEYS_NAME
    from trading_assets.exchange.credentials import control_token
    from trading_assets.exchange.http.app import Urls, serve
    from trading_assets.exchange.opening import open_venue
    from trading_assets.market.sessions import Sessions
    from trading_assets.up import FIRST_SESSION, played_history

    settings = settings_of(config)
    if bars is not None:
        embedded = settings.embedded.model_copy(update={"bars": bars})
        settings = settings.model_copy(update={"embedded": embedded})
    history = played_history(settings)
    token = control_token()
    session = start or (FIRST_SESSION if history is None else None)
    place = state_dir or settings.data_dir / "exchange"
    venue = open_venue(
        place,
        start_ns=None if session is None else Sessions().open_ns(session),
        cash=_usd(cash),
        spread_bps=Decimal(str(settings.quote_spread_bps)),
        fill_mode=fill_mode,
        participation=_number(participation, "--participation"),
        history=history,
    )

    pair = key_pair(place, public=public_keys)
    keys_said = f"{pair.key_id} and {pair.secret}" if public_keys else f"in {place / KEYS_NAME}"

    def ready(urls: Urls) -> None:
        if as_json:
            show_json(urls)
            return
        say(f"Alpaca's API on {urls.url}, keys {keys_said}")
        say(f"the control plane on {urls.control_url}; Ctrl-C ends it")

    with suppress(KeyboardInterrupt):  # the way to end it
        serve(
            venue,
            token=token,
            keys=pair,
            port=_port(settings.embedded.url) if port is None else port,
            control_port=_port(settings.embedded.control_url) if control_port is None else control_port,
            speed=speed,
            ready=ready,
        )


def listen(
    config: Config = None,
    dagster_url: Annotated[
        str | None,
        typer.Option(
            envvar=URL_VARIABLE,
            metavar="URL",
            help="Address of Dagster's web interface, to watch Dagster as well (default: not watched).",
            show_default=False,
        ),
    ] = None,
) -> None:
    """Follow trade updates; protect the book when nobody else does. `make up` runs it.

    It writes what happens to orders into the journal within a second. When the last protection is older than
    `watchdog_seconds`, it protects under the same lease and alerts. It needs neither Dagster's daemon nor its
    webserver, and runs until Ctrl-C.
    """
    from trading_assets.broker.registry import entry_of
    from trading_assets.engine.book.desk import Desk
    from trading_assets.engine.operation.directories import close_places
    from trading_assets.engine.operation.trade_updates import serve
    from trading_assets.up import stop_signals

    configured = LastGood(path_in_use(config, os.environ), os.environ)
    if dagster_url is None:  # `make up` has looked; a listener that it starts again holds up no protection
        for change in close_places(configured.settings):
            note(change)
    log_beside(configured.settings)
    with ExitStack() as held:
        stop = held.enter_context(stop_signals())
        ask = ask_sources = None
        if dagster_url is not None:
            ask = held.enter_context(closing(DagsterHealth(dagster_url, home_of(os.environ)))).troubles
            ask_sources = SourceWatch(load_definitions).troubles
        source = entry_of(configured.settings).open_updates(configured.settings, ENVIRON)
        stream = held.enter_context(source)
        say("listening to trade updates, and watching over the book; Ctrl-C ends it")
        serve(configured, Desk.open, stream.updates, stop, ask_dagster=ask, ask_sources=ask_sources)


def _port(origin: str) -> int:
    port = urlsplit(origin).port
    assert port is not None  # the configuration demands one
    return port


def _usd(text: str) -> Decimal:
    return _number(text, "--cash")


def _number(text: str, option: str) -> Decimal:
    try:
        number = Decimal(text)
    except InvalidOperation:
        number = Decimal("NaN")
    if not number.is_finite() or number < 0:
        raise typer.BadParameter(f"{text!r} is not a number of 0 or more", param_hint=option)
    return number
