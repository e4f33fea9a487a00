"""The directories of a desk, as they must be when a process that trades starts: ours, and nobody else's to
write.

Looked at once, at the start of `make up`, of a listener or a tick by hand. A kill, a flatten and protection
ask for nothing here: a mode that somebody has changed holds no exit back.
"""

from __future__ import annotations

from pathlib import Path

from trading_assets.config import Settings
from trading_assets.engine.inbox import INBOX
from trading_assets.log import get_logger
from trading_assets.ownership import private_directory, refuse_writable

log = get_logger(__name__)

INSTANCE = "DAGSTER_HOME"


def close_places(settings: Settings, dagster_home: Path | None = None) -> None:
    """Close the data directory, the inbox and the Dagster instance's directory to other users.

    Raises InvalidInput where others may write one of them, or a directory above it.
    """
    data_dir = Path(settings.data_dir)
    _close(data_dir, "data_dir")
    _close(data_dir / INBOX, "the inbox")
    if dagster_home is not None:
        _close(dagster_home, INSTANCE)
        if (dagster_home / "dagster.yaml").exists():
            refuse_writable(dagster_home / "dagster.yaml", INSTANCE)


def _close(path: Path, what: str) -> None:
    """As a fresh clone has it, DAGSTER_HOME is open to be read, by umask 022, or to this user's own group."""
    before = path.stat().st_mode & 0o777 if path.exists() else 0
    private_directory(path, what)
    if before & 0o077:
        log.info("closed to other users", path=str(path), mode_before=f"{before:o}")
