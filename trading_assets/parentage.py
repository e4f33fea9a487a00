"""A part of the desk ends with the process that started it, however that ended: on Linux the kernel sees to
it.

`make up` ends its parts in order. Killed with SIGKILL it ends nothing, and its parts would go on, started
again by nobody and in the way of the next start. So a part asks the kernel for a SIGTERM at its parent's end.
"""

from __future__ import annotations

import ctypes
import os
import signal
import sys

STARTED_BY = "TRADING_ASSETS_STARTED_BY"  # in the environment of a part: the process id of who started it
PR_SET_PDEATHSIG = 1


def follow() -> None:
    """Ask to end with the parent that the environment names; without one, nothing. Children are not told: the
    variable is taken out. Exits where the parent has ended already."""
    named = os.environ.pop(STARTED_BY, "")
    if not named.isdecimal() or sys.platform != "linux":
        return
    ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, int(signal.SIGTERM), 0, 0, 0)
    if os.getppid() != int(named):
        sys.exit(f"trading-assets: who started this, process {named}, has ended")
