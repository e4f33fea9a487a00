from __future__ import annotations

from dataclasses import dataclass
from datetime import date

import numpy as np
import pytest

from trading_assets.errors import InvalidInput
from trading_assets.features.daily import DAILY
from trading_assets.market.bars import Bars, CorporateAction
from trading_assets.market.bundle import BundledTape
from trading_assets.market.feeds import IEX, WHOLE_MARKET
from trading_assets.market.sessions import Sessions
from trading_assets.model.training_set import (
    SymbolHistory,
    TrainingSet,
    build_training_set,
    total_return_index,
)

DAYS = Sessions().between(date(2005, 1, 3), date(2005, 1, 31))  # 20 sessions


@dataclass(frozen=True)
class CloseAndVolume:
    """Two features with a look-back of two bars: small enough to check by hand."""

    names: tuple[str, ...] = ("close", "volume_ratio")
    lookback: int = 2
    identity: str = "test-1"

    def compute_bulk(self, bars: Bars, split_ratio: np.ndarray, cash: np.ndarray) -> np.ndarray:
        rows = np.full((len(bars.close), 2), np.nan)
        rows[1:, 0] = bars.close[1:]
        rows[1:, 1] = bars.volume[1:] / bars.volume[:-1]
        return rows


def bars(opens: list[float], days: list[date] = DAYS) -> Bars:
    open_ = np.array(opens)
    start = np.array([Sessions().open_ns(day) for day in days])
    end = np.array([Sessions().close_ns(day) for day in days])
    return Bars(start, end, open_, open_ + 1.0, open_ - 1.0, open_ + 0.5, np.full(len(open_), 100.0))


def history(opens: list[float], *actions: CorporateAction, days: list[date] = DAYS) -> SymbolHistory:
    return SymbolHistory(bars(opens, days), actions, "made up")


def flat(price: float = 50.0) -> SymbolHistory:
    return history([price] * len(DAYS))


def built(**histories: SymbolHistory) -> TrainingSet:
    return build_training_set(histories, features=CloseAndVolume(), horizon=5)


def label_of(training_set: TrainingSet, symbol: str, day: date) -> float:
    code, at = training_set.symbols.index(symbol), training_set.sessions.index(day)
    (row,) = np.flatnonzero((training_set.symbol == code) & (training_set.session == at))
    return float(training_set.y[row])


def test_the_label_runs_from_the_next_open_for_five_sessions_less_the_sessions_mean() -> None:
    rising = [100.0 + step for step in range(len(DAYS))]
    training_set = built(UP=history(rising), FLAT=flat())
    total = 109.0 / 104.0 - 1.0  # a row at DAYS[3] buys at the open of DAYS[4] and sells at that of DAYS[9]
    assert label_of(training_set, "UP", DAYS[3]) == pytest.approx(total / 2)
    assert label_of(training_set, "FLAT", DAYS[3]) == pytest.approx(-total / 2)


def test_labels_of_a_session_have_mean_zero() -> None:
    rng = np.random.default_rng(3)
    training_set = built(**{name: history(list(rng.uniform(20, 30, len(DAYS)))) for name in "ABC"})
    for at in np.unique(training_set.session):
        assert training_set.y[training_set.session == at].mean() == pytest.approx(0.0, abs=1e-15)


def test_a_split_and_a_dividend_inside_the_label_count_as_return_and_not_as_a_fall() -> None:
    split_then_cash = [100.0] * 6 + [50.0] * 14
    actions = (CorporateAction("X", DAYS[6], 2.0, 0.0), CorporateAction("X", DAYS[8], 1.0, 0.5))
    training_set = built(X=history(split_then_cash, *actions), FLAT=flat())
    assert label_of(training_set, "X", DAYS[3]) == pytest.approx(0.01 / 2)  # 0.50 on 50


def test_an_action_on_the_morning_of_the_purchase_is_not_in_the_label() -> None:
    training_set = built(
        X=history([100.0] * 4 + [50.0] * 16, CorporateAction("X", DAYS[4], 2.0, 0.0)), FLAT=flat()
    )
    assert label_of(training_set, "X", DAYS[3]) == pytest.approx(0.0)


def test_rows_dropped_are_counted_by_reason() -> None:
    late = history([50.0] * 10, days=DAYS[10:])
    training_set = built(A=flat(), B=late)
    assert training_set.dropped.features == 2  # each symbol's first bar
    assert training_set.dropped.label == 2 * 6  # the last h + 1 sessions
    assert training_set.dropped.alone == 10  # A before B has features
    assert len(training_set) == 30 - 2 - 12 - 10


