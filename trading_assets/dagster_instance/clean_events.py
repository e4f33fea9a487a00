"""Dagster's SQLite event log that stores no secret and nothing that nobody could read or show again.

It stands in for the pooled one (`dagster_instance.event_log`), which stores the same. So it is made of
little: two methods of Dagster's storage, and the way in which Dagster writes a value as JSON.
"""

from __future__ import annotations

import json
import re
from collections.abc import Sequence
from typing import Any

from dagster import EventLogEntry, deserialize_value, serialize_value
from dagster._core.storage.event_log import SqliteEventLogStorage

from trading_assets.errors import InvalidInput
from trading_assets.redaction import cleaned_strings, is_clean

_HALF_A_CHARACTER = re.compile(r"\\u[dD][89a-fA-F]")  # or one of the two that a rare character is written as


class CleanEventLog(SqliteEventLogStorage):
    """The stock storage, in the stock files."""

    def store_event(self, event: EventLogEntry) -> None:
        super().store_event(to_be_stored(event))

    def store_event_batch(self, events: Sequence[EventLogEntry]) -> None:
        for event in events:
            self.store_event(event)


def to_be_stored(event: EventLogEntry) -> EventLogEntry:
    """The event as it is stored and shown: messages, metadata, and the errors of steps with their traces.

    Raises InvalidInput for an event of no run that nobody could read again. Whoever reports one writes its
    metadata; with a key such as `__class__` in it, no event of the asset is shown any more.
    """
    stored = serialize_value(event)
    if not is_clean(stored) or _HALF_A_CHARACTER.search(stored):
        return _read(json.dumps(_as_text(cleaned_strings(json.loads(stored)))))
    if not event.run_id:
        _read(stored)
    return event


def _as_text(value: Any) -> Any:
    """What JSON holds, with an escape in place of what no answer in UTF-8 can show: one such character fails
    every page on which the event stands."""
    if isinstance(value, str):
        return value.encode(errors="backslashreplace").decode()
    if isinstance(value, dict):
        return {_as_text(key): _as_text(item) for key, item in value.items()}
    if isinstance(value, list):
        return [_as_text(item) for item in value]
    return value


def _read(stored: str) -> EventLogEntry:
    try:
        return deserialize_value(stored, EventLogEntry)
    except Exception as error:
        raise InvalidInput(
            "Dagster could not read this again, and with it no other event of the asset",
            where="the metadata of an event",
            remedy="Take out every key that begins with two underscores, such as __class__.",
        ) from error
