"""When a desk last read its symbols' daily bars and corporate actions: a note in a file beside the journal.

A session's daily bars do not change while it lasts, and to read them anew costs thousands of symbols requests
and seconds at each tick. So all are read at the first tick of a session, and once an hour after that for what
a broker mends or announces late. At the ticks between, only the symbols that lack the last session's bar are.
The file can be deleted at any time.
"""

from __future__ import annotations

import json
import os
from collections.abc import Sequence
from hashlib import blake2b
from pathlib import Path

from trading_assets.engine.book.desk import Desk
from trading_assets.log import get_logger

log = get_logger(__name__)

READ_AGAIN_NS = 3_600 * 10**9


class DailyReading:
    def __init__(self, desk: Desk, session: str) -> None:
        settings = desk.settings
        self._path = Path(settings.data_dir) / f"daily-{settings.venue}-{settings.mode}.json"
        self._what = f"{session} {settings.feed} {_digest(settings.symbols)}"

    def is_recent(self, now_ns: int) -> bool:
        """Whether all was read in this session, within the last hour of the venue's."""
        try:
            kept = json.loads(self._path.read_bytes())
            return bool(kept["what"] == self._what and 0 <= now_ns - kept["at_ns"] < READ_AGAIN_NS)
        except FileNotFoundError:
            return False
        except (OSError, ValueError, KeyError, TypeError) as error:
            log.warning("note of the daily bars' reading not readable", where=str(self._path), why=str(error))
            return False

    def keep(self, now_ns: int) -> None:
        """Note that all was read and stored. What cannot be noted is read again at the next tick."""
        part = self._path.with_name(f"{self._path.name}.{os.getpid()}.part")
        try:
            part.unlink(missing_ok=True)
            with os.fdopen(os.open(part, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w") as file:
                json.dump({"what": self._what, "at_ns": now_ns}, file)
            part.replace(self._path)
        except OSError as error:
            log.warning("reading of the daily bars not noted", where=str(self._path), why=str(error))


def _digest(symbols: Sequence[str]) -> str:
    return blake2b(" ".join(symbols).encode(), digest_size=8).hexdigest()
