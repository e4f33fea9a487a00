"""Signals from outside on their way into the journal, and files of them dropped into `<data_dir>/inbox`.

A file is taken by a rename, so that it is taken once and whole; who writes one writes it under another name
(ending in .part) and renames it. Its good rows go into the journal, the bad ones into `rejected/` in the
file's own form, beside a text with the reason of each, and the file itself into `archive/`. What cannot be
read as a whole goes to `rejected/` as it came. Each file stands alone: one that cannot even be put aside
stays in `taken/`, is tried again, and keeps no other from being taken. People are told of each of these. At
most `MOST_FILES` are taken at once, the oldest first; a file that grows while it is read is left for the next
time. `engine.signals.rows` says what a row is, `engine.signals.tick_signals` what a signal does.
"""

from __future__ import annotations

import os
import re
import stat
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from decimal import Decimal
from functools import partial
from pathlib import Path
from typing import TypedDict, TypeVar

from trading_assets.core.orders import Kind, decision_id
from trading_assets.engine.book.alerts import tell
from trading_assets.engine.signals import rows
from trading_assets.engine.signals.rows import (
    Row,
    RowFile,
    printable,
    refuse_far,
    refuse_unprintable,
    refuse_unusable,
)
from trading_assets.errors import InvalidInput
from trading_assets.log import get_logger
from trading_assets.market.clock import system_now_ns
from trading_assets.market.sessions import new_york_time
from trading_assets.store.journal import Journal
from trading_assets.store.records import SignalRecord

log = get_logger(__name__)

T = TypeVar("T")

INBOX = "inbox"
SUFFIXES = (".csv", ".json")
MAX_BYTES = 1_000_000
MAX_BYTES_IN_ALL = 10 * MAX_BYTES  # of one evaluation; what is beyond waits for the next
REASONS_TOLD = 10
ROW_FAULTS = (ArithmeticError, TypeError, ValueError)  # of a value, not of the journal
MOST_FILES = 500
"""Files taken in one evaluation: a flood of them waits for the next ones, and holds up nothing else."""
LONGEST_NAME = 120  # characters of a file's own name that it keeps


@dataclass(frozen=True, slots=True)
class TakenFile:
    """What became of one file."""

    name: str
    received: tuple[SignalRecord, ...]  # in the journal, whether new or known
    refused: tuple[str, ...]  # one reason for each row, or one for the file
    waits: bool = False  # it could not be taken, and is tried again


class SignalTerms(TypedDict, total=False):
    """What a producer may say of its signal beside symbol and value. Prices in USD; as_of_ns: now."""

    as_of_ns: int | None
    reference_price: Decimal | None
    limit_price: Decimal | None
    source: str
    producer_id: str | None


def signal_record(
    book: str,
    symbols: Sequence[str],
    symbol: str,
    value: float,
    *,
    now_ns: int,
    as_of_ns: int | None = None,
    reference_price: Decimal | None = None,
    limit_price: Decimal | None = None,
    source: str = "person",
    producer_id: str | None = None,
) -> SignalRecord:
    """One signal from outside, validated: value in [−1, 1], prices in USD, as_of_ns defaults to now.

    Raises InvalidInput for a value out of range, a symbol that is not traded, a price that is not above zero,
    a stamp that is nowhere near now, or a source or id that cannot be stored.
    """
    where = f"signal {printable(symbol)[:LONGEST_NAME]}"
    prices = {"reference price": reference_price, "limit price": limit_price}
    refuse_unusable(symbol, value, prices, symbols, where=where)
    for name, word in (("source", source), ("id", producer_id)):
        refuse_unprintable(name, word or "", where)
    as_of = now_ns if as_of_ns is None else as_of_ns
    refuse_far(as_of, rows.near(now_ns), where)
    return SignalRecord(
        book=book,
        decision_id=decision_id(book, Kind.EXTERNAL, symbol, producer_id or f"{source}:{as_of}"),
        symbol=symbol,
        value=value,
        as_of_ns=as_of,
        reference_price=reference_price,
        limit_price=limit_price,
        source=source,
        received_ns=now_ns,
    )


