"""What of the account's equity our books explain: cash and shares by every fill and activity that is listed,
at the broker's marks.

Cash that comes or goes before its activity is listed is no profit and no loss, and the equity does not tell
it from one. What follows from a difference is `engine.reconciliation.equity`.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from decimal import Decimal

from trading_assets.broker.port import US_EQUITY, AccountState, PositionState
from trading_assets.core.breakers import E0_TOLERANCE
from trading_assets.core.ledger import Ledger
from trading_assets.engine.book.accounting import ledger_of
from trading_assets.engine.book.desk import Desk

BASE_MARK = "unexplained_equity"
LEAST_USD = 1.0  # as cash is compared


def unexplained_usd(desk: Desk, account: AccountState, held: Collection[PositionState]) -> float | None:
    """The equity above what explains it best, USD; None where a position has no value, or there is no ledger.

    Two explanations: the ledger's cash with the broker's positions, and with the ledger's shares at the
    broker's marks. A fill or split that one side shows before the other has moved cash and shares of the
    ledger alike.
    held: every position of the account
    """
    if not desk.journal.opening(desk.book):
        return None
    worth = {(one.asset_class, one.symbol): _worth(one) for one in held}
    values = [usd for usd in worth.values() if usd is not None]
    if len(values) < len(worth):
        return None
    ledger = ledger_of(desk.journal, desk.book)
    others = sum(usd for (kind, _), usd in worth.items() if kind != US_EQUITY and usd is not None)
    shares = {one.symbol: one for one in held if one.asset_class == US_EQUITY and one.qty}
    by_broker = ledger.cash_usd + sum(values)
    by_ledger = ledger.cash_usd + others + _value(desk, ledger, shares)
    return min((float(account.equity) - usd for usd in (by_broker, by_ledger)), key=abs)


def newly_unexplained_usd(desk: Desk, account: AccountState, unexplained: float | None) -> float:
    """What of it is not known from the readings before; 0 while all is explained, or within a tolerance of a
    dollar and a thousandth of the equity."""
    if unexplained is None:
        return 0.0
    tolerance = max(LEAST_USD, E0_TOLERANCE * abs(float(account.equity)))
    base = desk.journal.mark(desk.book, BASE_MARK)
    change = unexplained - (unexplained if base is None else float(base))
    return 0.0 if abs(unexplained) <= tolerance or abs(change) <= tolerance else change


def keep_unexplained(desk: Desk, unexplained: float | None) -> None:
    """What is not explained now is known: the next readings are held against it."""
    if unexplained is None:
        return
    base = desk.journal.mark(desk.book, BASE_MARK)
    if base is None or abs(unexplained - float(base)) > LEAST_USD:
        desk.journal.set_mark(desk.book, BASE_MARK, repr(unexplained), desk.now_ns())


def _worth(position: PositionState) -> float | None:
    if position.market_value is not None:
        return float(position.market_value)
    if position.asset_class != US_EQUITY or position.current_price is None:
        return None
    return float(position.qty * position.current_price)


def _value(desk: Desk, ledger: Ledger, shown: Mapping[str, PositionState]) -> float:
    """The ledger's shares at the broker's marks; of those that it does not show at the limit of our last
    order of the day, else at their cost."""
    limits: dict[str, Decimal] = {}
    held = {symbol: holding for symbol, holding in ledger.holdings.items() if holding.qty}
    if not held.keys() <= shown.keys():
        orders = desk.journal.orders(desk.book, session=desk.session_text())
        limits = {record.intent.symbol: record.intent.limit_price for record in orders}
    total = 0.0
    for symbol, holding in held.items():
        worth = _worth(shown[symbol]) if symbol in shown else None
        if worth is not None:
            total += holding.qty * worth / float(shown[symbol].qty)
        else:
            total += holding.qty * float(limits.get(symbol, holding.avg_cost))
    return total
