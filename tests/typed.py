"""mypy over the tests and the benchmarks; `make lint` runs it.

No directory of tests is a package: pytest puts each on sys.path, and this script tells mypy the same
directories. mypy wants one file per module name, so it sees each conftest.py and each program's __main__.py,
which no file imports, through a link with a name of its own (below .mypy_cache).

NOT_YET counts the errors of each file that is not clean. A file fails with an error more than its count, and
with one fewer, so that the count only falls; a file that is clean or gone must leave the list.
"""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from collections import Counter
from collections.abc import Mapping
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
NOT_YET = Path("tests/typed_not_yet.txt")
LINKS = Path(".mypy_cache/links")
UNIMPORTED = ("conftest.py", "__main__.py")
PROGRAMS = ("benchmarks/replay_whole", "benchmarks/year_of_operation")  # run as directories, not as modules
CONTESTS = (
    "benchmarks/learning",
    "benchmarks/replay_speed",
)  # each contestant there is a script: bare imports
BARE_IMPORT = re.compile(r"^(from|import) (contest|panel|training_set|work)\b", re.MULTILINE)
ERROR = re.compile(r"^(?P<path>[^:]+):\d+: error: ")


def sources(top: str) -> list[Path]:
    return sorted(path.relative_to(ROOT) for path in (ROOT / top).rglob("*.py"))


def directories_of_tests() -> list[Path]:
    """Directories that pytest puts on sys.path."""
    return sorted(
        {path.parent for path in sources("tests") if path.match("test_*.py") or path.name == "conftest.py"}
    )


def errors(files: list[Path], search: list[Path]) -> tuple[list[str], int]:
    """mypy's lines about the files, with their real paths, and its status: 0 clean, 1 errors, 2 it failed."""
    real = {}
    given = []
    for path in files:
        if path.name in UNIMPORTED and path.parent in search:
            link = LINKS / f"{path.stem.strip('_')}_of_{'_'.join(path.parent.parts)}.py"
            link.unlink(missing_ok=True)
            link.symlink_to(ROOT / path)
            real[str(link)] = str(path)
            given.append(link)
        else:
            given.append(path)
    places = [ROOT, *(ROOT / place for place in search), ROOT / LINKS]
    ran = subprocess.run(
        [
            *(sys.executable, "-m", "mypy", "--explicit-package-bases", "--no-error-summary", "--no-pretty"),
            *map(str, given),
        ],
        cwd=ROOT,
        env=os.environ | {"MYPYPATH": os.pathsep.join(map(str, places))},
        capture_output=True,
        text=True,
        check=False,
    )
    lines = []
    for line in ran.stdout.splitlines():
        shown, colon, message = line.partition(":")
        lines.append(real.get(shown, shown) + colon + message)
    return lines + ran.stderr.splitlines(), ran.returncode


def read_not_yet(text: str) -> dict[str, int]:
    """`path count` a line; a line that begins with # is a comment."""
    rows = (line.split() for line in text.splitlines() if line and not line.startswith("#"))
    return {path: int(count) for path, count in rows}


def complaints(counted: Mapping[str, int], allowed: Mapping[str, int]) -> list[str]:
    """One sentence for each file whose number of errors differs from its count in the list."""
    lines = []
    for path in sorted(counted.keys() | allowed.keys()):
        now, listed = counted.get(path, 0), allowed.get(path, 0)
        if now > listed:
            lines.append(f"{path}: mypy finds {now} errors, {NOT_YET} allows {listed}: mend the new ones")
        elif listed and not now:
            lines.append(f"{path}: clean or gone: take its line out of {NOT_YET}")
        elif now < listed:
            lines.append(f"{path}: mypy finds {now} errors, {NOT_YET} says {listed}: write {now} there")
    return lines


def main() -> int:
    shutil.rmtree(ROOT / LINKS, ignore_errors=True)
    (ROOT / LINKS).mkdir(parents=True)
    os.chdir(ROOT)
    programs = [Path(place) for place in PROGRAMS]
    contests = [Path(place) for place in CONTESTS]
    contestants = [path for path in sources("benchmarks") if BARE_IMPORT.search((ROOT / path).read_text())]
    others = [path for path in sources("benchmarks") if path not in contestants]
    lines: list[str] = []
    for files, search in (
        (sources("tests"), directories_of_tests()),
        (others, programs),
        (contestants, contests),
    ):
        messages, status = errors(files, search)
        if status not in (0, 1):
            print(*messages, sep="\n")
            return 2
        lines += messages
    result = Counter(match["path"] for line in lines if (match := ERROR.match(line)))
    allowed = read_not_yet((ROOT / NOT_YET).read_text())
    wrong = complaints(result, allowed)
    more = {path for path, count in result.items() if count > allowed.get(path, 0)}
    for line in [*(line for line in lines if line.partition(":")[0] in more), *wrong]:
        print(line)
    print(f"mypy over tests and benchmarks: {result.total()} errors in {len(result)} files not yet clean")
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())