class EarlierOpinions:
    """What decisions say in the journal, and in what is received together with them."""

    def __init__(self, journal: Journal) -> None:
        self._journal = journal
        self._opinion: dict[str, SignalRecord] = {}

    def refuse_other_words(self, record: SignalRecord) -> None:
        """Raises InvalidInput where the same decision was received and said something else: a decision is
        taken once."""
        earlier = self._opinion.get(record.decision_id) or self._journal.signal(
            record.book, record.decision_id
        )
        if earlier is not None and (_opinion(earlier) != _opinion(record) or _restamped(earlier, record)):
            raise InvalidInput(
                f"the signal of {earlier.source!r} as of {new_york_time(earlier.as_of_ns)} is in the inbox "
                f"already and says {_words(earlier)}, not {_words(record)}"
                + (f" as of {new_york_time(record.as_of_ns)}" if _restamped(earlier, record) else ""),
                where=f"signal {record.symbol}",
                remedy="Stamp a new opinion with its own time, or give it an id of its own.",
            )
        self._opinion[record.decision_id] = record


def _opinion(record: SignalRecord) -> tuple[object, ...]:
    return record.value, record.reference_price, record.limit_price


def _restamped(earlier: SignalRecord, record: SignalRecord) -> bool:
    """Whether the producer gives the decision another time now. Without one it has that of its arrival."""
    return record.as_of_ns not in (earlier.as_of_ns, record.received_ns)


def _words(record: SignalRecord) -> str:
    prices = {"at": record.reference_price, "limit": record.limit_price}
    return " ".join(
        [f"{record.value:g}", *(f"{name} {usd}" for name, usd in prices.items() if usd is not None)]
    )


def take_files(
    data_dir: Path, journal: Journal, book: str, symbols: Sequence[str], *, now_ns: int
) -> list[TakenFile]:
    """Take the files that wait, those first that an earlier process took and did not finish, then the oldest;
    what is beyond `MOST_FILES` has its turn in the next evaluation.

    now_ns: the venue's time, which stamps what arrives. A file's rows keep their identity when it is
    taken again after a crash, so that no signal is received twice. Nothing that a file is or holds raises
    here; what could not be taken is in the answer, in the log and in an alert, and waits for the next time.
    """
    return _Inbox(data_dir / INBOX, journal, book, symbols, now_ns).take()


