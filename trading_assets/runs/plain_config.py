"""Run configuration that is what it says: a field of ours never takes its value from the environment.

For a field of type `str`, `int` or `bool` Dagster also takes `{"env": NAME}`, and shows what it found there
when the run fails. No configuration of ours needs that, so such a value is refused at launch, before
anything is read.
"""

from __future__ import annotations

from types import GenericAlias
from typing import Any, Optional, get_args, get_origin

import dagster as dg
from dagster._config import Bool, ConfigType, Int, String
from pydantic.fields import FieldInfo

_PLAIN: dict[Any, ConfigType] = {str: String(), int: Int(), bool: Bool()}  # type: ignore[no-untyped-call]


class PlainConfig(dg.Config):
    """Configuration of an op or asset."""

    @classmethod
    def __pydantic_init_subclass__(cls, **kwargs: Any) -> None:
        super().__pydantic_init_subclass__(**kwargs)
        _take_no_environment(cls.model_fields)


class PlainResource(dg.ConfigurableResource[Any]):
    """A resource whose configuration a launch may name."""

    @classmethod
    def __pydantic_init_subclass__(cls, **kwargs: Any) -> None:
        super().__pydantic_init_subclass__(**kwargs)
        _take_no_environment(cls.model_fields)


def _take_no_environment(fields: dict[str, FieldInfo]) -> None:
    """Dagster reads a field's type from its annotation, after pydantic has made its validation of it."""
    for field in fields.values():
        field.annotation = _plain(field.annotation)


def _plain(annotation: Any) -> Any:
    if annotation in _PLAIN:
        return _PLAIN[annotation]
    within = [_plain(inner) for inner in get_args(annotation) if inner is not type(None)]
    if type(None) in get_args(annotation) and len(within) == 1:
        return Optional[within[0]]  # noqa: UP045 - `|` takes no instance of Dagster's types
    if get_origin(annotation) is list:
        return GenericAlias(list, within[0])
    return annotation
