"""The project's directory for a test of its own: sources and environment linked, instance and data new."""

from __future__ import annotations

import os
import shutil
from collections.abc import Mapping
from pathlib import Path

ROOT = Path(__file__).parents[2]
_LINKED = (".venv", "trading_assets", "Makefile", "workspace.yaml")
_REQUIREMENTS = ("pyproject.toml", "requirements.txt")


def project_copy(home: Path, *, ports: Mapping[int, int] | None = None) -> None:
    """Make it in `home`, with the committed configuration. ports: committed → in the copy"""
    for name in _LINKED:
        (home / name).symlink_to(ROOT / name)
    for name in _REQUIREMENTS:  # older than what is installed, so that no test installs anything
        shutil.copy(ROOT / name, home)
        os.utime(home / name, (0, 0))
    (home / "dagster_home").mkdir()
    shutil.copy(ROOT / "dagster_home" / "dagster.yaml", home / "dagster_home")
    configuration = (ROOT / "config" / "execution.yaml").read_text()
    for committed, port in (ports or {}).items():
        configuration = configuration.replace(f":{committed}", f":{port}")
    (home / "config").mkdir()
    (home / "config" / "execution.yaml").write_text(configuration)


def environment() -> dict[str, str]:
    """This process's, without what a `make` above it left."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith(("MAKE", "MFLAGS"))}
    return kept | {"COLUMNS": "200", "TERM": "dumb"}