class _Inbox:
    """The places of one inbox, while its files are taken."""

    def __init__(self, place: Path, journal: Journal, book: str, symbols: Sequence[str], now_ns: int) -> None:
        self._place, self._journal, self._book = place, journal, book
        self._symbols, self._now_ns = symbols, now_ns
        self._taken, self._archive, self._rejected = (
            place / name for name in ("taken", "archive", "rejected")
        )
        self._last_ns = 0
        self._bytes = 0  # read by this evaluation

    def take(self) -> list[TakenFile]:
        """What an earlier process left in `taken/` has its turn first; what waits there takes no room from
        what is dropped."""
        files: list[TakenFile] = []
        self._or_waits(self._place, self._make_places, files)
        begun = self._or_waits(self._taken, self._begun, files) or []
        self._read_some(begun[:MOST_FILES], files)
        done = sum(not file.waits for file in files)
        for path in (self._or_waits(self._place, self._dropped, files) or [])[: max(MOST_FILES - done, 1)]:
            self._or_waits(path, partial(self._accept, path, files), files)
        earlier = set(begun)
        accepted = self._or_waits(self._taken, self._begun, files) or []
        self._read_some([path for path in accepted if path not in earlier], files)
        return files

    def _read_some(self, paths: Sequence[Path], files: list[TakenFile]) -> None:
        """Read them until this evaluation has read its share of bytes; the rest stays for the next one."""
        for path in paths:
            size, before = min(_size(path), MAX_BYTES), len(files)
            if self._bytes + size > MAX_BYTES_IN_ALL:
                log.warning("signal files wait for the next evaluation", begun_with=_short(path.name))
                return
            self._or_waits(path, partial(self._read, path, files), files)
            if not any(file.waits for file in files[before:]):
                self._bytes += size

    def _or_waits(self, path: Path, work: Callable[[], T], files: list[TakenFile]) -> T | None:
        """What `work` returns. Where it fails, people are told and `path` is left for the next time: no file
        keeps the others from being taken."""
        try:
            return work()
        except Exception as error:  # noqa: BLE001 - of any kind: it is logged, alerted on, and tried again
            name, why = _short(path.name), printable(f"{type(error).__name__}: {error}")
            log.error("signal file not taken", file=name, why=why)
            files.append(TakenFile(name, (), (f"not taken, tried again: {why}",), waits=True))
            self._tell_that_it_waits(path, name, why)
            return None

    def _tell_that_it_waits(self, path: Path, name: str, why: str) -> None:
        title = "Signal file not taken"
        body = f"{printable(str(path.parent))}/{name} could not be taken and is tried again: {why}"
        subject, now = f"signal_file_waits:{name}", system_now_ns()
        try:
            tell(self._journal, self._book, subject, title, body, now_ns=now, at_ns=self._now_ns)
        except Exception as error:  # noqa: BLE001 - without a journal there is the log; the next file has its turn
            log.error("signal file not taken, and no alert", file=name, why=printable(str(error)))

    def _make_places(self) -> None:
        for place in (self._place, self._taken, self._archive, self._rejected):
            place.mkdir(mode=0o700, parents=True, exist_ok=True)

    def _dropped(self) -> list[Path]:
        """By the time of their last change, then by name."""
        with os.scandir(self._place) as entries:
            named = [
                entry
                for entry in entries
                if Path(entry.name).suffix.lower() in SUFFIXES and not entry.name.startswith(".")
            ]
            return [self._place / name for _, name in sorted(map(_age, named))]

    def _begun(self) -> list[Path]:
        return sorted(self._taken.iterdir())

    def _accept(self, path: Path, files: list[TakenFile]) -> None:
        """Make a dropped file ours. What is no file goes to `rejected/`, unopened."""
        name = f"{self._stamp_ns()}-{_kept_name(path)}"
        try:
            if _is_file_of_ours(path.lstat()):
                path.rename(self._taken / name)
            else:
                files.append(self._reject(path, name, _no_file(name)))
        except FileNotFoundError:
            log.info("signal file withdrawn", file=_short(path.name))

    def _stamp_ns(self) -> int:
        """When a file is taken; no two have one."""
        self._last_ns = max(system_now_ns(), self._last_ns + 1)
        return self._last_ns

    def _read(self, path: Path, files: list[TakenFile]) -> None:
        """Receive the rows of a file that is ours."""
        before = _state(path)
        try:
            read = _rows(path)
        except InvalidInput as error:
            if _state(path) == before or _state(path)[0] > MAX_BYTES:
                files.append(self._reject(path, path.name, error))
                return
            read = None
        if read is None or _state(path) != before:
            log.info("signal file grows, it is left for the next time", file=printable(path.name))
            files.append(TakenFile(path.name, (), ("it is still being written",), waits=True))
            return
        received, bad, reasons = self._records(path, read)
        new, failed = self._recorded(received)
        for row, why in failed:
            bad.append(row)
            reasons.append(f"row {row.number}: {why}")
        if bad:
            kept = self._rejected / path.name
            _write(kept, read.text(sorted(bad, key=lambda row: row.number)))
            _write(kept.with_name(f"{path.name}.reason.txt"), "\n".join(reasons) + "\n")
            self._tell(kept, reasons)
        path.rename(self._archive / path.name)
        unstored = {row.number for row, _ in failed}
        stored = tuple(record for row, record in received if row.number not in unstored)
        log.info("signal file taken", file=path.name, signals=len(stored), new=new, refused=len(bad))
        files.append(TakenFile(path.name, stored, tuple(reasons)))

    def _records(
        self, path: Path, read: RowFile
    ) -> tuple[list[tuple[Row, SignalRecord]], list[Row], list[str]]:
        """The rows that are signals, those that are none, and why."""
        received, bad, reasons = list[tuple[Row, SignalRecord]](), list[Row](), list[str]()
        earlier, span = EarlierOpinions(self._journal), rows.near(self._now_ns)
        for row in read.rows:
            try:
                says = rows.signal_row(row, span)
                record = signal_record(
                    self._book,
                    self._symbols,
                    says.symbol,
                    says.value,
                    now_ns=self._now_ns,
                    as_of_ns=says.as_of_ns,
                    reference_price=says.reference_price,
                    limit_price=says.limit_price,
                    source=says.source or "file",
                    producer_id=says.identity or f"{path.name}:{row.number}",
                )
                earlier.refuse_other_words(record)
            except InvalidInput as error:
                bad.append(row)
                reasons.append(f"row {row.number}: {printable(str(error))}")
            else:
                received.append((row, record))
        return received, bad, reasons

    def _recorded(self, received: Sequence[tuple[Row, SignalRecord]]) -> tuple[int, list[tuple[Row, str]]]:
        """Put the signals into the journal, in one transaction: how many are new. Where one of them is
        nothing that it can hold, one by one, and why that one is not there. Raises what the journal does."""
        try:
            return len(self._journal.record_signals([record for _, record in received])), []
        except ROW_FAULTS as error:
            log.error("signals not stored together", why=printable(str(error)))
        new, failed = 0, list[tuple[Row, str]]()
        for row, record in received:
            try:
                new += len(self._journal.record_signals([record]))
            except ROW_FAULTS as error:
                failed.append(
                    (row, printable(f"the journal cannot hold it ({type(error).__name__}: {error})"))
                )
        return new, failed

    def _reject(self, path: Path, name: str, error: InvalidInput) -> TakenFile:
        """Put a file aside as it came, beside its reason."""
        kept, why = self._rejected / name, printable(str(error))
        _write(kept.with_name(f"{name}.reason.txt"), f"{why}\n")
        self._tell(kept, [why])
        path.rename(kept)
        log.warning("signal file refused", file=name, reason=why)
        return TakenFile(name, (), (why,))

    def _tell(self, kept: Path, reasons: Sequence[str]) -> None:
        """Into the outbox, once for a file also where it is taken again after a crash. A producer that goes
        wrong with every file (names that differ in digits are one producer's) is told of once in a cool-down;
        all of them lie in `rejected/`."""
        lines = [*reasons[:REASONS_TOLD], *(["…"] if len(reasons) > REASONS_TOLD else [])]
        body = printable("\n".join([*lines, f"What was refused lies in {kept}"]))
        producer = re.sub(r"[0-9]+", "#", kept.name.partition("-")[2])
        tell(
            self._journal,
            self._book,
            f"signal_file:{producer}",
            "Signals refused",
            body,
            severity="WARN",
            now_ns=system_now_ns(),
            at_ns=self._now_ns,
            occurrence=kept.name,
        )


