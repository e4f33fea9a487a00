"""How the core is compiled, and where the machine code is kept. No decision lives here.

numba's on-disk cache looks at a function's own source file only: an edit in a function that it calls
from another module goes unnoticed, and an edited gate would go on passing orders. So the directory
of the cache carries a hash of every source that a compiled function can reach: all of this package
and all of the directory that the function is in.

The directory is `$NUMBA_CACHE_DIR`, else `$XDG_CACHE_HOME/trading_assets/numba`, else
`~/.cache/trading_assets/numba`; the hash is appended to each. numba keeps index files there that it
reads with pickle, so the directory is private to its user, and one that others may write, or whose parents
they may write, is not used. Without it the functions are compiled afresh in each process, with a warning.
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
from numba.extending import register_jitable

from trading_assets.errors import InvalidInput
from trading_assets.ownership import private_directory

_CORE = Path(__file__).parent

_Function = TypeVar("_Function", bound=Callable[..., Any])


def compiled(function: _Function) -> _Function:
    """Compile `function` with numba in nopython mode, strict IEEE 754, cached on disk.

    With `NUMBA_DISABLE_JIT=1` in the environment it stays plain Python and must give the same bits:
    only + − × ÷, sqrt, floor and comparisons, explicit loops, no division by what can be zero.
    """
    return _cached(function)


def allocation_free(function: _Function) -> _Function:
    """As `compiled`, without counting references to arrays, which takes longer than deciding does.

    numba refuses to compile one that makes an array. It may return an array of its arguments, but only
    to another such function.
    """
    return _cached(function, _nrt=False)


def inlined(function: _Function) -> _Function:
    """A part of the allocation-free functions that call it, compiled into each: what it takes is not copied.

    Called from Python it is plain Python.
    """
    return register_jitable(_nrt=False, forceinline=True, no_cfunc_wrapper=True)(function)


def _cached(function: _Function, **options: bool) -> _Function:
    directory = cache_directory(Path(function.__code__.co_filename).parent)
    if directory is not None:
        # numba reads it as the function is decorated; its stubs do not know the names set at run time
        numba.config.CACHE_DIR = str(directory)  # type: ignore[attr-defined]
    njit = cast(Callable[..., Any], numba.njit)  # nor all options
    jit = njit(cache=directory is not None, fastmath=False, no_cfunc_wrapper=True, **options)
    return cast(_Function, jit(function))


def is_kept(function: Callable[..., Any]) -> bool:
    """Whether the machine code of a compiled function is already on disk, so that its first call needs no
    compiler. True for plain Python too."""
    plain = getattr(function, "py_func", None)
    if plain is None:
        return True
    source = Path(plain.__code__.co_filename)
    directory = cache_directory(source.parent)
    return directory is not None and any(directory.rglob(f"{source.stem}.{plain.__name__}-*.nbi"))


@cache
def cache_directory(sources: Path) -> Path | None:
    """The cache for functions whose source files are in `sources`; None where it cannot be written."""
    own = os.environ.get("NUMBA_CACHE_DIR")
    shared = Path(os.environ.get("XDG_CACHE_HOME") or Path("~/.cache").expanduser())
    root = Path(own) if own else shared / "trading_assets" / "numba"
    directory = root / _digest({_CORE, sources})
    try:
        private_directory(directory, "the cache of compiled code")
        why = "" if os.access(directory, os.W_OK) else f"{directory} cannot be written"
    except OSError:
        why = f"{directory} cannot be written"
    except InvalidInput as refused:  # what lies there may be another's, and would be executed
        why = str(refused).rstrip(".")
    if why:
        warnings.warn(
            f"{why}: compiled code is not kept and each process compiles it again. "
            "Set NUMBA_CACHE_DIR to a directory of your own that can be written.",
            RuntimeWarning,
            stacklevel=4,  # where the function is defined
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
