"""Signal files: taken whole and once, each row kept or refused with its reason, nothing lost."""

from __future__ import annotations

import json
from collections.abc import Iterator
from decimal import Decimal
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from trading_assets.engine import inbox
from trading_assets.engine.inbox import TakenFile, take_files
from trading_assets.store.journal import Journal
from trading_assets.store.records import SignalRecord

BOOK = "embedded:PA0001:paper"
SYMBOLS = ("AAPL", "IBM")
NOW = 1_347_372_000_000_000_000  # 2012-09-11T10:00:00-04:00


@pytest.fixture
def journal(tmp_path: Path) -> Iterator[Journal]:
    with Journal.open(tmp_path / "journal.sqlite") as journal:
        yield journal


def drop(home: Path, name: str, content: str | bytes) -> None:
    (home / "inbox").mkdir(exist_ok=True)
    (home / "inbox" / name).write_bytes(content if isinstance(content, bytes) else content.encode())


def take(home: Path, journal: Journal, now_ns: int = NOW) -> list[TakenFile]:
    return take_files(home, journal, BOOK, SYMBOLS, now_ns=now_ns)


def names(home: Path, place: str) -> list[str]:
    """The files in one of the inbox's places, without the time at which each was taken."""
    return sorted(path.name.partition("-")[2] for path in (home / "inbox" / place).iterdir())


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
        ("a.csv", "symbol,value\nAAPL,0.5,more\n", "unknown field 'more than the header'"),
        ("a.csv", 'symbol,value\n"AAPL,0.5\n', "line"),
        ("a.csv", b"symbol,value\n\xff\xfe,0.5\n", "no UTF-8 text"),
        ("a.json", "{", "Expecting"),
        ("a.json", "[1, 2]", "neither a list of objects"),
        ("a.json", '"AAPL"', "neither a list of objects"),
        ("a.json", "[" * 100_000, "recursion"),
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
    (told,) = journal.pending_alerts()
    assert (told.severity, told.title) == ("WARN", "Signals refused")
    assert why in told.body
    assert "Write CSV with a header, or JSON" in told.body
    assert str(kept) in told.body


def test_a_producer_that_is_always_wrong_is_told_of_once_and_every_file_is_kept(
    tmp_path: Path, journal: Journal
) -> None:
    for number in range(3):
        drop(tmp_path, f"{number}.csv", "symbol,value\n" + "NOPE,0.5\n" * 12)
        take(tmp_path, journal)
    (told,) = journal.pending_alerts()
    assert told.body.count("'NOPE' is not among the traded symbols") == inbox.REASONS_TOLD
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
    class Died(Exception):
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


@given(content=st.binary(max_size=200), suffix=st.sampled_from([".csv", ".json"]))
def test_no_content_whatever_is_lost_or_stops_the_inbox(
    tmp_path_factory: pytest.TempPathFactory, content: bytes, suffix: str
) -> None:
    home = tmp_path_factory.mktemp("any")
    with Journal.open(home / "journal.sqlite") as journal:
        drop(home, f"a{suffix}", content)
        (file,) = take(home, journal)
        assert file.received or file.refused
        kept = [
            path.read_bytes()
            for place in ("archive", "rejected")
            for path in (home / "inbox" / place).iterdir()
        ]
        assert content in kept
        assert all(isinstance(signal, SignalRecord) for signal in journal.pending_signals(BOOK))


def test_places_are_private_to_their_user(tmp_path: Path, journal: Journal) -> None:
    take(tmp_path, journal)
    for place in ("", "taken", "archive", "rejected"):
        assert (tmp_path / "inbox" / place).stat().st_mode & 0o777 == 0o700


def test_values_are_numbers_in_json_not_booleans(tmp_path: Path, journal: Journal) -> None:
    drop(tmp_path, "a.json", json.dumps([{"symbol": "AAPL", "value": True}]))
    (file,) = take(tmp_path, journal)
    assert "value is True" in file.refused[0]
