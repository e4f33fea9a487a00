"""The last configuration that could be used, for what protects: a file that somebody may be editing.

A line that is mistyped into the file ends every tick, as it should, and must not end protection, which goes
on by the configuration that was in force before. A process remembers it (`LastGood`). For one that begins
while the file is wrong it is kept beside the Dagster instance. It holds no key and no password; those are in
the environment.
"""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from pathlib import Path

from trading_assets.config.file import load
from trading_assets.config.settings import Settings
from trading_assets.errors import InvalidInput
from trading_assets.log import get_logger

log = get_logger(__name__)

NAME = "last_good_configuration.json"
HOME_VARIABLE = "DAGSTER_HOME"


class LastGood:
    """The configuration of a service, read again and again.

    environ: names the instance beside which the last good one is kept
    settings: as last read and usable. fault: why the file cannot be used now, or None.

    Raises InvalidInput where the first reading cannot be used and none is kept.
    """

    def __init__(self, path: Path, environ: Mapping[str, str] | None = None) -> None:
        self._path = path
        self.fault: InvalidInput | None = None
        try:
            self.settings: Settings = load(path)
        except InvalidInput as fault:
            known = kept(home_of(environ or {}), path)
            if known is None:
                raise
            self.settings, self.fault = known, fault

    def read(self) -> Settings:
        """Read the file again; the last good one where it cannot be used, and `fault` says why."""
        try:
            self.settings = load(self._path)
            self.fault = None
        except InvalidInput as fault:
            self.fault = fault
        return self.settings


def home_of(environ: Mapping[str, str]) -> Path | None:
    """The Dagster instance's directory that the environment names."""
    home = environ.get(HOME_VARIABLE)
    return Path(home) if home else None


def keep(home: Path, path: Path, settings: Settings) -> None:
    """Keep what could be read of the file, in place of what was kept before. Where it cannot be written (a
    full disk) that is logged: it must keep no run from protecting."""
    file = home / NAME
    text = json.dumps({"path": str(path.resolve()), "settings": settings.model_dump(mode="json")})
    try:
        if file.exists() and file.read_text() == text:
            return
        part = file.with_name(f"{NAME}.{os.getpid()}.part")  # runs beside one another keep it, too
        part.write_text(text)
        part.replace(file)
    except OSError as error:
        log.warning("the configuration is not kept", where=str(file), why=str(error))


def kept(home: Path | None, path: Path) -> Settings | None:
    """What was kept of this very file; None where nothing was, or what is of no use any more."""
    if home is None or not (home / NAME).exists():
        return None
    try:
        stored = json.loads((home / NAME).read_text())
        if stored["path"] != str(path.resolve()):
            return None
        return Settings.model_validate_json(json.dumps(stored["settings"]))
    except (OSError, ValueError, KeyError, TypeError) as error:  # damaged, or another version's
        log.warning("the kept configuration cannot be used", where=str(home / NAME), why=str(error))
        return None
