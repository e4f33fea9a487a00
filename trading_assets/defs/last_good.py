"""The last configuration that a run of this Dagster instance could use, kept beside the instance.

A line that is mistyped into the file ends every tick, as it should, and must not end protection: a run that
protects goes on by the configuration that was in force before. It holds no key and no password; those are in
the environment.
"""

from __future__ import annotations

import json
from pathlib import Path

import dagster as dg

from trading_assets.config import Settings

NAME = "last_good_configuration.json"


def keep(instance: dg.DagsterInstance, config_path: Path, settings: Settings) -> None:
    """Keep what could be read of the file, in place of what was kept before."""
    if not instance.is_persistent:
        return
    kept = Path(instance.root_directory) / NAME
    text = json.dumps({"path": str(config_path.resolve()), "settings": settings.model_dump(mode="json")})
    if kept.exists() and kept.read_text() == text:
        return
    part = kept.with_name(f"{NAME}.part")
    part.write_text(text)
    part.replace(kept)


def kept_settings(instance: dg.DagsterInstance, config_path: Path) -> Settings | None:
    """What was kept of this very file, or None."""
    kept = Path(instance.root_directory) / NAME if instance.is_persistent else None
    if kept is None or not kept.exists():
        return None
    found = json.loads(kept.read_text())
    if found["path"] != str(config_path.resolve()):
        return None
    return Settings.model_validate_json(json.dumps(found["settings"]))
