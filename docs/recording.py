"""The recording of a terminal that README shows: an old signal refused, a fresh one filled and reconciled.

    .venv/bin/python docs/recording.py

Starts an embedded exchange in a temporary directory, runs the commands below against it, and writes what
they print to `docs/images/recording.svg`. rich draws the terminal; CSS animates it. Each line of output is
what the command printed. The colours are added, and waits are cut to `MOST_WAIT_SECONDS`.
`tests/docs/test_recording.py` runs the commands again and compares.
"""

from __future__ import annotations

import io
import os
import secrets
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from datetime import date
from decimal import Decimal
from pathlib import Path
from typing import NamedTuple

import yaml
from rich.console import Console
from rich.terminal_theme import TerminalTheme
from rich.text import Text

from trading_assets.exchange.control_client import ControlClient
from trading_assets.exchange.process import start_process
from trading_assets.market.sessions import Sessions

PICTURE = Path(__file__).parent / "images" / "recording.svg"
SESSION = date(2012, 9, 11)
COLUMNS = 82
CHARACTER_PX = 12.2  # as rich draws
TYPING_SECONDS = 0.028  # a character
MOST_WAIT_SECONDS = 0.9  # for a command
READING_SECONDS = 0.42  # a line of output
END_SECONDS = 4.0
MINUTE_NS = 60_000_000_000


class Typed(NamedTuple):
    """A line that is typed, and the minutes after the open at which the exchange's clock then stands."""

    line: str
    minutes: int


TYPED = (
    Typed("# 10:00 New York time. A signal that is 130 seconds old:", 30),
    Typed("trading-assets signal AAPL=0.15 --as-of 2012-09-11T09:57:50-04:00", 30),
    Typed("trading-assets tick", 30),
    Typed("# 10:05. The same signal, fresh:", 35),
    Typed("trading-assets signal AAPL=0.15", 35),
    Typed("trading-assets tick", 35),
    Typed("# The desk's ledger beside the broker's account:", 35),
    Typed("trading-assets positions", 35),
)


class Line(NamedTuple):
    """A line of the terminal: seconds from the start at which it begins to appear, and is whole."""

    text: str
    at: float
    whole_at: float
    typed: bool


def recorded(home: Path) -> list[Line]:
    """Type it all at a desk below `home`; the terminal's lines in their order."""
    token = secrets.token_hex(32)
    lines: list[Line] = []
    now = 0.5
    open_ns = Sessions().open_ns(SESSION)
    with start_process(
        state_dir=home / "var" / "exchange",
        token=token,
        start_ns=open_ns,
        cash=Decimal(100_000),
    ) as exchange:
        configuration = home / "config" / "execution.yaml"
        configuration.parent.mkdir()
        urls = {"url": exchange.url, "control_url": exchange.control_url}
        configuration.write_text(yaml.safe_dump({"embedded": urls}))
        keeper = ControlClient(exchange.control_url, token)
        for typed in TYPED:
            if keeper.now_ns() < open_ns + typed.minutes * MINUTE_NS:
                keeper.move_to(open_ns + typed.minutes * MINUTE_NS)
            if typed.line.startswith("#") and lines:
                lines.append(Line("", now, now, typed=False))
            done = now + TYPING_SECONDS * len(typed.line)
            lines.append(Line(f"$ {typed.line}", now, done, typed=True))
            began = time.monotonic()
            printed = _run(typed.line, home)
            now = done + (min(time.monotonic() - began, MOST_WAIT_SECONDS) if printed else 0.3)
            lines += [Line(text, now, now, typed=False) for text in printed]
            now += READING_SECONDS * len(printed)
        keeper.close()
    return lines


