"""What does not belong into an inbox, or too much of it: put aside or left for the next time, unread where it
could do harm, and no other file waits for it."""

from __future__ import annotations

import errno
import os
from collections.abc import Callable
from pathlib import Path

import pytest
from dropped import BOOK, NOW, drop, names, take
from hypothesis import given
from hypothesis import strategies as st

from trading_assets.engine.signals import inbox
from trading_assets.engine.signals.rows import RowFile
from trading_assets.store.journal import Journal


@pytest.mark.slow(seconds=3)
@given(names=st.lists(st.binary(min_size=1, max_size=240), min_size=1, max_size=4, unique=True))
def test_a_file_of_any_name_is_taken(tmp_path_factory: pytest.TempPathFactory, names: list[bytes]) -> None:
    home = tmp_path_factory.mktemp("any")
    (home / "inbox").mkdir()
    dropped = {name.replace(b"/", b"_").replace(b"\0", b"_").lstrip(b".") + b".csv" for name in names}
    with Journal.open(home / "journal.sqlite") as journal:
        for number, name in enumerate(sorted(dropped)):
            (home / "inbox" / os.fsdecode(name)).write_text(f"symbol,value\nAAPL,0.{number}\nNOPE,1\n")
        taken = take(home, journal)
        assert (
            len(taken)
            == len(journal.pending_signals(BOOK))
            == len(list((home / "inbox" / "archive").iterdir()))
        )
        hidden = {name for name in dropped if name == b".csv"}  # hidden files are nobody's
        assert len(taken) == len(dropped - hidden)
        assert all(file.refused for file in taken)


def make_a_link(path: Path) -> None:
    path.symlink_to("/etc/hostname")


def make_a_dangling_link(path: Path) -> None:
    path.symlink_to("nowhere.csv")


def make_a_directory(path: Path) -> None:
    path.mkdir()
    (path / "inside.csv").write_text("symbol,value\nAAPL,0.9\n")


@pytest.mark.parametrize("make", [make_a_link, make_a_dangling_link, make_a_directory, os.mkfifo])
@pytest.mark.parametrize("place", ["inbox", "inbox/taken"])
def test_what_is_no_file_is_put_aside_unopened_with_an_alert(
    tmp_path: Path, journal: Journal, make: Callable[[Path], object], place: str
) -> None:
    take(tmp_path, journal)
    make(tmp_path / place / "1-x.csv")
    drop(tmp_path, "y.csv", "symbol,value\nIBM,0.5\n")
    refused = next(file for file in take(tmp_path, journal) if file.refused)
    assert "a link, a directory or a device" in refused.refused[0]
    assert [signal.symbol for signal in journal.pending_signals(BOOK)] == ["IBM"]
    assert "a link, a directory or a device" in journal.pending_alerts()[0].body
    assert len(names(tmp_path, "rejected")) == 2
    assert take(tmp_path, journal) == []


def fails(monkeypatch: pytest.MonkeyPatch, method: str, match: str, error: Exception) -> None:
    """Have a method of Path fail for paths with `match` in them."""
    real = getattr(Path, method)

    def failing(path: Path, *arguments: object, **named: object) -> object:
        if match in str(path) or any(match in str(argument) for argument in arguments):
            raise error
        return real(path, *arguments, **named)

    monkeypatch.setattr(Path, method, failing)


