"""The link that opens the web interface, and the file that keeps it from one start to the next.

The file lies in DAGSTER_HOME, readable by its owner alone. It holds the link with its token, and nothing else
holds the token: no log, no run, no command line and no environment.
"""

from __future__ import annotations

import os
import re
import secrets
import stat
import tempfile
from pathlib import Path

from trading_assets.market.clock import system_now_ns
from trading_assets.redaction import hide

LINK, READ_ONLY_LINK = "web_link", "web_link_read_only"
TOKEN_BYTES = 32
KEEP_SECONDS = 7 * 86_400  # a tab that is open survives a restart; a link that was left lying about does not
LONGEST = 1_000  # characters of a link

_LINK = re.compile(r"(?P<page>http://127\.0\.0\.1:[0-9]{1,5}/)\?token=(?P<token>[A-Za-z0-9_-]{40,64})")


def link_file(home: Path, *, read_only: bool = False) -> Path:
    return home / (READ_ONLY_LINK if read_only else LINK)


def made_link(home: Path, port: int, *, read_only: bool = False) -> str:
    """The link of a webserver that starts at `port`, kept in its file.

    The token of the start before is used again for `KEEP_SECONDS` after it was made, so that open tabs and
    cookies go on; an older one, and one in a file that is not its owner's alone, is replaced.
    """
    file, now_ns = link_file(home, read_only=read_only), system_now_ns()
    kept = _read(file)
    token, made_ns = secrets.token_urlsafe(TOKEN_BYTES), now_ns
    if kept is not None and 0 <= now_ns - kept[1] < KEEP_SECONDS * 10**9:
        token, made_ns = token_of(kept[0]) or token, kept[1]
    hide(token)
    link = f"http://127.0.0.1:{port}/?token={token}"
    descriptor, name = tempfile.mkstemp(dir=home, prefix=".web_link-")  # its owner's alone
    with os.fdopen(descriptor, "w", encoding="ascii") as output:
        output.write(link + "\n")
    part = Path(name)
    os.utime(part, ns=(made_ns, made_ns))  # the file is as old as its token
    part.replace(file)
    return link


def link_of(home: Path, *, read_only: bool = False) -> str | None:
    """The link of the webserver that runs, or ran last; None where there is none that can be trusted."""
    link = _read(link_file(home, read_only=read_only))
    return None if link is None else link[0]


def token_of(link: str) -> str | None:
    """The token in a link; None where it is no link of ours."""
    matched = _LINK.fullmatch(link)
    return None if matched is None else matched["token"]


def page_of(link: str) -> str:
    """The link without its token, to be shown anywhere. Raises ValueError where it is no link of ours."""
    matched = _LINK.fullmatch(link)
    if matched is None:
        raise ValueError("not a link of the web interface")
    return matched["page"]


def _read(file: Path) -> tuple[str, int] | None:
    """The link in the file and when its token was made; None for a file that is not there, is no plain file,
    belongs to another user, or may be read or written by others."""
    try:
        descriptor = os.open(file, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK)
    except OSError:
        return None
    with os.fdopen(descriptor, "rb") as opened:
        status = os.fstat(opened.fileno())
        private = status.st_uid == os.getuid() and not status.st_mode & 0o077
        if not (stat.S_ISREG(status.st_mode) and private):
            return None
        text = opened.read(LONGEST).decode("ascii", errors="replace").strip()
    token = token_of(text)
    if token is None:
        return None
    hide(token)
    return text, status.st_mtime_ns
