"""Arming: the recorded act of a person without which a book does not trade, and what it is bound to.

It is bound to the host, the account, the data directory and the key pair that it was given for, and it
expires. What is not as it was armed is not armed. Then a live book sends nothing at all, and a paper book
sends its exits alone (`REDUCE_ONLY cause=NOT_ARMED`). The paper book of the embedded exchange risks nothing
and is armed until a person disarms it. The other two locks of live trading are the configuration's: `mode:
live` and the pinned account number, which the broker's answer must equal (`broker.connection.connect`).
"""

from __future__ import annotations

import hashlib
import hmac
import json
import secrets
import socket
from pathlib import Path
from typing import Any

from trading_assets.config import Settings, keys
from trading_assets.engine.book.desk import Desk, book_of
from trading_assets.engine.book.halts import Cause
from trading_assets.errors import InvalidInput
from trading_assets.log import get_logger
from trading_assets.market.clock import system_now_ns
from trading_assets.market.sessions import Sessions
from trading_assets.reasons import shortened, stated
from trading_assets.store.journal import Journal

log = get_logger(__name__)

ARMED_MARK = "armed"
TOLD_MARK = "unarmed_told"  # in which session a person was told of positions that nothing protects
DISARMED = "null"
ACT_MARK = "arming"  # one for each act, by the machine's time: these stay
DAY_NS = 24 * 3600 * 10**9
WARNED_DAYS = 5  # before the end, once a day
COMMAND = "trading-assets arm --reason …"
_PARTS = ("host", "account", "data_dir")
_SPOKEN = {"host": "host", "account": "account", "data_dir": "data directory"}


def arm(desk: Desk, *, reason: str, author: str) -> int | None:
    """Record that a person lets this book trade from here, with these keys; returns when that ends, UTC
    nanoseconds, None where it does not. Raises InvalidInput without a reason, and without keys."""
    reason = stated("arm", reason)
    now, salt = desk.now_ns(), secrets.token_hex(16)
    until_ns = now + int(desk.settings.arming_days * DAY_NS)
    record = {
        **_bound_to(desk.settings, desk.book),
        "salt": salt,
        "key": _fingerprint(salt, *keys(desk.settings, desk.environ)),
        "at_ns": now,
        "until_ns": until_ns,
        "author": author,
        "reason": reason,
    }
    _keep(desk, record, now)
    log.warning("trading armed", book=desk.book, author=author, reason=reason, until_ns=until_ns)
    desk.alert(f"armed:{system_now_ns()}", f"Trading armed by {author}", reason, severity="WARN")
    return None if _needs_none(desk.settings) else until_ns


def disarm(desk: Desk, *, author: str, reason: str = "") -> None:
    """Take the arming back; always allowed. What a live book holds then is told at the next look."""
    now, reason = desk.now_ns(), shortened(reason)
    _keep(desk, None, now, {"author": author, "reason": reason, "at_ns": now})
    desk.journal.set_mark(desk.book, TOLD_MARK, "", now)
    log.warning("trading disarmed", book=desk.book, author=author, reason=reason)
    desk.alert(
        f"disarmed:{system_now_ns()}", f"Trading disarmed by {author}", reason or "No reason was given."
    )


def why_not_armed(desk: Desk) -> str:
    """What keeps the book from trading, with the command that changes it; empty where it is armed."""
    off = switched_off(desk.settings, desk.journal, desk.book)
    record = _record(desk.journal, desk.book)
    if off or record is None or _needs_none(desk.settings):
        return off
    difference = differs(record, desk.settings, desk.book, now_ns=desk.now_ns()) or _key_differs(desk, record)
    return f"trading is not as it was armed: {difference}. Arm it anew: {COMMAND}" if difference else ""


def holds_exits(desk: Desk) -> bool:
    """Whether not even exits are sent: a live book that is not armed."""
    return desk.settings.mode == "live" and bool(why_not_armed(desk))


