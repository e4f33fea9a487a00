"""Alerts against a real receiver over HTTP on loopback: at least once, over crashes and failures."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from support.receiver import Receiver, listening

from trading_assets.engine.book import alerts
from trading_assets.engine.book.alerts import AlertNotDelivered, channels, deliver, tell
from trading_assets.engine.book.halts import Cause, latch
from trading_assets.errors import InvalidInput
from trading_assets.store.journal import Journal
from trading_assets.store.records import OutboxRecord

pytestmark = pytest.mark.slow

BOOK = "embedded:PA0001:paper"
MINUTE_NS = 60 * 10**9


@pytest.fixture
def receivers() -> Iterator[tuple[Receiver, Receiver]]:
    with listening() as one, listening() as other:
        yield one, other


@pytest.fixture
def receiver(receivers: tuple[Receiver, Receiver]) -> Receiver:
    return receivers[0]


@pytest.fixture
def journal(tmp_path: Path) -> Iterator[Journal]:
    with Journal.open(tmp_path / "journal.sqlite") as journal:
        yield journal


def environ(*receivers: Receiver) -> dict[str, str]:
    return {alerts.URLS_VARIABLE: " ".join(receiver.url for receiver in receivers)}


def alerted(journal: Journal, occurrence: str, minute: int, subject: str = "s", *, book: str = BOOK) -> bool:
    return tell(journal, book, subject, "t", "b", now_ns=minute * MINUTE_NS, occurrence=occurrence)


def alert(key: str, severity: str = "ERROR", title: str = "Check failed") -> OutboxRecord:
    return OutboxRecord(key, BOOK, 0, severity, title, f"what {key} is about")


def test_a_halt_reaches_the_receiver_once(journal: Journal, receiver: Receiver) -> None:
    latch(journal, BOOK, Cause.KILL, at_ns=1, session="2012-09-11", reason="by hand")
    to = channels(environ(receiver))
    assert deliver(journal, to).delivered == 1
    assert deliver(journal, to).delivered == 0
    (message,) = receiver.messages
    assert message["title"] == f"HALTED: KILL [{BOOK}]"
    assert message["message"] == "by hand"
    assert message["type"] == "failure"


def test_several_alerts_are_one_message_with_the_worst_severity(journal: Journal, receiver: Receiver) -> None:
    for number in range(25):
        journal.enqueue_alert(alert(f"k{number:02}", "ERROR" if number == 3 else "WARN"))
    to = channels(environ(receiver))
    first, second = deliver(journal, to), deliver(journal, to)
    assert (first.delivered, first.waiting) == (20, 5)
    assert (second.delivered, second.waiting) == (5, 0)
    assert receiver.titles() == ["20 alerts: Check failed …", "5 alerts: Check failed …"]
    assert [message["type"] for message in receiver.messages] == ["failure", "warning"]
    for number in range(25):
        assert f"what k{number:02} is about" in receiver.messages[number >= 20]["message"]


def test_an_alert_waits_while_the_receiver_refuses_or_is_gone(journal: Journal, receiver: Receiver) -> None:
    journal.enqueue_alert(alert("a"))
    receiver.status = 500
    round_ = deliver(journal, channels(environ(receiver)))
    assert (round_.delivered, round_.waiting) == (0, 1)
    assert round_.failed == (f"json://127.0.0.1:{receiver.port}",)
    nobody = Receiver(port=1)
    assert deliver(journal, channels(environ(nobody))).waiting == 1
    receiver.status = 200
    assert deliver(journal, channels(environ(receiver))).delivered == 1
    assert len(receiver.messages) == 1


def test_one_address_that_fails_makes_the_other_hear_nothing_twice(
    journal: Journal, receivers: tuple[Receiver, Receiver]
) -> None:
    good, bad = receivers
    bad.status = 503
    to = channels(environ(good, bad))
    journal.enqueue_alert(alert("a"))
    for _ in range(3):
        assert deliver(journal, to).waiting == 1
    journal.enqueue_alert(alert("b"))
    deliver(journal, to)
    assert [len(good.messages), len(bad.messages)] == [2, 0]
    bad.status = 200
    assert deliver(journal, to).waiting == 0
    assert len(good.messages) == 2
    assert "what a is about" in bad.messages[0]["message"]
    assert "what b is about" in bad.messages[0]["message"]


@pytest.mark.parametrize("dies", ["before", "after"])
def test_a_process_killed_around_the_delivery_loses_no_alert(
    tmp_path: Path, journal: Journal, receiver: Receiver, dies: str
) -> None:
    journal.enqueue_alert(alert("a"))
    code = f"""
