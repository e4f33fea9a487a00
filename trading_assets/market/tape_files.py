"""A tape as files: the columns of its bars one after the other, which whoever plays it maps into memory.

    tape.json                symbols, corporate actions, what the tape is a copy of
    daily.<column>           daily bars, ascending by symbol and start
    daily.ends               for each symbol the rows up to its last
    minute.<column>          minute bars, ascending by session, symbol and start
    minute.key, minute.end   for each (session, symbol) that has any: its key, and the rows up to its last

Columns are raw little-endian numbers of 8 bytes. A directory is complete or not there.
"""

from __future__ import annotations

import json
import shutil
import tempfile
from collections.abc import Iterable, Mapping, Sequence
from contextlib import ExitStack
from datetime import date
from pathlib import Path
from typing import Any, BinaryIO, NamedTuple

import numpy as np
from numpy.typing import NDArray

from trading_assets.market.bars import Bars, CorporateAction
from trading_assets.market.sessions import Sessions

FORMAT = 1
HEAD = "tape.json"
DAYS_OF_A_KEY = 1 << 20  # a key is symbol's number × this + days since 1970: ascending by symbol, then by day
_EPOCH_DAY = date(1970, 1, 1).toordinal()
_COLUMNS = {name: "<i8" if name.endswith("_ns") else "<f8" for name in Bars._fields}


class TapeRows(NamedTuple):
    """Bars of several symbols. All arrays have shape (n,)."""

    symbol: NDArray[np.int32]  # its number in the tape's symbols
    day: NDArray[np.int32]  # days since 1970
    bars: Bars


class TapeHead(NamedTuple):
    """What `tape.json` says."""

    copy_of: str
    symbols: tuple[str, ...]
    actions: dict[str, tuple[CorporateAction, ...]]


def write_tape(
    directory: Path,
    symbols: Sequence[str],
    days: Iterable[TapeRows],
    minutes: Iterable[TapeRows],
    actions: Mapping[str, Sequence[CorporateAction]],
    *,
    copy_of: str,
) -> None:
    """Put a tape at `directory`, in place of what is there; all of it or nothing.

    days:    ascending by symbol's number and start over the parts
    minutes: ascending by session, symbol's number and start over the parts; a session that has minutes of a
             symbol and no daily bar gets the one that they make
    copy_of: says what the tape was made of
    """
    directory.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=directory.parent, prefix=f".{directory.name}-") as private:
        made = Path(private)
        keys, ends = _write_minutes(made, minutes)
        _write_days(made, len(symbols), days, keys, ends)
        head = {
            "format": FORMAT,
            "copy_of": copy_of,
            "symbols": list(symbols),
            "actions": [
                [action.symbol, action.ex_date.isoformat(), action.split_ratio, action.cash_usd]
                for symbol in symbols
                for action in actions.get(symbol, ())
            ],
        }
        (made / HEAD).write_text(json.dumps(head), encoding="utf-8")
        shutil.rmtree(directory, ignore_errors=True)
        made.rename(directory)
        made.mkdir()  # which the end of the block takes away


def read_head(directory: Path) -> TapeHead | None:
    """None: no tape there, or one of another format."""
    try:
        head = json.loads((directory / HEAD).read_text(encoding="utf-8"))
    except FileNotFoundError:
        return None
    if head["format"] != FORMAT:
        return None
    actions: dict[str, list[CorporateAction]] = {}
    for symbol, ex_date, ratio, cash in head["actions"]:
        action = CorporateAction(symbol, date.fromisoformat(ex_date), ratio, cash)
        actions.setdefault(symbol, []).append(action)
    return TapeHead(head["copy_of"], tuple(head["symbols"]), {s: tuple(a) for s, a in actions.items()})


def mapped_bars(directory: Path, interval: str) -> Bars:
    """The columns of "daily" or "minute" bars, mapped read-only: what is not looked at is not read."""
    return Bars(*(mapped(directory / f"{interval}.{name}", kind) for name, kind in _COLUMNS.items()))


