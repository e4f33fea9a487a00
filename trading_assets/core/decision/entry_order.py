"""The order in which a pass takes its entries: the strongest signal first, of equal ones the first symbol.

Where a cap binds (funds, exposure, counts of orders), earlier entries get what later ones do not.
"""

from __future__ import annotations

from math import inf

from trading_assets.core.compiled import inlined
from trading_assets.core.decision.columns import Ints, Rows


@inlined
def strongest_first(candidates: Rows, order: Ints, room: Ints) -> None:
    """Fill `order` (m,) with the rows of signals that may buy, by falling value, then the others.

    candidates: CANDIDATE (m,), by symbol
    room:   at least half as long as `order`
    """
    buys, rest, last, sorted_already = 0, candidates.size, inf, True
    for row in range(candidates.size):
        value = candidates[row]["value"]
        if value > 0.0:
            sorted_already = sorted_already and value <= last
            order[buys], last = row, value
            buys += 1
        else:
            rest -= 1
            order[rest] = row
    width = buys if sorted_already else 1  # sorted so far in runs of so many
    while width < buys:
        for begin in range(0, buys - width, 2 * width):
            middle, end = begin + width, begin + 2 * width
            _merge(candidates, order, begin, middle, end if end < buys else buys, room)
        width *= 2


@inlined
def _merge(candidates: Rows, order: Ints, begin: int, middle: int, end: int, room: Ints) -> None:
    """Two sorted runs that follow one another become one; equal ones stay as they are."""
    if not candidates[order[middle - 1]]["value"] < candidates[order[middle]]["value"]:
        return
    for place in range(begin, middle):
        room[place - begin] = order[place]
    left, right, place = 0, middle, begin
    while left < middle - begin:
        if right < end and candidates[order[right]]["value"] > candidates[room[left]]["value"]:
            order[place] = order[right]
            right += 1
        else:
            order[place] = room[left]
            left += 1
        place += 1
