"""`measured.py FILE SCRIPT [ARGUMENT ...]`: runs a script, and leaves the peak of its memory, KiB, in a file.

In the process itself, since a parent's own peak is counted into what the kernel tells of its children.
Runs in every environment, so it needs nothing.
"""

from __future__ import annotations

import runpy
import sys
from pathlib import Path

peak, script = map(Path, sys.argv[1:3])
sys.argv = sys.argv[2:]
sys.path[0] = str(script.parent)
runpy.run_path(str(script), run_name="__main__")
peak.write_text(Path("/proc/self/status").read_text().partition("VmHWM:")[2].split()[0])
