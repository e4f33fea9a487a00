"""Alpaca's announcements of corporate actions as the port's: one for each symbol and ex-date."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from datetime import date
from typing import Any, NamedTuple

from trading_assets.broker.alpaca.fields import Malformed, Row, date_of, mapping, positive, shown, text, word
from trading_assets.broker.port import CorporateActionState, Rows, SpinOffState, Unreadable

_ANNOUNCED = frozenset(
    {
        "forward_splits",
        "reverse_splits",
        "stock_dividends",
        "cash_dividends",
        "capital_gains_distributions",
        "spin_offs",
        "rights_distributions",
    }
)
_TOLD_BY_ACTIVITIES = frozenset(
    {
        "unit_splits",
        "cash_mergers",
        "stock_mergers",
        "stock_and_cash_mergers",
        "redemptions",
        "name_changes",
        "worthless_removals",
        "partial_calls",
        "reorganizations",
    }
)


class _Announced(NamedTuple):
    """What one row announces for a symbol's ex-date."""

    symbol: str
    ex_date: date
    ratio: float = 1.0
    cash: float = 0.0
    spin_off: SpinOffState | None = None


def corporate_actions(groups: Mapping[str, Any]) -> Rows[CorporateActionState]:
    """What changes price, shares or cost of each symbol, one row for each symbol and ex-date, ascending.

    groups: Alpaca's lists by kind. The ratio of a split is new_rate ÷ old_rate, that of a stock dividend
    1 + rate. A row that cannot be used is named in `unreadable` and costs no other row.
    """
    announcements: list[_Announced] = []
    unreadable: list[Unreadable] = []
    for kind, items in groups.items():
        if not isinstance(items, list):
            unreadable.append(Unreadable("", f"{kind}: expected a list, got {shown(items)}"))
            continue
        for item in items:
            try:
                announced = _announced(kind, mapping(item))
            except Malformed as error:
                day = word(item, "ex_date") if isinstance(item, Mapping) else ""
                unreadable.append(Unreadable(_symbol_of(item), f"{kind}: {error}", day))
                continue
            if announced is not None:
                announcements.append(announced)
    merged: dict[tuple[str, date], CorporateActionState] = {}
    for one in announcements:
        key = (one.symbol, one.ex_date)
        before = merged.get(key, CorporateActionState(*key, 1.0, 0.0))
        merged[key] = replace(
            before,
            split_ratio=before.split_ratio * one.ratio,
            cash_usd=before.cash_usd + one.cash,
            spin_offs=before.spin_offs if one.spin_off is None else (*before.spin_offs, one.spin_off),
        )
    return Rows.of((merged[key] for key in sorted(merged)), unreadable)


def _announced(kind: str, row: Row) -> _Announced | None:
    """What a row announces; None for a kind that moves a position to another symbol or ends it, which the
    account's activities say. Raises Malformed."""
    if kind in _TOLD_BY_ACTIVITIES:
        return None
    if kind not in _ANNOUNCED:
        raise Malformed(f"a kind nobody knows: {shown(row)}")
    if row.get("currency") not in (None, "", "USD"):
        raise Malformed(f"it is not in USD: {shown(row)}")
    day = date_of(row, "ex_date")
    if kind in ("spin_offs", "rights_distributions"):
        per_share = positive(row, "new_rate" if kind == "spin_offs" else "rate")
        if kind == "spin_offs":
            per_share /= positive(row, "source_rate")
        return _Announced(
            text(row, "source_symbol"), day, spin_off=SpinOffState(text(row, "new_symbol"), per_share)
        )
    symbol = text(row, "symbol")
    if kind in ("forward_splits", "reverse_splits"):
        return _Announced(symbol, day, ratio=positive(row, "new_rate") / positive(row, "old_rate"))
    if kind == "stock_dividends":
        return _Announced(symbol, day, ratio=1.0 + positive(row, "rate"))
    if kind == "capital_gains_distributions":
        rates = ("long_term_rate", "short_term_rate")  # either may be absent, null or 0
        return _Announced(symbol, day, cash=sum(positive(row, name) for name in rates if row.get(name)))
    return _Announced(symbol, day, cash=positive(row, "rate"))


def _symbol_of(row: Any) -> str:
    """Whose row it is, as far as it says so."""
    if not isinstance(row, Mapping):
        return ""
    names = ("symbol", "source_symbol", "old_symbol", "acquiree_symbol")
    return next((str(row[name]) for name in names if row.get(name)), "")


def is_ex_within(row: Unreadable, first: date, last: date) -> bool:
    """Whether an unreadable corporate action may be ex in these days; one without a date may."""
    try:
        return first <= date.fromisoformat(row.subject[:10]) <= last
    except ValueError:
        return True
