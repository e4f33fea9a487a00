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

from trading_assets import log, process_setup
from trading_assets.defs import assets_desk, assets_replay, assets_training, checks_replay
from trading_assets.defs.checks import CHECK_STEPS
from trading_assets.defs.jobs import JOBS
from trading_assets.defs.jobs_day import DAY_JOBS
from trading_assets.defs.jobs_operator import OPERATOR_JOBS
from trading_assets.defs.resources import ConfigurationResource, DeskResource
from trading_assets.defs.schedules import SCHEDULES
from trading_assets.defs.sensors import SENSORS
from trading_assets.defs.sensors_alerts import ALERT_SENSORS

LOG_VARIABLE = "TRADING_ASSETS_LOG"


def build_definitions(resources: Mapping[str, Any] | None = None) -> dg.Definitions:
    """Everything that Dagster knows of the desk.

    resources: by name, in place of the default ones
    """
    return dg.Definitions(
        assets=[*assets_desk.CHAIN, *assets_training.CHAIN, assets_replay.replay],
        asset_checks=[*CHECK_STEPS, *checks_replay.CHECK_STEPS],
        jobs=[*JOBS, *DAY_JOBS, *OPERATOR_JOBS],
        schedules=SCHEDULES,
        sensors=[*SENSORS, *ALERT_SENSORS],
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
