"""What a person sees of a step in Dagster: counts, tables and, after a replay, pictures.

Nothing is decided here, and a tick draws no picture: loading matplotlib takes most of a second.
"""

from __future__ import annotations

import base64
import io
from collections.abc import Iterable, Mapping, Sequence
from datetime import date
from typing import Any

import dagster as dg
import numpy as np

from trading_assets.escapes import for_markdown, for_one_line
from trading_assets.market.sessions import NEW_YORK, new_york_time

Metadata = dict[str, dg.MetadataValue]


def tick_metadata(session: date, tick_ns: int) -> Metadata:
    return {
        "session": dg.MetadataValue.text(session.isoformat()),
        "tick": dg.MetadataValue.text(new_york_time(tick_ns)),
        "tick_at": dg.MetadataValue.timestamp(tick_ns / 1e9),
    }


def table(rows: Sequence[Mapping[str, Any]], columns: Iterable[str] | None = None) -> dg.MetadataValue:
    """A markdown table; the columns are the first row's where none are given."""
    if not rows:
        return dg.MetadataValue.md("none")
    names = list(columns) if columns is not None else list(rows[0])
    heads = [for_markdown(name) for name in names]
    lines = [heads, ["---"] * len(names), *([_cell(row[name]) for name in names] for row in rows)]
    return dg.MetadataValue.md("\n".join(f"| {' | '.join(line)} |" for line in lines))


def line_plot(title: str, times_ns: Sequence[int], values: Sequence[float]) -> dg.MetadataValue:
    """A small picture of a series over the session, inline."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(6, 2.2), dpi=80, layout="constrained")
    axes = figure.add_subplot()
    axes.plot(np.array(times_ns, dtype="datetime64[ns]"), list(values), marker=".")
    axes.set_title(for_one_line(title), fontsize="medium")
    axes.xaxis_date(tz=NEW_YORK)
    axes.grid(alpha=0.3)
    axes.tick_params(labelsize="small")
    buffer = io.BytesIO()
    figure.savefig(buffer, format="png")
    return dg.MetadataValue.md(
        f"![{for_markdown(title)}](data:image/png;base64,{base64.b64encode(buffer.getvalue()).decode()})"
    )


def _cell(value: Any) -> str:
    if value is None or value != value:
        return "–"
    if isinstance(value, float):
        return f"{value:,.6g}"
    return for_markdown(str(value))
