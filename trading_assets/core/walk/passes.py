"""One pass of a replayed tick: it shows the book to `core.decision.decide`, and sends the orders that pass.

`core.walk.session` decides when there is a pass, and on which candidates.
"""

from __future__ import annotations

from trading_assets.core.compiled import inlined
from trading_assets.core.decision.columns import BookState, Candidates, Pass
from trading_assets.core.decision.decide import decide_pass
from trading_assets.core.limits import Limits
from trading_assets.core.walk.columns import (
    CASH,
    EXITS,
    ORDERS,
    SOLD,
    VERDICTS,
    Book,
    Sheet,
    Terms,
    WalkedOrder,
)
from trading_assets.core.walk.figures import equity_of, see_entries
from trading_assets.core.walk.orders import accept, trade_or_rest, whole_micros
from trading_assets.core.walk.scratch import WalkedDesk, show_orders


@inlined
def execute(
    now_ns: int,
    a_pass: int,
    candidates: Candidates,
    sent_before: int,
    vetoed: bool,
    terms: Terms,
    limits: Limits,
    book: Book,
    sheet: Sheet,
    desk: WalkedDesk,
) -> bool:
    """Decide one pass and send the orders that passed: each trades with the quote, or rests. False: no room.

    The outcomes are in the desk.
    sent_before: of the session's orders, those before this execution
    vetoed:      too many symbols' bars are incomplete at the tick: no entry is sent
    """
    show_orders(book, sheet, desk)
    first = sheet.counts[VERDICTS]
    state = _book_state(now_ns, sent_before, vetoed, terms, book, sheet, desk)
    used = decide_pass(
        a_pass,
        state,
        desk.shown,
        _with_sent(candidates, a_pass, book, sheet, desk),
        limits,
        terms.no_trade_band,
        first,
        sheet.proposals,
        desk.outcomes,
        desk.running,
    )
    if used < 0:
        return False
    sheet.counts[VERDICTS] += used
    for row in range(first, first + used):
        accept(row, now_ns, a_pass, candidates, book, sheet, desk)
    see_entries(first, used, state, limits, book, sheet, desk)
    for row in range(first, first + used):
        if sheet.orders[row]["state"] == WalkedOrder.ACCEPTED:
            trade_or_rest(row, now_ns, terms, book, sheet, desk)
    return True


@inlined
def _book_state(
    now_ns: int, sent_before: int, vetoed: bool, terms: Terms, book: Book, sheet: Sheet, desk: WalkedDesk
) -> BookState:
    """A cash account: its buying power is cash less what open buys may take; settled is what is left of that
    without the proceeds of sales that have not settled."""
    cash, reserved, unsettled = book.figures[CASH], 0.0, 0.0
    for ago in range(terms.unsettled_sessions):
        unsettled += book.figures[SOLD + ago]
    for i in range(desk.shown.size):
        if desk.shown[i]["open_entry_usd"] != 0.0:
            reserved += desk.shown[i]["open_entry_usd"]
    power = whole_micros(cash - reserved)
    is_open = terms.open_ns <= now_ns < terms.close_ns
    daily_loss, max_drawdown, session_drawdown = book.latched[1], book.latched[2], book.latched[0]
    return BookState(
        now_ns,
        equity_of(book, desk),
        power if power > 0.0 else 0.0,
        whole_micros(cash - unsettled) - reserved,
        now_ns,
        terms.open_ns,
        terms.close_ns,
        is_open,
        is_open,
        1 if vetoed or daily_loss or max_drawdown or session_drawdown else 0,
        False,
        daily_loss,
        max_drawdown,
        session_drawdown,
        sheet.counts[ORDERS],
        sheet.counts[ORDERS] - sent_before,
        sheet.counts[EXITS],
        0,
        True,
        True,
    )


@inlined
def _with_sent(candidates: Candidates, a_pass: int, book: Book, sheet: Sheet, desk: WalkedDesk) -> Candidates:
    """The candidates, with the slices of theirs that the session's orders have sent before."""
    any_sent = False
    for row in range(candidates.rows.size):
        candidate = candidates.rows[row]
        last = desk.symbols[candidate["symbol"]]["last_order"]
        if last < 0 or _is_before(sheet.orders[last]["decision"], candidate["decision"]):
            continue
        if not any_sent:
            desk.sent[: candidates.rows.size] = False
            any_sent = True
        _mark_sent(row, candidates, a_pass, book, sheet, desk)
    return Candidates(candidates.rows, desk.sent if any_sent else desk.unsent)


@inlined
def _is_before(decision: int, other: int) -> bool:
    """A symbol's decisions on signals are numbered as they come."""
    return 0 <= decision < other


@inlined
def _mark_sent(
    row: int, candidates: Candidates, a_pass: int, book: Book, sheet: Sheet, desk: WalkedDesk
) -> None:
    candidate, orders, proposals = candidates.rows[row], sheet.orders, sheet.proposals.rows
    i = candidate["symbol"]
    side = -1 if a_pass != Pass.ENTRIES and book.holdings[i]["qty"] > 0.0 else 1
    order = desk.symbols[i]["last_order"]
    while order >= 0 and not _is_before(orders[order]["decision"], candidate["decision"]):
        same = orders[order]["decision"] == candidate["decision"] and proposals[order]["side"] == side
        if same and orders[order]["attempt"] == candidate["attempt"]:
            desk.sent[row, proposals[order]["slice"] - 1] = True
        order = orders[order]["previous"]
