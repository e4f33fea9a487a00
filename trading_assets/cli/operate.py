"""The operator's commands: `kill`, `flatten`, `rearm`, `close-order`, `adopt`, `adjust`, `arm`, `disarm`,
`alert-test`.

What acts on the book is kept with author and reason.
"""

from __future__ import annotations

import os
from decimal import Decimal
from typing import Annotated

import typer

from trading_assets.cli.options import Config, Json, Reason, decimal, opened, settings_of
from trading_assets.cli.output import progress, say, show_json, show_table, waiting
from trading_assets.cli.trade import order_line, show_verdicts, verdict_line
from trading_assets.config import path_in_use
from trading_assets.core.words import Side
from trading_assets.engine.book.halts import Cause
from trading_assets.engine.operation import operator
from trading_assets.engine.orders import close_order as closing
from trading_assets.errors import InvalidInput, TradingAssetsError
from trading_assets.keyring import ENVIRON
from trading_assets.store.leases import when_free

NOT_REACHED = (
    "killed, and the broker does not answer: what works there is not known, and is cancelled at the next "
    "look that reaches it. Check network and keys with `trading-assets status`, or cancel at the broker"
)


class NothingCancelled(TradingAssetsError):
    """The kill is in force, and nobody could be asked to cancel."""


class NotFlat(TradingAssetsError):
    """The flatten is in force, and something is held, or nobody knows."""

    def __init__(self, failure: str) -> None:
        self.failure = failure
        super().__init__(failure)

    def __str__(self) -> str:
        return (
            f"{f'{self.failure} ' if self.failure else ''}The flatten stays in force until every position is "
            "zero; `trading-assets status` shows it. `trading-assets flatten --reason …` tries at once, "
            "`trading-assets rearm --reason …` ends it"
        )


def kill(reason: Reason, config: Config = None, as_json: Json = False) -> None:
    """Stop now: halt the book, cancel every working order, send no other. Positions stay.

    The halt is durable before anything else happens. It needs neither broker, lease nor history, and stops a
    running tick too. While the broker does not answer, the halt holds, and the cancels follow as soon as it
    does. If the journal cannot be written, the command sets the kill file, which every process of the book
    obeys. Exit status 1: the kill is in force, but no cancel could be sent. `flatten` sells the positions;
    only `rearm` ends the kill.
    """
    author = operator.person()
    try:
        settings = settings_of(config)
    except InvalidInput as error:  # a typo must not keep a kill from being set
        file = path_in_use(config, os.environ)
        killed = operator.kill_unconfigured(file, error, reason=reason, author=author, environ=os.environ)
    else:
        killed = operator.kill_now(settings, reason=reason, author=author)
    if killed.failure:
        raise NothingCancelled(killed.nothing_cancelled)
    orders, answered = killed.cancelled, killed.answered
    if killed.past_journal:
        if as_json:
            show_json({"state": killed.state, "broker_answered": answered, "kept": killed.kept, "orders": []})
        say(f"{killed.state}: killed by {author}: {reason}. It holds in {killed.kept}")
        say(killed.told_past_journal)
        return
    if as_json:
        lines = [order_line(order) for order in orders]
        show_json({"state": killed.state, "broker_answered": answered, "orders": lines})
        if not answered:
            raise NothingCancelled(NOT_REACHED)
        return
    say(f"{killed.state}: killed by {author}: {reason}")
    show_table(
        ("symbol", "side", "qty", "limit", "order"),
        [
            (
                order.intent.symbol,
                Side(order.intent.side).name.lower(),
                order.intent.qty,
                order.intent.limit_price,
                order.state,
            )
            for order in orders
        ],
        nothing="no order was working" if answered else "no order of ours is known to work",
    )
    if not answered:
        raise NothingCancelled(NOT_REACHED)


def flatten(reason: Reason, config: Config = None, as_json: Json = False) -> None:
    """Sell every position, by the quantities at the broker; the only order type allowed after a kill.

    First cancels every working order of the account. Stays in force until every position is zero: each
    protection tries again, across sessions, and no entry passes meanwhile. Run the command again to try at
    once; `rearm` ends it. Exit status 1: something is still held; the output says what, why, and when the
    next try is.
    """
    author = operator.person()
    with progress("flatten") as step, opened(config) as desk:
        report = operator.flatten_now(desk, reason=reason, author=author, waits=waiting(step))
    if as_json:
        show_json(
            {
                "flat": report.flat,
                "held": report.held,
                "failure": report.failure,
                "verdicts": [verdict_line(verdict) for verdict in report.verdicts],
                "orders": [order_line(order) for order in report.orders],
            }
        )
        raise typer.Exit(0 if report.flat else 1)
    if report.verdicts:
        show_verdicts(report.verdicts, report.orders)
    for held in report.held:
        say(f"still held: {held.summary}")
    if not report.flat:
        raise NotFlat(report.failure)
    say("flat: every position is zero")


def rearm(reason: Reason, config: Config = None, as_json: Json = False) -> None:
    """Clear every halt and break lock, end a flatten, and put looser limits of the file in force.

    Refused while KILL_SWITCH or the kill file is still set: remove that first. Losses are measured anew from
    now on. A break that still exists locks its symbol again.
    """
    with opened(config) as desk:
        waiting = desk.looser_waiting
        cleared = operator.rearm(desk, reason=reason, author=operator.person())
        state = desk.halts().state.name
    if as_json:
        show_json({"state": state, "cleared": cleared, "limits_taken_up": waiting})
        return
    say(f"{state}: cleared {', '.join(cleared) or 'no halt'}")
    if Cause.FLATTEN in cleared:
        say("the flatten in force is ended: what is still held stays, and is not sold any more")
    if waiting:
        say(f"limits taken up from the file: {', '.join(waiting)}")


