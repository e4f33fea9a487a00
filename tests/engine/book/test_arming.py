"""Nothing trades without a person's arming, bound to where and with what it was given, and not for ever."""

from __future__ import annotations

import json
import socket
from pathlib import Path
from typing import Any

import pytest
from engine_ticks import buy, execute, prepare
from support.trading_floor import TradingFloor

from trading_assets.engine.book.arming import (
    ACT_MARK,
    ARMED_MARK,
    DAY_NS,
    WARNED_DAYS,
    arm,
    arming_causes,
    differs,
    disarm,
    switched_off,
    why_not_armed,
)
from trading_assets.engine.book.desk import Desk, book_of
from trading_assets.engine.book.halts import Cause
from trading_assets.engine.orders import submit
from trading_assets.engine.signals import tick_signals
from trading_assets.errors import InvalidInput

KEYS = {"APCA_API_KEY_ID": "PK1", "APCA_API_SECRET_KEY": "a-secret-of-forty-characters-or-so"}


def as_live(desk: Desk) -> Desk:
    """The desk as if its account were a live one: the embedded venue has none."""
    desk.settings = desk.settings.model_copy(update={"mode": "live", "account_number": "PA0001"})
    desk.book = book_of(desk.settings, "PA0001")
    return desk


def as_alpaca_paper(desk: Desk) -> Desk:
    """The desk as if its paper account were Alpaca's, with keys of its own."""
    desk.settings = desk.settings.model_copy(update={"venue": "alpaca"})
    desk.book = book_of(desk.settings, "PA0001")
    desk.environ = KEYS
    return desk


def record(desk: Desk) -> dict[str, Any]:
    document: dict[str, Any] = json.loads(desk.journal.mark(desk.book, ARMED_MARK) or "null")
    return document


def test_an_order_of_a_live_book_that_is_not_armed_is_dropped_before_the_wire(floor: TradingFloor) -> None:
    now = floor.go_to_tick(0)
    with floor.desk() as desk:
        as_live(desk)
        tick_signals.receive(desk, "AAPL", 0.15)
        prepare(desk, floor.session, now)
        assert not [order for order in execute(desk, floor.session, now).orders if order.state != "DROPPED"]
        assert not desk.broker.orders_since(0)
        assert "no person has armed trading" in why_not_armed(desk)
        assert "trading-assets arm" in why_not_armed(desk)


def test_arming_is_bound_to_host_account_data_directory_and_key_and_says_which_differs(
    floor: TradingFloor, monkeypatch: pytest.MonkeyPatch
) -> None:
    with floor.desk() as desk:
        as_live(desk)
        desk.settings = desk.settings.model_copy(update={"venue": "alpaca"})
        desk.environ = KEYS
        with pytest.raises(InvalidInput, match="needs a reason"):
            arm(desk, reason=" ", author="a person")
        arm(desk, reason="checked on paper for a month", author="a person")
        assert why_not_armed(desk) == ""
        kept = desk.journal.mark(desk.book, ARMED_MARK)
        assert kept is not None
        assert not any(part in kept for part in KEYS.values())  # a fingerprint, and never the key

        settings = desk.settings
        desk.settings = settings.model_copy(update={"account_number": "PA0002"})
        assert "the account was" in why_not_armed(desk)
        desk.settings = settings.model_copy(update={"data_dir": Path("/elsewhere")})
        assert "the data directory was" in why_not_armed(desk)
        desk.settings = settings
        desk.environ = KEYS | {"APCA_API_SECRET_KEY": "another"}
        assert "the key pair is another one" in why_not_armed(desk)
        desk.environ = {}
        assert "the key pair cannot be read" in why_not_armed(desk)
        desk.environ = KEYS
        with monkeypatch.context() as other_host:
            other_host.setattr(socket, "gethostname", lambda: "another-host")
            assert "the host was" in why_not_armed(desk)
        assert why_not_armed(desk) == ""
        disarm(desk, author="a person")
        assert "trading is disarmed" in why_not_armed(desk)


def test_two_armings_with_one_key_have_two_fingerprints(floor: TradingFloor) -> None:
    with floor.desk() as desk:
        as_alpaca_paper(desk)
        fingerprints = set()
        for _ in range(2):
            arm(desk, reason="again", author="a person")
            fingerprints.add(record(desk)["key"])
        assert len(fingerprints) == 2


def test_each_act_stays_in_the_journal_with_its_author_and_reason(floor: TradingFloor) -> None:
    with floor.desk() as desk:
        as_alpaca_paper(desk)
        arm(desk, reason="a first reason", author="one")
        disarm(desk, author="another")
        arm(desk, reason="a second reason", author="one")
        acts = [alert.title for alert in desk.journal.pending_alerts()]
        assert acts == ["Trading armed by one", "Trading disarmed by another", "Trading armed by one"]
        with desk.journal._reading() as connection:
            kept = connection.exec_driver_sql(
                "SELECT value FROM marks WHERE name LIKE ? ORDER BY name", (f"{ACT_MARK}:%",)
            ).scalars()
            records = [json.loads(text) for text in kept]
        assert [(act["armed"], act["author"]) for act in records] == [
            (True, "one"),
            (False, "another"),
            (True, "one"),
        ]
        assert [act["reason"] for act in records] == ["a first reason", "", "a second reason"]


