"""The version of the code behind an asset: a hash of the sources that decide what it holds."""

from __future__ import annotations

import hashlib
from importlib.resources import files
from importlib.resources.abc import Traversable


def code_version(*sources: str) -> str:
    """Twelve hex digits over the named modules and packages of trading_assets.

    sources: paths inside the package, e.g. "core" or "engine/market_data/bars.py". It changes with any edit
             in them, a comment too: an asset that looks stale without need is cheaper than one that
             looks current without right.
    """
    digest = hashlib.sha256()
    for source in sources:
        for file in sorted(
            _python_files(files("trading_assets").joinpath(source)), key=lambda file: file.name
        ):
            digest.update(file.name.encode() + b"\0" + file.read_bytes())
    return digest.hexdigest()[:12]


def _python_files(entry: Traversable) -> list[Traversable]:
    if entry.is_file():
        return [entry]
    return [
        file
        for child in entry.iterdir()
        if child.is_dir() or child.name.endswith(".py")
        for file in _python_files(child)
    ]
