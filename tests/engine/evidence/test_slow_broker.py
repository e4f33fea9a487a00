"""A broker that takes nine seconds for every answer: a stop's sale leaves within the time of a protection."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from counter import Counter, desk_at
from support.planted import Altered

from trading_assets.engine.book import desk as desk_module
from trading_assets.engine.operation import operator
from trading_assets.engine.protection.protect import new_execution_id, protect_alone
from trading_assets.engine.reconciliation.reconcile import adopt, reconcile
from trading_assets.market.clock import monotonic_ns

NS = 10**9
SECONDS_A_READ = 9.0
RUN_SECONDS = 120.0  # after which a protection's run is ended
REQUEST_NAMES = (
    "account",
    "clock",
    "positions",
    "open_orders",
    "orders_since",
    "activities",
    "quotes",
    "asset",
    "assets",
    "corporate_actions",
    "order",
    "order_by_client_id",
    "submit",
    "cancel",
    "cancel_all",
)


class Nine:
    """Answers that take time on a clock of the test's own; `asked`: what was asked, and when it was over."""

    def __init__(self, counter: Counter, monkeypatch: pytest.MonkeyPatch) -> None:
        self.seconds, self.requests = 0.0, list[tuple[str, float]]()
        monkeypatch.setattr(desk_module, "monotonic_ns", lambda: began + int(self.seconds * NS))
        began = monotonic_ns()
        self.broker: Any = Altered(
            counter, **{name: self._slowly(name, getattr(counter, name)) for name in REQUEST_NAMES}
        )

    def _slowly(self, name: str, call: Callable[..., Any]) -> Callable[..., Any]:
        def answer(*arguments: Any, **named: Any) -> Any:
            self.seconds += SECONDS_A_READ
            self.requests.append((name, self.seconds))
            return call(*arguments, **named)

        return answer


@pytest.mark.parametrize("way", ["stop", "flatten"])
def test_the_sale_leaves_before_the_runs_time_is_over_and_asks_for_no_more_than_it_needs(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, way: str
) -> None:
    counter = Counter({"IBM": (10, 200)})  # at its stop
    with desk_at(counter, tmp_path, "IBM") as desk:
        desk.begin()
        adopt(desk, author="tester", reason="held before")
        reconcile(desk)
        slow = Nine(counter, monkeypatch)
        desk.broker = slow.broker
        if way == "stop":
            (order,) = protect_alone(desk, new_execution_id()).orders
        else:
            operator.flatten(desk, reason="all out", author="tester")
            (order,) = desk.journal.orders(desk.book)
        assert order.state == "FILLED"
        names = [name for name, _ in slow.requests]
        sent_after = next(seconds for name, seconds in slow.requests if name == "submit")
        print(f" {way}: {names.index('submit')} reads before the sale, sent after {sent_after:.0f} s", end="")
        assert sent_after + SECONDS_A_READ <= RUN_SECONDS  # opening a desk reads the account once
        before = names[: names.index("submit")]
        assert before.count("positions") == 2
        assert before.count("account") <= 1


def test_a_broker_that_is_not_slow_is_asked_for_everything(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    counter = Counter({"IBM": (10, 100)})
    with desk_at(counter, tmp_path, "IBM") as desk:
        desk.begin()
        adopt(desk, author="tester", reason="held before")
        monkeypatch.setitem(globals(), "SECONDS_A_READ", 0.5)
        slow = Nine(counter, monkeypatch)
        desk.broker = slow.broker
        report = protect_alone(desk, new_execution_id())
        assert report.reconciliation.missed == {}
        names = {name for name, _ in slow.requests}
        assert {"account", "activities", "orders_since", "open_orders", "corporate_actions"} <= names
