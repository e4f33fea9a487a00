"""The replay's page: one HTML file with its pictures inside, which opens anywhere and loads nothing.

The pictures are matplotlib's SVG, the same bytes for the same report.
"""

from __future__ import annotations

import io
from collections.abc import Iterable, Sequence
from math import isnan
from pathlib import Path
from string import Template

import numpy as np

from trading_assets.core.limits import Limits
from trading_assets.engine.replay.limit_groups import WARNINGS
from trading_assets.engine.replay.report import ReplayReport
from trading_assets.engine.replay.spec import ModelSignals
from trading_assets.escapes import for_html
from trading_assets.redaction import clean

MONTHS = ("Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec")
SESSIONS_NAMED = 12
SYMBOLS_NAMED = 10
_DERIVED = (
    "Minute bars are derived from daily bars, which know the day's close in advance: "
    "no figure on this page is evidence of performance."
)
_IN_SAMPLE = "The model was trained on {} of these sessions: what it earned in them is no evidence."
_PAGE = Template("""<!doctype html>
<html lang="en"><head><meta charset="utf-8"><title>$title</title>
<style>
body { font: 15px/1.45 system-ui, sans-serif; max-width: 62rem; margin: 2rem auto; padding: 0 1rem; }
h1 { font-size: 1.5rem; } h2 { font-size: 1.1rem; margin-top: 2rem; }
table { border-collapse: collapse; font-variant-numeric: tabular-nums; }
th, td { padding: .2rem .7rem; border-bottom: 1px solid #ddd; text-align: right; }
th:first-child, td:first-child { text-align: left; }
details { margin: .4rem 0; } summary { cursor: pointer; }
td.loss { color: #a11; } td.failed { background: #fdd; }
.warning { background: #fff3cd; padding: .6rem 1rem; border-left: 4px solid #d39e00; }
svg { width: 100%; height: auto; }
</style></head><body>
<h1>$title</h1>
$warnings
<p>$about</p>
<h2>Figures$mark</h2>
$figures
$symbols
<h2>Equity, drawdown and exposure$mark</h2>
$plots
<h2>Monthly returns$mark</h2>
$months
<h2>Verdicts by code</h2>
$codes
<h2>Limits by session</h2>
$limits
<h2>Halts</h2>
$halts
<h2>Limits in force</h2>
$in_force
</body></html>
""")


def write_page(report: ReplayReport, limits: Limits, directory: Path) -> Path:
    """Write the page into `directory`; the caller moves it to its place."""
    path = directory / report.page_path.name
    path.touch(mode=0o600)
    path.write_text(clean(page(report, limits)), encoding="utf-8")
    return path


def page(report: ReplayReport, limits: Limits) -> str:
    """The whole page as text."""
    return _PAGE.substitute(
        title=for_html(f"Replay {report.spec.name}"),
        warnings="".join(f'<p class="warning">{warning}</p>' for warning in _warnings(report)),
        mark=" (derived)" if report.derived else "",
        about=for_html(_about(report)),
        figures=_table(("figure", "value"), _figures(report)),
        symbols=_symbols(report),
        plots=_plots(report),
        months=_months(report),
        codes=_table(("code", "verdicts"), report.verdict_codes.items()),
        limits=_limits(report),
        halts=_table(
            ("session", "cause", "action", "reason"),
            [(event.session, str(event.cause), event.action, event.reason) for event in report.halts],
        ),
        in_force=_table(("limit", "value"), [(name, f"{v:g}") for name, v in limits._asdict().items()]),
    )


def _warnings(report: ReplayReport) -> list[str]:
    """What a reader must know before a figure."""
    warnings = [f"Derived. {_DERIVED}"] if report.derived else []
    return [*warnings, f"In sample. {_IN_SAMPLE.format(report.in_sample)}"] if report.in_sample else warnings


def _about(report: ReplayReport) -> str:
    spec = report.spec
    ticks = "one tick a session, at the open" if spec.daily else f"a tick every {spec.minutes} minutes"
    source = (
        f"signals of the model {report.model_version}"
        if isinstance(spec.source, ModelSignals)
        else f"{len(spec.source.signals)} signals from outside"
    )
    days = [result.session for result in report.sessions]
    return (
        f"{len(days)} sessions from {days[0]} to {days[-1]}, "
        f"{ticks}; {_named(report.symbols)} on {spec.bars} bars; {source}; "
        f"starting cash ${spec.cash_usd:,.2f}, fills {spec.fill_mode}."
    )


def _named(symbols: Sequence[str]) -> str:
    """The symbols, or how many they are where a list would hide the rest."""
    return ", ".join(symbols) if len(symbols) <= SYMBOLS_NAMED else f"{len(symbols):,} symbols"


def _symbols(report: ReplayReport) -> str:
    """Which symbols lacked bars or were delisted: how many, the worst, and the rest in a table that folds."""
    missing = sorted(report.missing_bars.items(), key=lambda row: (-row[1], row[0]))
    delisted = sorted(report.delisted.items(), key=lambda row: (row[1], row[0]))
    closed = "Positions closed at the last price, as the symbol had no bar any more"
    return _folding("Symbols without a bar in some session", ("symbol", "sessions"), missing) + _folding(
        closed, ("symbol", "session"), delisted
    )


