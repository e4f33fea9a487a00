"""The mark of the last protection: who leaves it, and what it says of a clock that was set."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from engine_ticks import prepare, run_tick
from support.planted import Altered
from support.trading_floor import TradingFloor

from trading_assets.broker.port import Unreachable
from trading_assets.engine.protection.protect import new_execution_id, protect_alone
from trading_assets.engine.protection.protected import note_protected, protected_ago_ns
from trading_assets.market.clock import system_now_ns
from trading_assets.store.journal import Journal

BOOK = "embedded:PA1:paper"
NS = 10**9


@pytest.fixture
def journal(tmp_path: Path) -> Iterator[Journal]:
    with Journal.open(tmp_path / "journal.sqlite") as journal:
        yield journal


def test_a_book_that_was_never_protected_has_no_age(journal: Journal) -> None:
    assert protected_ago_ns(journal, BOOK, now_ns=5 * NS) is None


@pytest.mark.parametrize(("later", "ago"), [(0, 0), (59 * NS, 59 * NS), (-1, None), (-3_600 * NS, None)])
def test_a_mark_ages_by_the_machines_clock_and_tells_nothing_where_that_was_set_back(
    journal: Journal, later: int, ago: int | None
) -> None:
    note_protected(journal, BOOK, now_ns=10_000 * NS)
    assert protected_ago_ns(journal, BOOK, now_ns=10_000 * NS + later) == ago
    assert protected_ago_ns(journal, "another", now_ns=10_000 * NS + later) is None


@pytest.mark.slow
def test_a_tick_and_a_protection_leave_the_mark_and_one_that_broke_off_does_not(floor: TradingFloor) -> None:
    with floor.desk() as desk:
        began = system_now_ns()
        real = desk.broker

        def down() -> object:
            raise Unreachable("the positions are not told")

        desk.broker = Altered(real, positions=down)
        with pytest.raises(Unreachable):
            protect_alone(desk, new_execution_id())
        assert protected_ago_ns(desk.journal, desk.book, now_ns=system_now_ns()) is None
        desk.broker = real
        protect_alone(desk, new_execution_id())
        ago = protected_ago_ns(desk.journal, desk.book, now_ns=system_now_ns())
        assert ago is not None
        assert 0 <= ago <= system_now_ns() - began
        tick_ns = floor.go_to_tick(0)
        began = system_now_ns()
        prepare(desk, floor.session, tick_ns)
        run_tick(desk, floor.session, tick_ns)
        ago = protected_ago_ns(desk.journal, desk.book, now_ns=system_now_ns())
        assert ago is not None
        assert ago <= system_now_ns() - began
