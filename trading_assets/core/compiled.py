"""How the core is compiled, and where the machine code is kept. No decision lives here.

numba's on-disk cache looks at a function's own source file only: an edit in a function that it calls
from another module goes unnoticed, and an edited gate would go on passing orders. So the directory
of the cache carries a hash of every source that a compiled function can reach: all of this package
and all of the directory that the function is in.

The directory is `$NUMBA_CACHE_DIR`, else `$XDG_CACHE_HOME/trading_assets/numba`, else
`~/.cache/trading_assets/numba`; the hash is appended to each. numba keeps index files there that it
reads with pickle, so the directory is private to its user. Where it cannot be written the functions
are compiled afresh in each process, with a warning.
"""

from __future__ import annotations

import hashlib
import os
import warnings
from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import Any, TypeVar, cast

import numba

_CORE = Path(__file__).parent

_Function = TypeVar("_Function", bound=Callable[..., Any])


def compiled(function: _Function) -> _Function:
    """Compile `function` with numba in nopython mode, strict IEEE 754, cached on disk.

    With `NUMBA_DISABLE_JIT=1` in the environment it stays plain Python and must give the same bits:
    only + − × ÷, sqrt, floor and comparisons, explicit loops, no division by what can be zero.
    """
    directory = cache_directory(Path(function.__code__.co_filename).parent)
    if directory is not None:
        # numba reads it as the function is decorated; its stubs do not know the names set at run time
        numba.config.CACHE_DIR = str(directory)  # type: ignore[attr-defined]
    return cast(_Function, numba.njit(cache=directory is not None, fastmath=False)(function))


@cache
def cache_directory(sources: Path) -> Path | None:
    """The cache for functions whose source files are in `sources`; None where it cannot be written."""
    own = os.environ.get("NUMBA_CACHE_DIR")
    shared = Path(os.environ.get("XDG_CACHE_HOME") or Path("~/.cache").expanduser())
    root = Path(own) if own else shared / "trading_assets" / "numba"
    directory = root / _digest({_CORE, sources})
    try:
        directory.mkdir(mode=0o700, parents=True, exist_ok=True)
        writable = os.access(directory, os.W_OK)
    except OSError:
        writable = False
    if not writable:
        warnings.warn(
            f"{directory} cannot be written: compiled code is not kept and each process compiles it again. "
            "Set NUMBA_CACHE_DIR to a directory that can.",
            RuntimeWarning,
            stacklevel=3,
        )
        return None
    return directory


def _digest(directories: set[Path]) -> str:
    """Hash of the names and contents of all Python sources directly in `directories`."""
    digest = hashlib.sha256()
    for source in sorted(path for directory in directories for path in directory.glob("*.py")):
        content = source.read_bytes()
        digest.update(f"{source.name}\0{len(content)}\0".encode())
        digest.update(content)
    return digest.hexdigest()[:16]
