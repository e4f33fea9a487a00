"""The gate against its answer sheet, compiled and plain, and what must hold for every order."""

from __future__ import annotations

import os
import subprocess
import sys
from math import inf, isnan, nan
from pathlib import Path
from typing import Any

import numba
import numpy as np
import pytest
from cases.core_run import results
from cases.gate_cases import BOUNDARIES, BUY, CASES, COVER, ENTRY, EXIT, LIMITS, SELL, Case, change, run
from hypothesis import given
from hypothesis import strategies as st

from trading_assets.core.codes import CODE_COUNT, FIRST_CODE_COUNT, PRECEDENCE, Check, Code, failed_codes
from trading_assets.core.gate import (
    evaluate,
    free_quantity,
    is_reducing,
    pass_line,
    reason,
    reject_line,
    symbol_exit_cap,
)
from trading_assets.core.limits import Limits
from trading_assets.core.words import Order, Position

ENFORCED_ON_EXITS = {
    Code.KILL_SWITCH_ACTIVE,
    Code.RECONCILING,
    Code.MARKET_CLOSED,
    Code.ASSET_NOT_TRADABLE,
    Code.SYMBOL_HALTED,
    *(code for code in Code if code.check is Check.DUPLICATE),
    Code.NOTIONAL_ABOVE_MAX,
    Code.PRICE_COLLAR,
    Code.SHORT_NOT_ALLOWED,
    Code.DAILY_ORDER_COUNT,
}


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_gives_exactly_these_codes(case: Case) -> None:
    verdict, _, _ = run(case.inputs)
    assert set(failed_codes(verdict)) == case.failed


def test_every_code_is_given_by_some_case() -> None:
    assert {code for case in CASES for code in case.failed} == set(Code)


NAMES = """
KILL_SWITCH_ACTIVE REDUCE_ONLY RECONCILIATION_LOCK RECONCILING MARKET_CLOSED NEAR_OPEN NEAR_CLOSE
ASSET_NOT_TRADABLE SYMBOL_HALTED STALE_SIGNAL SIGNAL_FROM_FUTURE STALE_QUOTE STALE_ACCOUNT DUPLICATE_ORDER
ORDER_IN_FLIGHT SELF_TRADE NOTIONAL_BELOW_MIN NOTIONAL_ABOVE_MAX PRICE_COLLAR PRICE_DRIFT SPREAD_TOO_WIDE
SYMBOL_MOVE QUOTE_INVALID POSITION_LIMIT SHORT_NOT_ALLOWED INSUFFICIENT_BUYING_POWER GROSS_EXPOSURE DAILY_LOSS
MAX_DRAWDOWN SESSION_DRAWDOWN SYMBOL_ORDER_COUNT DAILY_ORDER_COUNT EXECUTION_ORDER_COUNT REJECT_STREAK
"""


def test_every_code_has_a_definition() -> None:
    assert all(code.definition.endswith(".") for code in Code)


def test_a_codes_number_is_what_it_was_when_verdicts_began_to_be_stored() -> None:
    assert [Code[name] for name in NAMES.split()] == list(range(FIRST_CODE_COUNT))
    assert sorted(Code) == list(range(CODE_COUNT))
    assert failed_codes(2**CODE_COUNT - 1) == PRECEDENCE


def test_every_code_that_has_a_number_for_a_limit_is_tried_below_at_and_above_it() -> None:
    flags = {
        code for code in Code if code.check is Check.HALT_STATE
    } | {
        Code.MARKET_CLOSED, Code.ASSET_NOT_TRADABLE, Code.SYMBOL_HALTED, Code.DUPLICATE_ORDER,
        Code.QUOTE_INVALID, Code.DAILY_LOSS, Code.MAX_DRAWDOWN, Code.SESSION_DRAWDOWN,
    }  # fmt: skip
    assert {boundary[0] for boundary in BOUNDARIES} == set(Code) - flags


def test_every_case_records_a_measure_and_a_limit_for_every_code() -> None:
    for case in CASES:
        _, measured, limit = run(case.inputs)
        assert not np.any(measured == -7.0), case.name
        assert not np.any(limit == -7.0), case.name


def test_what_an_exit_is_spared_is_measured_as_for_an_entry() -> None:
    inputs = change(
        EXIT, signal={"as_of_ns": ENTRY["now_ns"] - 600 * 10**9, "reference_price": 80.0},
        quote={"bid": 99.0, "ask": 101.0, "previous_close": 50.0}, position={"exposure_usd": 20_000.0},
        halt={"daily_loss": True}, activity={"reject_streak": 9},
    )  # fmt: skip
    verdict, measured, limit = run(inputs)
    assert verdict == 0
    assert measured[Code.STALE_SIGNAL] == 600.0
    assert measured[Code.PRICE_DRIFT] == 0.25
    assert measured[Code.SPREAD_TOO_WIDE] == 200.0
    assert measured[Code.SYMBOL_MOVE] == 1.0
    assert measured[Code.POSITION_LIMIT] == 0.21
    assert measured[Code.DAILY_LOSS] == 1.0
    assert measured[Code.REJECT_STREAK] == 9.0
    assert limit[Code.PRICE_COLLAR] == LIMITS.exit_collar_pct
    assert limit[Code.DAILY_ORDER_COUNT] == symbol_exit_cap(LIMITS.max_exit_orders_per_day) == 40.0


