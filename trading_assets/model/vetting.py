"""A child process loads a model's file once, before any process that trades loads it.

XGBoost trusts its files: a wrong byte can end the process that loads one, keep it busy for ever, or make it
ask for any amount of memory. A manifest says only that the file is as it was saved, not who saved it. So a
child with little time, memory and environment gets the bytes first. It checks the form of every tree
(`model_form`), has XGBoost load them, and scores rows. A note beside the file records that the child
survived. The note names the file's hash and its place on this disk, so a note that was copied along with a
model counts for nothing.

`python -m trading_assets.model.vetting FEATURES` is the child: the file comes on its standard input.
"""

from __future__ import annotations

import hashlib
import json
import os
import resource
import subprocess
import sys
import tempfile
from importlib.metadata import version as installed
from pathlib import Path
from typing import NamedTuple

from trading_assets.errors import InvalidInput
from trading_assets.log import get_logger

log = get_logger(__name__)

NOTE = "vetted.json"
SECONDS = 60.0  # of the clock, from the child's start; its imports take two on a machine that is not busy
CPU_SECONDS = 20  # of a processor, once it has imported
MEMORY_BYTES = 1 << 30  # beyond what it has once it has imported
ROWS = 256  # scored
LARGEST_FILE = 256 << 20  # bytes
_GOOD = 0
_NOT_READABLE, _NOT_A_MODEL, _NOT_FINITE = 10, 11, 12
_PASSED_ON = ("PATH", "LD_LIBRARY_PATH", "DYLD_LIBRARY_PATH", "PYTHONPATH", "VIRTUAL_ENV", "TMPDIR", "LANG")


class _Place(NamedTuple):
    """What a copy of a file cannot have."""

    inode: int
    changed_ns: int


def note_trained(model_path: Path, ubj: bytes) -> None:
    """Note that this program made the file itself: it may be loaded, and its promotion vets it."""
    _note(model_path, ubj, by="training")


def vet(model_path: Path, ubj: bytes, features: int, *, written_here: bool = True) -> None:
    """Have a child load the model, unless one did so before.

    ubj:          the file's bytes, which the child gets
    features:     how many features the model must have
    written_here: whether the note of this program's own training is enough

    Raises InvalidInput with one sentence where the child ended, hung, or found what is no model.
    """
    by = _noted(model_path, ubj)
    if by == "vetting" or (by == "training" and written_here):
        return
    why = _why_not(ubj, features)
    if why is not None:
        raise InvalidInput(
            f"it is refused: {why}",
            where=str(model_path),
            remedy="Train a model, or take one from a source that you trust.",
        )
    log.info("model vetted", path=str(model_path), xgboost=_xgboost_version())
    _note(model_path, ubj, by="vetting")


def _why_not(ubj: bytes, features: int) -> str | None:
    """What the child says of the bytes; None: nothing against them."""
    if len(ubj) > LARGEST_FILE:
        return f"it is larger than {LARGEST_FILE >> 20} MB"
    try:
        ended = subprocess.run(
            [sys.executable, "-m", "trading_assets.model.vetting", str(features)],
            input=ubj,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            env={name: os.environ[name] for name in _PASSED_ON if name in os.environ}
            | {"OMP_NUM_THREADS": "1", "PYTHONDONTWRITEBYTECODE": "1"},
            timeout=SECONDS,
            check=False,
        ).returncode
    except subprocess.TimeoutExpired:
        return f"a process that loaded it was not done within {SECONDS:.0f} seconds"
    return {
        _GOOD: None,
        _NOT_READABLE: f"XGBoost {_xgboost_version()} cannot read it",
        _NOT_A_MODEL: f"it is no sound model of {features} features",
        _NOT_FINITE: "its scores are not one finite number for each row",
    }.get(ended, f"a process that loaded it ended by itself ({_ending(ended)})")


def _ending(ended: int) -> str:
    return f"signal {-ended}" if ended < 0 else f"exit status {ended}"


def _xgboost_version() -> str:
    return installed("xgboost-cpu" if sys.platform == "linux" else "xgboost")


def _place(path: Path) -> _Place:
    status = path.stat()
    return _Place(status.st_ino, status.st_ctime_ns)


def _words(path: Path, ubj: bytes, by: str) -> dict[str, object]:
    return {
        "sha256": hashlib.sha256(ubj).hexdigest(),
        "xgboost": _xgboost_version(),
        "place": list(_place(path)),
        "by": by,
    }


def _noted(path: Path, ubj: bytes) -> str | None:
    """By what the file was found good: "training", "vetting", or None."""
    try:
        note = json.loads((path.parent / NOTE).read_text())
        by = str(note["by"])
        return by if note == _words(path, ubj, by) else None
    except (OSError, ValueError, KeyError, TypeError):
        return None


def _note(path: Path, ubj: bytes, *, by: str) -> None:
    """Where it cannot be kept (a directory of another user's) the model is vetted at each load."""
    try:
        with tempfile.NamedTemporaryFile(
            "w", dir=path.parent, prefix=".vetted-", suffix=".part", delete=False
        ) as part:
            part.write(json.dumps(_words(path, ubj, by)) + "\n")
        Path(part.name).replace(path.parent / NOTE)
    except OSError as error:
        log.warning("what was vetted is not kept", path=str(path), why=str(error))


def main() -> None:
    """The child: exit status 0 where the bytes on standard input are a sound model."""
    features, ubj = int(sys.argv[1]), sys.stdin.buffer.read()
    import numpy as np

    from trading_assets.model import model_form, scoring_library

    xgboost = scoring_library.xgboost()
    _limit()
    try:
        model_form.refuse_unsound(ubj, features)
        booster = xgboost.Booster({"nthread": 1})
        booster.load_model(bytearray(ubj))
        booster.set_param({"nthread": 1})
    except model_form.NotAModel:
        sys.exit(_NOT_A_MODEL)
    except (xgboost.core.XGBoostError, ValueError):
        sys.exit(_NOT_READABLE)
    rows = np.random.default_rng(0).normal(size=(ROWS, features))
    rows[0], rows[1] = 0.0, -rows[1] * 1e6
    scores = booster.inplace_predict(rows, predict_type="margin")
    sys.exit(_GOOD if scores.shape == (ROWS,) and np.isfinite(scores).all() else _NOT_FINITE)


def _limit() -> None:
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    resource.setrlimit(resource.RLIMIT_FSIZE, (0, 0))
    used = resource.getrusage(resource.RUSAGE_SELF)
    cpu = int(used.ru_utime + used.ru_stime) + CPU_SECONDS
    resource.setrlimit(resource.RLIMIT_CPU, (cpu, cpu))
    statm = Path("/proc/self/statm")
    if statm.exists():  # elsewhere the clock and the processor's time are the bounds
        size = int(statm.read_text().split()[0]) * resource.getpagesize()
        resource.setrlimit(resource.RLIMIT_AS, (size + MEMORY_BYTES, size + MEMORY_BYTES))


if __name__ == "__main__":
    main()