def test_a_row_whose_purchase_or_sale_falls_on_a_missing_bar_has_no_label() -> None:
    gap = [day for day in DAYS if day != DAYS[9]]
    training_set = built(A=flat(), B=flat(), C=history([50.0] * len(gap), days=gap))
    code = training_set.symbols.index("C")
    sessions = {training_set.sessions[at] for at in training_set.session[training_set.symbol == code]}
    assert DAYS[8] not in sessions  # buys at DAYS[9]
    assert DAYS[3] not in sessions  # sells at DAYS[9]
    assert {DAYS[2], DAYS[4], DAYS[7], DAYS[10]} <= sessions


def test_a_rows_label_ends_where_its_sale_is() -> None:
    training_set = built(A=flat(), B=flat())
    assert (training_set.label_end - training_set.session == 6).all()
    assert training_set.label_end.max() == len(DAYS) - 1


def test_bars_after_a_labels_end_change_nothing_before() -> None:
    rng = np.random.default_rng(5)
    a, b = rng.uniform(20, 30, len(DAYS)), rng.uniform(20, 30, len(DAYS))
    whole = built(A=history(list(a)), B=history(list(b)))
    a[15:] *= 3.0
    changed = built(A=history(list(a)), B=history(list(b)))
    known = whole.label_end < 15
    assert known.any()
    assert np.array_equal(whole.y[known], changed.y[known])
    assert np.array_equal(whole.X[known], changed.X[known])
    assert not np.array_equal(whole.y[~known], changed.y[~known])


def test_rows_stand_by_session_then_symbol_whatever_the_order_given() -> None:
    rng = np.random.default_rng(6)
    histories = {name: history(list(rng.uniform(20, 30, len(DAYS)))) for name in "ABC"}
    one, other = built(**histories), built(**dict(reversed(histories.items())))
    assert np.array_equal(one.X, other.X)
    assert np.array_equal(one.y, other.y)
    assert np.array_equal(np.lexsort((one.symbol, one.session)), np.arange(len(one)))


def test_arrays_are_read_only() -> None:
    training_set = built(A=flat(), B=flat())
    with pytest.raises(ValueError, match="read-only"):
        training_set.y[0] = 1.0


def test_one_symbol_alone_is_refused() -> None:
    with pytest.raises(InvalidInput, match=r"1 symbols.*at least two symbols"):
        built(A=flat())


def test_a_bar_on_a_closed_day_is_refused_by_its_date() -> None:
    stray = bars([50.0] * len(DAYS))
    day_ns = 86_400_000_000_000
    moved = stray._replace(start_ns=stray.start_ns + day_ns * (np.arange(len(DAYS)) == 4))
    with pytest.raises(InvalidInput, match="X has a daily bar on 2005-01-08"):  # a Saturday
        built(X=SymbolHistory(moved, (), "made up"), A=flat())


def test_a_range_too_short_for_one_row_is_refused() -> None:
    short = [history([50.0] * 6, days=DAYS[:6]) for _ in range(2)]
    with pytest.raises(InvalidInput, match="no row of 12 bars"):
        built(A=short[0], B=short[1])


def test_real_bars_give_labels_without_split_jumps() -> None:
    tape = BundledTape()
    histories = {
        symbol: SymbolHistory(tape.daily(symbol), tape.actions(symbol), "wiki")
        for symbol in ("AAPL", "MSFT", "IBM")
    }
    training_set = build_training_set(histories)
    assert training_set.feature_names == tuple(DAILY.names)
    assert np.isfinite(training_set.X).all()
    around = [
        training_set.sessions.index(day) for day in Sessions().between(date(2005, 2, 18), date(2005, 3, 4))
    ]
    largest = np.abs(training_set.y[np.isin(training_set.session, around)]).max()
    assert largest < 0.15  # AAPL's 2:1 split taken for a fall would be 0.33
    assert training_set.dropped.label == 3 * 6


def test_the_total_return_index_compounds_splits_and_cash() -> None:
    index = total_return_index(
        np.array([100.0, 51.0, 50.0]), np.array([4.0, 2.0, 1.0]), np.array([9.0, 0.0, 2.0])
    )
    assert index == pytest.approx([1.0, 1.02, 1.04])


def test_bars_of_one_exchange_and_of_the_whole_market_are_not_learned_from_together() -> None:
    one = SymbolHistory(bars([50.0] * len(DAYS)), (), "alpaca:iex", IEX)
    assert built(A=one, B=one).market == IEX
    assert built(A=flat(), B=flat()).market == WHOLE_MARKET
    mixed = SymbolHistory(one.daily, (), "alpaca:iex, alpaca:sip", "iex and the whole market")
    for histories in ({"A": flat(), "B": one}, {"A": mixed, "B": mixed}):
        with pytest.raises(InvalidInput, match="trading-assets download --feed sip"):
            built(**histories)