@pytest.mark.parametrize(
    ("exits", "of_symbol", "kept", "shown"),
    [
        (0, 0, 0, (0, 40)),
        (300, 0, 0, (0, 40)),
        (370, 5, 0, (370, 400)),
        (360, 0, 0, (360, 400)),
        (390, 39, 0, (39, 40)),
        (100, 5, 200, (5, 40)),
        (180, 5, 200, (380, 400)),
        (20, 5, 10**6, (380, 400)),
    ],
)
def test_an_exit_is_held_against_the_cap_that_has_less_left(
    exits: int, of_symbol: int, kept: int, shown: tuple[int, int]
) -> None:
    counts = {
        "exit_orders_today": exits,
        "symbol_exits_today": of_symbol,
        "exits_kept_for_others": kept,
    }
    _, measured, limit = run(change(EXIT, activity=counts))
    assert (measured[Code.DAILY_ORDER_COUNT], limit[Code.DAILY_ORDER_COUNT]) == shown


@pytest.mark.slow(seconds=3)
def test_compiled_and_plain_agree_bit_for_bit(tmp_path: Path) -> None:
    assert not numba.config.DISABLE_JIT, "this test compares compiled code with plain Python"
    script, out = Path(__file__).parent / "cases" / "core_run.py", tmp_path / "plain.npz"
    search = os.pathsep.join((str(script.parents[1]), str(script.parents[3])))
    environment = os.environ | {"NUMBA_DISABLE_JIT": "1", "PYTHONPATH": search}
    subprocess.run([sys.executable, str(script), str(out)], check=True, env=environment, timeout=120)
    plain = np.load(out)
    for name, compiled in results().items():
        missing = np.isnan(compiled) if compiled.dtype == float else np.zeros(compiled.shape, bool)
        assert np.array_equal(missing, np.isnan(plain[name])), name
        # a NaN's sign and payload carry no meaning
        assert np.where(missing, 0, compiled).tobytes() == np.where(missing, 0, plain[name]).tobytes(), name


def test_arrays_of_another_size_are_refused_rather_than_overrun() -> None:
    with pytest.raises(ValueError, match="one element for each code"):
        evaluate(*ENTRY.values(), np.empty(CODE_COUNT - 1), np.empty(CODE_COUNT))


def test_a_side_given_as_its_enum_is_judged_alike() -> None:
    from trading_assets.core.words import HaltState, Side

    inputs = change(EXIT, order={"side": Side.SELL}, halt={"state": HaltState.REDUCE_ONLY})
    assert run(inputs)[0] == 0
    assert failed_codes(run(change(inputs, halt={"state": HaltState.HALTED}))[0]) == (
        Code.KILL_SWITCH_ACTIVE,
    )


# --- what must hold for every order

ENTRY_NUMBERS = [
    (word, field)
    for word, fields in {
        "order": ("qty", "limit_price"),
        "signal": ("reference_price",),
        "account": ("equity_usd", "buying_power_usd", "settled_cash_usd"),
        "position": ("qty", "reserved_qty", "exposure_usd"),
        "quote": ("bid", "ask", "previous_close"),
        "activity": ("gross_exposure_usd",),
    }.items()
    for field in fields
]
ENTRY_STAMPS = [
    ("signal", "as_of_ns"),
    ("account", "as_of_ns"),
    ("quote", "as_of_ns"),
    ("session", "open_ns"),
    ("session", "close_ns"),
]
ENTRY_LIMITS = [
    "max_slip_pct", "max_spread_bps", "max_symbol_move", "stale_signal_seconds", "stale_quote_seconds",
    "stale_account_seconds", "no_entry_seconds_after_open", "no_entry_minutes_before_close",
    "min_order_notional", "max_order_notional", "max_position_pct", "max_gross_exposure",
    "max_orders_per_symbol_per_day", "max_orders_per_day", "max_orders_per_execution", "max_reject_streak",
]  # fmt: skip


@pytest.mark.parametrize(("word", "field"), ENTRY_NUMBERS)
@pytest.mark.parametrize("value", [nan, inf, -inf])
def test_a_number_that_is_missing_or_infinite_rejects_an_entry(word: str, field: str, value: float) -> None:
    assert run(change(ENTRY, **{word: {field: value}}))[0] != 0


