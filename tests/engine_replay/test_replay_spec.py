"""What may be replayed, and with which limits."""

from __future__ import annotations

from dataclasses import replace
from datetime import date
from math import inf, nan

import pytest

from trading_assets import config
from trading_assets.config import Settings
from trading_assets.engine.replay import ExternalSignals, ReplaySpec
from trading_assets.engine.replay.spec import limits_of
from trading_assets.errors import InvalidInput

SPEC = ReplaySpec(date(2012, 1, 3), date(2012, 3, 30), ExternalSignals(()))
SETTINGS = Settings()


def test_a_replay_without_a_name_is_called_by_its_range() -> None:
    assert SPEC.name == "2012-01-03_2012-03-30"
    assert SPEC.book == "replay:2012-01-03_2012-03-30"


@pytest.mark.parametrize("name", ["../paper", "a/b", ".hidden", "", " ", "a" * 65, "a\n"])
def test_a_name_that_would_leave_the_directory_is_refused(name: str) -> None:
    if name == "":
        assert replace(SPEC, name="").name
        return
    with pytest.raises(InvalidInput, match="name"):
        replace(SPEC, name=name)


@pytest.mark.parametrize(
    "wrong",
    [
        {"last": date(2011, 12, 30)},
        {"interval": 0},
        {"interval": "hourly"},
        {"bars": "tomorrow"},
        {"fill_mode": "lucky"},
        {"cash_usd": 0.0},
        {"cash_usd": nan},
        {"cash_usd": 1e-300},
        {"cash_usd": 1e308},
        {"spread_bps": 0.0},
        {"spread_bps": nan},
    ],
)
def test_what_cannot_be_replayed_is_refused(wrong: dict[str, object]) -> None:
    with pytest.raises(InvalidInput):
        replace(SPEC, **wrong)  # type: ignore[arg-type]  # wrong on purpose


def test_limits_are_the_configurations_with_a_quote_of_one_bar() -> None:
    assert limits_of(SETTINGS, SPEC) == config.limits(SETTINGS)._replace(stale_quote_seconds=23_400.0)
    intraday = limits_of(SETTINGS, replace(SPEC, interval=30))
    assert intraday == config.limits(SETTINGS)._replace(stale_quote_seconds=60.0)


def test_a_limit_takes_the_configurations_place_and_may_be_lifted() -> None:
    spec = replace(
        SPEC,
        limits={"max_position_pct": 0.2, "max_orders_per_day": 7.0, "max_drawdown": inf, "fractional": 1.0},
    )
    limits = limits_of(SETTINGS, spec)
    assert limits.max_position_pct == 0.2
    assert limits.max_orders_per_day == 7.0
    assert limits.max_drawdown == inf
    assert limits.fractional is True


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("max_positon_pct", 0.1),
        ("max_position_pct", 1.5),
        ("max_position_pct", nan),
        ("max_position_pct", -inf),
        ("max_orders_per_day", 2.5),
        ("threshold", inf),
        ("min_order_notional", inf),
        ("no_entry_seconds_after_open", inf),
        ("use_margin", inf),
        ("fractional", 0.5),
    ],
)
def test_a_limit_that_means_nothing_is_refused_by_name(name: str, value: float) -> None:
    with pytest.raises(InvalidInput, match=name):
        limits_of(SETTINGS, replace(SPEC, limits={name: value}))
