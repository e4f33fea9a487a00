"""Dagster's SQLite event log that stores no secret and nothing that nobody could read again.

It stands in for the pooled one (`dagster_instance.event_log`), which stores the same. So it is made of
little: two methods of Dagster's storage, and the way in which Dagster writes a value as JSON.
"""

from __future__ import annotations

import json
from collections.abc import Sequence

from dagster import EventLogEntry, deserialize_value, serialize_value
from dagster._core.storage.event_log import SqliteEventLogStorage

from trading_assets.errors import InvalidInput
from trading_assets.redaction import cleaned_strings, is_clean


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
    if not is_clean(stored):
        return _read(json.dumps(cleaned_strings(json.loads(stored))))
    if not event.run_id:
        _read(stored)
    return event


def _read(stored: str) -> EventLogEntry:
    try:
        return deserialize_value(stored, EventLogEntry)
    except Exception as error:
        raise InvalidInput(
            "Dagster could not read this again, and with it no other event of the asset",
            where="the metadata of an event",
            remedy="Take out every key that begins with two underscores, such as __class__.",
        ) from error