@pytest.mark.parametrize(("word", "field"), ENTRY_STAMPS)
def test_a_missing_stamp_rejects_an_entry(word: str, field: str) -> None:
    assert run(change(ENTRY, **{word: {field: 0}}))[0] != 0


@pytest.mark.parametrize("field", ENTRY_LIMITS)
def test_a_missing_limit_rejects_an_entry(field: str) -> None:
    assert run(change(ENTRY, limits={field: nan}))[0] != 0


def test_a_missing_now_rejects_an_entry() -> None:
    assert run(ENTRY | {"now_ns": 0})[0] != 0


def test_infinite_limits_never_refuse_an_entry() -> None:
    off = LIMITS._replace(**dict.fromkeys(ENTRY_LIMITS, inf))
    crowded = change(
        ENTRY, order={"qty": 10_000.0, "limit_price": 150.0}, limits=off, position={"exposure_usd": 1e6},
        activity={"gross_exposure_usd": 1e7, "orders_today": 10_000, "symbol_orders_today": 999},
        account={"buying_power_usd": 1e9, "settled_cash_usd": 1e9, "as_of_ns": 1},
        quote={"bid": 50.0, "ask": 150.0, "as_of_ns": 1}, signal={"as_of_ns": 1, "reference_price": 1.0},
        session={"open_ns": ENTRY["now_ns"], "close_ns": ENTRY["now_ns"]},
    )  # fmt: skip
    assert run(crowded)[0] == 0
    assert run(change(crowded, limits=LIMITS))[0] != 0


any_float = st.floats(allow_nan=True, allow_infinity=True)
any_count = st.integers(0, 1000)


@given(
    base=st.sampled_from([EXIT, COVER]),
    numbers=st.tuples(*[any_float] * 9),
    counts=st.tuples(*[any_count] * 4),
    stamps=st.tuples(*[st.integers(0, 2 * ENTRY["now_ns"])] * 5),
    latches=st.tuples(*[st.booleans()] * 4),
    state=st.integers(0, 1),
)
def test_an_exit_is_never_refused_for_an_entrys_reason(
    base: dict[str, Any],
    numbers: tuple[float, ...],
    counts: tuple[int, ...],
    stamps: tuple[int, ...],
    latches: tuple[bool, ...],
    state: int,
) -> None:
    inputs = change(
        base,
        signal={"as_of_ns": stamps[0], "reference_price": numbers[0]},
        account=dict(
            zip(("equity_usd", "buying_power_usd", "settled_cash_usd"), numbers[1:4], strict=True),
            as_of_ns=stamps[1],
        ),
        position={"exposure_usd": numbers[4]},
        quote={"previous_close": numbers[6], "as_of_ns": stamps[2]},
        session={"open_ns": stamps[3], "close_ns": stamps[4]},
        activity=dict(
            zip(
                ("symbol_orders_today", "orders_today", "execution_orders", "reject_streak"),
                counts,
                strict=True,
            ),
            gross_exposure_usd=numbers[7],
        ),
        halt=dict(
            zip(("symbol_locked", "daily_loss", "max_drawdown", "session_drawdown"), latches, strict=True),
            state=state,
        ),
        limits={"max_slip_pct": numbers[8], "min_order_notional": numbers[5]},
    )
    assert reason(run(inputs)[0]) == "PASS"


@given(
    qty=st.integers(-500, 500),
    reserved=st.integers(0, 100),
    side=st.sampled_from([BUY, SELL]),
    ordered=st.integers(1, 500),
    bad=st.sampled_from([case for case in CASES if case.failed]),
)
def test_an_exit_fails_on_nothing_but_what_the_table_enforces(
    qty: int, reserved: int, side: int, ordered: int, bad: Case
) -> None:
    position = Position(float(qty), float(reserved), abs(qty) * 100.0)
    inputs = bad.inputs | {"order": Order(side, float(ordered), 100.0, False), "position": position}
    failed = set(failed_codes(run(inputs)[0]))
    if is_reducing(inputs["order"], position):
        assert failed <= ENFORCED_ON_EXITS
        assert Code.SHORT_NOT_ALLOWED not in failed
    elif side == SELL:
        assert Code.SHORT_NOT_ALLOWED in failed


shares = st.one_of(st.integers(1, 60).map(float), st.integers(1, 20_000_000_000).map(lambda n: n / 1e9))


