"""Alpaca's activity types: what each moves, and where the cost of shares that it brings comes from.

The one list of them: `engine.evidence.activities` books by it, and the table in the documentation is made
from it. The words are those of Alpaca's trading API (`ActivityType`, `ActivitySubType`) and of its Python
client. A type that is not listed moves cash only, and a person is told.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum


class Booked(StrEnum):
    """The kind of a line that is no fill, as the journal's adjustments have it."""

    SPLIT = "SPLIT"
    NAME_CHANGE = "NAME_CHANGE"
    SPIN_OFF = "SPIN_OFF"
    REORGANISATION = "REORGANISATION"
    DIVIDEND = "DIVIDEND"
    FEE = "FEE"
    INTEREST = "INTEREST"
    TRANSFER = "TRANSFER"
    OPTION = "OPTION"
    OTHER = "OTHER"


class CostOf(StrEnum):
    """Where shares that a line brings have their cost from."""

    NOTHING = "–"
    KEPT = "the position's whole cost stays"
    OLD_SHARES = "that of the shares given up"
    PARENT = "its part of the parent's, by value"
    BROKER = "the broker's average entry price"
    PAID = "the cash that was paid for them"


@dataclass(frozen=True, slots=True)
class ActivityType:
    """One of the broker's words. `qty` of a type that moves no shares is not looked at."""

    name: str
    kind: Booked
    moves_shares: bool
    moves_cash: bool
    cost: CostOf
    told: bool  # a person is told of each line: what it means for the book is not certain
    meaning: str

    @property
    def is_transfer(self) -> bool:
        """Neither profit nor loss: it is taken out of every figure of losses."""
        return self.kind is Booked.TRANSFER


def _cash(name: str, kind: Booked, meaning: str, *, told: bool = False) -> ActivityType:
    return ActivityType(name, kind, False, True, CostOf.NOTHING, told, meaning)


def _shares(name: str, kind: Booked, cost: CostOf, meaning: str, *, cash: bool = True) -> ActivityType:
    return ActivityType(name, kind, True, cash, cost, False, meaning)


TRADE = "FILL"
"""The one type that is no adjustment: its lines are fills, busts and corrections of orders."""

ACTIVITY_TYPES: dict[str, ActivityType] = {
    one.name: one
    for one in (
        _cash("TRANS", Booked.TRANSFER, "Cash deposit or withdrawal"),
        _cash("CSD", Booked.TRANSFER, "Cash deposit"),
        _cash("CSW", Booked.TRANSFER, "Cash withdrawal"),
        _cash("ACATC", Booked.TRANSFER, "Account transfer, cash"),
        _cash("JNLC", Booked.TRANSFER, "Journal entry, cash"),
        _cash("MEM", Booked.TRANSFER, "Instant funding"),
        _cash("OCT", Booked.TRANSFER, "Deposit or withdrawal on a blockchain", told=True),
        _shares("JNL", Booked.TRANSFER, CostOf.BROKER, "Journal entry"),
        _shares("JNLS", Booked.TRANSFER, CostOf.BROKER, "Journal entry, shares", cash=False),
        _shares("ACATS", Booked.TRANSFER, CostOf.BROKER, "Account transfer, shares", cash=False),
        _shares("FOPT", Booked.TRANSFER, CostOf.BROKER, "Free-of-payment transfer of shares", cash=False),
        _cash("DIV", Booked.DIVIDEND, "Dividend"),
        _cash("DIVCGL", Booked.DIVIDEND, "Dividend, long-term capital gain"),
        _cash("DIVCGS", Booked.DIVIDEND, "Dividend, short-term capital gain"),
        _cash("DIVFEE", Booked.DIVIDEND, "Fee on a dividend"),
        _cash("DIVFT", Booked.DIVIDEND, "Foreign tax withheld from a dividend"),
        _cash("DIVNRA", Booked.DIVIDEND, "Non-resident tax withheld from a dividend"),
        _cash("DIVROC", Booked.DIVIDEND, "Dividend, return of capital"),
        _cash("DIVTW", Booked.DIVIDEND, "Tefra tax withheld from a dividend"),
        _cash("DIVTXEX", Booked.DIVIDEND, "Dividend, tax-exempt"),
        _cash("DIVWH", Booked.DIVIDEND, "Tax withheld from a dividend"),
        _cash("CGD", Booked.DIVIDEND, "Capital gains distribution"),
        _cash("CIL", Booked.DIVIDEND, "Cash in lieu of a fraction of a share"),
        _cash("FEE", Booked.FEE, "Fee"),
        _cash("CFEE", Booked.FEE, "Crypto fee"),
        _cash("PTC", Booked.FEE, "Pass-through charge"),
        _cash("PTR", Booked.FEE, "Pass-through rebate"),
        _cash("WH", Booked.FEE, "Tax withheld"),
        _cash("INT", Booked.INTEREST, "Interest"),
        _cash("INTNRA", Booked.INTEREST, "Non-resident tax withheld from interest"),
        _cash("INTTW", Booked.INTEREST, "Tefra tax withheld from interest"),
        _cash("INTPNL", Booked.INTEREST, "Profit and loss of interest"),
        _cash("SWP", Booked.INTEREST, "Interest of a cash sweep"),
        _shares("SPLIT", Booked.SPLIT, CostOf.KEPT, "Stock split, in one line or two"),
        _shares("NC", Booked.NAME_CHANGE, CostOf.OLD_SHARES, "Name change: a position gets another symbol"),
        _shares("SPIN", Booked.SPIN_OFF, CostOf.PARENT, "Spin-off"),
        _shares("MA", Booked.REORGANISATION, CostOf.OLD_SHARES, "Merger or acquisition"),
        _shares("REO", Booked.REORGANISATION, CostOf.OLD_SHARES, "Reorganisation"),
        _shares("REORG", Booked.REORGANISATION, CostOf.OLD_SHARES, "Removal of worthless shares"),
        _shares("VOF", Booked.REORGANISATION, CostOf.OLD_SHARES, "Voluntary offer: tender, exchange, rights"),
        ActivityType(
            "OPTRD", Booked.OPTION, True, True, CostOf.PAID, True, "Shares traded by an option's exercise"
        ),
        _cash("OPASN", Booked.OPTION, "Assignment of an option", told=True),
        _cash("OPCA", Booked.OPTION, "Corporate action of an option", told=True),
        _cash("OPCSH", Booked.OPTION, "Cash deliverable of an option", told=True),
        _cash("OPEXC", Booked.OPTION, "Exercise of an option", told=True),
        _cash("OPXRC", Booked.OPTION, "Exercise of an option", told=True),
        _cash("OPEXP", Booked.OPTION, "Expiry of an option", told=True),
        _cash("EXTRD", Booked.OTHER, "Trade made elsewhere", told=True),
        _cash("FXTRD", Booked.OTHER, "Exchange of currencies", told=True),
        _cash("MISC", Booked.OTHER, "Anything else", told=True),
    )
}


def type_named(name: str) -> ActivityType:
    """The type of this name; one that is not listed moves cash only, and is told."""
    return ACTIVITY_TYPES.get(name) or _cash(name, Booked.OTHER, "A type that is not listed", told=True)
