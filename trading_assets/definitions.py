"""The code location that Dagster loads.

Every code server and every run is a process of its own that begins here, without a secret in its environment;
TRADING_ASSETS_LOG names the file that their log lines go to.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from importlib import import_module
from pathlib import Path
from types import ModuleType
from typing import Any

import dagster as dg

from trading_assets import defs as defs_folder
from trading_assets import log, process_setup
from trading_assets.runs.resources import ConfigurationResource, DeskResource

LOG_VARIABLE = "TRADING_ASSETS_LOG"
OLD_NAMES = {"trading_assets.defs.fallback"}  # of what is no longer in the folder


def modules_of(package: ModuleType) -> list[ModuleType]:
    """Each module in the package's folder and in the folders in it, imported: also those in a folder without
    an `__init__.py`, which pkgutil passes over."""
    names = {
        ".".join((package.__name__, *_parts(file.relative_to(folder))))
        for folder in map(Path, package.__path__)
        for file in folder.rglob("*.py")
        if not any("." in part for part in _parts(file.relative_to(folder)))  # no module has such a name
    }
    return [_imported(name) for name in sorted(names - OLD_NAMES - {package.__name__})]


def _imported(name: str) -> ModuleType:
    """The module. Raises ImportError, whose text Dagster shows, where it does not load: with its name."""
    try:
        return import_module(name)
    except (Exception, SystemExit) as error:
        why = f"{type(error).__name__}: {error}"
        raise ImportError(f"{name} does not load: {why}. Mend that file, or move it away") from error


def _parts(file: Path) -> tuple[str, ...]:
    return file.parent.parts if file.name == "__init__.py" else file.with_suffix("").parts


def build_definitions(resources: Mapping[str, Any] | None = None) -> dg.Definitions:
    """Everything that Dagster knows of the desk: what the modules of `defs/` hold at their top level, alone
    or in a list.

    resources: by name, in place of the default ones
    """
    return dg.load_definitions_from_modules(
        modules_of(defs_folder),
        resources={
            "configuration": ConfigurationResource(),
            "desk": DeskResource(),
            # No step hands a value to another; Dagster's own would let a launch name a directory for it.
            "io_manager": dg.mem_io_manager,
            **(resources or {}),
        },
        executor=dg.in_process_executor,
    )


process_setup.begin_code_server()
if os.environ.get(LOG_VARIABLE):
    log.configure(json_path=Path(os.environ[LOG_VARIABLE]), level="INFO", terminal_level="ERROR")
defs = build_definitions()