@given(
    start=shares,
    orders=st.lists(st.tuples(st.sampled_from([BUY, SELL]), shares, st.booleans()), min_size=1, max_size=30),
)
def test_no_sequence_of_orders_yields_a_short(start: float, orders: list[tuple[int, float, bool]]) -> None:
    held, reserved = start, 0.0
    for side, qty, fills in orders:
        inputs = change(
            ENTRY, position=Position(held, reserved, held * 100.0), order={"side": side, "qty": qty}
        )
        verdict = run(inputs)[0]
        if side == SELL and not verdict >> Code.SHORT_NOT_ALLOWED & 1:
            if fills:
                held = round(held - qty, 9)
            else:
                reserved = round(reserved + qty, 9)
        elif side == BUY:
            held = round(held + qty, 9)
        assert held >= reserved


# --- reducing is computed


def test_reducing_is_toward_zero_and_within_the_free_quantity() -> None:
    long, short = Position(10.0, 4.0, 0.0), Position(-10.0, 4.0, 0.0)
    assert free_quantity(long) == free_quantity(short) == 6.0
    assert is_reducing(Order(SELL, 6.0, 1.0, False), long)
    assert not is_reducing(Order(SELL, 6.01, 1.0, False), long)
    assert not is_reducing(Order(BUY, 1.0, 1.0, False), long)
    assert is_reducing(Order(BUY, 6.0, 1.0, False), short)
    assert not is_reducing(Order(SELL, 1.0, 1.0, False), short)
    assert not is_reducing(Order(SELL, 1.0, 1.0, True), Position(0.0, 0.0, 0.0))
    assert not is_reducing(Order(SELL, nan, 1.0, False), long)
    assert not is_reducing(Order(SELL, 1.0, 1.0, False), Position(nan, 0.0, 0.0))
    assert isnan(free_quantity(Position(10.0, -1.0, 0.0)))


def test_a_billionth_of_a_share_too_much_is_too_much() -> None:
    assert is_reducing(Order(SELL, 1.0, 100.0, False), Position(1.0, 0.0, 100.0))
    assert not is_reducing(Order(SELL, 1.000000001, 100.0, False), Position(1.0, 0.0, 100.0))
    assert not is_reducing(Order(SELL, 1.0, 100.0, False), Position(1.0, 1e-9, 100.0))


def test_float_noise_in_the_reserved_quantity_does_not_refuse_the_last_share() -> None:
    assert is_reducing(Order(SELL, 0.2, 100.0, False), Position(0.3, 0.1, 30.0))


# --- the words for it


def test_reason_is_the_first_failed_code_and_a_halt_with_its_cause() -> None:
    assert reason(0, "DAILY_LOSS") == "PASS"
    both = 1 << Code.REDUCE_ONLY | 1 << Code.DAILY_LOSS
    assert reason(both, "DAILY_LOSS") == "REDUCE_ONLY cause=DAILY_LOSS"
    assert reason(both) == "REDUCE_ONLY"
    assert reason(1 << Code.STALE_QUOTE | 1 << Code.DAILY_LOSS, "DAILY_LOSS") == "STALE_QUOTE"
    assert reason(np.uint64(1) << np.uint64(Code.REJECT_STREAK)) == "REJECT_STREAK"


def test_log_lines_name_what_the_order_was_and_what_was_measured() -> None:
    inputs = change(ENTRY, quote={"as_of_ns": ENTRY["now_ns"] - 20 * 10**9})
    verdict, measured, limit = run(inputs)
    line = reject_line("AAPL", inputs["order"], verdict, "", measured, limit)
    assert line == "PRETRADE_GATE_REJECT: STALE_QUOTE symbol=AAPL side=buy qty=10 measured=20 limit=15"
    verdict, measured, limit = run(change(ENTRY, halt={"state": 1}))
    line = reject_line("AAPL", ENTRY["order"], verdict, "DAILY_LOSS", measured, limit)
    assert line == (
        "PRETRADE_GATE_REJECT: REDUCE_ONLY cause=DAILY_LOSS symbol=AAPL side=buy qty=10 measured=1 limit=0"
    )
    assert (
        pass_line("AAPL", EXIT["order"]) == "Pre-trade gate PASS symbol=AAPL side=sell qty=10 limit_price=100"
    )
    with pytest.raises(ValueError, match="is a pass"):
        reject_line("AAPL", ENTRY["order"], 0, "", measured, limit)


def test_the_limits_that_the_gate_reads_are_all_covered_here() -> None:
    elsewhere = {
        "limit_offset", "threshold", "session_drawdown", "max_daily_loss", "max_drawdown", "stop_loss",
        "volatility_target", "use_margin", "fractional", "exit_collar_pct", "max_exit_orders_per_day",
    }  # fmt: skip
    assert set(ENTRY_LIMITS) | elsewhere == set(Limits._fields)


def test_a_signal_of_this_instant_is_zero_seconds_from_the_future_without_a_sign() -> None:
    _, measured, _ = run(change(ENTRY, signal={"as_of_ns": ENTRY["now_ns"]}))
    assert str(measured[Code.SIGNAL_FROM_FUTURE]) == "0.0"
