"""Signal files: taken whole and once, each row kept or refused with its reason, nothing lost."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Sequence
from datetime import UTC, datetime
from decimal import Decimal
from pathlib import Path

import pytest
from dropped import BOOK, NOW, drop, names, take
from hypothesis import given
from hypothesis import strategies as st

from trading_assets.engine.replay.signal_file import read_signals
from trading_assets.engine.signals import inbox
from trading_assets.engine.signals.rows import FIELDS
from trading_assets.errors import InvalidInput
from trading_assets.store.errors import StoreUnusable
from trading_assets.store.journal import Journal
from trading_assets.store.records import SignalRecord


def test_a_csv_file_is_received_and_archived(tmp_path: Path, journal: Journal) -> None:
    drop(
        tmp_path,
        "a.csv",
        "symbol,value,as_of,reference_price,limit_price,id,source\r\n"
        "AAPL,0.15,2012-09-11T09:59:30-04:00,94.50,94.75,mine-1,model-x\r\n"
        "IBM,-1,,,,,\r\n",
    )
    (file,) = take(tmp_path, journal)
    assert not file.refused
    first, second = journal.pending_signals(BOOK)
    assert (first.symbol, first.value, first.as_of_ns) == ("AAPL", 0.15, NOW - 30 * 10**9)
    assert (first.reference_price, first.limit_price) == (Decimal("94.50"), Decimal("94.75"))
    assert first.source == "model-x"
    assert (second.symbol, second.value, second.as_of_ns, second.source) == ("IBM", -1.0, NOW, "file")
    assert second.reference_price is None
    assert names(tmp_path, "archive") == ["a.csv"]
    assert names(tmp_path, "rejected") == names(tmp_path, "taken") == []


@pytest.mark.parametrize(
    "content",
    [
        '{"AAPL": 0.15}',
        '[{"symbol": "AAPL", "value": 0.15, "as_of": null}]',
        '[{"symbol": "AAPL", "value": "0.15", "as_of": 1347372000000000000}]',
        '\ufeff[{"symbol": " AAPL ", "value": 1.5e-1}]',
    ],
)
def test_json_is_a_list_of_objects_or_an_object_of_values(
    tmp_path: Path, journal: Journal, content: str
) -> None:
    drop(tmp_path, "a.JSON", content)
    take(tmp_path, journal)
    (signal,) = journal.pending_signals(BOOK)
    assert (signal.symbol, signal.value, signal.as_of_ns) == ("AAPL", 0.15, NOW)


@pytest.mark.parametrize(
    ("row", "why"),
    [
        ("NOPE,0.5,,", "'NOPE' is not among the traded symbols"),
        ("AAPL,1.01,,", "1.01 is outside [-1, 1]"),
        ("AAPL,nan,,", "value is 'nan'"),
        ("AAPL,inf,,", "value is 'inf'"),
        ("AAPL,much,,", "value is 'much'"),
        ("AAPL,,,", "no value"),
        (",0.5,,", "no symbol"),
        ("AAPL,0.5,2012-09-11T10:00:00,", "as_of is '2012-09-11T10:00:00'"),  # no offset
        ("AAPL,0.5,yesterday,", "as_of is 'yesterday'"),
        ("AAPL,0.5,,0", "reference price 0 is no price"),
        ("AAPL,0.5,,-1", "reference price -1 is no price"),
    ],
)
def test_a_bad_row_is_set_aside_with_its_reason_and_the_others_are_received(
    tmp_path: Path, journal: Journal, row: str, why: str
) -> None:
    header = "symbol,value,as_of,reference_price"
    drop(tmp_path, "a.csv", f"{header}\nAAPL,0.1,,\n{row}\nIBM,0.2,,\n")
    (file,) = take(tmp_path, journal)
    assert [signal.symbol for signal in journal.pending_signals(BOOK)] == ["AAPL", "IBM"]
    assert len(file.refused) == 1
    assert file.refused[0].startswith("row 2: ")
    assert why in file.refused[0]
    assert names(tmp_path, "rejected") == ["a.csv", "a.csv.reason.txt"]
    rejected = tmp_path / "inbox" / "rejected"
    (text,) = rejected.glob("*.reason.txt")
    assert why in text.read_text()
    (rows,) = rejected.glob("*.csv")
    assert len(rows.read_text().splitlines()) == 2
    assert names(tmp_path, "archive") == ["a.csv"]


def test_rejected_rows_can_be_corrected_and_dropped_again(tmp_path: Path, journal: Journal) -> None:
    for suffix, content in (
        (".csv", "symbol,value,id\nNOPE,0.5,x1\n"),
        (".json", '[{"symbol": "NOPE", "value": 0.5, "id": "x2"}]'),
    ):
        drop(tmp_path, f"a{suffix}", content)
        take(tmp_path, journal)
        (rows,) = (tmp_path / "inbox" / "rejected").glob(f"*{suffix}")
        drop(tmp_path, f"again{suffix}", rows.read_text().replace("NOPE", "IBM"))
        assert not take(tmp_path, journal)[0].refused
    assert [(s.symbol, s.value) for s in journal.pending_signals(BOOK)] == [("IBM", 0.5)] * 2


@pytest.mark.parametrize(
    ("name", "content", "why"),
    [
        ("a.csv", "", "there is no signal in it"),
        ("a.csv", "symbol,value\n", "there is no signal in it"),
        ("a.csv", "symbol,value,colour\nAAPL,0.5,red\n", "unknown field 'colour'"),
        ("a.csv", "symbol,value,value\nAAPL,0.5,0.6\n", "the field 'value' is there twice"),
        ("a.csv", 'symbol,value\n"AAPL,0.5\n', "line"),
        ("a.csv", "symbol,value\nAAPL,0.5\n".encode("utf-16"), "no UTF-8 text"),
        ("a.json", b'[{"symbol": "\xff"}]', "no UTF-8 text"),
        ("a.json", "{", "Expecting"),
        ("a.json", "[1, 2]", "neither a list of objects"),
        ("a.json", '"AAPL"', "neither a list of objects"),
        ("a.json", "[" * 100_000, "nested too deep"),
        ("a.json", "[]", "there is no signal in it"),
        ("a.csv", "symbol,value\n" + "AAPL,0.5\n" * 200_000, "larger than"),
    ],
)
def test_a_file_that_cannot_be_read_lies_as_it_came_beside_its_reason(
    tmp_path: Path, journal: Journal, name: str, content: str | bytes, why: str
) -> None:
    drop(tmp_path, name, content)
    drop(tmp_path, "good.csv", "symbol,value\nIBM,0.5\n")
    refused = next(file for file in take(tmp_path, journal) if file.refused)
    assert why in refused.refused[0]
    assert names(tmp_path, "rejected") == [name, f"{name}.reason.txt"]
    (kept,) = (path for path in (tmp_path / "inbox" / "rejected").iterdir() if path.suffix != ".txt")
    assert kept.read_bytes() == (content if isinstance(content, bytes) else content.encode())
    assert [signal.symbol for signal in journal.pending_signals(BOOK)] == ["IBM"]
    (alerts,) = journal.pending_alerts()
    assert (alerts.severity, alerts.title) == ("WARN", "Signals refused")
    assert why in alerts.body
    assert "Write CSV with a header, or JSON" in alerts.body
    assert str(kept) in alerts.body


def test_a_producer_that_is_always_wrong_is_told_of_once_and_every_file_is_kept(
    tmp_path: Path, journal: Journal
) -> None:
    for number in range(3):
        drop(tmp_path, f"{number}.csv", "symbol,value\n" + "NOPE,0.5\n" * 12)
        take(tmp_path, journal)
    (alerts,) = journal.pending_alerts()
    assert alerts.body.count("'NOPE' is not among the traded symbols") == inbox.REASONS_TOLD
    assert len(names(tmp_path, "rejected")) == 2 * 3


def test_what_is_still_being_written_or_is_no_signal_file_is_left_alone(
    tmp_path: Path, journal: Journal
) -> None:
    for name in ("a.csv.part", ".hidden.csv", "notes.txt"):
        drop(tmp_path, name, "symbol,value\nAAPL,0.5\n")
    assert take(tmp_path, journal) == []
    assert {path.name for path in (tmp_path / "inbox").iterdir() if path.is_file()} == {
        "a.csv.part",
        ".hidden.csv",
        "notes.txt",
    }


@pytest.mark.parametrize("dies_at", ["record_signals", "archive"])
def test_a_file_that_a_dead_process_had_taken_is_received_once(
    tmp_path: Path, journal: Journal, monkeypatch: pytest.MonkeyPatch, dies_at: str
) -> None:
    class Died(BaseException):  # as a signal ends a process: no handler of errors sees it
        pass

    def die(*_: object) -> None:
        raise Died

    drop(tmp_path, "a.csv", "symbol,value\nAAPL,0.5\n")
    with monkeypatch.context() as patch:
        if dies_at == "record_signals":
            patch.setattr(journal, "record_signals", die)
        else:
            patch.setattr(inbox.log, "info", lambda *_, **__: None)
            real = Path.rename
            patch.setattr(Path, "rename", lambda path, to: die() if "archive" in str(to) else real(path, to))
        with pytest.raises(Died):
            take(tmp_path, journal)
    assert names(tmp_path, "taken") == ["a.csv"]
    assert len(take(tmp_path, journal, NOW + 5 * 10**9)) == 1
    (signal,) = journal.pending_signals(BOOK)
    assert signal.as_of_ns == (NOW if dies_at == "archive" else NOW + 5 * 10**9)
    assert names(tmp_path, "archive") == ["a.csv"]
    assert take(tmp_path, journal) == []


def test_the_same_content_dropped_again_is_a_new_opinion_unless_it_has_an_id(
    tmp_path: Path, journal: Journal
) -> None:
    for content, count in (("symbol,value\nAAPL,0.5\n", 2), ("symbol,value,id\nIBM,0.5,x\n", 3)):
        for at in (NOW, NOW + 10**9):
            drop(tmp_path, "a.csv", content)
            take(tmp_path, journal, at)
        assert len(journal.pending_signals(BOOK)) == count


def test_one_id_does_not_say_two_things(tmp_path: Path, journal: Journal) -> None:
    drop(tmp_path, "a.csv", "symbol,value,id\nIBM,0.5,x\n")
    take(tmp_path, journal)
    drop(tmp_path, "b.csv", "symbol,value,id\nIBM,0.6,x\n")
    (file,) = take(tmp_path, journal)
    assert "already and says 0.5, not 0.6" in file.refused[0]
    assert [signal.value for signal in journal.pending_signals(BOOK)] == [0.5]


def test_one_id_is_not_of_two_times_in_the_inbox_as_in_a_replay(tmp_path: Path, journal: Journal) -> None:
    """Else the newer opinion would vanish."""
    rows = ["IBM,0.5,x,2012-09-11T14:00:00Z", "IBM,0.5,x,2012-09-11T14:05:00Z"]
    for name, row in zip(("a.csv", "b.csv"), rows, strict=True):
        drop(tmp_path, name, f"symbol,value,id,as_of\n{row}\n")
        (file,) = take(tmp_path, journal)
    assert "says 0.5, not 0.5 as of" in file.refused[0]
    (kept,) = journal.pending_signals(BOOK)
    drop(tmp_path, "c.csv", f"symbol,value,id,as_of\n{rows[0]}\n")  # the same again is the same
    (file,) = take(tmp_path, journal, NOW + 10**9)
    assert file.refused == ()
    assert journal.pending_signals(BOOK) == [kept]
    replayed = tmp_path / "both.csv"
    replayed.write_text("\n".join(["symbol,value,id,as_of", *rows]) + "\n")
    with pytest.raises(InvalidInput, match="id 'x' of IBM said"):
        read_signals(replayed)


CELL = st.sampled_from(
    ["AAPL", "IBM", "0.5", "-1", "", " ", "1e999999", "1e9999999999999999999", "9" * 5000, "nan", "\0", "0.1"]
) | st.text(max_size=8)


STAMP = st.sampled_from(
    [
        "",
        "0001-01-01T00:00:00Z",
        "9999-12-31T23:59:59Z",
        "1347372600000",
        "1" + "0" * 30,
        "2012-09-11T10:00:00Z",
    ]
) | st.datetimes(timezones=st.just(UTC)).map(datetime.isoformat)


CSV_ROWS = st.lists(st.tuples(CELL, CELL, STAMP, CELL, CELL), min_size=1, max_size=6)


NESTED = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats()
    | st.text()
    | st.sampled_from(["AAPL", "\ud800", 1e-5]),
    lambda inner: (
        st.lists(inner, max_size=4)
        | st.dictionaries(st.sampled_from(FIELDS) | st.text(max_size=4), inner, max_size=6)
    ),
    max_leaves=20,
)


def as_csv(rows: list[tuple[str, ...]]) -> bytes:
    out = io.StringIO()
    csv.writer(out).writerows([("symbol", "value", "as_of", "limit_price", "id"), *rows])
    return out.getvalue().encode(errors="surrogatepass")


CONTENT = (
    st.tuples(st.sampled_from([".csv", ".json"]), st.binary(max_size=200))
    | st.tuples(st.just(".csv"), CSV_ROWS.map(as_csv))
    | st.tuples(st.just(".json"), NESTED.map(lambda value: json.dumps(value).encode()))
)


@pytest.mark.slow(seconds=4)
@given(dropped=st.lists(CONTENT, min_size=1, max_size=4))
def test_whatever_files_hold_each_row_is_received_or_refused_and_the_good_file_after_them_is_taken(
    tmp_path_factory: pytest.TempPathFactory, dropped: list[tuple[str, bytes]]
) -> None:
    home = tmp_path_factory.mktemp("any")
    with Journal.open(home / "journal.sqlite") as journal:
        for number, (suffix, content) in enumerate(dropped):
            drop(home, f"{number}{suffix}", content)
        drop(home, "z-good.csv", "symbol,value\nIBM,0.5\n")
        taken = take(home, journal)
        assert not any(file.waits for file in taken)
        assert len(taken) == len(dropped) + 1
        assert len(taken[-1].received) == 1
        kept = [
            path.read_bytes()
            for place in ("archive", "rejected")
            for path in (home / "inbox" / place).iterdir()
        ]
        stored = {(signal.decision_id, signal.value) for signal in journal.pending_signals(BOOK)}
        for file, (suffix, content) in zip(taken, dropped, strict=False):
            assert content in kept
            assert {(signal.decision_id, signal.value) for signal in file.received} <= stored
            assert file.received or file.refused
            if suffix == ".csv" and content.startswith(b"symbol,value,as_of"):
                assert len(file.received) + len(file.refused) in (len(rows_of(content)), 1)
        assert take(home, journal) == []


def rows_of(content: bytes) -> list[list[str]]:
    text = content.decode(errors="surrogateescape")
    return [row for row in csv.reader(io.StringIO(text, newline="")) if row][1:]


def test_a_row_that_the_journal_cannot_hold_costs_that_row(
    tmp_path: Path, journal: Journal, monkeypatch: pytest.MonkeyPatch
) -> None:
    drop(tmp_path, "a.csv", "symbol,value\nAAPL,0.1\nIBM,0.2\nAAPL,0.3\n")
    real = journal.record_signals

    def record(received: Sequence[SignalRecord]) -> list[SignalRecord]:
        if any(signal.symbol == "IBM" for signal in received):
            raise OverflowError("Python int too large to convert to SQLite INTEGER")
        return real(received)

    monkeypatch.setattr(journal, "record_signals", record)
    (file,) = take(tmp_path, journal)
    assert [signal.value for signal in file.received] == [0.1, 0.3]
    assert [signal.value for signal in journal.pending_signals(BOOK)] == [0.1, 0.3]
    assert file.refused[0].startswith("row 2: the journal cannot hold it")
    (rows,) = (path for path in (tmp_path / "inbox" / "rejected").iterdir() if path.suffix == ".csv")
    assert rows.read_text() == "symbol,value\nIBM,0.2\n"


def test_a_journal_that_cannot_be_written_refuses_nobody(
    tmp_path: Path, journal: Journal, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(_: object) -> None:
        raise StoreUnusable("journal.sqlite", "database or disk is full")

    drop(tmp_path, "a.csv", "symbol,value\nAAPL,0.1\n")
    with monkeypatch.context() as patch:
        patch.setattr(journal, "record_signals", full)
        patch.setattr(journal, "enqueue_alert", full)
        (file,) = take(tmp_path, journal)
    assert file.waits
    assert names(tmp_path, "rejected") == []
    assert len(take(tmp_path, journal)[0].received) == 1


def test_one_id_does_not_say_two_things_in_one_file_either(tmp_path: Path, journal: Journal) -> None:
    drop(tmp_path, "a.csv", "symbol,value,id\nIBM,0.5,x\nIBM,-0.6,x\nAAPL,0.6,x\nIBM,0.5,x\n")
    (file,) = take(tmp_path, journal)
    assert [(signal.symbol, signal.value) for signal in journal.pending_signals(BOOK)] == [
        ("IBM", 0.5),
        ("AAPL", 0.6),
    ]
    (refused,) = file.refused
    assert "row 2: " in refused
    assert "already and says 0.5, not -0.6" in refused


def test_producers_that_go_wrong_are_told_of_apart(tmp_path: Path, journal: Journal) -> None:
    for name in ("momentum-1.csv", "momentum-2.csv", "reversal-1.csv"):
        drop(tmp_path, name, "symbol,value\nNOPE,0.5\n")
    take(tmp_path, journal)
    assert len(journal.pending_alerts()) == 2


@pytest.mark.parametrize(
    ("name", "content", "received", "why"),
    [
        (
            "go.json",
            '[{"symbol":"IBM","value":0.3},\n {"symbol":"AAPL","value":0.1,"as_of":"0001-01-01T00:00:00Z"}]',
            ["IBM"],
            "0001-01-01T00:00:00Z', no time near now",
        ),
        (
            "sentinel.csv",
            "symbol,value,as_of\nIBM,0.3,\nAAPL,0.1,9999-12-31T23:59:59Z\n",
            ["IBM"],
            "no time near now",
        ),
        ("one.json", '{"symbol":"AAPL","value":0.15,"reference_price":94.1}', ["AAPL"], None),
        ("epoch.csv", "symbol,value,as_of\nAAPL,0.18,1347372600000\n", [], "milliseconds?"),
        ("twice.json", '{"AAPL": 0.5, "IBM": 1, "AAPL": -1}', ["IBM"], "AAPL'"),
        ("twice the same.json", '{"AAPL": -1, "AAPL": -1.0}', ["AAPL"], None),
        (
            "surrogate.json",
            r'[{"symbol":"IBM","value":1,"source":"\ud800"},{"symbol":"AAPL","value":1}]',
            ["AAPL"],
            "source is",
        ),
        ("huge.csv", "symbol,value,limit_price\nIBM,1,1e999999\nAAPL,1,5\n", ["AAPL"], "no price"),
    ],
)
def test_what_producers_write_is_taken_rightly_or_refused_by_name(
    tmp_path: Path, journal: Journal, name: str, content: str, received: list[str], why: str | None
) -> None:
    drop(tmp_path, name, content)
    (file,) = take(tmp_path, journal)
    assert [signal.symbol for signal in journal.pending_signals(BOOK)] == received
    assert len(file.refused) == (why is not None)
    assert why is None or why in file.refused[0]


def test_values_are_numbers_in_json_not_booleans(tmp_path: Path, journal: Journal) -> None:
    drop(tmp_path, "a.json", json.dumps([{"symbol": "AAPL", "value": True}]))
    (file,) = take(tmp_path, journal)
    assert "value is True" in file.refused[0]
