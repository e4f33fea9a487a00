"""A run of Dagster as it was recorded, written again for another session through the instance's storage.

The copy has a run id, a partition and times of its own; all else is the recorded run's: the run with its
tags, every event in its order, the files of what it printed. Which runs are copied when is `year`'s.
"""

from __future__ import annotations

import shutil
from dataclasses import dataclass
from datetime import UTC, date, datetime
from pathlib import Path

import dagster as dg
from dagster._core.events import DagsterEventBatchMetadata
from dagster._core.events.log import EventLogEntry
from dagster._core.utils import make_new_run_id
from dagster._serdes import deserialize_value, serialize_value

SECOND_NS = 10**9


@dataclass(frozen=True, slots=True)
class RecordedRun:
    """Everything that the instance holds of one run.

    at_ns: when it began, UTC; run and events are Dagster's own JSON
    """

    run_id: str
    session: date
    at_ns: int
    run: str
    events: tuple[str, ...]
    printed: Path

    @classmethod
    def of(cls, instance: dg.DagsterInstance, run_id: str, session: date, at_ns: int) -> RecordedRun:
        run = instance.get_run_by_id(run_id)
        assert run is not None
        return cls(
            run_id,
            session,
            at_ns,
            serialize_value(run.with_status(dg.DagsterRunStatus.NOT_STARTED)),
            tuple(serialize_value(entry) for entry in instance.all_logs(run_id)),
            Path(instance.storage_directory()) / run_id,
        )

    def write_again(self, instance: dg.DagsterInstance, session: date, at_ns: int) -> str:
        """Store it as a run of that session that began then; returns its id."""
        run_id = make_new_run_id()
        later = (at_ns - self.at_ns) / SECOND_NS

        def told_anew(text: str) -> str:
            text = text.replace(self.run_id, run_id).replace(self.session.isoformat(), session.isoformat())
            return text.replace(str(self.at_ns), str(at_ns))

        instance.run_storage.add_historical_run(
            deserialize_value(told_anew(self.run), dg.DagsterRun),
            run_creation_time=datetime.fromtimestamp(at_ns / SECOND_NS, UTC),
        )
        for number, event in enumerate(self.events, start=1):
            entry = deserialize_value(told_anew(event), EventLogEntry)
            instance.handle_new_event(
                entry._replace(timestamp=entry.timestamp + later),
                batch_metadata=DagsterEventBatchMetadata(run_id, number == len(self.events)),
            )
        if self.printed.exists():
            shutil.copytree(self.printed, self.printed.with_name(run_id))
        return run_id
