"""Journals and histories that earlier releases wrote are opened and derived again identically."""

from __future__ import annotations

import json
import lzma
import sqlite3
from collections.abc import Callable
from contextlib import closing
from datetime import date
from pathlib import Path
from typing import Any

import pytest

from trading_assets.core.codes import CODE_COUNT, FIRST_CODE_COUNT, Code
from trading_assets.engine.book.desk import LIMITS_MARK
from trading_assets.engine.decision.inputs import LIMITS_OF_VERSION_1, VERSION, DecisionInput
from trading_assets.engine.records.verify import VerifyReport, verify
from trading_assets.store import history_schema, schema
from trading_assets.store.columns import from_json, to_json
from trading_assets.store.history import History
from trading_assets.store.journal import Journal

SAMPLES = Path(__file__).parents[2] / "store" / "samples"
TRADED = sorted(path.name for path in SAMPLES.iterdir() if path.is_dir())
BOOK, SESSION = "embedded:PA0001:paper", date(2012, 9, 11)


@pytest.fixture(params=TRADED)
def stores(tmp_path: Path, request: pytest.FixtureRequest) -> Path:
    """Journal and history after a traded session, as a release left them."""
    sample = SAMPLES / request.param
    with closing(sqlite3.connect(tmp_path / "journal.sqlite")) as raw:
        raw.executescript((sample / "journal.sql").read_text(encoding="utf-8"))
    packed = (sample / "history.duckdb.xz").read_bytes()
    (tmp_path / "history.duckdb").write_bytes(lzma.decompress(packed))
    return tmp_path


def derived(stores: Path) -> VerifyReport:
    with Journal.open(stores / "journal.sqlite") as journal:
        return verify(journal, History(stores / "history.duckdb"), BOOK, SESSION)


def change_json(stores: Path, table: str, column: str, change: Callable[[dict[str, Any]], None]) -> None:
    """Put every value of a JSON column through `change`."""
    with closing(sqlite3.connect(stores / "journal.sqlite")) as raw, raw:
        for sequence, text in raw.execute(f"SELECT sequence, {column} FROM {table}").fetchall():
            value = from_json(text)
            change(value)
            raw.execute(f"UPDATE {table} SET {column} = ? WHERE sequence = ?", (to_json(value), sequence))


def test_there_is_a_sample_of_every_schema() -> None:
    versions = [name.split("_")[1::2] for name in TRADED]
    assert {int(journal) for journal, _ in versions} | {1} == set(range(1, schema.VERSION + 1))
    assert {int(history) for _, history in versions} == set(range(1, history_schema.VERSION + 1))


def test_a_session_that_an_earlier_release_traded_is_derived_identically(stores: Path) -> None:
    report = derived(stores)
    assert report.differences == ()
    assert (report.inputs, report.verdicts, report.orders) == (6, 5, 4)
    assert (report.signals, report.projected, report.feature_rows) == (6, 5, 15)


def test_what_was_decided_before_there_was_a_limit_is_derived_as_it_was(stores: Path) -> None:
    """As if `max_symbol_move` were a new one, which refused none of these orders: no limit is derived."""

    def out_of_the_input(payload: dict[str, Any]) -> None:
        payload["limits"] = dict(zip(LIMITS_OF_VERSION_1, payload["limits"], strict=True))
        del payload["limits"]["max_symbol_move"]

    change_json(stores, "tick_inputs", "payload", out_of_the_input)
    change_json(stores, "verdicts", "gate_input", lambda given: given["limits"].pop("max_symbol_move"))
    differences = [one for one in derived(stores).differences if one.of != "projection"]
    assert {one.field for one in differences} == {f"limits[{int(Code.SYMBOL_MOVE)}]"}
    assert {one.derived for one in differences} == {"inf"}


def test_what_was_decided_before_there_was_a_code_is_derived_as_it_was(stores: Path) -> None:
    """As if the last code were a new one."""

    def without_the_last(numbers: list[float]) -> None:
        del numbers[-1]

    change_json(stores, "tick_inputs", "payload", lambda payload: payload.update(codes=FIRST_CODE_COUNT - 1))
    for column in ("measured", "limits"):
        change_json(stores, "verdicts", column, without_the_last)
    assert [one for one in derived(stores).differences if one.of != "projection"] == []


def test_a_measure_that_was_taken_out_afterwards_is_found(stores: Path) -> None:
    change_json(stores, "verdicts", "measured", lambda numbers: numbers.pop())
    assert {one.field for one in derived(stores).differences if one.of == "verdict"} == {"measured"}


def test_the_limits_in_force_of_an_earlier_release_are_all_known(stores: Path) -> None:
    with Journal.open(stores / "journal.sqlite") as journal:
        kept = json.loads(journal.mark(BOOK, LIMITS_MARK) or "{}")
    assert tuple(kept) == LIMITS_OF_VERSION_1


def test_an_input_of_a_later_release_is_said_to_be_one(stores: Path) -> None:
    change_json(stores, "tick_inputs", "payload", lambda payload: payload.update(version=VERSION + 1))
    first = derived(stores).differences[0]
    assert (first.of, first.field) == ("input", "version")
    assert first.stored == f"stored in version {VERSION + 1}, this program reads up to {VERSION}"


def test_what_is_stored_now_names_its_limits(stores: Path) -> None:
    with Journal.open(stores / "journal.sqlite") as journal:
        old = journal.tick_inputs(BOOK, session=SESSION.isoformat())[0].payload
    given = DecisionInput.from_json(old)
    assert (given.version, given.codes) == (1, FIRST_CODE_COUNT)
    assert given.as_json()["limits"]["max_position_pct"] == 0.05
    assert DecisionInput.from_json(given.as_json()).limits.stop_loss == given.limits.stop_loss


def test_a_verdict_has_room_for_its_codes() -> None:
    assert CODE_COUNT <= 63  # the bits of a BIGINT but its sign