def close_order(
    order: Annotated[
        str, typer.Argument(metavar="ID", help="Client order id, or the order id at the broker.")
    ],
    reason: Reason,
    config: Config = None,
    as_json: Json = False,
) -> None:
    """End an order that the broker's answers do not end, and free what it holds. Only a person can do this.

    First asks the broker, and cancels the order if it still works there. If the broker says that the order
    has ended, the desk takes that over; otherwise it becomes ABANDONED, with author and reason. The desk
    still books a fill that comes later.
    """
    author = operator.person()
    with progress("close-order") as step, opened(config) as desk:
        closed = when_free(
            lambda: closing.close_order(desk, order, reason=reason, author=author), waiting(step)
        )
    if as_json:
        show_json(
            {
                **order_line(closed.order),
                "was": closed.was,
                "at_broker": closed.at_broker,
                "by_person": closed.by_person,
                "released": closed.released,
                "still_locked": closed.still_locked,
            }
        )
        return
    intent = closed.order.intent
    side = Side(intent.side).name.lower()
    say(
        f"{intent.symbol}: {side} {intent.qty:f} at {intent.limit_price:f} was {closed.was} and is "
        f"{closed.order.state}, {closed.order.filled_qty:f} filled"
    )
    say(f"at the broker: {closed.at_broker}")
    if closed.released:
        say(f"{intent.symbol} released: {', '.join(closed.released)}")
    if closed.still_locked:
        say(
            f"{intent.symbol} still locked: {', '.join(closed.still_locked)}; "
            "see `trading-assets status`, then `trading-assets rearm`"
        )


def adopt(reason: Reason, config: Config = None, as_json: Json = False) -> None:
    """Take over an account that was not empty at first start; its holdings become the opening entry."""
    from trading_assets.engine.reconciliation.reconcile import adopt as adopt_account

    with opened(config) as desk:
        already = bool(desk.journal.opening(desk.book))
        adopted = adopt_account(desk, author=operator.person(), reason=reason)
        book = desk.book
    if as_json:
        show_json({"book": book, "already_open": already, "positions": adopted})
    elif already:
        say(f"the book {book} is open already: nothing to adopt")
    else:
        say(f"the book {book} begins with {adopted} positions, and the cash that the broker states")


def adjust(
    reason: Reason,
    symbol: Annotated[str, typer.Argument(help="Symbol of the shares; leave it out for cash alone.")] = "",
    qty: Annotated[
        Decimal,
        typer.Option(
            parser=decimal, metavar="SHARES", help="Shares to add to the ledger; negative: to remove."
        ),
    ] = Decimal(0),
    cash: Annotated[
        Decimal,
        typer.Option(parser=decimal, metavar="USD", help="Cash to add to the ledger; negative: to remove."),
    ] = Decimal(0),
    cost: Annotated[
        Decimal | None,
        typer.Option(
            parser=decimal,
            metavar="USD",
            help="USD a share of the added ones (default: the broker's average entry price); alone: of all.",
        ),
    ] = None,
    config: Config = None,
    as_json: Json = False,
) -> None:
    """Correct the ledger by a journaled entry, when no activity at the broker explains a difference.

    `trading-assets adjust IBM --qty 5 --cost 201.50 --reason "a gift"`

    Use it last: the desk books by itself what the broker explains. The entry overwrites no position, and the
    opposite entry undoes it. A lock stays until `rearm`.
    """
    with opened(config) as desk:
        entry = operator.adjust(
            desk,
            symbol=symbol,
            qty_delta=qty,
            cash_delta=cash,
            cost=cost,
            reason=reason,
            author=operator.person(),
        )
    if as_json:
        show_json(entry)
        return
    changes = [f"{qty:+f} {symbol}"] if qty else []
    changes += [f"{cash:+f} USD"] if cash else []
    changes += [f"{symbol}'s cost of {cost:f} USD a share"] if cost is not None else []
    say(f"the ledger of {entry.book} was corrected by {', '.join(changes)}: {entry.adjustment_id}")
    say("compare with `trading-assets positions`, then `trading-assets rearm` if something is locked")


def arm(reason: Reason, config: Config = None) -> None:
    """Let the book trade from this host and data directory, with these keys, for `arming_days`.

    A live book that is not armed sends no order; a paper book on Alpaca sends exits only. The paper book on
    the embedded exchange is armed until `disarm`.
    """
    from trading_assets.engine.book.arming import arm as arm_book
    from trading_assets.market.sessions import new_york_time

    with opened(config) as desk:
        until_ns = arm_book(desk, reason=reason, author=operator.person())
        until = "until a person disarms it" if until_ns is None else f"until {new_york_time(until_ns)}"
        say(f"the book {desk.book} is armed {until}")


def disarm(config: Config = None) -> None:
    """Withdraw the arming: the book sends no entry, and a live book sends nothing."""
    from trading_assets.engine.book.arming import disarm as disarm_book

    with opened(config) as desk:
        disarm_book(desk, author=operator.person())
        say(f"the book {desk.book} is not armed")


def alert_test(as_json: Json = False) -> None:
    """Send a test alert to every address in TRADING_ASSETS_ALERT_URLS. Exit status 1: one failed."""
    from trading_assets.engine.book.alerts import test_alert

    taken = test_alert(ENVIRON)
    if as_json:
        show_json(taken)
    else:
        for address, took in taken.items():
            say(f"{address}: {'taken' if took else 'NOT TAKEN'}")
    if not all(taken.values()):
        raise typer.Exit(1)
