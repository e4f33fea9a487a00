"""What only a broker can do, through the keeper, as alpaca-py then reads it."""

from __future__ import annotations

from collections.abc import Iterator
from decimal import Decimal

import pytest
from served import Served, keeping

from trading_assets.exchange.control_client import ControlRefused
from trading_assets.exchange.process import ExchangeProcess


@pytest.fixture
def served(exchange: ExchangeProcess) -> Iterator[Served]:
    with keeping(exchange) as served:
        yield served


def cash(served: Served) -> Decimal:
    return Decimal(served.get("/v2/account")["cash"])


def test_a_fee_is_booked_with_its_activity(served: Served) -> None:
    activity_id = served.keeper.post_activity("FEE", Decimal("-1.25"), description="TAF fee")
    (activity,) = served.get("/v2/account/activities/FEE")
    assert (activity["id"], activity["net_amount"], activity["description"]) == (
        activity_id,
        "-1.25",
        "TAF fee",
    )
    assert cash(served) == Decimal("99998.75")


def test_shares_are_journalled_in_and_out(served: Served) -> None:
    served.keeper.move_shares("IBM", Decimal("2.5"))
    assert [(p.symbol, p.qty) for p in served.client().get_all_positions()] == [("IBM", "2.5")]
    activity_id = served.keeper.move_shares("IBM", Decimal("-2.5"))
    assert served.client().get_all_positions() == []
    assert served.get("/v2/account/activities/JNLS")[0]["id"] == activity_id
    assert cash(served) == 100_000


def test_a_fill_is_corrected_and_then_busted(served: Served) -> None:
    served.order("IBM", qty=2)
    (fill,) = served.get("/v2/account/activities/FILL")
    corrected = served.keeper.correct(fill["id"], Decimal(100))
    assert cash(served) == 100_000 - 200
    busted = served.keeper.bust(corrected)
    assert cash(served) == 100_000
    lines = served.get("/v2/account/activities/FILL", direction="asc")
    assert [(line["id"], line["type"]) for line in lines] == [
        (fill["id"], "fill"),
        (corrected, "trade_correct"),
        (busted, "trade_bust"),
    ]
    assert served.client().get_all_positions() == []


def test_a_reset_gives_the_number_of_the_new_account(served: Served) -> None:
    number = served.keeper.reset(Decimal(5_000))
    account = served.client().get_account()
    assert (account.account_number, account.cash) == (number, "5000")


@pytest.mark.parametrize(
    ("path", "members", "says"),
    [
        ("/activity", {"amount": 1}, "kind is required"),
        ("/activity", {"kind": "FEE"}, "amount is required"),
        ("/activity", {"kind": "FILL", "amount": 1}, "cannot be posted"),
        ("/activity", {"kind": "FEE", "amount": "-1000000"}, "insufficient buying power"),
        ("/bust", {}, "activity_id is required"),
        ("/bust", {"activity_id": "none"}, "fill not found"),
        ("/correct", {"activity_id": "none"}, "price is required"),
        ("/position", {"symbol": "IBM", "qty_change": 0}, "must not be 0"),
        ("/position", {"symbol": "IBM", "qty_change": -1}, "insufficient qty"),
        ("/position", {"qty_change": 1}, "symbol is required"),
        ("/faults", {"faults": {}}, "faults must be a list"),
        ("/faults", {"faults": ["drop"]}, "faults must be a list"),
    ],
)
def test_what_the_broker_cannot_do_is_refused_and_nothing_is_booked(
    served: Served, path: str, members: dict[str, object], says: str
) -> None:
    with pytest.raises(ControlRefused, match=says):
        served.keeper._call("POST", path, members)
    assert served.get("/v2/account/activities") == []
    assert cash(served) == 100_000