def test_an_arming_ends_after_its_days_and_a_longer_setting_does_not_prolong_it(floor: TradingFloor) -> None:
    with floor.desk() as desk:
        as_alpaca_paper(desk)
        until_ns = arm(desk, reason="for a month", author="a person")
        assert until_ns == desk.now_ns() + 30 * DAY_NS
        armed, settings = record(desk), desk.settings
        assert differs(armed, settings, desk.book, now_ns=until_ns - 1) == ""
        assert "expired on" in differs(armed, settings, desk.book, now_ns=until_ns)
        longer = settings.model_copy(update={"arming_days": 60.0})
        assert "expired on" in differs(armed, longer, desk.book, now_ns=until_ns)
        shorter = settings.model_copy(update={"arming_days": 1.0})
        assert "expired on" in differs(armed, shorter, desk.book, now_ns=armed["at_ns"] + DAY_NS)


@pytest.mark.parametrize(("days", "warned"), [(WARNED_DAYS + 0.01, False), (WARNED_DAYS, True), (0.5, True)])
def test_an_alert_warns_days_before_the_end_once_a_day(
    floor: TradingFloor, days: float, warned: bool
) -> None:
    with floor.desk() as desk:
        as_alpaca_paper(desk)
        desk.settings = desk.settings.model_copy(update={"arming_days": days})
        arm(desk, reason="for some days", author="a person")
        for _ in range(3):
            assert arming_causes(desk) == ()
        alerts = [alert for alert in desk.journal.pending_alerts() if "ends within" in alert.title]
        assert len(alerts) == (1 if warned else 0)
        assert all("trading-assets arm" in alert.body for alert in alerts)


def test_an_expired_arming_of_a_paper_book_holds_entries_and_no_exit(floor: TradingFloor) -> None:
    floor.go_to_tick(0)
    with floor.desk() as desk:
        as_alpaca_paper(desk)
        arm(desk, reason="for a tick", author="a person")
        buy(floor, desk, "AAPL")
        now = floor.go_to_tick(1)
        desk.begin()
        desk.settings = desk.settings.model_copy(update={"arming_days": 1e-6})
        assert switched_off(desk.settings, desk.journal, desk.book) == ""  # its ticks go on
        tick_signals.receive(desk, "AAPL", -1.0)
        tick_signals.receive(desk, "IBM", 1.0)
        prepare(desk, floor.session, now)
        report = execute(desk, floor.session, now)
        assert [(order.intent.symbol, order.state) for order in report.orders] == [("AAPL", "FILLED")]
        (refused,) = [verdict for verdict in report.verdicts if verdict.symbol == "IBM"]
        assert refused.cause == Cause.NOT_ARMED


def test_an_entry_of_a_paper_book_that_is_disarmed_after_the_gate_is_dropped_before_the_wire(
    floor: TradingFloor, monkeypatch: pytest.MonkeyPatch
) -> None:
    now = floor.go_to_tick(0)
    with floor.desk() as desk:
        tick_signals.receive(desk, "AAPL", 0.15)
        prepare(desk, floor.session, now)

        def disarming(desk: Desk, when: str = "") -> None:
            disarm(desk, author="a person")

        monkeypatch.setattr(submit, "see_kill_switch", disarming)
        (order,) = execute(desk, floor.session, now).orders
        assert (order.state, "trading is disarmed" in order.detail) == ("DROPPED", True)
        assert not desk.broker.orders_since(0)


def test_the_embedded_exchanges_paper_book_is_armed_until_a_person_disarms_it(floor: TradingFloor) -> None:
    floor.go_to_tick(0)
    with floor.desk() as desk:
        assert why_not_armed(desk) == ""
        disarm(desk, author="a person")
        assert "trading is disarmed" in switched_off(desk.settings, desk.journal, desk.book)
        assert arming_causes(desk) == (Cause.NOT_ARMED,)
        assert arm(desk, reason="on again", author="a person") is None
        desk.settings = desk.settings.model_copy(update={"arming_days": 1e-9})
        assert why_not_armed(desk) == ""


def test_a_record_of_an_earlier_version_arms_nothing(floor: TradingFloor) -> None:
    with floor.desk() as desk:
        as_live(desk)
        earlier = json.dumps({"author": "a person", "reason": "x", "account": "PA0001"})
        desk.journal.set_mark(desk.book, ARMED_MARK, earlier, desk.now_ns())
        assert "an earlier version" in why_not_armed(desk)
