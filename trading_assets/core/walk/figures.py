"""What a session's walk measures about the book: equity, what the breakers say, the worst so far, its states.

`core.losses` measures, `core.breakers` says when a measure trips, and `core.walk.session` stops what must
then stop.
"""

from __future__ import annotations

from math import inf, nan

from trading_assets.core.breakers import is_tripped
from trading_assets.core.compiled import inlined
from trading_assets.core.decision.columns import BookState
from trading_assets.core.decision.decide import mark_of
from trading_assets.core.limits import Limits
from trading_assets.core.losses import LossFigures, losses_of, observe
from trading_assets.core.sizing import available_funds
from trading_assets.core.walk.columns import (
    CASH,
    E0,
    EQUITY,
    EVENTS,
    FACT_GROSS_ENTERED,
    FACT_GROSS_MARK,
    FACT_LOWEST_FUNDS,
    FACT_POSITION_ENTERED,
    FACT_POSITION_MARK,
    POSITIONS,
    SESSION_PEAK,
    STATES,
    UNIT_PEAK,
    UNIT_VALUE,
    WORKING,
    Book,
    Sheet,
    WalkedOrder,
)
from trading_assets.core.walk.orders import whole_micros
from trading_assets.core.walk.scratch import WalkedDesk


@inlined
def equity_of(book: Book, desk: WalkedDesk) -> float:
    """Cash + Σ quantity × mark."""
    total = book.figures[CASH]
    for i in range(book.holdings.size):
        if book.holdings[i]["qty"] != 0.0:
            total += book.holdings[i]["qty"] * desk.symbols[i]["mark"]
    return whole_micros(total)


@inlined
def look(now_ns: int, limits: Limits, book: Book, sheet: Sheet, desk: WalkedDesk) -> None:
    """Give the book's equity to the breakers, and add what they measure to the session's facts."""
    equity, held = equity_of(book, desk), book.figures
    figures = observe(
        LossFigures(held[E0], held[EQUITY], held[SESSION_PEAK], held[UNIT_VALUE], held[UNIT_PEAK]), equity
    )
    held[EQUITY], held[SESSION_PEAK] = equity, figures.session_peak
    held[UNIT_VALUE], held[UNIT_PEAK] = figures.unit_value, figures.unit_peak
    losses = losses_of(figures)
    _see_loss(0, losses.session_drawdown, limits.session_drawdown, now_ns, book, sheet)
    _see_loss(1, losses.daily_loss, limits.max_daily_loss, now_ns, book, sheet)
    _see_loss(2, losses.max_drawdown, limits.max_drawdown, now_ns, book, sheet)
    _see_exposure(equity, book, sheet, desk)


@inlined
def _see_exposure(equity: float, book: Book, sheet: Sheet, desk: WalkedDesk) -> None:
    """The largest shares of equity in a symbol and in all of them."""
    facts = sheet.facts
    for i in range(book.holdings.size):
        qty, near = book.holdings[i]["qty"], desk.symbols[i]
        near["exposure"] = abs(qty) * near["mark"] if qty != 0.0 else 0.0
        if qty < 0.0:
            sheet.short[i] = True
    _add_entries_at_work(sheet, desk)
    gross = 0.0
    for i in range(book.holdings.size):
        near = desk.symbols[i]
        if near["exposure"] == 0.0:
            continue
        gross += near["exposure"]
        share = near["exposure"] / equity if equity > 0.0 else inf
        if share >= facts[FACT_POSITION_MARK]:
            facts[FACT_POSITION_MARK], sheet.largest[0] = share, i
    gross = gross / equity if equity > 0.0 else inf
    facts[FACT_GROSS_MARK] = _worse(facts[FACT_GROSS_MARK], gross)


