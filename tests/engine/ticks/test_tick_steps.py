"""The one list of a tick's steps: what each needs, and what goes on without it."""

from __future__ import annotations

import inspect
from importlib import import_module
from typing import Any

import pytest

from trading_assets.engine.checks.table import CHECKS
from trading_assets.engine.ticks.steps import (
    LIVE_ASSETS,
    STEP_MODULES,
    TICK_STEPS,
    check_step,
    needed_by,
    still_done_without,
)


def test_every_asset_with_checks_is_a_step() -> None:
    assert {check.asset for check in CHECKS} == set(LIVE_ASSETS)


def named(work: Any) -> tuple[Any, int]:
    """The function that a step imports when it is done, and how many arguments it is given."""
    result = inspect.getclosurevars(work).nonlocals
    assert result["where"] in STEP_MODULES
    return getattr(import_module(result["where"]), result["name"]), result["takes"]


@pytest.mark.parametrize("step", TICK_STEPS, ids=lambda step: step.asset)
def test_what_a_step_does_and_checks_is_there_and_takes_what_it_is_given(step: Any) -> None:
    for work in (step.work, step.checks):
        if work is not None:
            function, takes = named(work)
            needed = [
                one
                for one in inspect.signature(function).parameters.values()
                if one.default is inspect.Parameter.empty
            ]
            assert [one.name for one in needed] == ["desk", "session", "tick_ns"][:takes]


@pytest.mark.parametrize(
    ("step", "needs"),
    [
        ("bars", ()),
        (check_step("bars"), ("bars",)),
        ("features", ("bars", "check_bars")),
        (check_step("signals"), ("bars", "check_bars", "features", "check_features", "signals")),
        ("gated_orders", ()),
        (check_step("gated_orders"), ()),
        ("fills", ()),
        (check_step("fills"), ("fills",)),
        ("reconciled_positions", ()),
        (check_step("reconciled_positions"), ("reconciled_positions",)),
    ],
)
def test_before_the_orders_each_step_needs_all_before_it_and_after_them_a_check_its_asset(
    step: str, needs: tuple[str, ...]
) -> None:
    assert needed_by(step) == needs


def test_the_orders_go_on_without_what_comes_before_them() -> None:
    assert [still_done_without(asset) for asset in LIVE_ASSETS] == [
        "gated_orders",
        "gated_orders",
        "gated_orders",
        None,
        "reconciled_positions",
        None,
    ]
