"""The code location that Dagster loads.

Every code server and every run is a process of its own that begins here, without a secret in its environment;
TRADING_ASSETS_LOG names the file that their log lines go to.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import dagster as dg

from trading_assets import defs as defs_package
from trading_assets import log, process_setup
from trading_assets.runs.code_references import source_place, with_code_references
from trading_assets.runs.defs_folder import merged, modules_of
from trading_assets.runs.resources import ConfigurationResource, DeskResource

LOG_VARIABLE = "TRADING_ASSETS_LOG"


def build_definitions(resources: Mapping[str, Any] | None = None) -> dg.Definitions:
    """Everything that Dagster knows of the desk: what the modules of `defs/` hold at their top level, alone,
    in a list or in a `dg.Definitions`.

    resources: by name, in place of the default ones
    """
    modules = modules_of(defs_package)
    loaded = dg.load_definitions_from_modules(
        modules,
        resources={
            "configuration": ConfigurationResource(),
            "desk": DeskResource(),
            # No step hands a value to another; Dagster's own would let a launch name a directory for it.
            "io_manager": dg.mem_io_manager,
            **(resources or {}),
        },
        executor=dg.in_process_executor,
    )
    return with_code_references(merged(loaded, modules), modules, source_place(os.environ))


process_setup.begin_code_server()
if os.environ.get(LOG_VARIABLE):
    log.configure(json_path=Path(os.environ[LOG_VARIABLE]), level="INFO", terminal_level="ERROR")
defs = build_definitions()
