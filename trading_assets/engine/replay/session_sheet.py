"""A walked session with its names: the sheet of `core.walk`, its symbols, decisions and order ids.

Symbols and decisions are numbers in the core; here they get the names that are stored. Nothing is decided
or measured here.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from trading_assets.core.orders import Kind, decision_id
from trading_assets.core.walk_columns import FILLS, POSITIONS, STATES, VERDICTS, Book, Day, OrderState, Sheet
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
        """Every verdict, core.decision.PROPOSAL."""
        return self.sheet.proposals.rows[: self.sheet.counts[VERDICTS]]

    @property
    def orders(self) -> Rows:
        """Beside each verdict, core.walk_columns.ORDER."""
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
        return np.flatnonzero(self.orders["state"] != OrderState.NONE)

    @cached_property
    def decision_ids(self) -> list[str]:
        """Of each verdict: the signal's, or that of the symbol's stop."""
        stopped = self.book.holdings["stopped_ns"].tolist()
        stops = {
            -1 - row: decision_id(self.book_key, Kind.STOP, symbol, stopped[row])
            for row, symbol in enumerate(self.symbols)
            if stopped[row]
        }
        decisions, of_each = np.unique(self.orders["decision"], return_inverse=True)
        taken = self.signals.rows[decisions[decisions >= 0]]
        found = [stops[d] for d in decisions[decisions < 0].tolist()]
        found += self.ids.at(taken["symbol"], taken["as_of_ns"])
        return [found[at] for at in of_each.tolist()]

    @cached_property
    def client_ids(self) -> list[str]:
        """Of each verdict."""
        sides, slices = self.proposals["side"].tolist(), self.proposals["slice"].tolist()
        attempts = self.orders["attempt"].tolist()
        return client_order_ids(zip(self.decision_ids, sides, slices, attempts, strict=True))
