"""A person's acts as jobs: kill, flatten, rearm, adopt. Each takes its reason as run config; whose act it is,
`defs.acts` says.

Kill and flatten have pools of their own: they leave the queue beside any tick. The others take
their turn with the ticks. What an act does is `engine.operation.operator`'s.
"""

import os

import dagster as dg
from pydantic import Field

from trading_assets.config import path_in_use
from trading_assets.defs.acts import author as author_of
from trading_assets.defs.clean_steps import cleaned_metadata, shows_no_secret
from trading_assets.defs.lanes import BOOK_POOL, FLATTEN, FLATTEN_POOL, KILL, KILL_POOL, PERSON
from trading_assets.defs.plain_config import PlainConfig
from trading_assets.defs.resources import DeskResource, read_settings
from trading_assets.errors import InvalidInput
from trading_assets.log import get_logger

log = get_logger(__name__)


class Emergency(PlainConfig):
    """An act that tightens. It asks for nothing, so that one click does it."""

    reason: str = Field(default="launched in Dagster", min_length=1, description="Why; kept in the journal.")


class Loosening(PlainConfig):
    """An act that lets more happen than before: a person says why."""

    reason: str = Field(min_length=1, description="Why it is safe; kept in the journal.")


@dg.op(pool=KILL_POOL)
@shows_no_secret
def kill_book(context: dg.OpExecutionContext, config: Emergency, desk: DeskResource) -> None:
    """HALTED first, durable, before anything is opened or asked; then every working order is cancelled."""
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


@dg.op(pool=FLATTEN_POOL)
@shows_no_secret
def flatten_book(context: dg.OpExecutionContext, config: Emergency, desk: DeskResource) -> None:
    """Every position is sold, by the broker's quantities. The run fails while anything is held."""
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


@dg.op(pool=BOOK_POOL)
@shows_no_secret
def rearm_book(context: dg.OpExecutionContext, config: Loosening, desk: DeskResource) -> None:
    """Clears what is latched, and takes up looser limits of the configuration."""
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


@dg.op(pool=BOOK_POOL)
@shows_no_secret
def adopt_book(context: dg.OpExecutionContext, config: Loosening, desk: DeskResource) -> None:
    """What the account holds becomes the book's opening entry."""
    from trading_assets.engine.reconciliation.reconcile import adopt

    opened = desk.open(context)
    positions = adopt(opened, reason=config.reason, author=author_of(context.run.tags))
    context.add_output_metadata(cleaned_metadata({"book": opened.book, "positions": positions}))


@dg.job(
    executor_def=dg.in_process_executor,
    tags=KILL,
    description="Halt the book now and cancel what works. It ends with a rearm, and with nothing else.",
)
def kill() -> None:
    kill_book()


@dg.job(
    executor_def=dg.in_process_executor,
    tags=FLATTEN,
    description="Sell every position now, and go on until every one is zero; allowed under a kill too.",
)
def flatten() -> None:
    flatten_book()


@dg.job(
    executor_def=dg.in_process_executor,
    tags=PERSON,
    description="Clear halts and break locks and accept looser limits. Needs a reason.",
)
def rearm() -> None:
    rearm_book()


@dg.job(
    executor_def=dg.in_process_executor,
    tags=PERSON,
    description="Take over an account that was not empty at the first start. Needs a reason.",
)
def adopt() -> None:
    adopt_book()


OPERATOR_JOBS = (kill, flatten, rearm, adopt)
