"""A step of a run shows no secret, whichever storage keeps its events: each op, asset and check of the desk
is wrapped in `shows_no_secret`.

Our event log (`dagster_instance.event_log`) cleans what it stores, and so does what stands in for it. An
instance that names Dagster's own storage stores what a step gives it. So what leaves a step is clean: its
error with the trace, and the descriptions and metadata of its results. What a step logs is clean as every log
record of the process is (`process_setup`).
"""

from __future__ import annotations

import functools
import inspect
import json
import traceback
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any, TypeVar, cast

import dagster as dg

from trading_assets.errors import TradingAssetsError
from trading_assets.redaction import clean, cleaned_strings, is_clean

Step = TypeVar("Step", bound=Callable[..., Any])

_CLEANED = "_trading_assets_shows_no_secret"


class StepError(TradingAssetsError):
    """In place of an error that shows a secret: the same words and trace without it."""


def shows_no_secret(step: Step) -> Step:
    """The function of an op, an asset or checks, without secrets in what it raises, returns or yields."""
    if inspect.isgeneratorfunction(step):

        @functools.wraps(step)
        def cleaned(*arguments: Any, **named: Any) -> Any:
            with _clean_errors():
                for result in step(*arguments, **named):
                    yield _clean_result(result)

    else:

        @functools.wraps(step)
        def cleaned(*arguments: Any, **named: Any) -> Any:
            with _clean_errors():
                return _clean_result(step(*arguments, **named))

    setattr(cleaned, _CLEANED, True)
    return cast(Step, cleaned)


def is_wrapped(step: Callable[..., Any]) -> bool:
    """Whether the function of a step is what `shows_no_secret` made."""
    return getattr(step, _CLEANED, False) is True


def cleaned_metadata(metadata: Mapping[str, Any]) -> dict[str, Any]:
    """Metadata of any kind without secrets."""
    return {clean(name): _clean_value(value) for name, value in metadata.items()}


@contextmanager
def _clean_errors() -> Iterator[None]:
    try:
        yield
    except dg.Failure as failure:
        shown, metadata = _shown(failure), dict(failure.metadata)
        if is_clean(shown) and cleaned_metadata(metadata) == metadata:
            raise
        raise dg.Failure(
            clean(shown), metadata=cleaned_metadata(metadata), allow_retries=failure.allow_retries
        ) from None
    except Exception as error:
        if is_clean(_shown(error)):
            raise
        raise StepError(clean(_shown(error))) from None


def _shown(error: Exception) -> str:
    return "".join(traceback.format_exception(error))


def _clean_result(result: Any) -> Any:
    if not isinstance(result, dg.MaterializeResult | dg.AssetCheckResult):
        return result
    changed: dict[str, Any] = {"metadata": cleaned_metadata(result.metadata or {})}
    if isinstance(result, dg.AssetCheckResult) and result.description is not None:
        changed["description"] = clean(result.description)
    return result._replace(**changed)


def _clean_value(value: Any) -> Any:
    stored = dg.serialize_value(value)
    if is_clean(stored):
        return value
    return dg.deserialize_value(json.dumps(cleaned_strings(json.loads(stored))))