def _age(entry: os.DirEntry[str]) -> tuple[int, str]:
    try:
        return entry.stat(follow_symlinks=False).st_mtime_ns, entry.name
    except OSError:  # it is gone, or cannot be looked at: taking it says which
        return 0, entry.name


def _state(path: Path) -> tuple[int, int]:
    """What changes as a file is written to."""
    entry = path.lstat()
    return entry.st_size, entry.st_mtime_ns


def _kept_name(path: Path) -> str:
    """A file's own name in a form that every place and message takes."""
    stem = "".join(mark if mark.isascii() and mark.isprintable() else "_" for mark in path.stem)
    return f"{stem[:LONGEST_NAME]}{path.suffix}"


def _short(name: str) -> str:
    """A file's name in a message, as long as a message can take."""
    shown = printable(name)
    return shown if len(shown) <= LONGEST_NAME else f"{shown[:LONGEST_NAME]}…"


def _size(path: Path) -> int:
    try:
        return path.lstat().st_size
    except OSError:  # reading it says what is wrong
        return 0


def _is_file_of_ours(status: os.stat_result) -> bool:
    """A regular file of this user that has no other name: nobody else changes it while it is read, and it is
    no file of ours that somebody linked here."""
    return stat.S_ISREG(status.st_mode) and status.st_uid == os.geteuid() and status.st_nlink == 1


def _no_file(name: str) -> InvalidInput:
    return InvalidInput(
        "it is a link, a directory or a device, has a second name, or is another user's",
        where=f"signal file {name}",
        remedy="Write a file under another name, ending in .part, and rename it.",
    )


def _rows(path: Path) -> RowFile:
    """The file's rows. Raises InvalidInput where it has none to read, OSError where the machine fails."""
    where = f"signal file {_short(path.name)}"
    try:
        # neither through a link nor waiting for a writer
        descriptor = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK)
    except PermissionError as error:
        raise rows.unreadable(f"it may not be read: {error.strerror}", where) from error
    except OSError:
        if not path.is_symlink():
            raise
        raise _no_file(_short(path.name)) from None
    if not _is_file_of_ours(os.fstat(descriptor)):
        os.close(descriptor)
        raise _no_file(_short(path.name))
    with os.fdopen(descriptor, "rb") as file:
        content = file.read(MAX_BYTES + 1)
    if len(content) > MAX_BYTES:
        raise rows.unreadable(f"it is larger than {MAX_BYTES} bytes", where)
    if path.suffix.lower() == ".csv":
        return rows.csv_rows(content, where)
    return rows.json_rows(content, where)


def _write(path: Path, text: str) -> None:
    """Whole or not at all."""
    part = path.with_name(f"{path.name}.part")
    part.write_bytes(text.encode("utf-8", errors="surrogateescape"))
    part.replace(path)
