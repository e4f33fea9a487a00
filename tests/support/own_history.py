"""A person's own history for tests: made-up bars of many symbols, imported with the real command.

Prices are a seeded walk in whole cents, so that everything can be computed again from `MadeUp`.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from pathlib import Path

import numpy as np
import yaml
from numpy.typing import NDArray

from support.command import command
from trading_assets.market.sessions import Sessions

MINUTES = 390
OPEN, HIGH, LOW, CLOSE, VOLUME = range(5)


@dataclass(frozen=True)
class MadeUp:
    """Daily bars, shape (symbols, sessions, 5): open, high, low, close in USD, volume in shares."""

    symbols: tuple[str, ...]
    days: tuple[date, ...]
    daily: NDArray[np.float64]

    def bar(self, symbol: str, day: date) -> NDArray[np.float64]:
        row: NDArray[np.float64] = self.daily[self.symbols.index(symbol), self.days.index(day)]
        return row


def made_up(count: int, first: date, last: date, *, seed: int = 3) -> MadeUp:
    """Symbols SAAA, SAAB, … with a bar on each session."""
    days, random = Sessions().between(first, last), np.random.default_rng(seed)
    shape = (count, len(days))
    start = random.uniform(20.0, 200.0, (count, 1))
    close = np.round(start * np.exp(np.cumsum(random.normal(0.0, 0.005, shape), axis=1)), 2)
    open_ = np.round(close * (1 + random.normal(0.0, 0.002, shape)), 2)
    high = np.round(np.maximum(open_, close) * (1 + np.abs(random.normal(0.0, 0.003, shape))) + 0.01, 2)
    low = np.round(np.minimum(open_, close) * (1 - np.abs(random.normal(0.0, 0.003, shape))) - 0.01, 2)
    volume = np.floor(random.uniform(50_000, 500_000, shape))
    return MadeUp(
        tuple(ticker(number) for number in range(count)),
        tuple(days),
        np.stack([open_, high, low, close, volume], axis=2),
    )


def ticker(number: int) -> str:
    letters = ""
    for _ in range(3):
        number, letter = divmod(number, 26)
        letters = chr(ord("A") + letter) + letters
    return f"S{letters}"


def write_daily(
    made: MadeUp,
    path: Path,
    *,
    splits: Mapping[tuple[str, date], float] | None = None,
    dividends: Mapping[tuple[str, date], float] | None = None,
    without: Sequence[tuple[str, date]] = (),
    volumes: Mapping[tuple[str, date], float] | None = None,
) -> Path:
    """A CSV of the daily bars, prices as they are in `made`: a split's file is the caller's to make right."""
    lines, left_out = ["symbol,date,open,high,low,close,volume,split_ratio,cash_usd"], set(without)
    for number, symbol in enumerate(made.symbols):
        for row, day in enumerate(made.days):
            key = symbol, day
            if key in left_out:
                continue
            open_, high, low, close, volume = made.daily[number, row].tolist()
            volume = (volumes or {}).get(key, volume)
            ratio, cash = (splits or {}).get(key, 1.0), (dividends or {}).get(key, 0.0)
            lines.append(f"{symbol},{day},{open_},{high},{low},{close},{volume:.0f},{ratio},{cash}")
    path.write_text("\n".join(lines) + "\n")
    return path


def write_minutes(made: MadeUp, path: Path, symbol: str, days: Sequence[date]) -> Path:
    """A CSV of minute bars that add up to the daily ones, stamped at their start: a straight line from open
    to close, with the day's extremes in the second minute."""
    lines, sessions = ["symbol,timestamp,open,high,low,close,volume"], Sessions()
    for day in days:
        open_, high, low, close, volume = made.bar(symbol, day).tolist()
        marks = np.round(np.linspace(open_, close, MINUTES + 1), 2)
        share = int(volume) // MINUTES
        for minute in range(MINUTES):
            first, last = float(marks[minute]), float(marks[minute + 1])
            top, bottom = (high, low) if minute == 1 else (max(first, last), min(first, last))
            shares = share + (int(volume) - share * MINUTES if minute == 0 else 0)
            start_ns = sessions.open_ns(day) + minute * 60 * 10**9
            lines.append(f"{symbol},{start_ns},{first},{top},{bottom},{last},{shares}")
    path.write_text("\n".join(lines) + "\n")
    return path


def write_config(home: Path, **settings: object) -> Path:
    """A configuration whose exchange plays the history of `home`."""
    path = home / "config" / "execution.yaml"
    path.parent.mkdir(parents=True, exist_ok=True)
    embedded = {"bars": "history"} | dict(settings.pop("embedded", {}))  # type: ignore[call-overload]
    path.write_text(yaml.safe_dump({"data_dir": str(home / "var"), "embedded": embedded, **settings}))
    return path


def imported(config: Path, file: Path, interval: str, *options: str) -> str:
    """What `import-bars` says of the file."""
    arguments = ["import-bars", str(file), "--interval", interval, "--adjusted", "no", *options]
    if interval == "1m":
        arguments += ["--stamps", "start"]
    done = command(*arguments, config=config)
    assert done.status == 0, done.err
    return done.out
