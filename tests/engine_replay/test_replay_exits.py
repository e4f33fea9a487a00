"""A signal's exit that does not get out, replayed: proposed again as the live desk's protection does."""

from __future__ import annotations

from itertools import pairwise
from typing import Any

from handmade_bars import HandmadeBars

from trading_assets.core.backoff import Share, is_due, spread_wait_ns
from trading_assets.engine.replay import ExternalSignal
from trading_assets.engine.replay.report import ReplayReport
from trading_assets.market.sessions import MINUTE_NS
from trading_assets.store.history import History

FLAT = (100.0, 100.0)
RESTING = 99.7  # inside the collar, below the ask


def sent(report: ReplayReport) -> list[dict[str, Any]]:
    return History(report.history_path).query("SELECT * FROM orders ORDER BY created_ns, attempt").to_pylist()


def no_minutes(bars: HandmadeBars, first_ns: int, last_ns: int) -> None:
    """Nobody trades from one time to the other."""
    with bars.history.writing() as connection:
        connection.execute(
            "DELETE FROM bars WHERE \"interval\" = '1m' AND start_ns BETWEEN ? AND ?", [first_ns, last_ns]
        )


def test_an_exit_that_the_gate_refuses_beside_an_entry_at_work_goes_at_the_next_protection(
    bars: HandmadeBars,
) -> None:
    bars.plant_daily("AAPL", [FLAT])
    bars.plant_minutes("AAPL", bars.days[0], [100.0])
    bars.settings = bars.settings.model_copy(update={"timeout_seconds": 1e6})
    first, second, third, *_ = bars.sessions.ticks(bars.days[0], 30)
    report = bars.replay(
        1,
        ExternalSignal("AAPL", 0.4, first),
        ExternalSignal("AAPL", 1.0, second, limit_price=RESTING),
        ExternalSignal("AAPL", -1.0, third),
        interval=30,
    )
    bought, resting, sold = sent(report)
    assert (bought["state"], resting["state"], sold["state"]) == ("FILLED", "CANCELED", "FILLED")
    assert (sold["created_ns"], sold["qty"], sold["attempt"]) == (third + MINUTE_NS, bought["qty"], 1)
    assert resting["detail"] == "the last signal sells"
    (refused,) = (
        History(report.history_path)
        .query("SELECT decision_id, outcome FROM signals WHERE outcome = 'REFUSED'")
        .to_pylist()
    )
    assert refused["decision_id"] == sold["decision_id"]


def test_a_part_that_the_gate_refuses_beside_an_entry_at_work_is_sold_once_that_has_ended(
    bars: HandmadeBars,
) -> None:
    bars.plant_daily("AAPL", [FLAT])
    bars.plant_minutes("AAPL", bars.days[0], [100.0])
    bars.settings = bars.settings.model_copy(update={"timeout_seconds": 35 * 60.0})
    first, second, third, *_ = bars.sessions.ticks(bars.days[0], 30)
    report = bars.replay(
        1,
        ExternalSignal("AAPL", 0.4, first),
        ExternalSignal("AAPL", 1.0, second, limit_price=RESTING),
        ExternalSignal("AAPL", 0.2, third),
        interval=30,
    )
    bought, resting, sold = sent(report)
    assert (bought["state"], resting["state"], sold["state"]) == ("FILLED", "CANCELED", "FILLED")
    assert resting["detail"] != "the last signal sells"
    assert (sold["created_ns"], sold["side"], sold["qty"]) == (
        second + 35 * MINUTE_NS,
        -1,
        bought["qty"] // 2,
    )


def test_a_signal_to_hold_supersedes_an_exit_that_did_not_get_out(bars: HandmadeBars) -> None:
    bars.plant_daily("AAPL", [FLAT])
    bars.plant_minutes("AAPL", bars.days[0], [100.0])
    first, second, third, *_ = bars.sessions.ticks(bars.days[0], 30)
    no_minutes(bars, second - 5 * MINUTE_NS, third + 9 * MINUTE_NS)
    selling = ExternalSignal("AAPL", 0.4, first), ExternalSignal("AAPL", -1.0, second)
    assert sent(bars.replay(1, *selling, interval=30, name="sells"))[-1]["state"] == "FILLED"
    held = sent(bars.replay(1, *selling, ExternalSignal("AAPL", 0.4, third), interval=30))
    assert {order["state"] for order in held[1:]} == {"CANCELED"}
    assert max(order["created_ns"] for order in held) < third


def test_an_exit_that_nobody_takes_is_tried_to_the_last_hour_within_its_share(bars: HandmadeBars) -> None:
    bars.plant_daily("AAPL", [FLAT])
    bars.plant_minutes("AAPL", bars.days[0], [100.0])
    ticks = bars.sessions.ticks(bars.days[0], 5)
    open_ns, close_ns = bars.sessions.open_ns(bars.days[0]), bars.sessions.close_ns(bars.days[0])
    no_minutes(bars, ticks[1] - 5 * MINUTE_NS, close_ns)
    for every_tick in (False, True):
        signals = [ExternalSignal("AAPL", -1.0, at_ns) for at_ns in (ticks[1:] if every_tick else ticks[1:2])]
        report = bars.replay(
            1, ExternalSignal("AAPL", 0.4, ticks[0]), *signals, interval=5, name=f"all-{every_tick}"
        )
        at_ns = [order["created_ns"] for order in sent(report)[1:]]
        expected: list[int] = []
        for now_ns in range(ticks[1], close_ns, MINUTE_NS):
            last_ns = expected[-1] if expected else 0
            share = Share(close_ns - last_ns, 1, 40.0 - len(expected), 40.0)
            if share.left and is_due(spread_wait_ns(len(expected), share), last_ns, now_ns):
                expected.append(now_ns)
        assert at_ns == expected
        assert len(at_ns) <= 40
        assert [number for number in at_ns if number >= close_ns - 60 * MINUTE_NS]
        assert min(later - earlier for earlier, later in pairwise(at_ns[5:])) >= 10 * MINUTE_NS
        assert at_ns[0] - open_ns == 10 * MINUTE_NS
