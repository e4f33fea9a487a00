"""The code location that Dagster loads."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import dagster as dg

from trading_assets.defs import assets_desk, assets_training
from trading_assets.defs.checks import CHECK_STEPS
from trading_assets.defs.jobs import JOBS
from trading_assets.defs.resources import ConfigurationResource, DeskResource


def build_definitions(resources: Mapping[str, Any] | None = None) -> dg.Definitions:
    """Everything that Dagster knows of the desk.

    resources: by name, in place of the default ones
    """
    return dg.Definitions(
        assets=[*assets_desk.CHAIN, *assets_training.CHAIN],
        asset_checks=CHECK_STEPS,
        jobs=JOBS,
        resources={
            "configuration": ConfigurationResource(),
            "desk": DeskResource(),
            **(resources or {}),
        },
        executor=dg.in_process_executor,
    )


defs = build_definitions()
