"""Links of a Markdown page, and the anchors that its headings have on GitHub."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import unquote

_FENCE = re.compile(r"^( *)(```|~~~).*?^\1\2", re.DOTALL | re.MULTILINE)
_CODE = re.compile(r"`[^`\n]*`")
_LINK = re.compile(r"\]\((?:<([^>]+)>|([^()\s]+))(?:\s+\"[^\"]*\")?\)")
_HEADING = re.compile(r"^#{1,6} +(.+?)#* *$", re.MULTILINE)


def links(text: str) -> list[str]:
    """Where the page's links and pictures lead, those of code left out."""
    prose = _CODE.sub("", _FENCE.sub("", text))
    return [unquote(angled or plain) for angled, plain in _LINK.findall(prose)]


def anchors(text: str) -> set[str]:
    """GitHub's anchor of each heading: of two with one text the second has `-1`."""
    seen: Counter[str] = Counter()
    result = set()
    for heading in _HEADING.findall(_FENCE.sub("", text)):
        words = re.sub(r"\[([^\]]*)\]\([^)]*\)", r"\1", heading).replace("`", "")
        anchor = re.sub(r"[^\w\- ]", "", words.strip().lower()).replace(" ", "-")
        result.add(f"{anchor}-{seen[anchor]}" if seen[anchor] else anchor)
        seen[anchor] += 1
    return result


def broken(page: Path, root: Path) -> Iterator[str]:
    """The page's links within the repository that lead nowhere, or out of it."""
    for link in links(page.read_text()):
        if re.match(r"[a-z]+:", link):
            continue
        path, _, anchor = link.partition("#")
        target = (page.parent / path).resolve() if path else page
        inside = target.is_relative_to(root) and target.exists()
        if not inside or (anchor and anchor not in anchors(target.read_text())):
            yield link
