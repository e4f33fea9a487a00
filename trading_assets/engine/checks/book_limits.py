"""Checks of positions, cash and losses against the limits, made again from broker and ledger.

The gate judged orders before they were sent; this looks at what came of them. A breached limit is a
failed check, a refused order is none. What checks there are is the table in `engine.checks.table`.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import date
from math import isfinite, nan

from trading_assets.broker.port import AccountState, OrderState, PositionState, QuoteState
from trading_assets.core.ledger import Ledger
from trading_assets.core.prices import mark
from trading_assets.core.tolerance import at_least, at_most
from trading_assets.engine.book.accounting import ledger_of
from trading_assets.engine.book.desk import Desk
from trading_assets.engine.checks.stops import stop_check
from trading_assets.engine.checks.table import CheckOutcome, in_order, outcome
from trading_assets.engine.evidence.breaks import CASH_TOLERANCE_USD, QUANTITY_TOLERANCE
from trading_assets.engine.evidence.reads import by_class
from trading_assets.engine.evidence.replacements import replacement_at_work
from trading_assets.engine.evidence.share_costs import without_stop
from trading_assets.engine.orders.submit import remaining
from trading_assets.engine.protection.snapshot import settled_cash
from trading_assets.engine.reconciliation.equity import transfers_of
from trading_assets.engine.reconciliation.reconcile import SIGHTINGS
from trading_assets.store.records import OrderRecord


@dataclass(frozen=True, slots=True)
class Exposure:
    """One symbol's exposure in USD: at today's mark, and as it was when it was last added to."""

    symbol: str
    at_mark: float
    as_bought: float
    equity_as_bought: float  # the most that equity can have been then
    explained: bool  # it has a mark, and the ledger has the broker's quantity


@dataclass(frozen=True, slots=True)
class HeldState:
    """Broker and ledger, read once."""

    account: AccountState
    positions: Mapping[str, PositionState]
    quotes: Mapping[str, QuoteState]  # of what is held or being bought
    ledger: Ledger
    exposures: tuple[Exposure, ...]


def limit_checks(desk: Desk) -> list[CheckOutcome]:
    """The checks of reconciled_positions. Raises broker.port.BrokerError when the broker cannot be read."""
    state = read_state(desk)
    return in_order(
        [
            *_agreement(desk, state),
            *_exposure_limits(desk, state),
            *_loss_limits(desk, state),
            stop_check(desk, state.positions, state.quotes, state.ledger),
        ]
    )


def read_state(desk: Desk) -> HeldState:
    account = desk.broker.account()
    positions, _ = by_class(desk.broker.positions())  # what no order of this desk can change is no limit's
    ledger = ledger_of(desk.journal, desk.book)
    entries = [order for order in desk.journal.open_orders(desk.book) if not order.intent.reducing]
    at_broker = desk.broker.open_orders() if entries else ()
    bought = [(order, replacement_at_work(order, at_broker)) for order in entries]
    symbols = sorted(positions.keys() | {order.intent.symbol for order in entries})
    quotes = desk.broker.quotes(symbols) if symbols else {}
    exposures = tuple(_exposures(desk, account, positions, quotes, ledger, bought))
    return HeldState(account, positions, quotes, ledger, exposures)


def _agreement(desk: Desk, state: HeldState) -> list[CheckOutcome]:
    ours = {symbol: holding.qty for symbol, holding in state.ledger.holdings.items()}
    theirs = {symbol: float(position.qty) for symbol, position in state.positions.items()}
    symbols = sorted(ours.keys() | theirs.keys())
    apart = abs(state.ledger.cash_usd - float(state.account.cash))
    breaks = [seen for seen in desk.journal.open_breaks(desk.book) if seen.sightings >= SIGHTINGS]
    return [
        outcome(
            "reconciled_positions.ledger_equals_broker",
            [
                f"{symbol}: ledger {ours.get(symbol, 0.0):g}, broker {theirs.get(symbol, 0.0):g}"
                for symbol in symbols
                if abs(ours.get(symbol, 0.0) - theirs.get(symbol, 0.0)) > QUANTITY_TOLERANCE
            ],
            detail=f"{len(theirs)} positions",
        ),
        outcome(
            "reconciled_positions.cash_agrees",
            passed=apart <= CASH_TOLERANCE_USD,
            measured=apart,
            limit=CASH_TOLERANCE_USD,
            detail=f"ledger {state.ledger.cash_usd:.2f}, broker {state.account.cash:.2f}",
        ),
        outcome(
            "reconciled_positions.no_open_break",
            [f"{seen.kind} {seen.subject}: ours {seen.ours}, theirs {seen.theirs}" for seen in breaks],
            measured=float(len(breaks)),
            limit=0.0,
        ),
        outcome(
            "reconciled_positions.cost_known",
            [
                f"{symbol} at cost {state.ledger.holdings[symbol].avg_cost:g}"
                for symbol in without_stop(state.ledger)
            ],
        ),
        outcome(
            "reconciled_positions.no_short",
            [
                f"{symbol} at the {where}: {qty:g}"
                for where, held in (("ledger", ours), ("broker", theirs))
                for symbol, qty in held.items()
                if qty < -QUANTITY_TOLERANCE
            ],
        ),
    ]


def _exposure_limits(desk: Desk, state: HeldState) -> list[CheckOutcome]:
    limits, equity = desk.limits, float(state.account.equity)
    lowest = float(state.account.buying_power)
    if not limits.use_margin:
        lowest = min(lowest, float(state.account.cash), float(settled_cash(desk, state.account)))
    worst = max(state.exposures, key=lambda seen: _share(seen.at_mark, equity), default=None)
    worst_share = _share(worst.at_mark, equity) if worst else 0.0
    over = [
        seen for seen in state.exposures if not at_most(_share(seen.at_mark, equity), limits.max_position_pct)
    ]
    taken = [seen for seen in over if not _carried(seen, limits.max_position_pct, limits.max_slip_pct)]
    gross = sum(seen.at_mark for seen in state.exposures)
    gross_over = not at_most(_share(gross, equity), limits.max_gross_exposure)
    all_as_bought = Exposure(
        symbol="all",
        at_mark=gross,
        as_bought=sum(min(seen.at_mark, seen.as_bought) for seen in state.exposures),
        equity_as_bought=max((seen.equity_as_bought for seen in state.exposures), default=equity),
        explained=all(seen.explained for seen in state.exposures),
    )
    gross_taken = gross_over and not _carried(all_as_bought, limits.max_gross_exposure, limits.max_slip_pct)
    return [
        outcome(
            "reconciled_positions.buying_power",
            passed=at_most(-lowest, 0.0),
            measured=lowest,
            limit=0.0,
            detail="USD, buying power"
            if limits.use_margin
            else "USD, the smaller of buying power and settled cash",
        ),
        outcome(
            "reconciled_positions.position_limit",
            [f"{seen.symbol} {_share(seen.at_mark, equity):.4%}" for seen in taken],
            measured=worst_share,
            limit=limits.max_position_pct,
        ),
        outcome(
            "reconciled_positions.gross_exposure",
            passed=not gross_taken,
            measured=_share(gross, equity),
            limit=limits.max_gross_exposure,
        ),
        outcome(
            "reconciled_positions.position_drift",
            [f"{seen.symbol} {_share(seen.at_mark, equity):.4%}" for seen in over if seen not in taken],
            measured=worst_share,
            limit=limits.max_position_pct,
        ),
        outcome(
            "reconciled_positions.exposure_drift",
            passed=not gross_over or gross_taken,
            measured=_share(gross, equity),
            limit=limits.max_gross_exposure,
        ),
    ]


def _loss_limits(desk: Desk, state: HeldState) -> list[CheckOutcome]:
    limits, equity, e0 = desk.limits, float(state.account.equity), float(state.account.last_equity)
    today = desk.session_text()
    transfers = float(transfers_of(desk, desk.today()))
    seen = [
        float(record.equity - record.transfers_today) + transfers
        for record in desk.journal.equity(desk.book, session=today)
    ]
    peak = max([e0 + transfers, equity, *seen])
    latest = desk.journal.latest_equity(desk.book)
    unit_value, unit_peak = 1.0, 1.0
    if latest is not None:
        moved = transfers_of(desk, date.fromisoformat(latest.session)) - latest.transfers_today
        unit_value = latest.unit_value * ((equity - float(moved)) / float(latest.equity))
        unit_peak = max(latest.unit_peak, unit_value)
    return [
        _loss("reconciled_positions.daily_loss", _share(e0 + transfers - equity, e0), limits.max_daily_loss),
        _loss("reconciled_positions.session_drawdown", _share(peak - equity, peak), limits.session_drawdown),
        _loss("reconciled_positions.max_drawdown", 1.0 - unit_value / unit_peak, limits.max_drawdown),
    ]


def _loss(key: str, measured: float, limit: float) -> CheckOutcome:
    """A loss that cannot be measured is a failed check."""
    return outcome(
        key, passed=isfinite(measured) and not at_least(measured, limit), measured=measured, limit=limit
    )


def _exposures(
    desk: Desk,
    account: AccountState,
    positions: Mapping[str, PositionState],
    quotes: Mapping[str, QuoteState],
    ledger: Ledger,
    bought: Iterable[tuple[OrderRecord, OrderState | None]],
) -> list[Exposure]:
    """|position| × mark + open entries' remaining × limit, for each symbol held or being bought."""
    working: dict[str, float] = {}
    for order, replacement in bought:
        limit = float(order.intent.limit_price)
        left = float(remaining(order)) * limit
        if replacement is not None:  # a person's, at a quantity and price of its own
            price = limit if replacement.limit_price is None else float(replacement.limit_price)
            left = float(replacement.qty - replacement.filled_qty) * price
        working[order.intent.symbol] = working.get(order.intent.symbol, 0.0) + left
    latest = desk.journal.latest_equity(desk.book)
    equity = float(account.equity)
    session_peak = max(equity, float(latest.session_peak)) if latest else equity
    highest = equity * max(latest.unit_peak / latest.unit_value, 1.0) if latest else equity
    last_entry = {
        fill.symbol: float(fill.price)
        for fill in desk.journal.fills(desk.book, session=desk.session_text())
        if fill.symbol in positions and fill.side * positions[fill.symbol].qty > 0
    }
    exposures = []
    for symbol in sorted(positions.keys() | working.keys()):
        position = positions.get(symbol)
        qty = abs(float(position.qty)) if position else 0.0
        paid = last_entry.get(symbol, float(position.avg_entry_price) if position else nan)
        holding = ledger.holdings.get(symbol)
        held = holding.qty if holding else 0.0
        at_mark = (qty * _mark(quotes.get(symbol)) if qty else 0.0) + working.get(symbol, 0.0)
        exposures.append(
            Exposure(
                symbol=symbol,
                at_mark=at_mark,
                as_bought=(qty * paid if qty else 0.0) + working.get(symbol, 0.0),
                equity_as_bought=session_peak if symbol in last_entry or symbol in working else highest,
                explained=isfinite(at_mark) and abs(abs(held) - qty) <= QUANTITY_TOLERANCE,
            )
        )
    return exposures


def _carried(seen: Exposure, limit: float, slip: float) -> bool:
    """Whether only the market carried it above the limit: at its last entry's price, which may lie
    `max_slip_pct` from what the gate saw, it was inside. A quantity that no fill explains never is."""
    return seen.explained and at_most(_share(seen.as_bought, seen.equity_as_bought), limit * (1.0 + slip))


def _mark(quote: QuoteState | None) -> float:
    """Mid, else the last trade, else the last close; NaN (which fails) when the broker has none."""
    if quote is None:
        return nan
    values = (quote.bid, quote.ask, quote.last_trade, quote.previous_close)
    return float(mark(*(nan if value is None else float(value) for value in values)))


def _share(amount: float, whole: float) -> float:
    return amount / whole if whole > 0.0 else nan
