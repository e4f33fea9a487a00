"""What every test runs under: no telemetry, no key of a real account, no instance of a person's Dagster."""

from __future__ import annotations

import os

from hypothesis import settings

os.environ["DAGSTER_DISABLE_TELEMETRY"] = "1"
for _name in (
    "APCA_API_KEY_ID",
    "APCA_API_SECRET_KEY",
    "DAGSTER_HOME",
    "KILL_SWITCH",
    "TRADING_ASSETS_CONFIG",
):
    os.environ.pop(_name, None)

# the first example of a compiled function pays for its compilation
settings.register_profile("trading_assets", deadline=None)
settings.load_profile("trading_assets")
