"""The ledger by its checkpoints equals the ledger by the whole journal bit for bit, and reads only today."""

from __future__ import annotations

import random
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from datetime import date, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from trading_assets.broker.port import CorporateActionState
from trading_assets.engine.book.accounting import (
    CASH,
    LEDGER,
    STOPS,
    ledger_of,
    transfers_since,
    verify_checkpoint,
    whole_ledger_of,
)
from trading_assets.engine.evidence.stop_costs import costs_of, held_by_ex_dates
from trading_assets.market.sessions import new_york_midnight_ns
from trading_assets.store import ledger_checkpoints
from trading_assets.store.journal import Journal
from trading_assets.store.records import AdjustmentRecord, FillRecord, OpeningPositionRecord

BOOK = "embedded:PA0001:paper"
SYMBOLS = ("AAPL", "IBM", "MSFT")
DAYS = [date(2012, 9, 10) + timedelta(days=number) for number in range(5)]
HOUR_NS = 3600 * 10**9


def at(day: int, hour: float) -> int:
    return new_york_midnight_ns(DAYS[0] + timedelta(days=day)) + int(hour * HOUR_NS)


def opening() -> list[OpeningPositionRecord]:
    cash = OpeningPositionRecord(BOOK, CASH, Decimal("100000"), Decimal(0), at(0, 9), "test", "test")
    return [cash, replace(cash, symbol="IBM", qty=Decimal("7.5"), avg_cost=Decimal("201.37"))]


def fill(number: int, at_ns: int, symbol: str, side: int, qty: str, price: str) -> FillRecord:
    return FillRecord(
        book=BOOK,
        session=DAYS[0].isoformat(),
        broker_order_id=f"order-{number}",
        client_order_id=None,
        symbol=symbol,
        side=side,
        qty=Decimal(qty),
        price=Decimal(price),
        cum_qty=Decimal(qty),
        at_ns=at_ns,
        activity_id=f"fill-{number}",
        received_ns=at_ns,
    )


def entry(number: int, at_ns: int, kind: str, symbol: str, qty: str, cash: str) -> AdjustmentRecord:
    return AdjustmentRecord(
        BOOK, f"entry-{number}", kind, symbol, Decimal(qty), Decimal(cash), at_ns, "broker", kind
    )


def change(number: int, of: FillRecord, at_ns: int, price: Decimal | None) -> AdjustmentRecord:
    """A bust (no price), or a correction of the price."""
    qty = -of.side * of.qty if price is None else Decimal(0)
    cash = of.side * of.qty * (of.price - (price or 0))
    kind = "BUST" if price is None else "CORRECTION"
    return replace(entry(number, at_ns, kind, of.symbol, str(qty), str(cash)), reverses=of.activity_id)


def story(chance: random.Random) -> list[FillRecord | AdjustmentRecord]:
    """Four days of a book: trades that keep their symbols long, dividends, splits, transfers, busts and
    corrections, some of them days after their fill."""
    entries: list[FillRecord | AdjustmentRecord] = []
    held = dict.fromkeys(SYMBOLS, Decimal(0)) | {"IBM": Decimal("7.5")}
    fills: list[FillRecord] = []
    for number in range(40):
        day, hour = divmod(number, 10)
        when, symbol = at(day, 9.5 + hour / 2 + 0.01 * chance.random()), chance.choice(SYMBOLS)
        price = f"{chance.uniform(20, 700):.4f}"
        act = chance.choice(("buy", "buy", "buy", "sell", "cash", "split", "bust", "correct"))
        if act == "buy" or (act == "sell" and held[symbol] > 1):
            side = 1 if act == "buy" else -1
            qty = (
                Decimal(chance.randint(1, 4000)) / 100
                if side > 0
                else (held[symbol] / 3).quantize(Decimal("0.01"))
            )
            entries.append(fill(number, when, symbol, side, str(qty), price))
            fills.append(entries[-1])
            held[symbol] += side * qty
        elif act == "split" and held[symbol] > 0:
            entries.append(entry(number, at(day, 0), "SPLIT", symbol, str(held[symbol]), "0"))
            held[symbol] *= 2
        elif act in ("bust", "correct") and fills:
            changed = fills.pop(chance.randrange(len(fills)))
            if act == "bust":
                held[changed.symbol] -= changed.side * changed.qty
            entries.append(
                change(number, changed, when, None if act == "bust" else changed.price + Decimal("0.07"))
            )
        else:
            kind = chance.choice(("DIVIDEND", "FEE", "TRANSFER", "OTHER"))
            entries.append(entry(number, when, kind, symbol, "0", f"{chance.uniform(-90, 90):.2f}"))
    return entries