def _run(command: str, home: Path) -> list[str]:
    environ = {name: value for name, value in os.environ.items() if not name.startswith("TRADING_ASSETS")}
    path = f"{Path(sys.executable).parent}{os.pathsep}{environ['PATH']}"
    ended = subprocess.run(
        ["bash", "-c", command],
        cwd=home,
        env=environ | {"PATH": path, "COLUMNS": str(COLUMNS), "TERM": "dumb"},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        check=True,
        timeout=300,
    )
    return [line.rstrip() for line in ended.stdout.splitlines()]


_DARK, _LIGHT = (22, 27, 34), (214, 220, 228)
_RED, _GREEN, _YELLOW, _BLUE, _PURPLE, _CYAN = (
    (255, 123, 114),
    (86, 211, 100),
    (227, 179, 65),
    (121, 192, 255),
    (210, 168, 255),
    (86, 212, 221),
)
THEME = TerminalTheme(_DARK, _LIGHT, [_DARK, _RED, _GREEN, _YELLOW, _BLUE, _PURPLE, _CYAN, _LIGHT])


def drawn(lines: Sequence[Line]) -> str:
    """The SVG of it, which begins anew when it is over; whole at once for whoever wants no motion."""
    console = Console(
        record=True, width=COLUMNS, file=io.StringIO(), highlight=False, color_system="truecolor"
    )
    for line in lines:
        console.print(_coloured(line), soft_wrap=True)
    console.print()
    whole = max(line.whole_at for line in lines) + END_SECONDS
    css = "".join(_appearance(number, line, whole) for number, line in enumerate(lines))
    form = _FORM.replace("{appearances}", css.replace("{", "{{").replace("}", "}}"))
    return console.export_svg(title="", theme=THEME, code_format=form, unique_id="t")


def _coloured(line: Line) -> Text:
    text = Text(line.text)
    if line.text.startswith("$ #"):
        text.stylize("blue")
    elif line.typed:
        text.stylize("bold")
    text.highlight_words(["STALE_SIGNAL"], "red")
    text.highlight_words(["PASS", "FILLED"], "green")
    return text


def _appearance(number: int, line: Line, whole: float) -> str:
    """CSS of one line: nothing of it is seen before its time; what is typed comes character by character."""
    begins, ends = 100 * line.at / whole, 100 * line.whole_at / whole
    timing = f"steps({len(line.text)},end)" if line.typed else "step-end"
    name = f"l{number}"
    full = f"width:{len(line.text) * CHARACTER_PX:g}px"
    frames = f"0%{{width:0}}{begins:.2f}%{{width:0;animation-timing-function:{timing}}}"
    frames += f"{ends + 0.01:.2f}%{{{full}}}100%{{{full}}}"
    use = f"#t-line-{number} rect{{animation:{name} {whole:.1f}s step-end infinite}}"
    return f"@keyframes {name}{{{frames}}}{use}\n"


_FORM = """\
<svg viewBox="0 0 {width} {height}" width="{width}" height="{height}" role="img" \
xmlns="http://www.w3.org/2000/svg">
<title>A terminal: a signal that is 130 seconds old is refused as STALE_SIGNAL; the same signal, fresh, is \
filled, and ledger and broker agree</title>
<!-- made by docs/recording.py -->
<style>
.{unique_id}-matrix {{ font-size: {char_height}px; \
font-family: ui-monospace, SFMono-Regular, Menlo, Consolas, "DejaVu Sans Mono", monospace }}
{styles}
@media (prefers-reduced-motion: no-preference) {{
{appearances}}}
</style>
<defs>
<clipPath id="{unique_id}-clip-terminal">\
<rect x="0" y="0" width="{terminal_width}" height="{terminal_height}"/></clipPath>
{lines}
</defs>
{chrome}
<g transform="translate({terminal_x}, {terminal_y})" clip-path="url(#{unique_id}-clip-terminal)">
{backgrounds}
<g class="{unique_id}-matrix">
{matrix}
</g>
</g>
</svg>
"""


def main() -> None:
    with tempfile.TemporaryDirectory() as home:
        PICTURE.write_text(drawn(recorded(Path(home))))


if __name__ == "__main__":
    main()
