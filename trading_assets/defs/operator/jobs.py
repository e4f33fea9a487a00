"""A person's acts as jobs: kill, flatten, rearm, adopt. Each takes its reason as run config; whose act it is,
`runs.acts` says.

Kill and flatten have pools of their own: they leave the queue beside any tick. The others take
their turn with the ticks. What an act does is `engine.operation.operator`'s.
"""

import os

import dagster as dg
from pydantic import Field

from trading_assets.config import path_in_use
from trading_assets.errors import InvalidInput
from trading_assets.log import get_logger
from trading_assets.runs.acts import author as author_of
from trading_assets.runs.clean_steps import cleaned_metadata
from trading_assets.runs.decorators import op
from trading_assets.runs.lanes import BOOK_POOL, FLATTEN, FLATTEN_POOL, KILL, KILL_POOL, PERSON
from trading_assets.runs.plain_config import PlainConfig
from trading_assets.runs.resources import DeskResource, read_settings

log = get_logger(__name__)


class Emergency(PlainConfig):
    """An act that tightens. Every field has a default, so one click is enough."""

    reason: str = Field(
        default="launched in Dagster", min_length=1, description="Why you do it. The journal keeps it."
    )


class Loosening(PlainConfig):
    """An act that allows more than before. It needs a reason."""

    reason: str = Field(min_length=1, description="Why it is safe. The journal keeps it.")


@op(pool=KILL_POOL)
def kill_book(context: dg.OpExecutionContext, config: Emergency, desk: DeskResource) -> None:
    """Store HALTED before anything else is opened or asked, then cancel every working order."""
    from trading_assets.engine.operation import operator

    author = author_of(context.run.tags)
    try:
        settings = read_settings()
    except InvalidInput as error:  # a typo must not keep a kill from being set
        file = path_in_use(None, os.environ)
        killed = operator.kill_unconfigured(
            file, error, reason=config.reason, author=author, environ=os.environ
        )
    else:
        killed = operator.kill_now(settings, reason=config.reason, author=author)
    context.add_output_metadata(
        cleaned_metadata(
            {
                "kept_in": killed.kept,
                "book": killed.book or "not opened",
                "halt_state": killed.state,
                "asked_to_cancel": ", ".join(order.intent.client_order_id for order in killed.cancelled)
                or "none",
                "past_the_journal": f"{killed.past_journal}. {killed.told_past_journal}"
                if killed.past_journal
                else "no",
            }
        )
    )
    if killed.failure:
        raise dg.Failure(description=killed.nothing_cancelled, allow_retries=False)


@op(pool=FLATTEN_POOL)
def flatten_book(context: dg.OpExecutionContext, config: Emergency, desk: DeskResource) -> None:
    """Sell every position, by the broker's quantities. The step fails while the account holds anything."""
    from trading_assets.engine.operation import operator

    opened = desk.open(context)
    report = operator.flatten_now(
        opened,
        reason=config.reason,
        author=author_of(context.run.tags),
        waits=lambda _lease: None,
    )
    orders = ", ".join(f"{order.intent.symbol} {order.state}" for order in report.orders)
    context.add_output_metadata(
        cleaned_metadata(
            {
                "book": opened.book,
                "refused": sum(bool(verdict.failed) for verdict in report.verdicts),
                "orders": orders or "none",
                "still_held": "; ".join(held.summary for held in report.held) or "nothing",
            }
        )
    )
    if not report.flat:
        remaining = [held.summary for held in report.held] + [report.failure] * bool(report.failure)
        raise dg.Failure(
            description=f"Not flat yet. {'; '.join(remaining)}. The flatten stays in force: each protection "
            "tries again until every position is zero, and no entry passes. Launch it again to try at once; "
            "`rearm` ends it.",
            allow_retries=False,
        )


@op(pool=BOOK_POOL)
def rearm_book(context: dg.OpExecutionContext, config: Loosening, desk: DeskResource) -> None:
    """Clear halts and locks, and accept looser limits from the configuration."""
    from trading_assets.engine.operation import operator

    opened = desk.open(context)
    cleared = operator.rearm(opened, reason=config.reason, author=author_of(context.run.tags))
    context.add_output_metadata(
        cleaned_metadata(
            {
                "book": opened.book,
                "cleared": ", ".join(cleared) or "nothing was latched",
                "halt_state": opened.halts().state.name,
            }
        )
    )


@op(pool=BOOK_POOL)
def adopt_book(context: dg.OpExecutionContext, config: Loosening, desk: DeskResource) -> None:
    """Journal the account's holdings as the book's opening entry."""
    from trading_assets.engine.reconciliation.reconcile import adopt

    opened = desk.open(context)
    positions = adopt(opened, reason=config.reason, author=author_of(context.run.tags))
    context.add_output_metadata(cleaned_metadata({"book": opened.book, "positions": positions}))


@dg.job(
    tags=KILL,
    description="Halt the book now and cancel every working order. Only a rearm ends the halt.",
)
def kill() -> None:
    kill_book()


@dg.job(
    tags=FLATTEN,
    description="Sell every position now, and try again until each is zero. A kill does not stop it.",
)
def flatten() -> None:
    flatten_book()


@dg.job(
    tags=PERSON,
    description="Clear halts and locks, and accept looser limits. Needs a reason.",
)
def rearm() -> None:
    rearm_book()


@dg.job(
    tags=PERSON,
    description="Take over an account that held something at the first start. Needs a reason.",
)
def adopt() -> None:
    adopt_book()
