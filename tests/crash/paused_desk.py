"""A desk that executes one tick and stops its own process at a point, until somebody lets it go on.

Run as `python paused_desk.py SETTINGS_JSON SESSION TICK_NS POINT`; "-" as the point: it does not stop.
Ends with 0, or with 3 and the error's text on stdout.
"""

from __future__ import annotations

import signal
import sys
from datetime import date

from points import Point, Track

from trading_assets.config import Settings
from trading_assets.engine.book.desk import Desk
from trading_assets.engine.protection.protect import new_execution_id
from trading_assets.engine.ticks.tick import execute
from trading_assets.errors import TradingAssetsError


def main(settings: str, session: str, tick_ns: str, point: str) -> int:
    track = Track(None if point == "-" else Point.read(point), with_signal=signal.SIGSTOP)
    track.lay()
    try:
        with Desk.open(Settings.model_validate_json(settings), environ={}) as desk:
            execute(desk, date.fromisoformat(session), int(tick_ns), new_execution_id())
    except TradingAssetsError as error:
        sys.stdout.write(f"{type(error).__name__}: {error}\n")
        return 3
    return 0


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
