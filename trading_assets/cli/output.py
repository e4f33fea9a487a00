"""How results are shown: plain JSON for programs, tables for people. Progress goes to standard error."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import fields, is_dataclass
from datetime import date
from decimal import Decimal
from enum import Enum
from math import isfinite, isnan
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.markup import escape as markup
from rich.progress import BarColumn, Progress, TextColumn
from rich.table import Table

from trading_assets.escapes import for_json, for_one_line, for_terminal
from trading_assets.store.leases import Lease

PIPED_WIDTH = 200
"""Columns of a table that goes into a file or a pipe."""


def console() -> Console:
    """Standard output."""
    width = None if sys.stdout.isatty() else PIPED_WIDTH
    return Console(width=width, soft_wrap=True, highlight=False, markup=False)


def say(line: str) -> None:
    console().print(for_terminal(line))


def show_json(value: Any) -> None:
    """One JSON document: decimals as text, NaN as null, infinity as text."""
    document = json.dumps(plain(value), indent=2, ensure_ascii=False, allow_nan=False)
    sys.stdout.write(for_json(document) + "\n")


def plain(value: Any) -> Any:
    """Records as JSON values, by field name."""
    if is_dataclass(value) and not isinstance(value, type):
        return {field.name: plain(getattr(value, field.name)) for field in fields(value)}
    if isinstance(value, Mapping):
        return {str(key): plain(item) for key, item in value.items()}
    if isinstance(value, tuple) and hasattr(value, "_asdict"):
        return plain(value._asdict())
    if isinstance(value, list | tuple | set | frozenset):
        return [plain(item) for item in value]
    if isinstance(value, Enum):
        return value.value
    if isinstance(value, float) and not isfinite(value):
        return None if isnan(value) else str(value)
    if isinstance(value, Decimal):
        return format(value, "f")
    if isinstance(value, date):
        return value.isoformat()
    return str(value) if isinstance(value, Path) else value


def show_table(
    columns: Sequence[str], rows: Iterable[Sequence[Any]], *, nothing: str, title: str = ""
) -> None:
    """Rows below their columns, numbers to the right; `nothing` where there are none."""
    rows = [[_cell(value) for value in row] for row in rows]
    if not rows:
        say(nothing)
        return
    table = Table(
        title=for_one_line(title) or None,
        title_justify="left",
        box=None,
        pad_edge=False,
        padding=(0, 2, 0, 0),
    )
    for index, column in enumerate(columns):
        numeric = all(_is_number(row[index]) for row in rows)
        table.add_column(for_one_line(column), justify="right" if numeric else "left", no_wrap=True)
    for row in rows:
        table.add_row(*row)
    console().print(table)


def show_lines(lines: Iterable[tuple[str, Any]]) -> None:
    """Names and values, one a line."""
    table = Table(box=None, show_header=False, pad_edge=False, padding=(0, 2, 0, 0))
    table.add_column(no_wrap=True)
    table.add_column()
    for name, value in lines:
        table.add_row(for_one_line(name), _cell(value))
    console().print(table)


@contextmanager
def progress(what: str) -> Iterator[Callable[[str], None]]:
    """Say on a terminal what is under way; give the next step's name to the function."""
    errors = Console(stderr=True)
    with errors.status(markup(f"{what} …")) as status:
        yield lambda step: status.update(markup(for_one_line(f"{what}: {step} …")))


@contextmanager
def progress_bar(what: str, unit: str) -> Iterator[Callable[[int, int, str], None]]:
    """Show how far something long is. The function is given how many `unit` are done, of how many, and
    what to say beside it: a bar on a terminal, elsewhere a line at each tenth of the way."""
    errors = Console(stderr=True, soft_wrap=True, highlight=False, markup=False)
    if not errors.is_terminal:
        tenths = 0

        def line(done: int, total: int, beside: str) -> None:
            nonlocal tenths
            if done * 10 // total > tenths:
                tenths = done * 10 // total
                errors.print(for_one_line(f"{what}: {done} of {total} {unit}, {beside}"))

        yield line
        return
    columns = (
        TextColumn("{task.description}", markup=False),
        BarColumn(),
        TextColumn(
            f"{{task.completed:.0f}} of {{task.total:.0f}} {unit}{{task.fields[beside]}}", markup=False
        ),
    )
    with Progress(*columns, console=errors, transient=True) as bar:
        task = bar.add_task(what, start=False, total=0, beside="")

        def drawn(done: int, total: int, beside: str) -> None:
            bar.start_task(task)
            bar.update(task, completed=done, total=total, beside=for_one_line(f", {beside}"))

        yield drawn


def note(line: str) -> None:
    """Said to the person who waits, never a part of the result: on standard error."""
    Console(stderr=True, soft_wrap=True, highlight=False, markup=False).print(for_terminal(line))


def waiting(step: Callable[[str], None]) -> Callable[[Lease], None]:
    """Say through `step` who is waited for."""
    return lambda lease: step(f"waits for {lease.holder}, process {lease.pid}")


def _cell(value: Any) -> str:
    if value is None:
        return ""
    if isinstance(value, float):
        return "" if isnan(value) else f"{value:,.4f}".rstrip("0").rstrip(".")
    return format(value, "f") if isinstance(value, Decimal) else for_one_line(str(value))


def _is_number(text: str) -> bool:
    try:
        float(text.replace(",", "") or "0")
    except ValueError:
        return False
    return True
