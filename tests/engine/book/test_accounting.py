"""The fold of the journal is what the broker says, whatever happened; and the cost that stops go by."""

from __future__ import annotations

import random
from collections.abc import Callable, Sequence
from datetime import date
from decimal import Decimal
from pathlib import Path

import pytest
from support.trading_floor import TradingFloor

from trading_assets.broker.port import CorporateActionState, NewOrder, Rejected
from trading_assets.core.words import Side
from trading_assets.engine.book.accounting import CASH, ledger_of, transfers_since
from trading_assets.engine.evidence.stop_costs import costs_of, held_by_ex_dates
from trading_assets.engine.reconciliation.reconcile import reconcile
from trading_assets.market.sessions import Sessions, new_york_midnight_ns
from trading_assets.store.journal import Journal
from trading_assets.store.records import AdjustmentRecord, FillRecord, OpeningPositionRecord

BOOK = "embedded:PA0001:paper"
EX_DATE = date(2005, 2, 28)
OPEN_NS = Sessions().open_ns(date(2005, 2, 25))
NEXT_OPEN_NS = Sessions().open_ns(EX_DATE)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("seed", "session", "kind"), [(1, date(2005, 2, 24), "SPLIT"), (2, date(2004, 11, 11), "DIVIDEND")]
)
def test_the_ledger_is_the_brokers_after_any_sequence_of_events(
    start_floor: Callable[..., TradingFloor], seed: int, session: date, kind: str
) -> None:
    """Across AAPL's split of 2005-02-28 and MSFT's dividend of 2004-11-15."""
    floor = start_floor(session=session, symbols=("AAPL", "IBM", "MSFT"))
    floor.go_to_tick(0)
    chance, number, compared = random.Random(seed), 0, 0
    with floor.desk() as desk:
        reconcile(desk)
        for symbol in floor.settings.symbols:
            limit = Decimal("1.01") * (desk.broker.quotes([symbol])[symbol].ask or 0)
            desk.broker.submit(
                NewOrder(f"first-{symbol}", symbol, Side.BUY, Decimal(9), limit.quantize(Decimal("0.01")))
            )
        for step in range(80):
            act = chance.choice(("buy", "buy", "sell", "transfer", "tick", "tick"))
            symbol = chance.choice(floor.settings.symbols)
            held = {position.symbol: position for position in desk.broker.positions()}
            if act == "transfer":
                floor.keeper.transfer(Decimal(chance.randint(-2000, 2000)) + Decimal("0.25"))
            elif act == "tick":
                number += chance.randint(1, 4)
                if number < len(floor.ticks()):
                    floor.go_to_tick(number)
                else:
                    number = 0
                    floor.go_to_session(floor.sessions.next(floor.session))
            elif act == "buy" or symbol in held:
                quote = desk.broker.quotes([symbol])[symbol]
                assert quote.bid is not None
                side = Side.BUY if act == "buy" else Side.SELL
                limit = (quote.bid * Decimal("0.998" if chance.random() < 0.3 else "1.01")).quantize(
                    Decimal("0.01")
                )
                qty = Decimal(chance.randint(1, 40)) / (8 if chance.random() < 0.3 else 1)
                if side is Side.SELL:
                    qty, limit = min(qty, held[symbol].available - 1), limit * Decimal("0.9")
                order = NewOrder(f"person-{step}", symbol, side, qty, limit.quantize(Decimal("0.01")))
                if qty > 0:
                    try:
                        desk.broker.submit(order)
                    except Rejected:  # no funds left, or shares that another order holds
                        continue
            report = reconcile(desk)
            assert {s: h.qty for s, h in report.ledger.holdings.items() if h.qty} == pytest.approx(
                {symbol: float(position.qty) for symbol, position in report.positions.items()}, abs=1e-9
            )
            assert report.ledger.cash_usd == pytest.approx(float(report.account.cash), abs=0.005)
            compared += 1
        assert compared > 40
        kinds = {entry.kind for entry in desk.journal.adjustments(desk.book)}
        assert {"TRANSFER", kind} <= kinds


def opening(symbol: str, qty: str, cost: str, at_ns: int = OPEN_NS) -> OpeningPositionRecord:
    return OpeningPositionRecord(BOOK, symbol, Decimal(qty), Decimal(cost), at_ns, "test", "test")


