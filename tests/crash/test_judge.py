"""Each invariant of the crash cases can fail: evidence of a case that went well, spoiled in one place."""

from __future__ import annotations

import json
import shutil
import sqlite3
import subprocess
import sys
from contextlib import closing
from dataclasses import replace
from pathlib import Path

import pytest
from judge import judge
from trial import Evidence

pytestmark = [pytest.mark.slow, pytest.mark.exchange]
CASE = "1,answer:POST/v2/orders#1,-,0,-"  # a tick that buys several symbols, killed once one has landed
SPLIT_CASE = "16,answer:POST/v2/orders#1,split_late@recovery,0,-"  # two for one, booked after the tick
SOAK = Path(__file__).with_name("soak.py")
FIRST = "(SELECT MIN(sequence) FROM orders)"
FIRST_ID = f"(SELECT client_order_id FROM orders WHERE sequence = {FIRST})"


@pytest.fixture(scope="module")
def kept(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return played(CASE, tmp_path_factory.mktemp("evidence"))


@pytest.fixture(scope="module")
def kept_of_a_split(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return played(SPLIT_CASE, tmp_path_factory.mktemp("evidence-of-a-split"))


def played(case: str, directory: Path) -> Path:
    output = subprocess.run(
        [sys.executable, str(SOAK), "--case", case, "--keep", str(directory)],
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )
    assert output.returncode == 0, output.stdout + output.stderr
    assert "1 ticks killed" in output.stdout
    return directory


@pytest.fixture
def evidence(kept: Path, tmp_path: Path) -> Evidence:
    shutil.copytree(kept, tmp_path, dirs_exist_ok=True)
    return Evidence.kept(tmp_path)


@pytest.fixture
def of_a_split(kept_of_a_split: Path, tmp_path: Path) -> Evidence:
    shutil.copytree(kept_of_a_split, tmp_path, dirs_exist_ok=True)
    return Evidence.kept(tmp_path)


def changed(evidence: Evidence, *statements: str) -> list[str]:
    """What is wrong once the desk's tables say otherwise."""
    with closing(sqlite3.connect(evidence.desk_journal)) as journal, journal:
        for statement in statements:
            assert journal.execute(statement).rowcount > 0
    return judge(evidence)


def complaints_after(evidence: Evidence, *events: tuple[str, dict[str, object]]) -> list[str]:
    """What is wrong once more has happened at the exchange."""
    lines = evidence.exchange_journal.splitlines()
    for kind, payload in events:
        lines.append(f"{len(lines) + 1}\t{kind}\t{json.dumps(payload)}")
    evidence.exchange_journal = "\n".join(lines)
    return judge(evidence)


def accepted(evidence: Evidence) -> dict[str, object]:
    """The first order as the exchange took it."""
    line = next(line for line in evidence.exchange_journal.splitlines() if "\tOrderAccepted\t" in line)
    return dict(json.loads(line.split("\t")[2]))


def has(complaints: list[str], words: str) -> bool:
    return any(words in sentence for sentence in complaints)


def test_a_case_that_went_well_breaks_nothing(evidence: Evidence) -> None:
    assert judge(evidence) == []


@pytest.mark.parametrize(
    ("statement", "words"),
    [
        ("DELETE FROM fills WHERE sequence = (SELECT MAX(sequence) FROM fills)", "lost fill"),
        ("UPDATE fills SET price = '1' WHERE sequence = 1", "fill that never was"),
        ("UPDATE fills SET client_order_id = NULL WHERE sequence = 1", "is journaled as None's"),
        ("UPDATE fills SET symbol = 'XYZ' WHERE sequence = 1", "XYZ: the ledger has"),
        (f"UPDATE orders SET filled_qty = '0' WHERE sequence = {FIRST}", "ours 0"),
        (f"UPDATE orders SET state = 'INTENT' WHERE sequence = {FIRST}", "was left INTENT"),
        (f"UPDATE orders SET state = 'SUBMITTING' WHERE sequence = {FIRST}", "was left SUBMITTING"),
        (f"UPDATE orders SET state = 'UNKNOWN' WHERE sequence = {FIRST}", "is UNKNOWN and"),
        (f"UPDATE orders SET state = 'ACCEPTED' WHERE sequence = {FIRST}", "does not work at the exchange"),
        (f"UPDATE orders SET state = 'REJECTED' WHERE sequence = {FIRST}", "was rejected"),
        (f"UPDATE intents SET qty = '1' WHERE client_order_id = {FIRST_ID}", "differs from its intent"),
        ("UPDATE opening_positions SET qty = '99999' WHERE symbol = ''", "cash differs"),
        (
            (
                "INSERT INTO halts (book, at_ns, session, action, cause, state, author, reason) "
                "VALUES ('b', 1, 's', 'latch', 'FOREIGN_ORDER', 2, 'a', 'r')"
            ),
            "halted by ['FOREIGN_ORDER'], expected []",
        ),
        (
            "INSERT INTO locks (book, symbol, cause, at_ns, reason) VALUES ('b', 'IBM', 'BREAK', 1, 'r')",
            "IBM is still locked",
        ),
        (
            "INSERT INTO leases VALUES ('b', 'tick', 't', 'h', 1, '', 1, 2)",
            "lease left behind by tick",
        ),
        (
            (
                "INSERT INTO breaks (book, kind, subject, ours, theirs, first_ns, last_ns, sightings) "
                "VALUES ('b', 'CASH', 'cash', '1', '2', 1, 1, 1)"
            ),
            "open break CASH",
        ),
        (
            "UPDATE intents SET slice = 0, side = 1, decision_id = 'one'",
            "bought twice",
        ),
    ],
)
def test_what_the_desk_has_wrong_is_found(evidence: Evidence, statement: str, words: str) -> None:
    assert has(changed(evidence, statement), words)


def test_an_order_without_intent_is_found(evidence: Evidence) -> None:
    its_id = accepted(evidence)["client_order_id"]
    renamed = [
        f"UPDATE {table} SET client_order_id = 'ta-other' WHERE client_order_id = '{its_id}'"
        for table in ("intents", "orders")
    ]
    assert has(changed(evidence, *renamed), "has no intent")


def test_a_decision_sent_again_before_its_order_was_known_to_be_over_is_found(evidence: Evidence) -> None:
    result = changed(
        evidence,
        "UPDATE intents SET slice = 0, decision_id = 'one'",
        "UPDATE order_events SET to_state = 'ACCEPTED' WHERE to_state = 'FILLED'",
    )
    assert has(result, "was sent again before")


def test_two_orders_of_a_decision_at_work_are_found(evidence: Evidence) -> None:
    one = accepted(evidence)
    lines = evidence.exchange_journal.splitlines()
    evidence.exchange_journal = "\n".join(
        line for line in lines if "\tOrderFilled\t" not in line or str(one["order_id"]) not in line
    )
    result = changed(evidence, "UPDATE intents SET slice = 0, decision_id = 'one'")
    assert has(result, "had two orders at work")


def test_an_id_that_the_exchange_took_twice_is_found(evidence: Evidence) -> None:
    again = {**accepted(evidence), "order_id": "again"}
    assert has(complaints_after(evidence, ("OrderAccepted", again)), "was accepted 2 times")


def test_a_short_position_is_found(evidence: Evidence) -> None:
    sold = {**accepted(evidence), "order_id": "sold", "client_order_id": "person", "side": -1, "qty": "9999"}
    fill = {"at_ns": sold["at_ns"], "order_id": "sold", "qty": "9999", "price": "1", "complete": True}
    assert has(complaints_after(evidence, ("OrderAccepted", sold), ("OrderFilled", fill)), "short -")


def test_cash_below_zero_is_found(evidence: Evidence) -> None:
    evidence.exchange_journal = evidence.exchange_journal.replace('"cash":"100000"', '"cash":"100"')
    assert has(judge(evidence), "cash is -")


@pytest.mark.parametrize(
    ("limit", "value", "words"),
    [
        ("max_position_pct", 0.001, "position"),
        ("max_gross_exposure", 0.001, "gross"),
        ("max_order_notional", 50.0, "notional"),
        ("max_orders_per_symbol_per_day", 0, "orders of the day"),
        ("max_orders_per_execution", 0, "orders of the execution"),
    ],
)
def test_a_limit_that_was_passed_is_found(evidence: Evidence, limit: str, value: float, words: str) -> None:
    assert limit in dict(evidence.scenario.limits)
    tighter = {**dict(evidence.scenario.limits), limit: value}
    evidence.scenario = replace(evidence.scenario, limits=tuple(tighter.items()))
    assert has(judge(evidence), words)


def test_a_stop_that_did_not_sell_is_found(evidence: Evidence) -> None:
    evidence.scenario = replace(evidence.scenario, stopped=evidence.scenario.held)
    assert has(judge(evidence), "was to be sold")


def test_an_order_after_the_kill_and_a_kill_that_did_not_halt_are_found(evidence: Evidence) -> None:
    evidence.killed_from = 0
    result = judge(evidence)
    assert has(result, "was sent after the kill")
    assert has(result, "halted by [], expected ['KILL']")


def test_what_a_kill_was_to_sell_and_did_not_is_found(evidence: Evidence) -> None:
    evidence.killed_from = 0
    flattening = {**dict(evidence.scenario.limits), "flatten_on_kill": True}
    evidence.scenario = replace(evidence.scenario, limits=tuple(flattening.items()))
    assert has(judge(evidence), "killed, and ")


# A split that the broker books late


def test_a_split_that_went_well_breaks_nothing(of_a_split: Evidence) -> None:
    assert judge(of_a_split) == []
    assert "PositionSplit" in of_a_split.exchange_journal


def test_a_split_that_the_ledger_has_not_taken_in_is_found(of_a_split: Evidence) -> None:
    result = changed(of_a_split, "DELETE FROM adjustments WHERE kind = 'SPLIT'")
    assert has(result, "GOOG: the ledger has")


LATCHED = (
    "INSERT INTO halts (book, at_ns, session, action, cause, state, author, reason) "
    "VALUES ('b', 1, 's', 'latch', '{cause}', 1, 'a', 'r')"
)


@pytest.mark.parametrize("cause", ["DAILY_LOSS", "SESSION_DRAWDOWN", "MAX_DRAWDOWN"])
def test_a_loss_that_only_the_shares_make_that_are_not_booked_is_found(
    of_a_split: Evidence, cause: str
) -> None:
    of_a_split.scenario = replace(of_a_split.scenario, tick=-1)  # what was traded of it was before
    result = changed(of_a_split, LATCHED.format(cause=cause))
    assert has(result, f"halted by ['{cause}'], expected []")


@pytest.mark.parametrize(("cause", "is_found"), [("DAILY_LOSS", False), ("MAX_DRAWDOWN", True)])
def test_of_a_split_that_nobody_announced_only_what_the_equity_passed_may_be_latched(
    of_a_split: Evidence, cause: str, is_found: bool
) -> None:
    assert of_a_split.case.strike is not None
    unlisted = of_a_split.case.strike._replace(name="split_unlisted")
    of_a_split.case = replace(of_a_split.case, strike=unlisted)
    assert has(changed(of_a_split, LATCHED.format(cause=cause)), "halted by") is is_found


def test_a_stop_that_the_market_did_not_reach_in_todays_shares_is_found(of_a_split: Evidence) -> None:
    result = changed(of_a_split, "UPDATE intents SET kind = 'stop' WHERE symbol = 'AAPL' AND side = -1")
    assert has(result, "AAPL was sold at its stop")


@pytest.mark.parametrize(
    ("symbol", "detail", "is_found"),
    [
        ("GOOG", "insufficient qty available", False),
        ("GOOG", "insufficient buying power", True),
        ("AAPL", "insufficient qty available", True),
    ],
)
def test_only_what_lacks_the_shares_that_a_line_took_may_be_rejected(
    of_a_split: Evidence, symbol: str, detail: str, is_found: bool
) -> None:
    which = f"SELECT client_order_id FROM intents WHERE symbol = '{symbol}' LIMIT 1"
    complaints = changed(
        of_a_split,
        f"UPDATE orders SET state = 'REJECTED', detail = '{detail}' WHERE client_order_id = ({which})",
    )
    assert has(complaints, "was rejected") == is_found


def test_a_limit_that_was_passed_before_and_after_the_booking_is_found(of_a_split: Evidence) -> None:
    tighter = {**dict(of_a_split.scenario.limits), "max_position_pct": 0.001}
    of_a_split.scenario = replace(of_a_split.scenario, limits=tuple(tighter.items()))
    assert has(judge(of_a_split), "position")
