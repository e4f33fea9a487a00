"""The files that a launch may name: those of the import directory and of the data directory.

Whoever may launch a run in Dagster can name a file for it. Without a boundary it could be any file that this
user can read, and what is said of it would tell what is in it. What a person gives on the command line is
that person's own to read, and is not held to this.
"""

from __future__ import annotations

import stat
from pathlib import Path

from trading_assets import config
from trading_assets.config import Settings
from trading_assets.engine.signals.rows import shown
from trading_assets.errors import InvalidInput

IMPORTS = "imports"  # in the data directory


def import_dir(settings: Settings) -> Path:
    """Where a launch's files are looked for."""
    return settings.import_dir or Path(settings.data_dir) / IMPORTS


def named_file(name: str, settings: Settings, field: str) -> Path:
    """The file that a launch names, links resolved. A relative name starts at the import directory.

    field: what named it, for the message. Raises InvalidInput for a file outside both directories, which is
    not looked at, and for what is no plain file.
    """
    root = import_dir(settings)
    try:
        path = (root / name).resolve()
        inside = any(path.is_relative_to(one.resolve()) for one in (root, Path(settings.data_dir)))
    except (OSError, ValueError, RuntimeError):  # a name that no file can have, or links in a circle
        inside = False
    if not inside:
        raise InvalidInput(
            f"a launch may not name the file {shown(name)}",
            where=f"run configuration, {field}",
            remedy=f"Put the file into {root} and name it from there.",
        )
    try:
        plain = stat.S_ISREG(path.stat().st_mode)
    except OSError:
        plain = False
    if not plain:
        raise InvalidInput(
            f"there is no file {shown(name)}",
            where=f"run configuration, {field}",
            remedy=f"Put the file into {root} and name it from there.",
        )
    return path


def named_configuration(name: str, settings: Settings, field: str) -> Settings:
    """Another configuration's symbols, limits and model for a replay; where things are and who trades stay
    this process's own. Raises InvalidInput as `named_file` and `config.load` do."""
    other = config.load(named_file(name, settings, field))
    own = {key: getattr(settings, key) for key in _OWN}
    model = {
        key: named_file(str(path), settings, f"{field}, {key}")
        for key in ("model_path", "features_path")
        if (path := getattr(other, key)) is not None
    }
    return other.model_copy(update={**own, **model})


_OWN = ("data_dir", "import_dir", "mode", "venue", "account_number", "embedded")
