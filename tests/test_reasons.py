"""A reason is bounded: what loosens is refused with one that is too long, what stops something never is."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import cast

import pytest

from trading_assets import redaction
from trading_assets.engine.book import arming
from trading_assets.engine.book.desk import Desk
from trading_assets.engine.book.place import KILL_FILE
from trading_assets.engine.operation import operator
from trading_assets.engine.orders.close_order import close_order
from trading_assets.engine.reconciliation.reconcile import adopt
from trading_assets.errors import InvalidInput
from trading_assets.model import registry
from trading_assets.reasons import LONGEST, shortened, stated

pytestmark = pytest.mark.slow

LONG = "x" * (LONGEST + 1)
NO_TEXT = os.fsdecode(b"line \xff")  # as a command line gives bytes that are no UTF-8


def test_the_longest_is_taken_and_one_more_is_refused_in_one_sentence() -> None:
    assert stated("rearm", "x" * LONGEST) == "x" * LONGEST
    with pytest.raises(InvalidInput) as refused:
        stated("rearm", LONG)
    assert str(refused.value) == (
        "rearm: its reason has 2,001 characters. "
        "Say it in 2,000, and keep the rest where the reason can name it."
    )


def test_what_stops_something_is_cut_and_no_byte_keeps_it_from_being_stored() -> None:
    assert shortened("x" * LONGEST) == "x" * LONGEST
    assert len(shortened(LONG)) == LONGEST
    assert shortened(LONG).endswith("x…")
    assert shortened(NO_TEXT) == stated("rearm", NO_TEXT) == "line \\udcff"


def test_a_key_that_is_pasted_into_a_reason_is_not_kept() -> None:
    redaction.hide("planted/key+0123456789")
    try:
        assert stated("rearm", "it is planted/key+0123456789") == "it is [redacted]"
        assert shortened("it is planted%2Fkey%2B0123456789") == "it is [redacted]"
    finally:
        redaction.forget()


@pytest.mark.parametrize("act", [operator.rearm, operator.adjust, close_order])
def test_every_act_that_loosens_refuses_a_long_one_before_it_does_anything(
    act: Callable[..., object],
) -> None:
    desk = cast(Desk, object())  # which nothing may touch
    more = ("an-order",) if act is close_order else ()
    with pytest.raises(InvalidInput, match="2,001 characters"):
        act(desk, *more, reason=LONG, author="tester")
    for other in (adopt, arming.arm):
        with pytest.raises(InvalidInput, match="2,001 characters"):
            other(desk, reason=LONG, author="tester")


def test_so_does_a_promotion(tmp_path: Path) -> None:
    with pytest.raises(InvalidInput, match="promotion: its reason has 2,001 characters"):
        registry.promote(tmp_path, "1", LONG, 0)


@pytest.mark.parametrize("reason", [LONG * 20, NO_TEXT], ids=["long", "no text"])
def test_a_kill_holds_whatever_its_reason_is(tmp_path: Path, reason: str) -> None:
    config = tmp_path / "config" / "execution.yaml"
    config.parent.mkdir()
    config.write_text("mode: paper\n")
    killed = subprocess.run(
        [sys.executable, "-m", "trading_assets.cli", "kill", "--reason", reason],
        env=os.environ | {"TRADING_ASSETS_CONFIG": str(config)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert "Traceback" not in killed.stderr, killed.stderr
    kept = (tmp_path / "var" / KILL_FILE).read_text()
    assert kept.split(": ", 1)[1] == shortened(reason) + "\n"
    assert "killed: " in killed.stderr  # and that nobody could be asked to cancel
