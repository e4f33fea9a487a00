"""Every field of a job's run configuration, and a launch that has one of them read the environment."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import dagster as dg
from dagster._config.config_type import ConfigType, ConfigTypeKind

Path = tuple[str | int, ...]
STOCK = ("loggers", "execution")  # Dagster's own, which take no environment either


def leaves(job: dg.JobDefinition) -> Iterator[Path]:
    """The place of each scalar of the run configuration; within lists and maps, of their first value."""
    yield from _within(job.run_config_schema.config_type, ())


def _within(kind: ConfigType, at: Path) -> Iterator[Path]:
    if kind.kind in (ConfigTypeKind.STRICT_SHAPE, ConfigTypeKind.PERMISSIVE_SHAPE, ConfigTypeKind.SELECTOR):
        for name, field in kind.fields.items():  # type: ignore[attr-defined]
            yield from _within(field.config_type, (*at, name))
    elif kind.kind is ConfigTypeKind.NONEABLE:
        yield from _within(kind.inner_type, at)  # type: ignore[attr-defined]
    elif kind.kind is ConfigTypeKind.ARRAY:
        yield from _within(kind.inner_type, (*at, 0))  # type: ignore[attr-defined]
    elif kind.kind is ConfigTypeKind.MAP:
        yield from _within(kind.inner_type, (*at, "x"))  # type: ignore[attr-defined]
    elif kind.kind is not ConfigTypeKind.ANY:  # which reads nothing: what it is given it hands on
        yield at


def asking(at: Path, variable: str) -> dict[str, Any]:
    """A run configuration with that one field taken from the environment."""
    value: Any = {"env": variable}
    for part in reversed(at):
        value = [value] if part == 0 else {part: value}
    assert isinstance(value, dict)
    return value
