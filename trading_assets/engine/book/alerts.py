"""Alerts on their way to people: the cool-down before the outbox, the delivery out of it.

What is worth an alert is decided where it happens. The outbox is the journal's: an alert stays in it
until every configured address has taken it, so that a crash, a dead network or a wrong address delays
an alert and never loses it; after a crash between delivery and its record it is delivered twice.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from trading_assets.errors import InvalidInput, TradingAssetsError
from trading_assets.escapes import for_one_line, for_terminal
from trading_assets.keyring import ALERT_URLS
from trading_assets.log import get_logger
from trading_assets.market.clock import system_now_ns
from trading_assets.redaction import clean, shown_address
from trading_assets.store.journal import Journal
from trading_assets.store.records import OutboxRecord

log = get_logger(__name__)

URLS_VARIABLE = ALERT_URLS
COOL_DOWN_NS = 30 * 60 * 10**9
ALERTS_IN_A_MESSAGE = 20
NO_BOOK = "no book yet"  # of an alert from before the first opening
EVALUATION = "evaluation:"
CONFIGURATION = "configuration"  # the subject of a file that cannot be used, whoever meets it: told once


def of_evaluation(name: str) -> str:
    """The subject of a failed evaluation of a sensor or schedule, whoever tells it: told once."""
    return f"{EVALUATION}{name}"


class AlertNotDelivered(TradingAssetsError):
    """No configured address took the message."""


@dataclass(frozen=True, slots=True)
class Channel:
    """One address that alerts go to."""

    name: str  # scheme and host of the address
    identity: str  # stable, and says nothing
    send: Callable[[str, str, str], bool]  # title, body, severity → taken


@dataclass(frozen=True, slots=True)
class Delivery:
    """One round: how many alerts every address has by now, how many wait, which addresses failed."""

    delivered: int
    waiting: int
    failed: tuple[str, ...]


def channels(environ: Mapping[str, str]) -> tuple[Channel, ...]:
    """The addresses in TRADING_ASSETS_ALERT_URLS, separated by white space, in apprise's notation.

    Raises InvalidInput for one that apprise does not know; the message does not show it, as it may
    hold a password.
    """
    urls = environ.get(URLS_VARIABLE, "").split()
    names = [shown_address(url) for url in urls]
    told_apart = [
        name if names.count(name) == 1 else f"{name} ({number})" for number, name in enumerate(names, 1)
    ]
    return tuple(
        _channel(url, name, number)
        for number, (url, name) in enumerate(zip(urls, told_apart, strict=True), 1)
    )


def _channel(url: str, name: str, number: int) -> Channel:
    import apprise  # 0.1 s, and only for who has addresses

    service = apprise.Apprise()
    if not service.add(url):
        raise InvalidInput(
            f"address {number} is none that apprise knows",
            where=f"environment variable {URLS_VARIABLE}",
            remedy="Write addresses as apprise does, such as json://host/path or mailto://…",
        )
    kinds = {"ERROR": apprise.NotifyType.FAILURE, "WARN": apprise.NotifyType.WARNING}

    def send(title: str, body: str, severity: str) -> bool:
        kind = kinds.get(severity, apprise.NotifyType.INFO)
        return bool(
            service.notify(
                title=for_one_line(clean(title)),
                body=for_terminal(clean(body)),
                notify_type=kind,
                body_format=apprise.NotifyFormat.TEXT,
            )
        )

    return Channel(name, hashlib.sha256(url.encode()).hexdigest()[:16], send)


def tell(
    journal: Journal,
    book: str,
    subject: str,
    title: str,
    body: str,
    *,
    now_ns: int,
    severity: str = "ERROR",
    occurrence: str | None = None,
    at_ns: int | None = None,
    cool_down_ns: int = COOL_DOWN_NS,
) -> bool:
    """Put an alert into the outbox unless its subject was alerted on within the cool-down.

    subject: what it is about. occurrence: names this one time, so that it, seen again (after a crash), is no
    second alert; default: now. at_ns: when it happened; default: now. Returns whether it waits in the outbox.
    """
    mark = f"alerted:{subject}"
    last = journal.mark(book, mark)
    # A mark of the future is of a clock that was set back since: it silences nobody.
    if last is not None and 0 <= now_ns - int(last) < cool_down_ns:
        log.info("alert within its cool-down", title=title, subject=subject)
        return False
    key = f"{subject}:{occurrence or now_ns}"
    new = tell_once(
        journal, book, key, title, body, at_ns=now_ns if at_ns is None else at_ns, severity=severity
    )
    journal.set_mark(book, mark, str(now_ns), now_ns)
    return new


def tell_once(
    journal: Journal, book: str, key: str, title: str, body: str, *, at_ns: int, severity: str = "ERROR"
) -> bool:
    """Put an alert into the outbox. The same key of a book is told once; returns whether it is new."""
    alert = OutboxRecord(f"{book}:{key}", book, at_ns, severity, clean(title), clean(body))
    return journal.enqueue_alert(alert)


def deliver(journal: Journal, to: Sequence[Channel]) -> Delivery:
    """Send what waits in the outbox, one message an address, the oldest alerts first.

    An address that fails is tried again in the next round, with what it lacks and nothing else.
    """
    waiting = journal.pending_alerts()
    batch = waiting[:ALERTS_IN_A_MESSAGE]
    if not batch or not to:
        return Delivery(0, len(waiting), ())
    failed = []
    taken: dict[str, set[str]] = {channel.identity: _taken(journal, channel, batch) for channel in to}
    for channel in to:
        missing = [alert for alert in batch if alert.key not in taken[channel.identity]]
        if missing and channel.send(*_message(missing)):
            taken[channel.identity] |= {alert.key for alert in missing}
        elif missing:
            failed.append(channel.name)
            log.error("alerts not delivered", address=channel.name, alerts=len(missing))
    now = system_now_ns()
    delivered = 0
    for alert in batch:
        if all(alert.key in keys for keys in taken.values()):
            delivered += journal.mark_alert_sent(alert.key, now)
            continue
        for channel in to:
            if alert.key in taken[channel.identity]:
                journal.set_mark(alert.book, _taken_mark(channel, alert), "taken", now)
    return Delivery(delivered, len(waiting) - delivered, tuple(failed))


def send_at_once(to: Sequence[Channel], title: str, body: str, severity: str = "ERROR") -> None:
    """Past the outbox, for when there is no journal to keep it. Raises AlertNotDelivered."""
    taken = [channel.send(title, body, severity) for channel in to]
    if not any(taken):
        raise AlertNotDelivered(
            f"no address took the alert {title!r}; set {URLS_VARIABLE} and check the addresses in it"
        )


def test_alert(environ: Mapping[str, str]) -> dict[str, bool]:
    """Send a test message to every address: its name → whether it took it.

    Raises InvalidInput where no address is set or one is none.
    """
    to = channels(environ)
    if not to:
        raise InvalidInput(
            "no address to alert",
            where=f"environment variable {URLS_VARIABLE}",
            remedy="Set it to one or more addresses of apprise, separated by spaces.",
        )
    body = "This is a test. Alerts of this desk arrive here."
    return {channel.name: channel.send("trading_assets: test alert", body, "INFO") for channel in to}


def _message(alerts: Sequence[OutboxRecord]) -> tuple[str, str, str]:
    """Title, body and the worst severity."""
    first = alerts[0]
    severity = "ERROR" if any(alert.severity == "ERROR" for alert in alerts) else first.severity
    if len(alerts) == 1:
        return f"{first.title} [{first.book}]", first.body, severity
    lines = [f"{alert.severity} {alert.title} [{alert.book}]\n{alert.body}" for alert in alerts]
    return f"{len(alerts)} alerts: {first.title} …", "\n\n".join(lines), severity


def _taken(journal: Journal, channel: Channel, alerts: Sequence[OutboxRecord]) -> set[str]:
    return {
        alert.key for alert in alerts if journal.mark(alert.book, _taken_mark(channel, alert)) is not None
    }


def _taken_mark(channel: Channel, alert: OutboxRecord) -> str:
    """Set only where another address has not taken it yet."""
    return f"alert_taken:{channel.identity}:{alert.key}"