def _folding(title: str, heads: Sequence[str], rows: Sequence[Sequence[object]]) -> str:
    if not rows:
        return ""
    shown = ", ".join(f"{for_html(str(symbol))} {value}" for symbol, value in rows[:SYMBOLS_NAMED])
    if len(rows) <= SYMBOLS_NAMED:
        return f"<p>{title}: {shown}.</p>"
    return (
        f"<p>{title}: {len(rows):,}; the first {SYMBOLS_NAMED}: {shown}.</p>"
        f"<details><summary>All {len(rows):,}</summary>{_table(heads, rows)}</details>"
    )


def _figures(report: ReplayReport) -> list[tuple[str, str]]:
    figures = report.figures
    return [
        ("closing equity", f"${report.closing_equity:,.2f}"),
        ("return", _percent(figures.total_return)),
        ("return a year", _percent(figures.annual_return)),
        ("volatility a year", _percent(figures.annual_volatility)),
        ("Sharpe ratio (riskless 0)", f"{figures.sharpe_ratio:.2f}"),
        ("largest drawdown of closes", _percent(figures.max_drawdown)),
        ("mean exposure", _percent(figures.mean_exposure)),
        ("turnover a year, times equity", f"{figures.turnover:.2f}"),
        ("winning sessions", _percent(figures.winning_sessions)),
        *_money(report),
        ("orders", f"{sum(result.orders for result in report.sessions)}"),
        ("fills", f"{sum(result.fills for result in report.sessions)}"),
        ("refused", f"{sum(result.refused for result in report.sessions)}"),
    ]


def _money(report: ReplayReport) -> list[tuple[str, str]]:
    """What fills cost beside their prices, and what the positions were paid."""
    costs = sum(result.costs_usd for result in report.sessions)
    fees = sum(result.fees_usd for result in report.sessions)
    dividends = sum(result.dividends_usd for result in report.sessions)
    return [
        ("commissions", f"${costs - fees:,.2f}"),
        ("SEC and FINRA fees on sales", f"${fees:,.2f}"),
        ("dividends", f"${dividends:,.2f}"),
    ]


def _plots(report: ReplayReport) -> str:
    """Equity, drawdown and exposure at each close, over one axis of days."""
    import matplotlib as mpl
    from matplotlib.figure import Figure

    days = np.array([result.session for result in report.sessions], dtype="datetime64[D]")
    equity = np.array([result.equity for result in report.sessions])
    peak = np.maximum.accumulate(np.maximum(equity, report.spec.cash_usd))
    exposure = np.array([result.gross_exposure for result in report.sessions])
    # a fixed salt and no date: the same report gives the same bytes
    with mpl.rc_context({"svg.hashsalt": report.book, "svg.fonttype": "none"}):
        figure = Figure(figsize=(9, 6.5), layout="constrained")
        above, middle, below = figure.subplots(3, 1, sharex=True, height_ratios=[3, 1.5, 1.5])
        above.plot(days, equity, linewidth=1.2)
        above.set_ylabel("equity, USD")
        middle.fill_between(days, -100 * (1 - equity / peak), 0, step="mid", alpha=0.6, color="tab:red")
        middle.set_ylabel("drawdown, %")
        below.fill_between(days, 100 * exposure, 0, step="mid", alpha=0.6, color="tab:gray")
        below.set_ylabel("exposure, %")
        for axes in (above, middle, below):
            axes.grid(alpha=0.3)
        text = io.StringIO()
        figure.savefig(text, format="svg", metadata={"Date": None})
    return text.getvalue()[text.getvalue().index("<svg") :]


def _months(report: ReplayReport) -> str:
    """A row for each year, a column for each month, and the year."""
    of_year: dict[int, dict[int, float]] = {}
    for year, month, change in report.monthly_returns():
        of_year.setdefault(year, {})[month] = change
    lines = []
    for year, months in of_year.items():
        whole = float(np.prod([1.0 + change for change in months.values()])) - 1.0
        cells = [_return(months.get(month + 1)) for month in range(len(MONTHS))]
        lines.append(f"<tr><td>{year}</td>{''.join(cells)}{_return(whole)}</tr>")
    heads = "".join(f"<th>{name}</th>" for name in ("%", *MONTHS, "year"))
    return f"<table><tr>{heads}</tr>{''.join(lines)}</table>"


def _return(change: float | None) -> str:
    if change is None:
        return "<td></td>"
    kind = ' class="loss"' if change < 0 else ""
    return f"<td{kind}>{100 * change:.2f}</td>"


def _limits(report: ReplayReport) -> str:
    """A row for each limit: in how many sessions it did not hold, and in which first."""
    failing: dict[tuple[str, str], list[str]] = {}
    for result in report.sessions:
        for limit in result.limits:
            severity = "warning" if limit.group in WARNINGS else "error"
            named = failing.setdefault((limit.name, severity), [])
            if not limit.passed:
                named.append(result.session.isoformat())
    rows = [(*key, len(named), ", ".join(named[:SESSIONS_NAMED])) for key, named in failing.items()]
    return _table(("limit", "severity", "sessions failed", f"the first {SESSIONS_NAMED}"), rows)


def _table(heads: Sequence[str], rows: Iterable[Sequence[object]]) -> str:
    lines = [f"<tr>{''.join(f'<td>{for_html(str(cell))}</td>' for cell in row)}</tr>" for row in rows]
    if not lines:
        return "<p>none</p>"
    return (
        f"<table><tr>{''.join(f'<th>{for_html(head)}</th>' for head in heads)}</tr>{''.join(lines)}</table>"
    )


def _percent(value: float) -> str:
    return "–" if isnan(value) else f"{100 * value:.2f} %"