ACTIONS = [
    CorporateActionState("AAPL", DAYS[1], 1.0, 2.65),
    CorporateActionState("IBM", DAYS[2], 2.0, 0.0),
    CorporateActionState("MSFT", DAYS[3], 1.0, 0.23),
    CorporateActionState("IBM", DAYS[4], 1.0, 0.85),
]


def costs(journal: Journal, today: int) -> dict[str, float]:
    actions = [action for action in ACTIONS if action.ex_date <= DAYS[today]]
    return costs_of(held_by_ex_dates(journal, BOOK, SYMBOLS, actions, DAYS[today]), SYMBOLS)


def whole_costs(journal: Journal, today: int) -> dict[str, float]:
    """The same by no checkpoint."""
    journal.drop_checkpoints(BOOK, STOPS)
    return costs(journal, today)


@pytest.mark.parametrize("seed", range(6))
def test_the_checkpointed_fold_is_the_whole_fold_however_late_its_entries_come(
    tmp_path: Path, seed: int
) -> None:
    chance = random.Random(seed)
    entries = story(chance)
    due = sorted(
        entries, key=lambda record: record.at_ns + (chance.random() < 0.2) * chance.randint(1, 60) * HOUR_NS
    )
    with Journal.open(tmp_path / "journal.sqlite") as journal:
        journal.record_opening(opening())
        by_checkpoint = 0
        while due:
            batch, due = due[:4], due[4:]
            journal.record_fills([record for record in batch if isinstance(record, FillRecord)])
            journal.record_adjustments([record for record in batch if isinstance(record, AdjustmentRecord)])
            today = min(4, (batch[0].at_ns - at(0, 0)) // (24 * HOUR_NS))
            by_checkpoint += journal.checkpoint(BOOK, LEDGER) is not None
            checkpointed = ledger_of(journal, BOOK, keep_before_ns=at(today, 0))
            assert checkpointed == whole_ledger_of(journal, BOOK)
            assert costs(journal, today) == whole_costs(journal, today)
            assert ledger_of(journal, BOOK) == checkpointed
        assert by_checkpoint  # some of it was told by one


def test_a_late_entry_removes_the_checkpoints_that_would_hold_it_and_no_others(tmp_path: Path) -> None:
    with Journal.open(tmp_path / "journal.sqlite") as journal:
        journal.record_opening(opening())
        for day in (1, 2, 3):
            journal.record_fills([fill(day, at(day, 10), "AAPL", 1, "1", "600")])
            ledger_of(journal, BOOK, keep_before_ns=at(day + 1, 0))
        journal.record_fills([fill(9, at(2, 11), "AAPL", 1, "1", "610")])
        kept = journal.checkpoint(BOOK, LEDGER)
        assert kept is not None
        assert kept.through_ns == at(2, 0)
        assert ledger_of(journal, BOOK).holdings["AAPL"].qty == 4


@pytest.mark.parametrize("late", ["fill", "bust"])
def test_a_checkpoint_is_not_kept_when_an_entry_came_between_reading_and_writing(
    tmp_path: Path, late: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    with (
        Journal.open(tmp_path / "journal.sqlite") as journal,
        Journal.open(tmp_path / "journal.sqlite") as other,
    ):
        journal.record_opening(opening())
        first = fill(1, at(0, 10), "AAPL", 1, "3", "600")
        journal.record_fills([first])
        keep = journal.keep_checkpoint

        def between(*about: Any) -> bool:
            if late == "fill":
                other.record_fills([fill(2, at(0, 11), "AAPL", 1, "2", "600")])
            else:
                other.record_adjustments([change(2, first, at(1, 10), None)])
            return keep(*about)

        monkeypatch.setattr(journal, "keep_checkpoint", between)
        ledger_of(journal, BOOK, keep_before_ns=at(1, 0))
        assert journal.checkpoint(BOOK, LEDGER) is None
        assert ledger_of(journal, BOOK) == whole_ledger_of(journal, BOOK)


def test_a_checkpoint_that_is_not_what_the_journal_says_is_found_and_dropped(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    with Journal.open(tmp_path / "journal.sqlite") as journal:
        journal.record_opening(opening())
        journal.record_fills([fill(1, at(0, 10), "AAPL", 1, "3", "600")])
        ledger_of(journal, BOOK, keep_before_ns=at(1, 0))
        assert costs(journal, 1)["AAPL"] == 600 - 2.65
        assert verify_checkpoint(journal, BOOK)
        assert journal.checkpoint(BOOK, STOPS) is None  # that one begins anew each time
        kept = journal.checkpoint(BOOK, LEDGER)
        assert kept is not None
        kept.state["holdings"]["AAPL"][0] = 3.0000000000000004
        assert journal.keep_checkpoint(kept, journal.evidence(BOOK).newest)
        assert not verify_checkpoint(journal, BOOK)
        assert "dropped" in caplog.text
        assert ledger_of(journal, BOOK).holdings["AAPL"].qty == 3.0


def test_a_revised_dividend_is_folded_again(tmp_path: Path) -> None:
    with Journal.open(tmp_path / "journal.sqlite") as journal:
        journal.record_opening(opening())
        journal.record_fills([fill(1, at(0, 10), "AAPL", 1, "3", "600")])
        for cash in (2.65, 3.0):
            action = CorporateActionState("AAPL", DAYS[1], 1.0, cash)
            for _ in range(2):
                held = held_by_ex_dates(journal, BOOK, ["AAPL"], [action], DAYS[3])
                assert held["AAPL"].avg_cost == 600 - cash


@contextmanager
def reading(journal: Journal, monkeypatch: pytest.MonkeyPatch) -> Iterator[dict[str, int]]:
    """Counts rows that become records, and the steps of SQLite's machine in hundreds."""
    count = {"rows": 0, "steps": 0}
    as_record = ledger_checkpoints.as_record

    def counted(*about: object, **others: object) -> object:
        count["rows"] += 1
        return as_record(*about, **others)  # type: ignore[arg-type]

    def step() -> None:
        count["steps"] += 1

    with journal._connection() as connection:  # which the next transaction has too
        raw = connection.connection.driver_connection
    assert raw is not None
    raw.set_progress_handler(step, 100)
    with monkeypatch.context() as patched:
        patched.setattr(ledger_checkpoints, "as_record", counted)
        yield count
    raw.set_progress_handler(None, 0)


def cost_of_a_look(path: Path, days: int, monkeypatch: pytest.MonkeyPatch) -> dict[str, int]:
    """What a look at the ledger reads on the day after `days` days with twenty entries each."""
    with Journal.open(path) as journal:
        journal.record_opening([replace(record, at_ns=at(-days, 9)) for record in opening()])
        journal.record_fills(
            [
                fill(number, at(day, 10), SYMBOLS[number % 3], 1, "1", "600")
                for day in range(-days, 1)
                for number in range((day + days) * 15, (day + days + 1) * 15)
            ]
        )
        journal.record_adjustments(
            [
                entry(number, at(day, 11), "TRANSFER", "", "0", "1")
                for day in range(-days, 1)
                for number in range((day + days) * 5, (day + days + 1) * 5)
            ]
        )
        ledger_of(journal, BOOK, keep_before_ns=at(0, 0))
        costs(journal, 0)
        with reading(journal, monkeypatch) as count:
            ledger = ledger_of(journal, BOOK, keep_before_ns=at(0, 0))
            costs(journal, 0)
            transfers_since(journal, BOOK, at(0, 0))
        assert ledger.holdings["AAPL"].qty == (days + 1) * 5
        return count


def test_a_look_at_the_ledger_costs_the_same_after_a_long_life_as_after_a_short_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    short = cost_of_a_look(tmp_path / "short.sqlite", 5, monkeypatch)
    long = cost_of_a_look(tmp_path / "long.sqlite", 100, monkeypatch)
    assert short["rows"] == long["rows"] <= 60
    assert 0 < long["steps"] <= short["steps"] * 1.2 + 5
    with Journal.open(tmp_path / "long.sqlite") as journal, reading(journal, monkeypatch) as whole:
        whole_ledger_of(journal, BOOK)
    assert whole["rows"] > 2000  # what the checkpoint spares
    assert whole["steps"] > 5 * long["steps"]
