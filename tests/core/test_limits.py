"""The table of limits: each row is whole, names the codes that the gate refuses by, and can be left out."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest
from cases.gate_cases import CASES, ENTRY, EXIT, change, run

from trading_assets.core.codes import CODE_COUNT, Code, failed_codes
from trading_assets.core.gate import evaluate, symbol_exit_cap
from trading_assets.core.limits import LIMIT_ROWS, Limits

LATCHED = {Code.SESSION_DRAWDOWN, Code.DAILY_LOSS, Code.MAX_DRAWDOWN}  # the gate is told that they are
SWITCHES = {name for name, row in LIMIT_ROWS.items() if isinstance(row.default, bool)}


def test_every_limit_has_one_row_with_a_sentence_and_a_default_inside_its_range() -> None:
    assert tuple(LIMIT_ROWS) == Limits._fields
    for row in LIMIT_ROWS.values():
        assert row.meaning.endswith(".")
        if row.default is not None:
            assert row.gt is None or row.default > row.gt
            assert row.ge is None or row.default >= row.ge
            assert row.le is None or row.default <= row.le


def limits_shown(base: dict[str, Any]) -> dict[Code, str]:
    """Which limit the gate holds each code against: every limit is a number of its own here."""
    numbers = {name: 1000.0 + place for place, name in enumerate(Limits._fields)}
    measured, shown = np.empty(CODE_COUNT), np.empty(CODE_COUNT)
    inputs = change(base, limits=numbers)
    evaluate(*(inputs[word] for word in ENTRY), measured, shown)
    of_number = {value: name for name, value in numbers.items()}
    of_number |= {value * 60.0: name for name, value in numbers.items() if "minutes" in name}
    exits = "max_exit_orders_per_day"
    of_number[symbol_exit_cap(numbers[exits])] = exits
    return {code: of_number[shown[code]] for code in Code if shown[code] in of_number}


def test_the_codes_of_a_limit_are_those_that_the_gate_holds_against_it() -> None:
    of_gate = {name: set[Code]() for name in Limits._fields}
    for base in (ENTRY, EXIT):
        for code, name in limits_shown(base).items():
            of_gate[name].add(code)
    of_gate["use_margin"].add(Code.INSUFFICIENT_BUYING_POWER)
    for name, row in LIMIT_ROWS.items():
        assert set(row.codes) - LATCHED == of_gate[name], name


@pytest.mark.parametrize("name", [name for name in Limits._fields if name not in SWITCHES])
def test_a_limit_that_there_was_not_yet_refuses_nothing(name: str) -> None:
    bound = LIMIT_ROWS[name].not_known
    measurable = [case for case in CASES if not math.isnan(getattr(case.inputs["limits"], name))]
    for case in measurable:
        before = set(failed_codes(run(case.inputs)[0]))
        without = set(failed_codes(run(change(case.inputs, limits={name: bound}))[0]))
        assert without <= before
    if of_the_gate := set(LIMIT_ROWS[name].codes) - LATCHED:
        refused = {code for case in CASES for code in case.failed if len(case.failed) == 1}
        lifted = {
            code
            for case in measurable
            for code in case.failed & of_the_gate
            if code not in failed_codes(run(change(case.inputs, limits={name: bound}))[0])
        }
        assert lifted == of_the_gate & refused
