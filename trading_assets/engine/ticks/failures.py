"""What becomes of a step around the orders that fails: it is noted in the journal, and the tick goes on.

One rule for the tick in one call (`engine.ticks.whole_tick`) and for the live assets (`defs`). What a step
may fail of is what this package raises on purpose: a history that is locked or cannot be read, a model that
is missing or does not fit, bars that the broker does not give. Its blocking checks then count as failed, so
that the tick's entries are vetoed, and what needs it is not attempted; protection and exits go on. Any other
exception is a fault of the program and is not kept.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeVar

from trading_assets.engine.book.desk import Desk
from trading_assets.engine.checks.table import checks_of
from trading_assets.engine.ticks.steps import CHECK_PREFIX, needed_by
from trading_assets.errors import TradingAssetsError
from trading_assets.log import get_logger
from trading_assets.redaction import clean
from trading_assets.store.records import GateCheckRecord

log = get_logger(__name__)

T = TypeVar("T")

KEPT = TradingAssetsError


class StepFailed(TradingAssetsError):
    """A step could not be done, or was not attempted without one that it needs.

    step: the one that failed
    """

    def __init__(self, step: str, why: str) -> None:
        self.step = step
        self.why = why
        super().__init__(step, why)

    def __str__(self) -> str:
        return f"{self.step}: {self.why}"


def attempt(desk: Desk, tick_ns: int, step: str, work: Callable[[], T]) -> T:
    """What `work` returns. The step is an asset's, or the one of its checks.

    Raises StepFailed where `work` raises what is kept, and without calling it where a step that it needs
    failed at this tick. A step that is done again and succeeds takes its failure back.
    """
    failures = {
        stored.check: stored.detail
        for stored in desk.journal.gate_checks(desk.book, tick_ns)
        if not stored.passed
    }
    for needed in needed_by(step):
        if _key(needed) in failures:
            raise StepFailed(needed, failures[_key(needed)])
    try:
        outcome = work()
    except KEPT as error:
        log.error("step failed", step=step, session=desk.session_text(), why=str(error))
        why = clean(str(error))
        _note_failure(desk, tick_ns, step, why)
        raise StepFailed(step, why) from error
    if _key(step) in failures:
        desk.journal.record_gate_checks(
            [GateCheckRecord(desk.book, tick_ns, _key(step), True, desk.now_ns(), "")]
        )
    return outcome


def _note_failure(desk: Desk, tick_ns: int, step: str, why: str) -> None:
    """The step's failure beside the tick's checks, and its blocking checks as not passed."""
    now = desk.now_ns()
    unanswered = [check.key for check in checks_of(step.removeprefix(CHECK_PREFIX)) if check.blocking]
    desk.journal.record_gate_checks(
        [
            GateCheckRecord(desk.book, tick_ns, _key(step), False, now, why),
            *(
                GateCheckRecord(desk.book, tick_ns, check, False, now, str(StepFailed(step, why)))
                for check in unanswered
            ),
        ]
    )


def _key(step: str) -> str:
    """Its name in the journal: none of a check's, which have a dot."""
    return f"step:{step}"
