"""What is asked of a broker no more often than needed: once in an execution, whatever the number of its
snapshots, and the clock where time may have passed."""

from __future__ import annotations

import json
from collections import Counter
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import requests
from engine_ticks import execute, prepare
from support.trading_floor import TradingFloor

from trading_assets.broker.alpaca.adapter import AlpacaBroker
from trading_assets.broker.alpaca.transport import BoundedAdapter
from trading_assets.broker.port import (
    AssetState,
    BrokerError,
    NewOrder,
    NotFound,
    OrderState,
    Rejected,
    Unreachable,
)
from trading_assets.core.gate import reason
from trading_assets.engine.book.asset_list import AssetList
from trading_assets.engine.book.desk import Desk
from trading_assets.engine.book.session_cache import MOST_ASKED_ALONE, DayFacts
from trading_assets.engine.protection.protect import new_execution_id, protect_alone
from trading_assets.engine.signals import tick_signals


@pytest.fixture
def request_counts(monkeypatch: pytest.MonkeyPatch) -> Counter[str]:
    """How often the list of assets was asked for, each asset by itself, and the actions of each session."""
    counts: Counter[str] = Counter()
    asset, assets, actions = AlpacaBroker.asset, AlpacaBroker.assets, AlpacaBroker.corporate_actions

    def counting_asset(broker: AlpacaBroker, symbol: str) -> object:
        counts[symbol] += 1
        return asset(broker, symbol)

    def counting_assets(broker: AlpacaBroker) -> object:
        counts["list"] += 1
        return assets(broker)

    def counting_actions(broker: AlpacaBroker, symbols: tuple[str, ...], *days: Any) -> object:
        counts.update(f"actions of {symbol}" for symbol in symbols if days[0] == days[1])
        return actions(broker, symbols, *days)

    monkeypatch.setattr(AlpacaBroker, "asset", counting_asset)
    monkeypatch.setattr(AlpacaBroker, "assets", counting_assets)
    monkeypatch.setattr(AlpacaBroker, "corporate_actions", counting_actions)
    return counts


def go_to_tick(floor: TradingFloor, desk: Desk, number: int) -> int:
    now = floor.go_to_tick(number)
    desk.clock.sync()
    return now


def test_the_assets_are_asked_for_once_a_session_whatever_trades_and_in_whichever_process(
    floor: TradingFloor, request_counts: Counter[str]
) -> None:
    for number, signals in enumerate([{"AAPL": 0.15}, {"AAPL": -1.0, "IBM": 0.15}]):
        with floor.desk() as desk:  # as another process would open it
            now = go_to_tick(floor, desk, number)
            for symbol, value in signals.items():
                tick_signals.receive(desk, symbol, value)
            prepare(desk, floor.session, now)
            if number:
                del request_counts["actions of AAPL"]
            report = execute(desk, floor.session, now)
    assert [order.state for order in report.orders] == ["FILLED", "FILLED"]
    # protect, for its stop, looks at all actions since the book began of what is held: of more days than this
    assert request_counts == {"list": 1, "actions of AAPL": 1, "actions of IBM": 1}


def test_the_next_session_asks_for_its_own_assets(floor: TradingFloor, request_counts: Counter[str]) -> None:
    with floor.desk() as desk:
        for session in (floor.session, floor.sessions.next(floor.session)):
            now = floor.go_to_session(session)
            desk.begin()
            tick_signals.receive(desk, "AAPL", 0.15)
            prepare(desk, session, now)
            execute(desk, session, now)
    assert request_counts["list"] == 2


def test_who_is_halted_after_the_list_was_read_is_refused_by_its_stale_quote(
    floor: TradingFloor, request_counts: Counter[str]
) -> None:
    with floor.desk() as desk:
        for number in (0, 1):
            now = go_to_tick(floor, desk, number)
            tick_signals.receive(desk, "AAPL", 0.15 * (number + 1))
            prepare(desk, floor.session, now)
            report = execute(desk, floor.session, now)
            floor.keeper.halt("AAPL")
    assert [reason(verdict.failed) for verdict in report.verdicts] == ["STALE_QUOTE"]
    assert request_counts["AAPL"] == 0


