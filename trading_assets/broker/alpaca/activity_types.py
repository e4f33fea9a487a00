"""Alpaca's activity types: what each moves, and where the cost of shares that it brings comes from.

The one list of them: the engine books by it, and the table in the documentation is made from it. The words
are those of Alpaca's trading API (`ActivityType`, `ActivitySubType`) and of its Python client. A type that is
not listed moves cash only, and a person is told.
"""

from __future__ import annotations

from collections.abc import Mapping

from trading_assets.core.activities import ActivityKind as Kind
from trading_assets.core.activities import ActivityType, CostOf, LineStatus


def _cash(name: str, kind: Kind, meaning: str, *, alerts: bool = False) -> ActivityType:
    return ActivityType(name, kind, False, True, CostOf.NOTHING, alerts, meaning)


def _shares(name: str, kind: Kind, cost: CostOf, meaning: str, *, cash: bool = True) -> ActivityType:
    return ActivityType(name, kind, True, cash, cost, False, meaning)


def _trade(name: str, kind: Kind, meaning: str) -> ActivityType:
    return ActivityType(name, kind, True, True, CostOf.PAID, False, meaning)


TRADE = "FILL"
TRADE_TYPES: Mapping[str, ActivityType] = {
    one.name: one
    for one in (
        _trade(TRADE, Kind.FILL, "Fill of an order"),
        _trade("TRADE_BUST", Kind.BUST, "A fill that never was"),
        _trade("TRADE_CORRECT", Kind.CORRECTION, "Correction of a fill"),
    )
}
"""The types that are no adjustment. A bust and a correction are fills with an execution type of that name."""

ACTIVITY_TYPES: Mapping[str, ActivityType] = {
    one.name: one
    for one in (
        _cash("TRANS", Kind.TRANSFER, "Cash deposit or withdrawal"),
        _cash("CSD", Kind.TRANSFER, "Cash deposit"),
        _cash("CSW", Kind.TRANSFER, "Cash withdrawal"),
        _cash("ACATC", Kind.TRANSFER, "Account transfer, cash"),
        _cash("JNLC", Kind.TRANSFER, "Journal entry, cash"),
        _cash("MEM", Kind.TRANSFER, "Instant funding"),
        _cash("OCT", Kind.TRANSFER, "Deposit or withdrawal on a blockchain", alerts=True),
        _shares("JNL", Kind.TRANSFER, CostOf.BROKER, "Journal entry"),
        _shares("JNLS", Kind.TRANSFER, CostOf.BROKER, "Journal entry, shares", cash=False),
        _shares("ACATS", Kind.TRANSFER, CostOf.BROKER, "Account transfer, shares", cash=False),
        _shares("FOPT", Kind.TRANSFER, CostOf.BROKER, "Free-of-payment transfer of shares", cash=False),
        _cash("DIV", Kind.DIVIDEND, "Dividend"),
        _cash("DIVCGL", Kind.DIVIDEND, "Dividend, long-term capital gain"),
        _cash("DIVCGS", Kind.DIVIDEND, "Dividend, short-term capital gain"),
        _cash("DIVFEE", Kind.DIVIDEND, "Fee on a dividend"),
        _cash("DIVFT", Kind.DIVIDEND, "Foreign tax withheld from a dividend"),
        _cash("DIVNRA", Kind.DIVIDEND, "Non-resident tax withheld from a dividend"),
        _cash("DIVROC", Kind.DIVIDEND, "Dividend, return of capital"),
        _cash("DIVTW", Kind.DIVIDEND, "Tefra tax withheld from a dividend"),
        _cash("DIVTXEX", Kind.DIVIDEND, "Dividend, tax-exempt"),
        _cash("DIVWH", Kind.DIVIDEND, "Tax withheld from a dividend"),
        _cash("CGD", Kind.DIVIDEND, "Capital gains distribution"),
        _cash("CIL", Kind.DIVIDEND, "Cash in lieu of a fraction of a share"),
        _cash("FEE", Kind.FEE, "Fee"),
        _cash("CFEE", Kind.FEE, "Crypto fee"),
        _cash("PTC", Kind.FEE, "Pass-through charge"),
        _cash("PTR", Kind.FEE, "Pass-through rebate"),
        _cash("WH", Kind.FEE, "Tax withheld"),
        _cash("INT", Kind.INTEREST, "Interest"),
        _cash("INTNRA", Kind.INTEREST, "Non-resident tax withheld from interest"),
        _cash("INTTW", Kind.INTEREST, "Tefra tax withheld from interest"),
        _cash("INTPNL", Kind.INTEREST, "Profit and loss of interest"),
        _cash("SWP", Kind.INTEREST, "Interest of a cash sweep"),
        _shares("SPLIT", Kind.SPLIT, CostOf.KEPT, "Stock split, in one line or two"),
        _shares("NC", Kind.NAME_CHANGE, CostOf.OLD_SHARES, "Name change: a position gets another symbol"),
        _shares("SPIN", Kind.SPIN_OFF, CostOf.PARENT, "Spin-off"),
        _shares("MA", Kind.REORGANISATION, CostOf.OLD_SHARES, "Merger or acquisition"),
        _shares("REO", Kind.REORGANISATION, CostOf.OLD_SHARES, "Reorganisation"),
        _shares("REORG", Kind.REORGANISATION, CostOf.OLD_SHARES, "Removal of worthless shares"),
        _shares("VOF", Kind.REORGANISATION, CostOf.OLD_SHARES, "Voluntary offer: tender, exchange, rights"),
        ActivityType(
            "OPTRD",
            Kind.OPTION,
            True,
            True,
            CostOf.PAID,
            True,
            "Shares traded by an option's exercise",
        ),
        _cash("OPASN", Kind.OPTION, "Assignment of an option", alerts=True),
        _cash("OPCA", Kind.OPTION, "Corporate action of an option", alerts=True),
        _cash("OPCSH", Kind.OPTION, "Cash deliverable of an option", alerts=True),
        _cash("OPEXC", Kind.OPTION, "Exercise of an option", alerts=True),
        _cash("OPXRC", Kind.OPTION, "Exercise of an option", alerts=True),
        _cash("OPEXP", Kind.OPTION, "Expiry of an option", alerts=True),
        _cash("EXTRD", Kind.OTHER, "Trade made elsewhere", alerts=True),
        _cash("FXTRD", Kind.OTHER, "Exchange of currencies", alerts=True),
        _cash("MISC", Kind.OTHER, "Anything else", alerts=True),
    )
}


STATUSES: Mapping[str, LineStatus] = {
    "executed": LineStatus.EXECUTED,
    "correct": LineStatus.CORRECTED,
    "canceled": LineStatus.CANCELLED,
}


def type_named(name: str) -> ActivityType:
    """The type of this name; one that is not listed moves cash only, and is told."""
    listed = TRADE_TYPES.get(name) or ACTIVITY_TYPES.get(name)
    if listed is not None:
        return listed
    meaning = "A type that is not listed"
    return ActivityType(name, Kind.OTHER, False, True, CostOf.NOTHING, True, meaning, listed=False)


def status_named(word: str) -> LineStatus:
    """What the word says of a line."""
    return STATUSES.get(word, LineStatus.OTHER)
