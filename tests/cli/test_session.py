"""A person's session on the command line: signals, a tick, a look, a kill, a rearm, a verification."""

from __future__ import annotations

import os
import re
import subprocess
from datetime import date

import duckdb
import pytest
from support.command import COMMAND, command
from support.trading_floor import TradingFloor

SESSION = date(2012, 9, 11)


@pytest.mark.slow
def test_a_session_goes_from_a_signal_to_a_verified_end(floor: TradingFloor) -> None:
    config = floor.config_path
    assert command("config", "check", config=config).status == 0
    floor.go_to_session(SESSION, 0)

    received = command("signal", "AAPL=0.15", "IBM=0.05", "--json", config=config)
    assert received.status == 0
    assert [(line["symbol"], line["value"], line["new"]) for line in received.json] == [
        ("AAPL", 0.15, True),
        ("IBM", 0.05, True),
    ]
    again = command("signal", "AAPL=0.15", config=config)
    assert again.status == 0
    assert "known already" in again.out

    ticked = command("tick", "--json", config=config)
    assert ticked.status == 0, ticked.err
    assert [(line["symbol"], line["verdict"]) for line in ticked.json["verdicts"]] == [("AAPL", "PASS")]
    assert [(line["symbol"], line["state"]) for line in ticked.json["orders"]] == [("AAPL", "FILLED")]
    assert ticked.json["problems"] == ticked.json["failed_checks"] == ticked.json["vetoed"] == []
    assert ticked.json["agree"] is True
    assert command("tick", "--json", config=config).json["orders"] == []

    book_now = command("status", "--json", config=config)
    assert book_now.status == 0
    assert book_now.json["well"] is True
    assert book_now.json["halt_state"] == "ACTIVE"
    assert book_now.json["sent_today"] == 1
    assert {loss["name"] for loss in book_now.json["losses"]} == {
        "session_drawdown",
        "daily_loss",
        "max_drawdown",
    }

    held = command("positions", "--json", config=config)
    assert held.status == 0
    assert held.json["agree"] is True
    (line,) = held.json["positions"]
    assert (line["symbol"], line["qty"], line["broker_qty"]) == ("AAPL", 1.0, 1.0)
    assert line["broker_avg_cost"] == pytest.approx(line["avg_cost"])
    beside = f"{line['avg_cost']:.4f} (broker {line['broker_avg_cost']:.4f})"
    assert beside in command("positions", config=config).out

    assert [line["symbol"] for line in command("orders", "--json", config=config).json["orders"]] == ["AAPL"]
    why = command("orders", "--why", config=config)
    assert why.status == 0
    assert "IBM: BELOW_THRESHOLD" in why.out

    killed = command("kill", "--reason", "a test", "--json", config=config)
    assert killed.status == 0
    assert killed.json["state"] == "HALTED"
    halted = command("status", config=config)
    assert halted.status == 1
    assert "a test" in halted.out

    command("signal", "GOOG=0.5", config=config)
    refused = command("tick", "--json", config=config)
    assert [line["verdict"] for line in refused.json["verdicts"]] == ["KILL_SWITCH_ACTIVE cause=KILL"]
    why = command("orders", "--why", "--symbol", "GOOG", "--json", config=config).json["orders"]
    assert [code["code"] for code in why[0]["failed"]] == ["KILL_SWITCH_ACTIVE", "REDUCE_ONLY"]

    sold = command("flatten", "--reason", "a test", "--json", config=config)
    assert sold.status == 0
    assert [(line["symbol"], line["side"], line["state"]) for line in sold.json["orders"]] == [
        ("AAPL", "sell", "FILLED")
    ]
    assert (sold.json["flat"], sold.json["held"]) == (True, [])

    assert command("rearm", "--reason", " ", config=config).status == 2
    rearmed = command("rearm", "--reason", "the test goes on", "--json", config=config)
    assert rearmed.status == 0
    assert rearmed.json["cleared"] == ["KILL"]
    assert command("status", config=config).status == 0

    verified = command("verify", SESSION, "--json", config=config)
    assert verified.status == 0, verified.out
    assert verified.json["identical"] is True
    assert verified.json["verdicts"] == 3
    assert verified.json["not_read"] == ""


def test_an_account_that_is_not_empty_waits_for_a_person_to_adopt_it(floor: TradingFloor) -> None:
    from support.planted import buy_behind_our_back

    floor.go_to_session(SESSION, 0)
    with floor.desk() as desk:
        buy_behind_our_back(desk, "MSFT", 3, "by-hand")
    book_now = command("status", "--json", config=floor.config_path)
    assert book_now.status == 1
    assert book_now.json["opened"] is False
    adopted = command("adopt", "--reason", "mine", "--json", config=floor.config_path)
    assert adopted.status == 0
    assert adopted.json["positions"] == 1
    again = command("adopt", "--reason", "mine", "--json", config=floor.config_path)
    assert again.status == 0
    assert again.json["already_open"] is True
    held = command("positions", "--json", config=floor.config_path)
    assert held.json["positions"][0]["qty"] == held.json["positions"][0]["broker_qty"] == 3.0


