"""Text from outside, made harmless where it is shown: terminal, JSON, spreadsheet and HTML.

A symbol's name, a reason, a broker's message, a file's name: whoever wrote it does not decide what a terminal
does, what a spreadsheet computes or what a page loads. Text is stored as it came and is escaped at the edge
that shows it, once.
"""

from __future__ import annotations

import re
from html import escape

_FORMULA = ("=", "+", "-", "@", "\t", "\r", "\n", "＝", "＋", "－", "＠")
_NOT_IN_JSON = re.compile(r"[^\x20-\x7e\n]")


def for_terminal(text: str) -> str:
    r"""Line breaks stay; every other mark that is no printable one (controls, marks that turn the direction
    of writing, of no width, or no character at all) is written out.

    >>> for_terminal("AAPL\x1b[2J")
    'AAPL\\x1b[2J'
    """
    if text.isprintable():
        return text
    return "".join(mark if mark.isprintable() or mark == "\n" else ascii(mark)[1:-1] for mark in text)


def for_one_line(text: str) -> str:
    """For a terminal, and no second line."""
    return for_terminal(text.replace("\r", "\\r").replace("\n", "\\n"))


def for_json(document: str) -> str:
    r"""A JSON document that may hold any text, as a terminal can show it: the same document, with its marks
    that are not printable as \u escapes."""
    return _NOT_IN_JSON.sub(lambda mark: mark[0] if mark[0].isprintable() else _code_units(mark[0]), document)


def for_csv(cell: str) -> str:
    """A cell that no spreadsheet computes; a number stays one.

    >>> for_csv("=HYPERLINK(1)"), for_csv("-0.5")
    ("'=HYPERLINK(1)", '-0.5')
    """
    return f"'{cell}" if cell.lstrip(" ").startswith(_FORMULA) and not _is_number(cell) else cell


def for_html(text: str) -> str:
    """Plain words in an element or a quoted attribute."""
    return escape(for_terminal(text), quote=True)


def _is_number(cell: str) -> bool:
    return re.fullmatch(r"\s*[+-]?(\d+\.?\d*|\.\d+)([eE][+-]?\d+)?%?\s*", cell, re.ASCII) is not None


def _code_units(mark: str) -> str:
    units = mark.encode("utf-16-be", errors="surrogatepass")
    return "".join(f"\\u{units[at]:02x}{units[at + 1]:02x}" for at in range(0, len(units), 2))