@pytest.mark.parametrize(
    ("method", "match"),
    [("write_bytes", "bad.csv"), ("rename", "rejected"), ("rename", "bad.csv"), ("lstat", "bad.csv")],
)
@pytest.mark.parametrize(
    "error", [OSError(errno.ENOSPC, "No space left on device"), RuntimeError("surprise")]
)
def test_a_file_that_cannot_even_be_put_aside_is_alerted_on_tried_again_and_stops_nobody(
    tmp_path: Path,
    journal: Journal,
    monkeypatch: pytest.MonkeyPatch,
    method: str,
    match: str,
    error: Exception,
) -> None:
    drop(tmp_path, "bad.csv", "no header of ours\n1\n")
    drop(tmp_path, "good.csv", "symbol,value\nIBM,0.5\n")
    with monkeypatch.context() as patch:
        fails(patch, method, match, error)
        (waiting,) = (file for file in take(tmp_path, journal) if file.waits)
        assert "tried again" in waiting.refused[0]
        assert not next(file for file in take(tmp_path, journal) if file.waits).received
    assert [signal.symbol for signal in journal.pending_signals(BOOK)] == ["IBM"]
    (alerts,) = (alert for alert in journal.pending_alerts() if alert.title == "Signal file not taken")
    assert alerts.severity == "ERROR"
    assert str(error) in alerts.body
    (file,) = take(tmp_path, journal)
    assert not file.waits
    assert names(tmp_path, "rejected") == ["bad.csv", "bad.csv.reason.txt"]


def test_an_inbox_that_is_none_is_alerted_on(tmp_path: Path, journal: Journal) -> None:
    (tmp_path / "inbox").write_text("")
    assert all(file.waits for file in take(tmp_path, journal))
    assert "inbox" in journal.pending_alerts()[0].body
    (tmp_path / "inbox").unlink()
    assert take(tmp_path, journal) == []


def test_a_file_that_its_producer_takes_back_is_nobodys(
    tmp_path: Path, journal: Journal, monkeypatch: pytest.MonkeyPatch
) -> None:
    drop(tmp_path, "bad.csv", "")
    fails(monkeypatch, "lstat", "bad.csv", FileNotFoundError(errno.ENOENT, "No such file"))
    assert take(tmp_path, journal) == []
    assert journal.pending_alerts() == []


def test_places_are_private_to_their_user(tmp_path: Path, journal: Journal) -> None:
    take(tmp_path, journal)
    for place in ("", "taken", "archive", "rejected"):
        assert (tmp_path / "inbox" / place).stat().st_mode & 0o777 == 0o700


