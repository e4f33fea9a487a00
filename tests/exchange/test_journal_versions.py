"""A journal that an earlier version wrote is read as what it was."""

from __future__ import annotations

from datetime import date
from decimal import Decimal as D
from pathlib import Path
from typing import Any

import pytest
from tapes import SmallTape, at, submit, venue

from trading_assets.exchange.events import Event, decode, encode
from trading_assets.exchange.fill_modes import FillMode
from trading_assets.exchange.store import EventStore
from trading_assets.market.bars import CorporateAction

# market and limit orders, a notional, a dividend, a split, a halt, quotes by hand, a transfer, a reset
FIRST_VERSION = Path(__file__).with_name("journals") / "first_version.tsv"


def first_version() -> list[Event]:
    lines = FIRST_VERSION.read_text().splitlines()
    return [decode(kind, payload) for _, kind, payload in (line.split("\t") for line in lines)]


def test_the_first_versions_journal_gives_the_account_that_it_described(tmp_path: Path) -> None:
    events = first_version()
    store = EventStore(tmp_path)
    store.append(events[:-1])  # without the reset at its end
    store.close()
    exchange = venue(directory=tmp_path)
    account = exchange.state.account
    assert (exchange.state.fill_mode, exchange.now_ns) == (FillMode.IDEAL, at(5, "11:00"))
    assert [order.status.value for order in account.orders.values()] == [
        "filled",
        "filled",
        "expired",
        "canceled",
        "expired",
    ]
    assert account.position_qty("AAA") == 25
    filled = next(iter(account.orders.values()))
    assert (filled.stop_price, filled.replaces, filled.filled_value) == (None, None, D("1254.0000"))
    kinds = [activity.type for activity in account.activities]
    assert kinds == ["FILL", "FILL", "CSD", "SPLIT", "DIV"]
    spent = sum((activity.cash_change for activity in account.activities), D(0))
    assert account.cash == 100_000 + spent
    assert submit(exchange, qty="1").status == "filled"


def test_what_is_read_of_the_first_version_is_written_again_with_the_same_meaning() -> None:
    for event, line in zip(first_version(), FIRST_VERSION.read_text().splitlines(), strict=True):
        _, kind, payload = line.split("\t")
        again_kind, again = encode(event)
        assert again_kind == kind
        assert decode(kind, again) == decode(kind, payload) == event


@pytest.mark.parametrize("kind", Event.__subclasses__(), ids=lambda kind: kind.__name__)
def test_every_event_is_read_as_it_was_written(kind: type[Event]) -> None:
    samples: dict[str, Any] = {
        "int": 7,
        "str": "text",
        "str | None": None,
        "bool": False,
        "Decimal": D("1.50"),
        "Decimal | None": D("0.000000001"),
        "dict[str, bool | int | str]": {"suspend_trade": True, "trade_confirm_email": "none"},
    }
    event = kind(**{name: samples[str(field.type)] for name, field in kind.__dataclass_fields__.items()})
    assert decode(*encode(event)) == event


def test_dividends_and_splits_of_a_restarted_exchange_come_once(tmp_path: Path) -> None:
    actions = (CorporateAction("AAA", date(2012, 10, 3), 2.0, 0.5),)
    first = venue(SmallTape({"AAA": {3: 50.0}}, actions=actions), directory=tmp_path)
    submit(first, qty="10")
    first.move_clock(at(3, "10:00"))
    first.close()
    again = venue(SmallTape({"AAA": {3: 50.0}}, actions=actions), directory=tmp_path)
    again.move_clock(at(4, "10:00"))
    assert [a.type for a in again.state.account.activities] == ["FILL", "DIV", "SPLIT"]
