"""The directories of a desk, as they must be when a process that trades starts: ours, and nobody else's to
write.

Looked at once, at the start of `make up`, of a listener or a tick by hand. A kill, a flatten and protection
ask for nothing here: a mode that somebody has changed holds no exit back.
"""

from __future__ import annotations

from pathlib import Path

from trading_assets.config import Settings
from trading_assets.engine.signals.inbox import INBOX
from trading_assets.ownership import private_directory, refuse_writable

INSTANCE = "DAGSTER_HOME"


def close_places(settings: Settings, dagster_home: Path | None = None) -> list[str]:
    """Close the data directory, the inbox and the Dagster instance's directory to other users.

    Returns what to tell a person: each that this user's own group could write, as umask 002 leaves a fresh
    clone. Raises InvalidInput where others may write one of them, or a directory above it.
    """
    data_dir = Path(settings.data_dir)
    places = [(data_dir, "data_dir"), (data_dir / INBOX, "the inbox")]
    if dagster_home is not None:
        places.append((dagster_home, INSTANCE))
    changes = []
    for path, what in places:
        before = path.stat().st_mode & 0o777 if path.exists() else 0
        private_directory(path, what)
        if before & 0o022:
            changes.append(f"{what} {path} is closed to other users now; its mode was {before:o}")
    if dagster_home is not None and (dagster_home / "dagster.yaml").exists():
        refuse_writable(dagster_home / "dagster.yaml", INSTANCE)
    return changes
