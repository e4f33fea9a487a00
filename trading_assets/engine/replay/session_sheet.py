"""A walked session with its names: the sheet of `core.walk.session`, its symbols, decisions and order ids.

Symbols and decisions are numbers in the core; here they get the names that are stored. Nothing is decided
or measured here.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from trading_assets.core.orders import Kind
from trading_assets.core.walk.columns import FILLS, POSITIONS, STATES, VERDICTS, Book, Day, Sheet, WalkedOrder
from trading_assets.engine.replay.book import Delisting
from trading_assets.engine.replay.decision_ids import DecisionIds, client_order_ids
from trading_assets.engine.replay.predictions import Signals

Rows = NDArray[np.void]


@dataclass(frozen=True)
class SessionSheet:
    """One session as it went. `book` is the book at its close."""

    book_key: str
    session: date
    open_ns: int
    close_ns: int
    symbols: tuple[str, ...]
    kind: Kind
    ids: DecisionIds
    day: Day
    signals: Signals
    superseded: Signals
    tick_ns: tuple[int, ...]
    delisted: tuple[Delisting, ...]
    sheet: Sheet
    book: Book

    @property
    def proposals(self) -> Rows:
        """Every verdict, core.decision.decide.PROPOSAL."""
        return self.sheet.proposals.rows[: self.sheet.counts[VERDICTS]]

    @property
    def orders(self) -> Rows:
        """Beside each verdict, core.walk.columns.ORDER."""
        return self.sheet.orders[: self.sheet.counts[VERDICTS]]

    @property
    def fills(self) -> Rows:
        return self.sheet.fills[: self.sheet.counts[FILLS]]

    @property
    def positions(self) -> Rows:
        return self.sheet.positions[: self.sheet.counts[POSITIONS]]

    @property
    def states(self) -> Rows:
        return self.sheet.states[: self.sheet.counts[STATES]]

    @cached_property
    def sent(self) -> NDArray[np.int64]:
        """The verdicts that passed."""
        return np.flatnonzero(self.orders["state"] != WalkedOrder.NONE)

    @cached_property
    def decided(self) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
        """What names each verdict's decision, the signal's or that of the symbol's stop: its number in `ids`,
        and its time in nanoseconds."""
        decision, taken = self.orders["decision"], self.signals.rows
        number, at_ns = np.empty((2, len(decision)), np.int64)
        of_signal, of_stop = decision >= 0, decision < 0
        number[of_signal] = taken["symbol"][decision[of_signal]]
        at_ns[of_signal] = taken["as_of_ns"][decision[of_signal]]
        stopped = -1 - decision[of_stop]
        number[of_stop] = len(self.symbols) + stopped
        at_ns[of_stop] = self.book.holdings["stopped_ns"][stopped]
        return number, at_ns

    @cached_property
    def decision_ids(self) -> list[str]:
        """Of each order sent."""
        number, at_ns = self.decided
        return self.ids.at(number[self.sent], at_ns[self.sent])

    @cached_property
    def client_ids(self) -> list[str]:
        """Of each order sent."""
        proposals, attempts = self.proposals[self.sent], self.orders["attempt"][self.sent]
        sides, slices = proposals["side"].tolist(), proposals["slice"].tolist()
        return client_order_ids(zip(self.decision_ids, sides, slices, attempts.tolist(), strict=True))
