"""Ids of many decisions and orders at once: those of `core.orders`, whose hashes they are, without its cost
for each.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Sequence

import numpy as np
from numpy.typing import NDArray

from trading_assets.core.orders import PREFIX, Kind
from trading_assets.core.words import Side

_DECISION_BYTES = 16
_ORDER_DIGITS = 40
_SIDES = {int(side): side.name for side in Side}


class DecisionIds:
    """`core.orders.decision_id` of one book and kind, for decisions that are named by a time."""

    def __init__(self, book: str, kind: Kind, symbols: Sequence[str]) -> None:
        begun = (json.dumps([book, kind.value, symbol])[:-1] + ", " for symbol in symbols)
        self._begun = [hashlib.sha256(text.encode()) for text in begun]

    def at(self, symbol: NDArray[np.int64], at_ns: NDArray[np.int64]) -> list[str]:
        """Of each of n decisions: the number of its symbol, and its time."""
        digests = []
        for row, stamp in zip(symbol.tolist(), at_ns.tolist(), strict=True):
            digest = self._begun[row].copy()
            digest.update(b"%d]" % stamp)
            digests.append(digest.digest()[:_DECISION_BYTES])
        digits, width = b"".join(digests).hex(), 2 * _DECISION_BYTES
        return [digits[begin : begin + width] for begin in range(0, len(digits), width)]


def client_order_ids(decisions: Iterable[tuple[str, int, int, int]]) -> list[str]:
    """`core.orders.client_order_id` of each (decision id, side, slice, attempt)."""
    return [
        PREFIX
        + hashlib.sha256(f'["{decision}", "{_SIDES[side]}", {number}, {attempt}]'.encode()).hexdigest()[
            :_ORDER_DIGITS
        ]
        for decision, side, number, attempt in decisions
    ]
