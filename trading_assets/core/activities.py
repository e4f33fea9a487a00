"""What a line of an account's history is, whatever word the broker has for it: its kind, what it moves, and
where the cost of shares that it brings comes from.

A broker's adapter has the table of the broker's own words. The engine books by what is here, and the
journals have the kinds.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum


class ActivityKind(StrEnum):
    """What a line does. The values are in journals; what is no trade is an adjustment of that kind."""

    FILL = "FILL"
    BUST = "BUST"  # a fill that never was
    CORRECTION = "CORRECTION"  # of a fill's quantity or price
    SPLIT = "SPLIT"
    NAME_CHANGE = "NAME_CHANGE"
    SPIN_OFF = "SPIN_OFF"
    REORGANISATION = "REORGANISATION"
    DIVIDEND = "DIVIDEND"
    FEE = "FEE"
    INTEREST = "INTEREST"
    TRANSFER = "TRANSFER"  # neither profit nor loss: it is taken out of every figure of losses
    OPTION = "OPTION"
    OTHER = "OTHER"


TRADES = frozenset({ActivityKind.FILL, ActivityKind.BUST, ActivityKind.CORRECTION})
"""Lines of orders. Every other line is an adjustment."""


class CostOf(StrEnum):
    """Where shares that a line brings have their cost from."""

    NOTHING = "–"
    KEPT = "the position's whole cost stays"
    OLD_SHARES = "that of the shares given up"
    PARENT = "its part of the parent's, by value"
    BROKER = "the broker's average entry price"
    PAID = "the cash that was paid for them"


class LineStatus(StrEnum):
    """Whether a line counts, or changes what an earlier one said."""

    EXECUTED = "EXECUTED"
    CORRECTED = "CORRECTED"  # it takes the place of the line that it names, or of the one with its id
    CANCELLED = "CANCELLED"  # it takes that line back
    OTHER = "OTHER"  # a word that the adapter does not know: it counts, after those that were executed


@dataclass(frozen=True, slots=True)
class ActivityType:
    """One of the broker's types of line. `qty` of a type that moves no shares is not looked at."""

    name: str  # the broker's word: for a person, and the reason in the journal
    kind: ActivityKind
    moves_shares: bool
    moves_cash: bool
    cost: CostOf
    alerts: bool  # a person is told of each line: what it means for the book is not certain
    meaning: str
    listed: bool = True  # False: the adapter does not know the word; the line moves cash only
