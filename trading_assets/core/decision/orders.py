"""One order of a pass: gated with what earlier orders have left, recorded with everything it was judged on,
counted.

`core.decision.decide` chooses the order, its price and its quantity; the gate says whether it may be sent.
"""

from __future__ import annotations

from typing import NamedTuple

from trading_assets.core.compiled import inlined
from trading_assets.core.decision.columns import (
    BookState,
    Bytes,
    Candidates,
    Outcome,
    Proposals,
    Rows,
    Running,
)
from trading_assets.core.gate import evaluate, is_reducing
from trading_assets.core.limits import Limits
from trading_assets.core.sizing import Slices
from trading_assets.core.words import (
    Account,
    Activity,
    Halt,
    Order,
    Position,
    Quote,
    Session,
    Side,
    Signal,
)


class PassColumns(NamedTuple):
    """Everything that a pass is to decide on, with the room for its answer; its proposals begin at row
    `first`."""

    state: BookState
    symbols: Rows
    candidates: Candidates
    limits: Limits
    first: int
    out: Proposals
    outcomes: Bytes
    running: Running


@inlined
def propose(row: int, side: int, price: float, slices: Slices, at: int, columns: PassColumns) -> int:
    """Gate the slices of candidate `row` into the rows from `at` on. The row after them, −1 without room."""
    for number in range(slices.number):
        if at == columns.out.rows.size:
            return -1
        qty = abs(slices.last if number + 1 == slices.number else slices.each)
        refused = _judge(row, side, number, qty, price, at, columns)
        columns.outcomes[row] = Outcome.REFUSED if refused else Outcome.ORDERED
        at += 1
    return at


@inlined
def _judge(row: int, side: int, number: int, qty: float, price: float, at: int, columns: PassColumns) -> bool:
    """Gate one order into row `at`, and count it where it passes. True when it is refused."""
    state, candidates, out, running = columns.state, columns.candidates, columns.out, columns.running
    candidate, proposal = candidates.rows[row], out.rows[at]
    i = candidate["symbol"]
    symbol, funds = columns.symbols[i], running.usd[0]
    sent = number < candidates.sent.shape[1] and candidates.sent[row, number]
    others = 0  # orders of other decisions in the symbol that passed before
    for earlier in range(columns.first, at):
        other = candidates.rows[out.rows[earlier]["candidate"]]
        if other["symbol"] != i or out.rows[earlier]["failed"] != 0:
            continue
        if other["decision"] != candidate["decision"]:
            others += 1
        elif other["attempt"] == candidate["attempt"] and out.rows[earlier]["slice"] == number + 1:
            sent = True
    order = Order(side, qty, price, candidate["flatten"])
    position = Position(symbol["qty"], running.reserved[i], running.exposure[i])
    account = Account(
        state.equity_usd,
        state.buying_power_usd - funds,
        state.settled_cash_usd - funds,
        state.account_ns,
    )
    had_none = symbol["exits_today"] + running.exits[i] == 0
    kept = running.passed[2] if state.exits_spread and not had_none else 0
    activity = Activity(
        sent,
        symbol["in_flight"] + others,
        running.sells[i] if side == Side.BUY else running.buys[i],
        running.usd[1],
        symbol["orders_today"] + running.orders[i],
        state.orders_today + running.passed[0],
        state.execution_orders + running.passed[0],
        state.exit_orders_today + running.passed[1],
        state.reject_streak,
        symbol["exits_today"] + running.exits[i],
        kept,
    )
    failed = evaluate(
        order,
        Signal(candidate["as_of_ns"], candidate["reference_price"]),
        account,
        position,
        Quote(
            symbol["bid"],
            symbol["ask"],
            symbol["last_trade"],
            symbol["previous_close"],
            symbol["quote_ns"],
        ),
        Session(
            state.open_ns,
            state.close_ns,
            state.calendar_open,
            state.broker_open,
            symbol["tradable"],
            symbol["halted"],
        ),
        activity,
        Halt(
            state.halt_state,
            symbol["locked"],
            state.reconciling,
            state.daily_loss,
            state.max_drawdown,
            state.session_drawdown,
        ),
        columns.limits,
        state.now_ns,
        out.measured[at],
        out.limit[at],
    )
    reducing = is_reducing(order, position)
    proposal["candidate"], proposal["side"], proposal["slice"] = row, side, number + 1
    proposal["qty"], proposal["limit_price"], proposal["failed"] = qty, price, failed
    proposal["reducing"], proposal["decision_sent"] = reducing, sent
    proposal["buying_power_usd"] = account.buying_power_usd
    proposal["settled_cash_usd"] = account.settled_cash_usd
    proposal["reserved_qty"], proposal["exposure_usd"] = position.reserved_qty, position.exposure_usd
    proposal["gross_exposure_usd"] = activity.gross_exposure_usd
    proposal["opposite_limit"], proposal["in_flight"] = activity.opposite_limit, activity.in_flight
    proposal["symbol_orders"], proposal["orders"] = activity.symbol_orders_today, activity.orders_today
    proposal["execution_orders"] = activity.execution_orders
    proposal["exit_orders"], proposal["symbol_exits"] = (
        activity.exit_orders_today,
        activity.symbol_exits_today,
    )
    proposal["exits_kept"] = kept
    if failed != 0:
        return True
    if reducing and had_none and not order.flatten:
        running.passed[2] -= 1
    _take(i, side, qty, price, reducing, order.flatten, running)
    return False


@inlined
def _take(
    i: int, side: int, qty: float, price: float, reducing: bool, flatten: bool, running: Running
) -> None:
    """What an order that passed leaves to those after it."""
    running.passed[0] += 1
    running.orders[i] += 1
    if reducing:
        if not flatten:
            running.passed[1] += 1
            running.exits[i] += 1
        running.reserved[i] += qty
    else:
        notional = qty * price
        running.usd[0] += notional
        running.usd[1] += notional
        running.exposure[i] += notional
    if side == Side.BUY:
        if not running.buys[i] >= price:  # NaN: none yet
            running.buys[i] = price
    elif not running.sells[i] <= price:
        running.sells[i] = price
