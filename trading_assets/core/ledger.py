"""Positions and cash as a fold over what happened: fills, splits, cash, corrections of quantity.

Average-cost method. An entry gives a new ledger and never changes an old one. Journal and engine know which
entries a book has, in which order, and what a holding is worth. Always: Δcash + Δ(Σ quantity × average cost)
= Δrealised + what entries other than fills brought in.

Cost follows shares. Shares that a corporate action takes away leave their cost waiting until it brings the
shares that take their place, under the same symbol or another.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import NamedTuple

from trading_assets.core.compiled import allocation_free
from trading_assets.errors import InvalidInput

_QUANTUM = 1e-9  # shares; the broker knows no finer quantity


class Holding(NamedTuple):
    """One symbol's holding. A closed one stays, for its realised profit."""

    qty: float = 0.0  # signed shares
    avg_cost: float = 0.0  # USD a share; 0 when flat
    realized_usd: float = 0.0  # dividends and fees are cash entries, not in here
    waiting_usd: float = 0.0  # cost of shares given up, for those that take their place; realised till then


@dataclass(frozen=True, slots=True)
class Ledger:
    cash_usd: float = 0.0
    holdings: Mapping[str, Holding] = field(default_factory=dict)


class FillEntry(NamedTuple):
    """Shares against cash. A bust is the opposite fill at the same price."""

    symbol: str
    side: int  # core.words.Side
    qty: float  # shares, > 0
    price: float


class SplitEntry(NamedTuple):
    """Quantity × ratio, average cost ÷ ratio: the cost stays. Cash in lieu is an entry of its own."""

    symbol: str
    ratio: float  # new shares per old share, > 0


class CashEntry(NamedTuple):
    """Dividend, fee, interest, transfer: cash without shares."""

    symbol: str  # "" where it belongs to none
    amount_usd: float
    kind: str


class QuantityEntry(NamedTuple):
    """Shares without cash: a correction, a spin-off, a transfer in kind."""

    symbol: str
    qty: float  # signed change of shares
    cost_usd: float  # signed change of the position's whole cost (quantity × average cost)


class SurrenderEntry(NamedTuple):
    """Shares that a corporate action takes away. What is paid for them beside other shares reduces the
    waiting cost."""

    symbol: str
    qty: float  # > 0
    cash_usd: float  # a cash entry of its own says that it was paid


class ReplacementEntry(NamedTuple):
    """Shares that replace those surrendered in `source`; they take all of the cost that waits there."""

    symbol: str
    qty: float  # > 0
    source: str  # may be the symbol itself


class SpinOffEntry(NamedTuple):
    """Shares of another company given to a holder of `parent`, who keeps his shares."""

    symbol: str
    qty: float  # > 0
    parent: str
    share: float  # of the parent's cost that goes with them, 0 to 1


Entry = FillEntry | SplitEntry | CashEntry | QuantityEntry | SurrenderEntry | ReplacementEntry | SpinOffEntry


def apply(ledger: Ledger, entry: Entry) -> Ledger:
    """The ledger after one entry. Raises InvalidInput for an entry that cannot have happened."""
    return fold(ledger, (entry,))


def fold(opening: Ledger, entries: Iterable[Entry]) -> Ledger:
    """The ledger after all entries, in their order. Raises as `apply` does."""
    cash = opening.cash_usd
    holdings = dict(opening.holdings)
    for entry in entries:
        _refuse_impossible(entry)
        if isinstance(entry, CashEntry):
            cash += entry.amount_usd
            continue
        held = holdings.get(entry.symbol, Holding())
        if isinstance(entry, FillEntry):
            qty, avg_cost, realized, cash_delta = apply_fill(
                held.qty, held.avg_cost, entry.side, entry.qty, entry.price
            )
            cash += cash_delta
            holdings[entry.symbol] = held._replace(
                qty=qty, avg_cost=avg_cost, realized_usd=held.realized_usd + realized
            )
        elif isinstance(entry, SplitEntry):
            qty = whole_if_close(held.qty * entry.ratio)
            avg_cost = held.qty * held.avg_cost / qty if qty else 0.0
            lost = 0.0 if qty else held.qty * held.avg_cost
            holdings[entry.symbol] = held._replace(
                qty=qty, avg_cost=avg_cost, realized_usd=held.realized_usd - lost
            )
        elif isinstance(entry, SurrenderEntry):
            holdings[entry.symbol] = _surrendered(held, entry)
        elif isinstance(entry, ReplacementEntry):
            giving = holdings.get(entry.source, Holding())
            cost = giving.waiting_usd
            holdings[entry.source] = giving._replace(waiting_usd=0.0, realized_usd=giving.realized_usd + cost)
            held = holdings.get(entry.symbol, Holding())
            holdings[entry.symbol] = _with_quantity(held, QuantityEntry(entry.symbol, entry.qty, cost))
        elif isinstance(entry, SpinOffEntry):
            parent = holdings.get(entry.parent, Holding())
            cost = entry.share * parent.qty * parent.avg_cost
            holdings[entry.parent] = parent._replace(avg_cost=parent.avg_cost * (1.0 - entry.share))
            held = holdings.get(entry.symbol, Holding())
            holdings[entry.symbol] = _with_quantity(held, QuantityEntry(entry.symbol, entry.qty, cost))
        else:
            holdings[entry.symbol] = _with_quantity(held, entry)
    return Ledger(cash, holdings)


