"""A session of a replay and the same session traded on the embedded exchange: the same decisions."""

from __future__ import annotations

from dataclasses import replace
from datetime import date
from pathlib import Path

import pytest
from trading_floor import trading_floor

from trading_assets import config
from trading_assets.engine import checks, data_checks, featurise, ingest, settle, signalling, tick
from trading_assets.engine.decide import decide
from trading_assets.engine.desk import Desk
from trading_assets.engine.inputs import DecisionInput
from trading_assets.engine.reconcile import reconcile
from trading_assets.engine.replay import ExternalSignal, ExternalSignals, ReplaySpec
from trading_assets.engine.replay.range_run import replay_range
from trading_assets.store.history import History

pytestmark = pytest.mark.exchange
SESSION = date(2012, 9, 11)
SIGNALS = (  # by tick: buys, one below the threshold, more of one, an exit beside a buy
    {"AAPL": 0.5, "MSFT": 0.9, "IBM": 0.05},
    {"AAPL": 1.0, "GOOG": 1.0},
    {"MSFT": -0.6, "IBM": 0.3, "AAPL": 0.2},
)
OF_THE_VENUE = {"book", "execution_id", "sent_ids"}  # what names things and decides nothing


def live_inputs(desk: Desk, tick_ns: int) -> list[DecisionInput]:
    """One whole live tick; the inputs that its decisions were made from."""
    ingest.store_bars(desk, SESSION, tick_ns)
    checks.record(desk, SESSION, tick_ns, data_checks.bar_checks(desk, SESSION, tick_ns))
    featurise.store_features(desk, SESSION, tick_ns)
    checks.record(desk, SESSION, tick_ns, data_checks.feature_checks(desk, SESSION, tick_ns))
    signalling.store_signals(desk, SESSION, tick_ns)
    checks.record(desk, SESSION, tick_ns, data_checks.signal_checks(desk, SESSION, tick_ns))
    tick.execute(desk, SESSION, tick_ns, f"live-{tick_ns}")
    settle.settle_fills(desk, SESSION, tick_ns)
    settle.settle_positions(desk, SESSION, tick_ns)
    stored = desk.journal.tick_inputs(desk.book, session=SESSION.isoformat(), tick_ns=tick_ns)
    return [DecisionInput.from_json(record.payload) for record in stored]


def comparable(given: DecisionInput) -> dict[str, object]:
    """Every field but names; amounts to a billionth, as the exchange counts in decimals."""
    fields: dict[str, object] = {
        name: getattr(given, name) for name in DecisionInput.__slots__ if name not in OF_THE_VENUE
    }
    for name in ("equity_usd", "buying_power_usd", "settled_cash_usd"):
        fields[name] = round(getattr(given, name), 6)
    fields["sent"] = len(given.sent_ids)
    fields["signals"] = repr(
        tuple(
            replace(s, decision_id="", kind=str(s.kind))
            for s in sorted(given.signals, key=lambda s: s.symbol)
        )
    )
    fields |= {name: repr(getattr(given, name)) for name in ("symbols", "limits")}  # NaN is NaN
    return fields


def outcome(given: DecisionInput) -> list[tuple[object, ...]]:
    return [
        (v.symbol, v.side, v.slice, v.attempt, v.qty, v.limit_price, v.reducing, v.failed)
        for v in decide(given).verdicts
    ]


@pytest.mark.slow
def test_a_replayed_session_decides_on_the_same_inputs_as_the_live_one(tmp_path: Path) -> None:
    live: list[DecisionInput] = []
    sent = []
    with trading_floor(tmp_path, SESSION, data_dir=str(tmp_path / "desk")) as floor:
        settings = config.load(floor.config_path)
        for number, values in enumerate(SIGNALS):
            tick_ns = floor.tick(SESSION, number)
            with floor.open_desk() as desk:
                reconcile(desk)
                for symbol, value in values.items():
                    signalling.receive(desk, symbol, value)
                sent += [ExternalSignal(symbol, value, tick_ns) for symbol, value in values.items()]
                live += live_inputs(desk, tick_ns)
        with floor.open_desk() as desk:
            fills = [(f.symbol, f.side, float(f.qty), float(f.price)) for f in desk.journal.fills(desk.book)]
    replayed: list[DecisionInput] = []
    spec = ReplaySpec(
        SESSION,
        SESSION,
        ExternalSignals(tuple(sent)),
        interval=settings.tick_minutes,
        limits={"stale_quote_seconds": config.limits(settings).stale_quote_seconds},
    )
    report = replay_range(settings, spec, watch=replayed.append)
    assert len(replayed) == 2 * len(SIGNALS)  # exits and entries
    for ours, theirs in zip(replayed, live, strict=True):
        assert comparable(ours) == comparable(theirs)
        assert outcome(ours) == outcome(theirs)
    assert {side for _, side, _, _ in fills} == {-1, 1}
    stored = History(report.history_path).query("SELECT symbol, side, qty, price FROM fills").to_pylist()
    assert sorted(tuple(row.values()) for row in stored) == sorted(fills)
