"""The fold over fills and what else happens to an account."""

from __future__ import annotations

import math
from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st

from trading_assets.core.ledger import (
    CashEntry,
    Entry,
    FillEntry,
    Holding,
    Ledger,
    QuantityEntry,
    SplitEntry,
    apply,
    apply_fill,
    fold,
    whole_if_close,
)
from trading_assets.errors import InvalidInput

EMPTY = Ledger(10_000.0)


def aapl(*entries: Entry) -> Holding:
    return fold(EMPTY, entries).holdings["AAPL"]


def buy(qty: float, price: float, symbol: str = "AAPL") -> FillEntry:
    return FillEntry(symbol, 1, qty, price)


def sell(qty: float, price: float, symbol: str = "AAPL") -> FillEntry:
    return FillEntry(symbol, -1, qty, price)


def test_buys_average_their_cost() -> None:
    assert aapl(buy(10, 100.0), buy(30, 120.0)) == Holding(40.0, 115.0, 0.0)


def test_a_sale_realises_the_difference_to_the_average_cost_and_keeps_it() -> None:
    assert aapl(buy(10, 100.0), sell(4, 110.0)) == Holding(6.0, 100.0, 40.0)


def test_a_closed_position_is_flat_and_remembers_what_it_realised() -> None:
    assert aapl(buy(10, 100.0), sell(10, 95.0)) == Holding(0.0, 0.0, -50.0)


def test_a_sale_across_zero_opens_a_short_at_its_own_price() -> None:
    assert aapl(buy(10, 100.0), sell(15, 110.0)) == Holding(-5.0, 110.0, 100.0)


def test_a_short_gains_when_it_is_covered_lower() -> None:
    assert aapl(sell(10, 100.0), sell(10, 110.0), buy(5, 90.0)) == Holding(-15.0 + 0.0, 105.0, 75.0)
    assert aapl(sell(10, 100.0), buy(12, 90.0)) == Holding(2.0, 90.0, 100.0)


def test_fills_move_cash_against_shares() -> None:
    assert fold(EMPTY, [buy(10, 100.0), sell(4, 110.0)]).cash_usd == 10_000.0 - 1_000.0 + 440.0


def test_cash_entries_move_cash_and_no_holding() -> None:
    after = fold(EMPTY, [buy(10, 100.0), CashEntry("AAPL", 3.25, "DIVIDEND"), CashEntry("", -1.0, "FEE")])
    assert after == Ledger(9_002.25, {"AAPL": Holding(10.0, 100.0, 0.0)})


def test_a_split_keeps_the_cost() -> None:
    assert aapl(buy(10, 100.0), SplitEntry("AAPL", 2.0)) == Holding(20.0, 50.0, 0.0)
    assert aapl(buy(10, 100.0), SplitEntry("AAPL", 0.1)) == Holding(1.0, 1000.0, 0.0)


def test_a_split_of_what_is_not_held_holds_nothing() -> None:
    assert aapl(SplitEntry("AAPL", 2.0)) == Holding()


def test_a_quantity_entry_moves_shares_and_cost_but_no_cash() -> None:
    after = fold(EMPTY, [buy(10, 100.0), QuantityEntry("AAPL", 10.0, 0.0)])
    assert after == Ledger(9_000.0, {"AAPL": Holding(20.0, 50.0, 0.0)})
    assert aapl(QuantityEntry("AAPL", -5.0, -500.0)) == Holding(-5.0, 100.0, 0.0)


def test_taking_all_shares_away_realises_their_cost_as_a_loss() -> None:
    assert aapl(buy(10, 100.0), QuantityEntry("AAPL", -10.0, 0.0)) == Holding(0.0, 0.0, -1000.0)


def test_taking_more_than_all_shares_away_opens_the_rest_at_the_entrys_cost() -> None:
    assert aapl(buy(10, 100.0), QuantityEntry("AAPL", -15.0, -450.0)) == Holding(-5.0, 90.0, -1000.0)


def test_an_entry_gives_a_new_ledger_and_leaves_the_old_one() -> None:
    before = apply(EMPTY, buy(10, 100.0))
    apply(before, sell(10, 100.0))
    assert before == Ledger(9_000.0, {"AAPL": Holding(10.0, 100.0, 0.0)})
    assert Ledger(10_000.0, {}) == EMPTY


@pytest.mark.parametrize(
    "entry",
    [
        FillEntry("AAPL", 1, 0.0, 100.0),
        FillEntry("AAPL", 1, -1.0, 100.0),
        FillEntry("AAPL", 0, 1.0, 100.0),
        FillEntry("AAPL", 1, math.nan, 100.0),
        FillEntry("AAPL", 1, 1.0, math.nan),
        FillEntry("AAPL", 1, 1.0, -0.01),
        SplitEntry("AAPL", 0.0),
        SplitEntry("AAPL", math.inf),
        CashEntry("AAPL", math.nan, "DIVIDEND"),
        QuantityEntry("AAPL", math.inf, 0.0),
    ],
)
def test_an_entry_that_cannot_have_happened_is_refused(entry: Entry) -> None:
    with pytest.raises(InvalidInput, match="cannot have happened"):
        apply(EMPTY, entry)


@pytest.mark.parametrize(
    ("qty", "same"), [(1.0 - 1e-16 * 2, 1.0), (5.6e-17, 0.0), (-3e-10, 0.0), (3.0 + 4e-10, 3.0)]
)
def test_rounding_errors_do_not_make_whole_shares_fractional(qty: float, same: float) -> None:
    assert whole_if_close(qty) == same


