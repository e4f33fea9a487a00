"""Ids of many decisions and orders at once: those of `core.orders`, whose hashes they are, without its cost
for each.

A decision of a replay is named by its symbol and a time. Orders that were sent get their ids here; those of
all signals and verdicts are made by DuckDB as their rows go in (`SELECT_SIGNALS`, `SELECT_VERDICTS`).
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

_DECISION_ID = f"left(sha256(begun || decided_ns || ended), {_DECISION_DIGITS})"
SELECT_SIGNALS = f"* EXCLUDE (begun, decided_ns, ended), {_DECISION_ID} AS decision_id"
"""What becomes of rows with the `begun`, `decided_ns` and `ended` of their decisions."""

_NAMES_OF_SIDES = " ".join(f"WHEN {number} THEN '{name}'" for number, name in _SIDES.items())
SELECT_VERDICTS = f"""
* EXCLUDE (begun, decided_ns, ended, slice, attempt), {_DECISION_ID} AS decision_id,
'{PREFIX}' || left(sha256(
    '["' || decision_id || '", "' || CASE side {_NAMES_OF_SIDES} END || '", '
    || slice || ', ' || attempt || ']'
), {_ORDER_DIGITS}) AS client_order_id
"""
"""The same of rows that have a `side`, a `slice` and an `attempt` besides."""


class DecisionIds:
    """`core.orders.decision_id` of one book, for decisions at a time: the model's at its tick, another at its
    signal's stamp, a stop at the time when it was set off.

    begun: what is hashed before the time, of each of the n symbols' decisions and then of their stops
    ended: what is hashed after it, of the same
    """

    def __init__(self, book: str, kind: Kind, symbols: Sequence[str]) -> None:
        before, after = ("", "]") if kind is Kind.MODEL else ('"replay:', '"]')
        self.begun = [_begun(book, kind, symbol) + before for symbol in symbols]
        self.begun += [_begun(book, Kind.STOP, symbol) for symbol in symbols]
        self.ended = [after] * len(symbols) + ["]"] * len(symbols)
        self._begun = [hashlib.sha256(text.encode()) for text in self.begun]

    def at(self, number: NDArray[np.int64], at_ns: NDArray[np.int64]) -> list[str]:
        """Of each of some decisions: its number in `begun`, and its time."""
        ids = []
        for row, stamp in zip(number.tolist(), at_ns.tolist(), strict=True):
            digest = self._begun[row].copy()
            digest.update(f"{stamp}{self.ended[row]}".encode())
            ids.append(digest.hexdigest()[:_DECISION_DIGITS])
        return ids


def _begun(book: str, kind: Kind, symbol: str) -> str:
    """What is hashed before a decision's key."""
    return json.dumps([book, kind.value, symbol]).removesuffix("]") + ", "


def client_order_ids(decisions: Iterable[tuple[str, int, int, int]]) -> list[str]:
    """`core.orders.client_order_id` of each (decision id, side, slice, attempt)."""
    return [
        PREFIX
        + hashlib.sha256(f'["{decision}", "{_SIDES[side]}", {number}, {attempt}]'.encode()).hexdigest()[
            :_ORDER_DIGITS
        ]
        for decision, side, number, attempt in decisions
    ]
