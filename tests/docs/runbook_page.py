"""The runbook as a script: its sections, what is typed in them, and what is said to be shown then.

A fence of the kind `console` is typed by the test; one of the kind `sh` is only read: its commands and
options must exist. In a console `$` begins what is typed, and `^C` stands for that key. The lines below are
among what is then shown, in this order, with `…` for any text.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

_HEADING = re.compile(r"^#{2,3} (.+)$")
_TYPED = re.compile(r"^(?:\$ (?P<command>.+)|\^C)$")
INTERRUPT = "^C"


@dataclass(frozen=True)
class Step:
    """One thing typed, and the lines that the page shows below it."""

    section: str
    typed: str
    shown: tuple[str, ...]


def steps(page: Path) -> Iterator[Step]:
    """Every step of the page in its order."""
    section, typed, shown, console = "", "", list[str](), False
    for line in page.read_text().splitlines():
        if line.startswith("```"):
            if typed:
                yield Step(section, typed, tuple(shown))
            typed, shown, console = "", [], line == "```console"
        elif console and (match := _TYPED.match(line)):
            if typed:
                yield Step(section, typed, tuple(shown))
            typed, shown = match["command"] or INTERRUPT, []
        elif console:
            assert typed, f"{section}: nothing is typed before {line!r}"
            shown.append(line)
        elif match := _HEADING.match(line):
            section = match[1]


def lacking(shown: tuple[str, ...], output: str) -> str | None:
    """The first line of `shown` that the output does not have at or below the place of the one before."""
    lines = iter([" ".join(line.split()) for line in output.splitlines()])
    for wanted in shown:
        parts = [re.escape(part) for part in " ".join(wanted.split()).split("…")]
        pattern = re.compile(".*".join(parts))
        if not any(pattern.fullmatch(line) for line in lines):
            return wanted
    return None