@pytest.mark.parametrize("qty", [1e-9, 0.5, 2.999999999, 1e15 + 1.0, -7.25])
def test_real_fractions_and_large_quantities_stay(qty: float) -> None:
    assert whole_if_close(qty) == qty


def test_tenths_bought_and_sold_leave_nothing() -> None:
    assert aapl(buy(0.1, 50.0), buy(0.2, 50.0), sell(0.3, 50.0)).qty == 0.0


def test_three_for_one_and_back_is_what_it_was() -> None:
    for shares in range(1, 200):
        held = aapl(buy(shares, 90.0), SplitEntry("AAPL", 1 / 3), SplitEntry("AAPL", 3.0))
        assert held.qty == shares


def test_the_kernel_compiled_and_plain_agree_bit_for_bit() -> None:
    plain = getattr(apply_fill, "py_func", apply_fill)
    for case in [
        (0.0, 0.0, 1, 3.0, 33.33),
        (3.1, 33.33, 1, 0.7, 35.01),
        (3.8, 33.64, -1, 1.9, 31.7),
        (1.9, 33.64, -1, 7.0, 30.0),
        (-5.1, 30.0, 1, 5.1, 29.0),
    ]:
        assert apply_fill(*case) == plain(*case)


cents = st.integers(1, 100_000).map(lambda n: n / 100)
shares = st.one_of(st.integers(1, 1000).map(float), st.integers(1, 10**6).map(lambda n: n / 1000))
symbols = st.sampled_from(["AAPL", "IBM"])
fill_entries = st.builds(FillEntry, symbols, st.sampled_from((-1, 1)), shares, cents)
split_entries = st.builds(SplitEntry, symbols, st.sampled_from((2.0, 3.0, 7.0, 0.5, 0.1, 1.5)))
cash_entries = st.builds(CashEntry, symbols, st.integers(-9999, 9999).map(lambda n: n / 100), st.just("FEE"))
quantity_entries = st.builds(
    QuantityEntry, symbols, st.integers(-500, 500).map(float), st.integers(-9999, 9999).map(float)
)


@given(
    st.lists(st.one_of(fill_entries, split_entries, cash_entries, quantity_entries), max_size=20),
    st.dictionaries(symbols, cents, min_size=2),
)
def test_equity_at_any_mark_is_what_came_in_plus_realised_plus_unrealised(
    entries: list[Entry], marks: dict[str, float]
) -> None:
    ledger = fold(EMPTY, entries)
    brought_in = sum(
        e.amount_usd if isinstance(e, CashEntry) else e.cost_usd
        for e in entries
        if isinstance(e, CashEntry | QuantityEntry)
    )
    held = ledger.holdings.items()
    equity = ledger.cash_usd + sum(h.qty * marks[s] for s, h in held)
    realised = sum(h.realized_usd for _, h in held)
    unrealised = sum(h.qty * (marks[s] - h.avg_cost) for s, h in held)
    # A position of less than the smallest quantity is none: its value, less than a cent, is dropped.
    size = 1.0 + sum(abs(h.qty) * (marks[s] + abs(h.avg_cost)) + abs(h.realized_usd) for s, h in held)
    turnover = sum(e.qty * e.price for e in entries if isinstance(e, FillEntry))
    assert math.isclose(
        equity, EMPTY.cash_usd + brought_in + realised + unrealised, abs_tol=1e-9 * (size + turnover)
    )


@given(st.lists(st.tuples(st.sampled_from((-1, 1)), shares, cents), max_size=12), st.randoms())
def test_the_order_of_fills_does_not_change_the_quantity_or_the_cash(fills: list, random: object) -> None:
    in_order = [FillEntry("AAPL", *fill) for fill in fills]
    shuffled = list(in_order)
    random.shuffle(shuffled)  # type: ignore[attr-defined]
    one, other = fold(EMPTY, in_order), fold(EMPTY, shuffled)
    exact = sum((side * Fraction(qty) for side, qty, _ in fills), Fraction(0))
    for ledger in (one, other):
        assert math.isclose(ledger.holdings.get("AAPL", Holding()).qty, exact, abs_tol=1e-6)
    assert math.isclose(one.cash_usd, other.cash_usd, abs_tol=1e-6)


@given(shares, cents, st.lists(st.sampled_from((2.0, 3.0, 7.0, 20.0, 0.5, 0.1, 1 / 3, 1.5)), max_size=12))
def test_splits_never_lose_a_cent_of_cost(qty: float, price: float, ratios: list[float]) -> None:
    held = aapl(buy(qty, price), *(SplitEntry("AAPL", ratio) for ratio in ratios))
    assert abs(held.qty * held.avg_cost - held.realized_usd - qty * price) < 0.01


@given(st.lists(st.one_of(fill_entries, split_entries, cash_entries), max_size=12), st.integers(0, 12))
def test_folding_in_two_parts_is_folding_at_once(entries: list[Entry], cut: int) -> None:
    assert fold(fold(EMPTY, entries[:cut]), entries[cut:]) == fold(EMPTY, entries)


@given(st.lists(fill_entries, max_size=12))
def test_an_open_position_has_a_cost_and_a_flat_one_has_none(entries: list[Entry]) -> None:
    for held in fold(EMPTY, entries).holdings.values():
        assert (held.avg_cost > 0.0) == (held.qty != 0.0)