def fill(symbol: str, side: int, qty: str, price: str, at_ns: int, key: str) -> FillRecord:
    return FillRecord(
        book=BOOK,
        session="2005-02-25",
        broker_order_id=key,
        client_order_id=None,
        symbol=symbol,
        side=side,
        qty=Decimal(qty),
        price=Decimal(price),
        cum_qty=Decimal(qty),
        at_ns=at_ns,
        activity_id=key,
        received_ns=at_ns,
    )


def split(qty_delta: str, at_ns: int) -> AdjustmentRecord:
    return AdjustmentRecord(
        BOOK, f"split-{at_ns}", "SPLIT", "AAPL", Decimal(qty_delta), Decimal(0), at_ns, "broker", "SPLIT"
    )


def action(symbol: str = "AAPL", ratio: float = 1.0, cash: float = 0.0) -> CorporateActionState:
    return CorporateActionState(symbol, EX_DATE, ratio, cash)


def costs(
    tmp_path: Path, records: Sequence[object], actions: Sequence[CorporateActionState]
) -> dict[str, float]:
    with Journal.open(tmp_path / "journal.sqlite") as journal:
        journal.record_opening([r for r in records if isinstance(r, OpeningPositionRecord)])
        journal.record_fills([r for r in records if isinstance(r, FillRecord)])
        journal.record_adjustments([r for r in records if isinstance(r, AdjustmentRecord)])
        return costs_of(held_by_ex_dates(journal, BOOK, ["AAPL"], actions, EX_DATE), ["AAPL"])


BOUGHT = (opening(CASH, "1000", "0"), fill("AAPL", 1, "10", "88", OPEN_NS + 1, "a"))
MIDNIGHT_NS = new_york_midnight_ns(EX_DATE)


@pytest.mark.parametrize(
    ("more", "actions", "expected"),
    [
        ((), (), 88.0),
        ((), (action(cash=3.08),), 84.92),
        ((), (action(ratio=2.0),), 44.0),  # the broker has not booked it yet
        ((split("10", MIDNIGHT_NS),), (action(ratio=2.0),), 44.0),  # it has: once is enough
        ((split("10", MIDNIGHT_NS + 2 * 86_400 * 10**9),), (action(ratio=2.0),), 44.0),
        ((split("10", MIDNIGHT_NS),), (), 44.0),
        ((), (action("IBM", ratio=2.0, cash=5.0),), 88.0),
        ((fill("AAPL", 1, "10", "80", NEXT_OPEN_NS, "b"),), (action(cash=8.0),), 80.0),  # only what was held
        ((fill("AAPL", -1, "10", "90", OPEN_NS + 2, "b"),), (action(ratio=2.0, cash=1.0),), None),
    ],
)
def test_the_cost_of_a_stop_follows_splits_and_dividends(
    tmp_path: Path,
    more: tuple[object, ...],
    actions: tuple[CorporateActionState, ...],
    expected: float | None,
) -> None:
    result = costs(tmp_path, (*BOUGHT, *more), actions)
    assert result == ({} if expected is None else {"AAPL": pytest.approx(expected)})


def test_a_dividend_from_before_the_book_began_is_in_the_adopted_cost(tmp_path: Path) -> None:
    adopted = (opening(CASH, "1000", "0", NEXT_OPEN_NS), opening("AAPL", "10", "44", NEXT_OPEN_NS))
    assert costs(tmp_path, adopted, (action(ratio=2.0, cash=3.0),)) == {"AAPL": 44.0}


def test_only_transfers_count_as_transfers_and_only_since_then(tmp_path: Path) -> None:
    with Journal.open(tmp_path / "journal.sqlite") as journal:
        journal.record_adjustments(
            [
                AdjustmentRecord(
                    BOOK, f"{kind}-{at_ns}", kind, "", Decimal(0), Decimal(amount), at_ns, "broker", kind
                )
                for kind, amount, at_ns in (
                    ("TRANSFER", "100", 9),
                    ("TRANSFER", "-30", 10),
                    ("TRANSFER", "5.5", 11),
                    ("FEE", "-1", 11),
                    ("DIVIDEND", "7", 12),
                )
            ]
        )
        assert transfers_since(journal, BOOK, 10) == Decimal("-24.5")
        assert ledger_of(journal, BOOK).cash_usd == pytest.approx(81.5)