def switched_off(settings: Settings, journal: Journal, book: str | None) -> str:
    """As `why_not_armed`, of a book that no person has armed, or that one has disarmed: it takes no tick.
    What has expired, or is not as it was armed, takes its ticks for the exits in them."""
    text = None if book is None else journal.mark(book, ARMED_MARK)
    if text == DISARMED:
        return f"trading is disarmed. Arm it: {COMMAND}"
    if text is None and not _needs_none(settings):
        return f"no person has armed trading. Arm it: {COMMAND}"
    return ""


def differs(record: dict[str, Any], settings: Settings, book: str, *, now_ns: int) -> str:
    """Which part is not as it was armed, keys aside, or that the arming has expired; else an empty text."""
    if "until_ns" not in record:
        return "an earlier version recorded it, for the account alone"
    for part, value in _bound_to(settings, book).items():
        if record[part] != value:
            return f"the {_SPOKEN[part]} was {record[part]} and is {value}"
    until_ns = min(record["until_ns"], record["at_ns"] + int(settings.arming_days * DAY_NS))
    if now_ns >= until_ns:
        return f"it expired on {Sessions().new_york_date(until_ns)}"
    return ""


def arming_causes(desk: Desk) -> tuple[Cause, ...]:
    """NOT_ARMED while the book is not armed: no entries. Warns of an end that is near."""
    why = why_not_armed(desk)
    if why:
        log.warning("not armed", book=desk.book, why=why)
        return (Cause.NOT_ARMED,)
    record = _record(desk.journal, desk.book)
    if record is not None and not _needs_none(desk.settings):
        _warn(desk, record)
    return ()


def _warn(desk: Desk, record: dict[str, Any]) -> None:
    until_ns = min(record["until_ns"], record["at_ns"] + int(desk.settings.arming_days * DAY_NS))
    days = -((desk.now_ns() - until_ns) // DAY_NS)
    if days > WARNED_DAYS:
        return
    effect = "nothing is sent, exits neither" if desk.settings.mode == "live" else "exits alone are sent"
    desk.alert(
        f"arming_ends:{until_ns}:{days}",
        f"The arming of {desk.book} ends within {days} day{'s' if days > 1 else ''}",
        f"It ends on {Sessions().new_york_date(until_ns)}; from then on {effect}. Arm it anew: {COMMAND}",
        severity="WARN",
    )


def _needs_none(settings: Settings) -> bool:
    """The embedded exchange's paper book: its time is virtual and its money is none."""
    return settings.venue == "embedded" and settings.mode == "paper"


def _bound_to(settings: Settings, book: str) -> dict[str, str]:
    """The account is the pinned one where there is one: a book of another is not armed."""
    account = book if settings.account_number is None else book_of(settings, settings.account_number)
    parts = socket.gethostname(), account, str(Path(settings.data_dir).resolve())
    return dict(zip(_PARTS, parts, strict=True))


def _fingerprint(salt: str, key_id: str, secret: str) -> str:
    """Of the key pair; it says nothing of it, and with another salt it is another."""
    return hmac.new(bytes.fromhex(salt), f"{key_id}\n{secret}".encode(), hashlib.sha256).hexdigest()


def _key_differs(desk: Desk, record: dict[str, Any]) -> str:
    try:
        pair = keys(desk.settings, desk.environ)
    except InvalidInput as error:
        return f"the key pair cannot be read ({error})"
    same = hmac.compare_digest(_fingerprint(record["salt"], *pair), record["key"])
    return "" if same else "the key pair is another one"


def _record(journal: Journal, book: str) -> dict[str, Any] | None:
    record: dict[str, Any] | None = json.loads(journal.mark(book, ARMED_MARK) or DISARMED)
    return record


def _keep(desk: Desk, record: dict[str, Any] | None, now_ns: int, act: dict[str, Any] | None = None) -> None:
    """The record in force, after the act for good: a crash in between leaves what was in force."""
    kept = json.dumps({"armed": record is not None, **(record or act or {})})
    desk.journal.set_mark(desk.book, f"{ACT_MARK}:{system_now_ns()}", kept, now_ns)
    desk.journal.set_mark(desk.book, ARMED_MARK, json.dumps(record), now_ns)
