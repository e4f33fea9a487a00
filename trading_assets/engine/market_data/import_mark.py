"""That bars were imported: a small file beside the history, so that whoever waits for an import opens no
database to see it."""

from __future__ import annotations

from pathlib import Path
from uuid import uuid4

NAME = "bars.imported"


def mark_import(data_dir: Path) -> None:
    """Say that bars were stored: another mark than before."""
    path = data_dir / NAME
    beside = path.with_suffix(".new")
    beside.write_text(uuid4().hex, encoding="ascii")
    beside.replace(path)


def last_import(data_dir: Path) -> str | None:
    """The mark of the last import; None: there was none."""
    try:
        return (data_dir / NAME).read_text(encoding="ascii")
    except FileNotFoundError:
        return None
