"""Ids of many decisions and orders at once: those of `core.orders`, whose hashes they are, without its cost
for each.

A decision of a replay is named by its symbol and a time. Those that an order came from get their ids here;
those of all signals are made by DuckDB as their rows go in (`SELECT_WITH_IDS`).
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Sequence

import numpy as np
from numpy.typing import NDArray

from trading_assets.core.orders import PREFIX, Kind
from trading_assets.core.words import Side

_DECISION_DIGITS = 32
_ORDER_DIGITS = 40
_SIDES = {int(side): side.name for side in Side}

SELECT_WITH_IDS = f"""
* EXCLUDE (begun, ended), left(sha256(begun || as_of_ns || ended), {_DECISION_DIGITS}) AS decision_id
"""
"""What becomes of rows with a signal's `as_of_ns` and the `begun` and `ended` of its symbol's decisions."""


class DecisionIds:
    """`core.orders.decision_id` of one book and kind, for decisions at a time: the model's at its tick,
    another at its signal's stamp.

    begun: of each symbol, what is hashed before the time; ended: what is hashed after it
    """

    def __init__(self, book: str, kind: Kind, symbols: Sequence[str]) -> None:
        if kind is Kind.MODEL:
            parts = [json.dumps([book, kind.value, symbol, 0]) for symbol in symbols]
            self.begun, self.ended = [part.removesuffix("0]") for part in parts], "]"
        else:
            parts = [json.dumps([book, kind.value, symbol, "replay:"]) for symbol in symbols]
            self.begun, self.ended = [part.removesuffix('"]') for part in parts], '"]'
        self._begun = [hashlib.sha256(text.encode()) for text in self.begun]

    def at(self, symbol: NDArray[np.int64], at_ns: NDArray[np.int64]) -> list[str]:
        """Of each of n decisions: the number of its symbol, and its time."""
        ids = []
        for row, stamp in zip(symbol.tolist(), at_ns.tolist(), strict=True):
            digest = self._begun[row].copy()
            digest.update(f"{stamp}{self.ended}".encode())
            ids.append(digest.hexdigest()[:_DECISION_DIGITS])
        return ids


def client_order_ids(decisions: Iterable[tuple[str, int, int, int]]) -> list[str]:
    """`core.orders.client_order_id` of each (decision id, side, slice, attempt)."""
    return [
        PREFIX
        + hashlib.sha256(f'["{decision}", "{_SIDES[side]}", {number}, {attempt}]'.encode()).hexdigest()[
            :_ORDER_DIGITS
        ]
        for decision, side, number, attempt in decisions
    ]
