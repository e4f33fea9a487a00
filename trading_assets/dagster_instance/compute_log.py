"""What a run prints, kept in the files of Dagster's local compute log manager, without its four processes.

The stock one shows the output of a run on the terminal or the pipe that it was started from as well, by two
`tail`s and an interpreter for each that watches over it. A run that the daemon forked was started from none;
for any other, this is the stock one.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Generator, Sequence
from contextlib import contextmanager
from pathlib import Path

from dagster._core.execution.compute_logs import redirect_to_file
from dagster._core.storage.compute_log_manager import CapturedLogContext, ComputeIOType
from dagster._core.storage.local_compute_log_manager import IO_TYPE_EXTENSION, LocalComputeLogManager
from dagster._utils import ensure_file, touch_file

from trading_assets.dagster_instance.fallback import FORKED


class FileComputeLogManager(LocalComputeLogManager):
    """Standard output and error of each run in the files where the stock manager has them."""

    @contextmanager
    def capture_logs(self, log_key: Sequence[str]) -> Generator[CapturedLogContext, None, None]:
        if FORKED not in os.environ:
            with super().capture_logs(log_key) as captured:
                yield captured
            return
        with _kept(self, log_key) as captured:
            yield captured


@contextmanager
def _kept(
    manager: LocalComputeLogManager, log_key: Sequence[str]
) -> Generator[CapturedLogContext, None, None]:
    output, error = (
        manager.get_captured_local_path(log_key, IO_TYPE_EXTENSION[kind])
        for kind in (ComputeIOType.STDOUT, ComputeIOType.STDERR)
    )
    for path in (output, error):
        ensure_file(path)
    with redirect_to_file(sys.stdout, output), redirect_to_file(sys.stderr, error):
        yield CapturedLogContext(log_key)
    touch_file(manager.complete_artifact_path(log_key))  # type: ignore[no-untyped-call]


def try_out(place: Path) -> None:
    """Keep what is printed in an empty directory, as a forked run does. Raises where this Dagster's manager
    is no longer what this one is made of."""
    manager, key = FileComputeLogManager(str(place)), ["try-out"]
    with _kept(manager, key):
        pass
    if not manager.is_capture_complete(key):
        raise RuntimeError("what was printed does not count as complete")
