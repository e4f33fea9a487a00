"""Arming: the recorded act of a person without which no order of a live book leaves.

Paper books need none. The other two locks of live trading are the configuration's: `mode: live` and
the pinned account number, which the broker's answer must equal (`broker.alpaca.connect`).
"""

from __future__ import annotations

import json

from trading_assets.engine.desk import Desk
from trading_assets.errors import InvalidInput
from trading_assets.log import get_logger

log = get_logger(__name__)

ARMED_MARK = "armed"
TOLD_MARK = "unarmed_told"  # in which session a person was told of positions that nothing protects
DISARMED = "null"


def arm(desk: Desk, *, reason: str, author: str) -> None:
    """Record that a person lets this live book trade. Raises InvalidInput for a paper book, or without a
    reason."""
    if desk.settings.mode != "live":
        raise InvalidInput(
            f"the book {desk.book} is a paper book", where="arm", remedy="Only mode: live needs arming."
        )
    if not reason.strip():
        raise InvalidInput("arming needs a reason", where="arm", remedy="Say why: --reason.")
    now = desk.now_ns()
    record = json.dumps({"author": author, "reason": reason, "account": desk.settings.account_number})
    desk.journal.set_mark(desk.book, ARMED_MARK, record, now)
    log.warning("live trading armed", book=desk.book, author=author, reason=reason)


def disarm(desk: Desk, *, author: str) -> None:
    """Take the arming back; always allowed. What is held then is told at the next look."""
    desk.journal.set_mark(desk.book, ARMED_MARK, DISARMED, desk.now_ns())
    desk.journal.set_mark(desk.book, TOLD_MARK, "", desk.now_ns())
    log.warning("live trading disarmed", book=desk.book, author=author)


def is_armed(desk: Desk) -> bool:
    """True for a paper book, and for a live one with an arming record for the configured account."""
    if desk.settings.mode != "live":
        return True
    record = json.loads(desk.journal.mark(desk.book, ARMED_MARK) or DISARMED)
    return record is not None and record["account"] == desk.settings.account_number