@allocation_free
def apply_fill(
    qty: float, avg_cost: float, side: int, fill_qty: float, price: float
) -> tuple[float, float, float, float]:
    """(quantity, average cost, realised USD, change of cash USD) after a fill.

    Toward zero the average cost stays and the difference to it is realised; away from zero it is the
    mean weighted by quantity; what crosses zero opens at the fill's price.
    """
    cash_delta = -side * fill_qty * price
    held = abs(qty)
    after = whole_if_close(qty + side * fill_qty)
    if qty * side >= 0.0:
        if after == 0.0:  # less than the smallest quantity there is
            return 0.0, 0.0, cash_delta, cash_delta
        return after, (held * avg_cost + fill_qty * price) / (held + fill_qty), 0.0, cash_delta
    if after * side > 0.0:
        return after, price, held * (avg_cost - price) * side, cash_delta
    realized = fill_qty * (avg_cost - price) * side
    if after == 0.0:
        return 0.0, 0.0, realized, cash_delta
    return after, avg_cost, realized, cash_delta


@allocation_free
def whole_if_close(qty: float) -> float:
    """The whole number of shares that `qty` is up to rounding errors, else `qty`.

    Binary floats cannot hold 0.1 shares or a split of 1:3; half a quantum apart from a whole number
    means that it is one, and whole quantities are compared exactly.
    """
    whole = math.floor(qty + 0.5)
    if abs(qty - whole) < 0.5 * _QUANTUM:
        return float(whole)
    return qty


def _with_quantity(held: Holding, entry: QuantityEntry) -> Holding:
    cost = held.qty * held.avg_cost
    qty = whole_if_close(held.qty + entry.qty)
    if qty == 0.0:
        lost = cost + entry.cost_usd
        return held._replace(qty=0.0, avg_cost=0.0, realized_usd=held.realized_usd - lost)
    if held.qty * qty < 0.0:  # the old position is gone with its cost, the rest is a new one
        return held._replace(qty=qty, avg_cost=entry.cost_usd / qty, realized_usd=held.realized_usd - cost)
    return held._replace(qty=qty, avg_cost=(cost + entry.cost_usd) / qty)


def _surrendered(held: Holding, entry: SurrenderEntry) -> Holding:
    cost = entry.qty * held.avg_cost
    waiting = max(cost - entry.cash_usd, 0.0)
    after = _with_quantity(held, QuantityEntry(entry.symbol, -entry.qty, -cost))
    return after._replace(realized_usd=after.realized_usd - cost, waiting_usd=held.waiting_usd + waiting)


def _refuse_impossible(entry: Entry) -> None:
    numbers = [value for value in entry if isinstance(value, float | int)]
    possible = all(math.isfinite(number) for number in numbers)
    if isinstance(entry, FillEntry):
        possible = possible and entry.side in (-1, 1) and entry.qty > 0.0 and entry.price >= 0.0
    elif isinstance(entry, SplitEntry):
        possible = possible and entry.ratio > 0.0
    elif isinstance(entry, SurrenderEntry | ReplacementEntry):
        possible = possible and entry.qty > 0.0
    elif isinstance(entry, SpinOffEntry):
        possible = possible and entry.qty > 0.0 and 0.0 <= entry.share <= 1.0
    if not possible:
        raise InvalidInput(
            f"{entry} cannot have happened",
            where="the ledger",
            remedy="Compare the journal's fills and adjustments with the broker's activities.",
        )