def test_a_flood_of_files_is_taken_in_turns_the_oldest_first(
    tmp_path: Path, journal: Journal, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(inbox, "MOST_FILES", 3)
    order = ["d.csv", "a.csv", "g.json", "c.csv", "b.csv", "f.csv", "e.csv"]
    for age, name in enumerate(order):
        text = '{"IBM": 0.1}' if name.endswith("json") else "symbol,value\nIBM,0.1\n"
        drop(tmp_path, name, text)
        os.utime(tmp_path / "inbox" / name, ns=(NOW + age, NOW + age))
    taken = [[file.name.partition("-")[2] for file in take(tmp_path, journal)] for _ in range(4)]
    assert taken == [order[:3], order[3:6], order[6:], []]
    assert len(journal.pending_signals(BOOK)) == 7


@pytest.mark.parametrize("stuck", [1, 4, 9])
def test_files_that_wait_take_no_room_from_those_that_are_dropped(
    tmp_path: Path, journal: Journal, monkeypatch: pytest.MonkeyPatch, stuck: int
) -> None:
    monkeypatch.setattr(inbox, "MOST_FILES", 3)
    rows = inbox._rows

    def failing(path: Path) -> RowFile:
        if "stuck" in path.name:
            raise OSError(errno.EIO, "the disk does not answer")
        return rows(path)

    monkeypatch.setattr(inbox, "_rows", failing)
    for number in range(stuck):
        drop(tmp_path, f"stuck-{number}.csv", "symbol,value\nIBM,0.1\n")
    for _ in range(stuck):
        take(tmp_path, journal)
    drop(tmp_path, "good.csv", "symbol,value\nAAPL,0.1\n")
    take(tmp_path, journal)
    assert [signal.symbol for signal in journal.pending_signals(BOOK)] == ["AAPL"]
    monkeypatch.setattr(inbox, "_rows", rows)
    for _ in range(stuck):
        take(tmp_path, journal)
    assert len(journal.pending_signals(BOOK)) == stuck + 1


@pytest.mark.parametrize("rest", ["AAPL,0.2\n", "AAPL,", "x" * 10])
def test_a_file_that_grows_while_it_is_read_is_left_for_the_next_time_and_holds_no_other(
    tmp_path: Path, journal: Journal, monkeypatch: pytest.MonkeyPatch, rest: str
) -> None:
    rows, grows = inbox._rows, [True]

    def growing(path: Path) -> RowFile:
        read = rows(path)
        if "grows" in path.name and grows[0]:
            with path.open("a") as file:
                file.write(rest)
        return read

    monkeypatch.setattr(inbox, "_rows", growing)
    drop(tmp_path, "grows.csv", "symbol,value\nIBM,0.1\n")
    drop(tmp_path, "other.csv", "symbol,value\nIBM,0.3\n")
    for _ in range(2):
        waits = [file for file in take(tmp_path, journal) if file.waits]
        assert [file.name.partition("-")[2] for file in waits] == ["grows.csv"]
        assert [signal.value for signal in journal.pending_signals(BOOK)] == [0.3]
        assert names(tmp_path, "rejected") == []
    grows[0] = False
    take(tmp_path, journal)
    assert names(tmp_path, "taken") == []
    values = {signal.value for signal in journal.pending_signals(BOOK)}
    assert values == ({0.1, 0.2, 0.3} if rest == "AAPL,0.2\n" else {0.1, 0.3})


@pytest.mark.parametrize("where", ["before it is taken", "after it was taken"])
def test_a_file_with_a_second_name_is_refused_unread(tmp_path: Path, journal: Journal, where: str) -> None:
    """Who holds the other name can change it while it is read, or has linked a file of ours here."""
    secret = tmp_path / "secret.txt"
    secret.write_text("APCA_API_SECRET_KEY=a-secret\n")
    place = tmp_path / "inbox" / ("taken" if where.startswith("after") else "")
    place.mkdir(parents=True, exist_ok=True)
    os.link(secret, place / "1-a.csv")
    (file,) = take(tmp_path, journal)
    assert "has a second name" in file.refused[0]
    assert not any("a-secret" in alert.body for alert in journal.pending_alerts())
    assert len(names(tmp_path, "rejected")) == 2  # the file and its reason
    assert secret.read_text() == "APCA_API_SECRET_KEY=a-secret\n"


def test_another_users_file_is_refused_unread(
    tmp_path: Path, journal: Journal, monkeypatch: pytest.MonkeyPatch
) -> None:
    drop(tmp_path, "a.csv", "symbol,value\nAAPL,0.5\n")
    monkeypatch.setattr(os, "geteuid", lambda: os.getuid() + 1)
    (file,) = take(tmp_path, journal)
    assert "another user's" in file.refused[0]
    assert not journal.pending_signals(BOOK)


def test_one_evaluation_reads_a_bounded_number_of_bytes_and_the_next_goes_on(
    tmp_path: Path, journal: Journal, monkeypatch: pytest.MonkeyPatch
) -> None:
    content = "symbol,value\nAAPL,0.5\n"
    for number in range(5):
        drop(tmp_path, f"{number}.csv", content)
    monkeypatch.setattr(inbox, "MAX_BYTES_IN_ALL", 2 * len(content))
    assert [len(take(tmp_path, journal, NOW + number)) for number in range(4)] == [2, 2, 1, 0]
    assert len(names(tmp_path, "archive")) == 5


def test_a_long_and_hostile_name_is_short_and_harmless_in_every_message(
    tmp_path: Path, journal: Journal
) -> None:
    hostile = "\x1b[2J\u202e" + "a" * 200
    drop(tmp_path, f"{hostile}.csv", "no header")
    (tmp_path / "inbox" / f"{hostile}-directory.csv").mkdir()
    files = take(tmp_path, journal)
    texts = [text for file in files for text in (file.name, *file.refused)]
    texts += [text for alert in journal.pending_alerts() for text in (alert.title, alert.body)]
    assert len(files) == 2
    assert all(text.replace("\n", "").isprintable() for text in texts)
    assert not any("a" * 150 in text for text in texts)