def test_a_person_closes_an_order_that_the_broker_has_lost(floor: TradingFloor) -> None:
    from support.planted import plant_order

    floor.go_to_session(SESSION, 0)
    command("tick", config=floor.config_path)
    with floor.desk() as desk:
        desk.begin()
        client_id = plant_order(desk, 1).intent.client_order_id
    line = ("close-order", client_id, "--reason", "the broker has lost it")
    closed = command(*line, "--json", config=floor.config_path)
    assert closed.status == 0
    members = {name: closed.json[name] for name in ("was", "state", "at_broker", "by_person", "released")}
    assert members == {
        "was": "ACCEPTED",
        "state": "ABANDONED",
        "at_broker": "not found",
        "by_person": True,
        "released": [],
    }
    again = command(*line, config=floor.config_path)
    assert "has ended already: ABANDONED" in again.failed_with_one_message()
    unknown = command("close-order", "ta-nothing", "--reason", "x", config=floor.config_path)
    assert "has no order ta-nothing" in unknown.failed_with_one_message()


def test_a_position_that_differs_from_the_broker_s_is_found(floor: TradingFloor) -> None:
    from support.planted import buy_behind_our_back

    floor.go_to_session(SESSION, 0)
    command("tick", config=floor.config_path)
    with floor.desk() as desk:
        buy_behind_our_back(desk, "MSFT", 3, "by-hand")
    held = command("positions", config=floor.config_path)
    assert held.status == 1
    assert re.search(r"^MSFT +0 +3 +\(broker \d+\.\d{4}\) .* DIFFERS$", held.out.rstrip(), re.MULTILINE)


def test_a_command_waits_for_whoever_holds_the_book(floor: TradingFloor) -> None:
    floor.go_to_session(SESSION, 0)
    with floor.desk() as desk:
        held = desk.journal.acquire_lease(desk.book, "a protection")
        environ = os.environ | {"TRADING_ASSETS_CONFIG": str(floor.config_path)}
        waiting = subprocess.Popen([*COMMAND, "flatten", "--reason", "x"], env=environ)
        with pytest.raises(subprocess.TimeoutExpired):
            waiting.wait(4)
        desk.journal.release_lease(held)
        assert waiting.wait(20) == 0


def test_a_correction_ends_a_difference_that_the_broker_does_not_explain(floor: TradingFloor) -> None:
    floor.go_to_session(SESSION, 0)
    config = floor.config_path
    command("signal", "AAPL=0.9", config=config)
    assert command("tick", config=config).status == 0
    (held,) = command("positions", "--json", config=config).json["positions"]
    wrong = command("adjust", "--cash", "5", "--reason", "no such dividend", config=config)
    assert wrong.status == 0, wrong.err
    assert "+5 USD" in wrong.out
    ended = command("adjust", "AAPL", "--qty", "-2", "--reason", "a drill", "--json", config=config)
    assert (ended.json["symbol"], ended.json["qty_delta"], ended.json["reason"]) == ("AAPL", "-2", "a drill")
    differs = command("positions", "--json", config=config)
    assert differs.status == 1
    assert differs.json["positions"][0]["qty"] == held["qty"] - 2
    for entry in (("AAPL", "--qty", "2"), ("--cash", "-5")):
        assert command("adjust", *entry, "--reason", "taken back", config=config).status == 0
    assert command("positions", "--json", config=config).json["positions"][0]["qty"] == held["qty"]
    assert command("positions", config=config).status == 0
    assert command("adjust", "AAPL", "--qty", "much", "--reason", "x", config=config).status == 2
    message = command("adjust", "--qty", "1", "--reason", "x", config=config).failed_with_one_message()
    assert "Give a change of cash, or a symbol with its change of shares" in message


def test_a_history_that_was_lost_is_made_again_from_the_journal(floor: TradingFloor) -> None:
    floor.go_to_session(SESSION, 0)
    config = floor.config_path
    command("signal", "AAPL=0.9", config=config)
    assert command("tick", config=config).status == 0
    history = floor.config_path.parent.parent / "var" / "history.duckdb"
    tables = ("verdicts", "fills", "orders", "equity")
    counts = f"SELECT {', '.join(f'(SELECT count(*) FROM {table})' for table in tables)}"
    with duckdb.connect(history, read_only=True) as connection:
        before = connection.execute(counts).fetchone()
    history.unlink()
    rebuilt = command("rebuild", "--json", config=config)
    assert rebuilt.status == 0, rebuilt.err
    assert rebuilt.json["sessions"] == [SESSION.isoformat()]
    with duckdb.connect(history, read_only=True) as connection:
        assert connection.execute(counts).fetchone() == before
    assert "1 sessions of embedded:PA0001:paper" in command("rebuild", config=config).out


def test_looser_limits_wait_for_a_rearm_and_are_said(floor: TradingFloor) -> None:
    command("status", config=floor.config_path)
    text = floor.config_path.read_text() + "max_position_pct: 0.06\n"
    floor.config_path.write_text(text)
    assert command("status", "--json", config=floor.config_path).json["limits_waiting"] == [
        "max_position_pct"
    ]
    rearmed = command("rearm", "--reason", "meant", "--json", config=floor.config_path)
    assert rearmed.json["limits_taken_up"] == ["max_position_pct"]
    assert command("status", "--json", config=floor.config_path).json["limits_waiting"] == []
