"""An evaluation of a sensor or schedule that fails: people are told of it, then it is Dagster's.

Dagster shows a failed evaluation on the sensor's page and nowhere else, and whatever that sensor requests is
no longer requested. The alert goes into the journal's outbox, and past it where there is no journal. Of a
configuration that cannot be used it is one alert, however many evaluations fail of it.
"""

from __future__ import annotations

import functools
import traceback
from collections.abc import Callable
from typing import Any, TypeVar

from trading_assets.engine.book import alerts
from trading_assets.errors import InvalidInput, TradingAssetsError
from trading_assets.log import get_logger
from trading_assets.market.clock import monotonic_ns, system_now_ns
from trading_assets.redaction import clean, is_clean
from trading_assets.runs.courier import COURIER
from trading_assets.runs.readiness import readiness
from trading_assets.runs.resources import read_settings

log = get_logger(__name__)

Evaluate = TypeVar("Evaluate", bound=Callable[..., Any])

_told_ns: dict[str, int] = {}  # by name, past the outbox: its own cool-down, which the journal cannot keep


class EvaluationFailed(TradingAssetsError):
    """In place of an error that shows a secret: the same words and trace without it."""


def told_of_failure(evaluate: Evaluate) -> Evaluate:
    """The evaluation as it is; what it raises is told before it goes on to Dagster."""

    @functools.wraps(evaluate)
    def alerting(*arguments: Any, **named: Any) -> Any:
        try:
            return evaluate(*arguments, **named)
        except Exception as error:
            tell_failure(evaluate.__name__, error)
            trace = traceback.format_exc()
            if is_clean(trace):
                raise
            raise EvaluationFailed(clean(trace)) from None

    return alerting  # type: ignore[return-value]


def tell_failure(name: str, error: Exception) -> None:
    """Alert on a failed evaluation, once in the cool-down. Raises nothing: whoever fails has more to do."""
    of_configuration = _is_of_the_configuration(error)
    title = "The configuration cannot be used" if of_configuration else f"{name} could not be evaluated"
    body = f"{type(error).__name__}: {error}\nWhat {name} requests is not requested until this is mended."
    log.error("evaluation failed", evaluation=name, why=str(error))
    now = system_now_ns()
    subject = alerts.CONFIGURATION if of_configuration else alerts.of_evaluation(name)
    try:
        with readiness(last_good=True) as desk:
            book = desk.book or alerts.NO_BOOK
            alerts.tell(desk.journal, book, subject, title, body, now_ns=now)
    except Exception as without:  # noqa: BLE001 - there is no journal: told past it, and in the log
        _tell_past_the_outbox(subject, title, f"{body}\n{without}")


def _is_of_the_configuration(error: Exception) -> bool:
    if not isinstance(error, InvalidInput):
        return False
    try:
        read_settings()
    except InvalidInput:
        return True
    return False


def _tell_past_the_outbox(subject: str, title: str, body: str) -> None:
    last = _told_ns.get(subject)
    if last is not None and monotonic_ns() - last < alerts.COOL_DOWN_NS:
        return
    _told_ns[subject] = monotonic_ns()
    COURIER.send(title, body)