def mapped(path: Path, kind: str = "<i8") -> NDArray[Any]:
    if not path.stat().st_size:
        return np.empty(0, dtype=kind)
    # a plain array over the mapped file: slices of a memmap cost several times as much
    return np.asarray(np.memmap(path, dtype=kind, mode="r"))


def day_number(day: date) -> int:
    """Days since 1970."""
    return day.toordinal() - _EPOCH_DAY


def _write_minutes(made: Path, parts: Iterable[TapeRows]) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Key and end of each (session, symbol), ascending by end."""
    keys, ends, count = [], [], 0
    with ExitStack() as files:
        columns = _opened(files, made, "minute")
        for part in parts:
            _append(columns, part.bars)
            key = part.symbol.astype(np.int64) * DAYS_OF_A_KEY + part.day
            last = np.flatnonzero(np.append(np.diff(key) != 0, True)[: len(key)])
            keys.append(key[last])
            ends.append(count + last + 1)
            count += len(key)
    key, end = (np.concatenate([np.empty(0, np.int64), *parts]) for parts in (keys, ends))
    (made / "minute.key").write_bytes(key.astype("<i8").tobytes())
    (made / "minute.end").write_bytes(end.astype("<i8").tobytes())
    return key, end


def _write_days(
    made: Path,
    symbols: int,
    parts: Iterable[TapeRows],
    keys: NDArray[np.int64],
    ends: NDArray[np.int64],
) -> None:
    held = []
    with ExitStack() as files:
        columns = _opened(files, made, "daily")
        for part in parts:
            _append(columns, part.bars)
            held.append(part.symbol.astype(np.int64) * DAYS_OF_A_KEY + part.day)
    key = np.concatenate([np.empty(0, np.int64), *held])
    missing = ~np.isin(keys, key)
    if missing.any():
        begins = np.concatenate([np.zeros(1, np.int64), ends[:-1]])
        key = _add_days(made, key, keys[missing], begins[missing], ends[missing])
    rows = np.searchsorted(key, np.arange(1, symbols + 1, dtype=np.int64) * DAYS_OF_A_KEY)
    (made / "daily.ends").write_bytes(rows.astype("<i8").tobytes())


def _add_days(
    made: Path,
    key: NDArray[np.int64],
    new: NDArray[np.int64],
    begins: NDArray[np.int64],
    ends: NDArray[np.int64],
) -> NDArray[np.int64]:
    """Write the daily bars anew, with those that minutes make; returns all keys."""
    minute, daily = mapped_bars(made, "minute"), mapped_bars(made, "daily")
    sessions = Sessions()
    of_day = np.unique(new % DAYS_OF_A_KEY)
    opens, closes = sessions.hours([date.fromordinal(_EPOCH_DAY + int(day)) for day in of_day])
    place = np.searchsorted(of_day, new % DAYS_OF_A_KEY)
    spans = list(zip(begins.tolist(), ends.tolist(), strict=True))
    bars = Bars(
        opens[place],
        closes[place],
        minute.open[begins],
        np.array([minute.high[begin:end].max() for begin, end in spans]),
        np.array([minute.low[begin:end].min() for begin, end in spans]),
        minute.close[ends - 1],
        np.array([minute.volume[begin:end].sum() for begin, end in spans]),
    )
    order = np.argsort(np.concatenate([key, new]), kind="stable")
    whole = Bars(*(np.concatenate([old, added])[order] for old, added in zip(daily, bars, strict=True)))
    del daily
    for name in Bars._fields:
        (made / f"daily.{name}").unlink()  # the mapped one stays as long as it is mapped
    with ExitStack() as files:
        _append(_opened(files, made, "daily"), whole)
    return np.concatenate([key, new])[order]


def _opened(files: ExitStack, made: Path, interval: str) -> list[tuple[BinaryIO, str]]:
    return [
        (files.enter_context((made / f"{interval}.{name}").open("wb")), kind)
        for name, kind in _COLUMNS.items()
    ]


def _append(columns: list[tuple[BinaryIO, str]], bars: Bars) -> None:
    for (file, kind), column in zip(columns, bars, strict=True):
        file.write(np.ascontiguousarray(column, dtype=kind).data)
