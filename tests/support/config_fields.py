"""Every field of a job's run configuration, and a launch that has one of them read the environment."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import dagster as dg
from dagster._config import Array, ConfigType, Map, Noneable, Permissive, Selector, Shape
from dagster._config.config_type import Any as ConfigAny

Path = tuple[str | int, ...]
STOCK = ("loggers", "execution")  # Dagster's own, which take no environment either


def leaves(job: dg.JobDefinition) -> Iterator[Path]:
    """The place of each scalar of the run configuration; within lists and maps, of their first value."""
    yield from _within(job.run_config_schema.config_type, ())


def _within(kind: ConfigType, at: Path) -> Iterator[Path]:
    if isinstance(kind, (Shape, Permissive, Selector)):
        for name, field in kind.fields.items():
            yield from _within(field.config_type, (*at, name))
    elif isinstance(kind, Noneable):
        yield from _within(kind.inner_type, at)
    elif isinstance(kind, Array):
        yield from _within(kind.inner_type, (*at, 0))
    elif isinstance(kind, Map):
        yield from _within(kind.inner_type, (*at, "x"))
    elif not isinstance(kind, ConfigAny):  # which reads nothing: what it is given it hands on
        yield at


def asking(at: Path, variable: str) -> dict[str, Any]:
    """A run configuration with that one field taken from the environment."""
    value: Any = {"env": variable}
    for part in reversed(at):
        value = [value] if part == 0 else {part: value}
    assert isinstance(value, dict)
    return value