def test_a_no_of_the_list_is_asked_again_so_that_it_holds_no_exit_after_its_end(
    floor: TradingFloor, request_counts: Counter[str]
) -> None:
    with floor.desk() as desk:
        now = go_to_tick(floor, desk, 0)
        tick_signals.receive(desk, "AAPL", 0.15)
        prepare(desk, floor.session, now)
        execute(desk, floor.session, now)
        listed = Path(desk.settings.data_dir) / "assets-embedded-paper.json"
        kept = json.loads(listed.read_text())
        kept["assets"]["AAPL"] = "H"  # it was halted when the session's list was read
        listed.write_text(json.dumps(kept))
        now = go_to_tick(floor, desk, 1)
        tick_signals.receive(desk, "AAPL", -1.0)
        prepare(desk, floor.session, now)
        report = execute(desk, floor.session, now)
    assert [order.state for order in report.orders] == ["FILLED"]
    assert request_counts["AAPL"] == 1


def test_a_symbol_that_cannot_be_traded_since_the_morning_is_refused_once_the_broker_has_rejected_an_order(
    floor: TradingFloor, request_counts: Counter[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """The broker is asked for its asset once, by whoever wants to buy of it next, in whichever process."""
    asset, is_tradable = AlpacaBroker.asset, False

    def submit(broker: AlpacaBroker, order: NewOrder) -> OrderState:
        raise Rejected(422, 42210000, f"asset {order.symbol} is not tradable")

    def of_now(broker: AlpacaBroker, symbol: str) -> AssetState:
        return replace(asset(broker, symbol), tradable=is_tradable)

    monkeypatch.setattr(AlpacaBroker, "asset", of_now)
    result = []
    for number in range(5):
        is_tradable = number >= 3
        with monkeypatch.context() as patch, floor.desk() as desk:
            if number == 0:
                patch.setattr(AlpacaBroker, "submit", submit)
            now = go_to_tick(floor, desk, number)
            tick_signals.receive(desk, "AAPL", 0.15 * (1 + number))
            prepare(desk, floor.session, now)
            report = execute(desk, floor.session, now)
            result.append([reason(one.failed) for one in report.verdicts] + [o.state for o in report.orders])
    assert result == [
        ["PASS", "REJECTED"],
        ["ASSET_NOT_TRADABLE"],
        ["ASSET_NOT_TRADABLE"],
        ["PASS", "FILLED"],
        ["PASS", "FILLED"],
    ]
    assert (request_counts["list"], request_counts["AAPL"]) == (1, 3)  # a yes is not asked again


def _assets(count: int, **members: bool) -> dict[str, AssetState]:
    stated = {"tradable": True, "fractionable": True, "halted": False, **members}
    return {f"S{n}": AssetState(f"S{n}", **stated) for n in range(count)}


class Answering:
    """A broker of assets alone."""

    def __init__(self, listed: dict[str, AssetState] | BrokerError, alone: dict[str, AssetState]) -> None:
        self._listed, self._alone = listed, alone
        self.request_counts: Counter[str] = Counter()

    def assets(self) -> list[AssetState]:
        self.request_counts["list"] += 1
        if isinstance(self._listed, BrokerError):
            raise self._listed
        return list(self._listed.values())

    def asset(self, symbol: str) -> AssetState:
        self.request_counts[symbol] += 1
        if symbol not in self._alone:
            raise NotFound(404, 40410000, f"asset not found for {symbol}")
        return self._alone[symbol]


def test_a_symbol_that_the_list_lacks_is_asked_for_by_itself_and_one_that_is_gone_is_refused() -> None:
    broker: Any = Answering(_assets(3), {"NEW": AssetState("NEW", True, False, False)})
    facts = DayFacts()
    for _ in range(2):
        assert facts.asset(broker, "NEW").tradable
        assert not facts.asset(broker, "GONE").tradable
        assert facts.asset(broker, "S1").tradable
    assert broker.request_counts == {"list": 1, "NEW": 1, "GONE": 1}


@pytest.mark.parametrize("listed", [{"tradable": False}, {"halted": True}, None])
def test_however_many_are_halted_or_missing_an_execution_asks_for_a_bounded_number(
    listed: dict[str, bool] | None,
) -> None:
    many = _assets(500)
    broker: Any = Answering(
        {"S": AssetState("S", True, True, False)} if listed is None else _assets(500, **listed), many
    )
    facts = DayFacts()
    assets = [facts.asset(broker, symbol) for symbol in many]
    assert broker.request_counts.total() == 1 + MOST_ASKED_ALONE
    assert [asset.tradable and not asset.halted for asset in assets] == [True] * MOST_ASKED_ALONE + [
        False
    ] * (500 - MOST_ASKED_ALONE)


def test_a_doubt_costs_one_question_and_holds_no_exit_where_too_many_are_in_doubt(tmp_path: Path) -> None:
    many = _assets(30)
    broker: Any = Answering(many, many)
    kept = AssetList(tmp_path / "assets.json", "s")
    first = DayFacts(kept)
    assert first.asset(broker, "S0").known
    first.doubt(many)
    assert broker.request_counts.total() == 1
    second = DayFacts(kept)
    assets = [second.asset(broker, symbol) for symbol in many]
    # one that is not known lets an exit pass and no entry
    assert [asset.known for asset in assets] == [True] * MOST_ASKED_ALONE + [False] * 10
    assert all(asset.tradable for asset in assets)
    third = DayFacts(kept)
    assert [third.asset(broker, symbol) for symbol in many] == list(many.values())
    assert broker.request_counts == {"list": 1, **dict.fromkeys(many, 1)}
    assert kept.read() == many


def test_a_list_that_is_not_read_costs_no_symbol_its_own_answer(tmp_path: Path) -> None:
    broker: Any = Answering(Unreachable("scripted"), _assets(3))
    kept = AssetList(tmp_path / "assets.json", "2012-07-05")
    facts = DayFacts(kept)
    assert [facts.asset(broker, symbol).tradable for symbol in ("S0", "S1", "S0")] == [True] * 3
    assert broker.request_counts == {"list": 1, "S0": 1, "S1": 1}
    assert kept.read() is None  # the next execution asks for the list


def test_without_a_list_a_bounded_number_is_asked_for_and_the_others_are_not_known() -> None:
    many = _assets(50)
    broker: Any = Answering(Unreachable("scripted"), many)
    facts = DayFacts()
    for number, symbol in enumerate(many):
        if number < MOST_ASKED_ALONE:
            assert facts.asset(broker, symbol).tradable
        else:
            with pytest.raises(Unreachable, match=symbol):
                facts.asset(broker, symbol)
    assert broker.request_counts.total() == 1 + MOST_ASKED_ALONE


def test_the_kept_list_is_private_whole_and_of_one_session(tmp_path: Path) -> None:
    path = tmp_path / "assets.json"
    assets = _assets(2) | {"NO": AssetState("NO", False, False, True)}
    AssetList(path, "2012-07-05").keep(assets)
    assert AssetList(path, "2012-07-05").read() == assets
    assert AssetList(path, "2012-07-06").read() is None
    assert path.stat().st_mode & 0o777 == 0o600
    assert list(tmp_path.iterdir()) == [path]


@pytest.mark.parametrize(
    "content", [b"", b"{", b"[]", b'{"version": 1}', b'{"version": 1, "session": "s", "assets": {"A": 1}}']
)
def test_a_kept_list_that_is_damaged_is_asked_for_again(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "assets.json"
    path.write_bytes(content)
    broker: Any = Answering(_assets(1), {})
    assert DayFacts(AssetList(path, "s")).asset(broker, "S0").tradable
    assert broker.request_counts == {"list": 1}
    assert AssetList(path, "s").read() == _assets(1)


def test_a_place_that_cannot_be_written_costs_a_request_and_nothing_else(tmp_path: Path) -> None:
    kept = AssetList(tmp_path / "not-there" / "assets.json", "s")
    broker: Any = Answering(_assets(1), {})
    for _ in range(2):
        assert DayFacts(kept).asset(broker, "S0").tradable
    assert broker.request_counts == {"list": 2}


def test_a_desk_that_opens_and_protects_reads_the_clock_twice_and_the_account_twice(
    floor: TradingFloor, monkeypatch: pytest.MonkeyPatch
) -> None:
    with floor.desk() as desk:
        floor.go_to_tick(0)
        protect_alone(desk, new_execution_id())  # the book begins
    queries: Counter[str] = Counter()
    send = BoundedAdapter.send

    def counting(
        adapter: BoundedAdapter, request: requests.PreparedRequest, *args: object, **named: object
    ) -> requests.Response:
        queries[str(request.path_url).partition("?")[0].removeprefix("/v2/")] += 1
        return send(adapter, request, *args, **named)  # type: ignore[arg-type]

    monkeypatch.setattr(BoundedAdapter, "send", counting)
    with floor.desk() as desk:
        protect_alone(desk, new_execution_id())
    assert queries == {  # whose account it is, the time; then the reconciliation's time, account and lists
        "clock": 2,
        "account": 2,
        "positions": 1,
        "orders": 2,
        "account/activities": 1,
    }