@inlined
def see_entries(
    first: int, used: int, state: BookState, limits: Limits, book: Book, sheet: Sheet, desk: WalkedDesk
) -> None:
    """The shares of equity that the entries of a pass, verdicts `first` … `first + used` − 1, take, and the
    funds that they leave: each counted as the gate does when the order is made, at its limit price beside
    what is held and at work."""
    entries = 0
    for row in range(first, first + used):
        entries += _is_entry(row, sheet)
    if entries == 0:
        return
    gross, facts, equity = 0.0, sheet.facts, state.equity_usd
    funds = available_funds(state.buying_power_usd, state.settled_cash_usd, limits)
    for i in range(book.holdings.size):
        qty, near = book.holdings[i]["qty"], desk.symbols[i]
        near["exposure"] = abs(qty) * mark_of(desk.shown[i]) if qty != 0.0 else 0.0
    _add_entries_at_work(sheet, desk)
    for i in range(book.holdings.size):
        gross += desk.symbols[i]["exposure"]
    for row in range(first, first + used):
        if not _is_entry(row, sheet):
            continue
        proposal, i = sheet.proposals.rows[row], sheet.orders[row]["symbol"]
        usd, near = proposal["qty"] * proposal["limit_price"], desk.symbols[i]
        near["exposure"] += usd
        gross += usd
        funds -= usd
        share = near["exposure"] / equity if equity > 0.0 else inf
        if share >= facts[FACT_POSITION_ENTERED]:
            facts[FACT_POSITION_ENTERED], sheet.largest[1] = share, i
        facts[FACT_GROSS_ENTERED] = _worse(facts[FACT_GROSS_ENTERED], gross / equity if equity > 0.0 else inf)
        if not funds >= facts[FACT_LOWEST_FUNDS]:
            facts[FACT_LOWEST_FUNDS] = funds


@inlined
def _is_entry(row: int, sheet: Sheet) -> bool:
    """The verdict let an order pass that opens or adds to a position."""
    return sheet.orders[row]["state"] != WalkedOrder.NONE and not sheet.proposals.rows[row]["reducing"]


@inlined
def _add_entries_at_work(sheet: Sheet, desk: WalkedDesk) -> None:
    """Open entries count as exposure at their limit prices."""
    for place in range(sheet.counts[WORKING]):
        row = desk.working[place]
        proposal = sheet.proposals.rows[row]
        if not proposal["reducing"]:
            desk.symbols[sheet.orders[row]["symbol"]]["exposure"] += proposal["qty"] * proposal["limit_price"]


@inlined
def _see_loss(which: int, measured: float, limit: float, now_ns: int, book: Book, sheet: Sheet) -> None:
    """Latch a breaker that trips; the facts of the three lie in its order."""
    sheet.facts[which] = _worse(sheet.facts[which], measured)
    if not book.latched[which] and is_tripped(measured, limit):
        book.latched[which] = True
        event = sheet.counts[EVENTS]
        sheet.events[event]["cause"], sheet.events[event]["at_ns"] = which, now_ns
        sheet.events[event]["measured"], sheet.events[event]["equity"] = measured, book.figures[EQUITY]
        sheet.counts[EVENTS] += 1


@inlined
def _worse(a: float, b: float) -> float:
    """The larger; a NaN stays."""
    return a if a != a or a > b else b


@inlined
def write_state(now_ns: int, book: Book, sheet: Sheet, desk: WalkedDesk) -> None:
    """Write positions and equity as they are now."""
    state_row, gross = sheet.counts[STATES], 0.0
    for i in range(book.holdings.size):
        if book.holdings[i]["qty"] == 0.0:
            continue
        mark, row = desk.symbols[i]["mark"], sheet.counts[POSITIONS]
        gross += abs(book.holdings[i]["qty"]) * mark
        position = sheet.positions[row]
        position["state"], position["symbol"], position["mark"] = state_row, i, mark
        position["qty"], position["avg_cost"] = book.holdings[i]["qty"], book.holdings[i]["avg_cost"]
        sheet.counts[POSITIONS] += 1
    figures, state = book.figures, sheet.states[state_row]
    state["at_ns"], state["equity"], state["e0"] = now_ns, figures[EQUITY], figures[E0]
    state["cash"], state["session_peak"] = figures[CASH], figures[SESSION_PEAK]
    state["unit_value"], state["unit_peak"] = figures[UNIT_VALUE], figures[UNIT_PEAK]
    state["gross_exposure"] = gross / figures[EQUITY] if figures[EQUITY] != 0.0 else nan
    sheet.counts[STATES] += 1