import os, signal
from pathlib import Path
from trading_assets.engine.book import alerts
from trading_assets.store.journal import Journal

def die(*_):
    os.kill(os.getpid(), signal.SIGKILL)

with Journal.open(Path({str(tmp_path)!r}) / "journal.sqlite") as journal:
    to = alerts.channels(os.environ)
    if {dies!r} == "before":
        to = [alerts.Channel(one.name, one.identity, die) for one in to]
    else:
        journal.mark_alert_sent = die
    alerts.deliver(journal, to)
"""
    dead = subprocess.run([sys.executable, "-c", code], env=os.environ | environ(receiver), timeout=60)
    assert dead.returncode == -signal.SIGKILL
    assert len(receiver.messages) == (1 if dies == "after" else 0)
    assert [waiting.key for waiting in journal.pending_alerts()] == ["a"]
    assert deliver(journal, channels(environ(receiver))).delivered == 1
    assert len(receiver.messages) == (2 if dies == "after" else 1)
    assert journal.pending_alerts() == []


def test_a_subject_is_quiet_within_its_cool_down_and_heard_after_it(journal: Journal) -> None:
    def seen(key: str, minute: int, subject: str = "check:bars.fresh") -> bool:
        return alerted(journal, key, minute, subject)

    assert seen("run-1", 1)
    assert not seen("run-2", 6)
    assert not seen("run-3", 30)
    assert seen("run-4", 31)
    assert seen("run-5", 7, subject="check:bars.sane")
    assert [waiting.key.rpartition(":")[2] for waiting in journal.pending_alerts()] == [
        "run-1",
        "run-4",
        "run-5",
    ]


def test_an_occurrence_seen_again_after_a_crash_is_no_second_alert(
    journal: Journal, monkeypatch: pytest.MonkeyPatch
) -> None:
    def die(*_: object) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(journal, "set_mark", die)
        with pytest.raises(KeyboardInterrupt):
            alerted(journal, "run-1", 1)
    assert not alerted(journal, "run-1", 2)
    assert len(journal.pending_alerts()) == 1
    assert not alerted(journal, "run-2", 3)


def test_books_do_not_quiet_one_another(journal: Journal) -> None:
    assert alerted(journal, "k1", 1)
    assert alerted(journal, "k2", 1, book="alpaca:PA1:paper")


def test_without_an_address_alerts_wait(journal: Journal) -> None:
    journal.enqueue_alert(alert("a"))
    assert deliver(journal, channels({})).waiting == 1
    assert len(journal.pending_alerts()) == 1


def test_an_address_that_is_none_is_refused_and_not_shown() -> None:
    with pytest.raises(InvalidInput, match="address 2 is none that apprise knows") as refused:
        channels({alerts.URLS_VARIABLE: "json://127.0.0.1/ nonsense://user:pa55word@host"})
    assert "pa55word" not in str(refused.value)


def test_an_address_is_named_without_its_password() -> None:
    (channel,) = channels({alerts.URLS_VARIABLE: "json://user:pa55word@127.0.0.1:9/x?+X-Token=s3cret"})
    assert "pa55word" not in channel.name
    assert "s3cret" not in channel.name
    assert channel.name == "json://127.0.0.1:9"


def test_two_addresses_of_one_host_are_told_apart() -> None:
    two = channels({alerts.URLS_VARIABLE: "json://127.0.0.1:9/one json://127.0.0.1:9/two"})
    assert [channel.name for channel in two] == ["json://127.0.0.1:9 (1)", "json://127.0.0.1:9 (2)"]


def test_a_test_alert_says_which_address_took_it(receivers: tuple[Receiver, Receiver]) -> None:
    good, bad = receivers
    bad.status = 403
    assert list(alerts.test_alert(environ(good, bad)).values()) == [True, False]
    assert good.titles() == ["trading_assets: test alert"]
    with pytest.raises(InvalidInput, match="no address to alert"):
        alerts.test_alert({})


def test_past_the_outbox_one_address_is_enough_and_none_is_an_error(
    receivers: tuple[Receiver, Receiver],
) -> None:
    good, bad = receivers
    bad.status = 500
    alerts.send_at_once(channels(environ(bad, good)), "broken configuration", "body")
    assert good.titles() == ["broken configuration"]
    with pytest.raises(AlertNotDelivered, match="no address took"):
        alerts.send_at_once(channels(environ(bad)), "t", "b")
