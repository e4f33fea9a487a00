"""A desk that executes one tick and kills its own process at a chosen point of the submit protocol.

Run as `python dying_desk.py SETTINGS_JSON SESSION TICK_NS POINT`: `intent` once the intent is durable,
`submitting` once SUBMITTING is, `posted` once the broker has answered and before that is stored.
"""

from __future__ import annotations

import os
import signal
import sys
from collections.abc import Callable
from datetime import date
from typing import Any

from trading_assets.config import Settings
from trading_assets.core.orders import State
from trading_assets.engine.book.desk import Desk
from trading_assets.engine.protection.protect import new_execution_id
from trading_assets.engine.ticks import tick

POINTS = ("intent", "submitting", "posted")


def then_die(
    call: Callable[..., Any], when: Callable[..., bool] = lambda *_, **__: True
) -> Callable[..., Any]:
    """The call, done in full, and nothing after it."""

    def last(*arguments: Any, **named: Any) -> Any:
        answer = call(*arguments, **named)
        if when(*arguments, **named):
            os.kill(os.getpid(), signal.SIGKILL)
        return answer

    return last


def main(settings: str, session: str, tick_ns: str, point: str) -> None:
    with Desk.open(Settings.model_validate_json(settings), environ={}) as desk:
        match point:
            case "intent":
                target, name, when = desk.journal, "record_intents", lambda *_: True
            case "submitting":
                target, name = desk.journal, "move"
                when = lambda _, to, **__: to is State.SUBMITTING  # noqa: E731
            case "posted":
                target, name, when = desk.broker, "submit", lambda *_: True
            case _:
                raise ValueError(f"{point!r} is none of {POINTS}")
        setattr(target, name, then_die(getattr(target, name), when))
        tick.execute(desk, date.fromisoformat(session), int(tick_ns), new_execution_id())
    raise AssertionError(f"the tick never came to {point}")


if __name__ == "__main__":
    main(*sys.argv[1:])
