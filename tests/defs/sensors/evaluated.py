"""An evaluation of a sensor as the daemon makes it, and what it requests or why it does not."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import date
from pathlib import Path

import dagster as dg
from support.trading_floor import TOKEN, TradingFloor

from trading_assets.engine.protection.protected import note_protected
from trading_assets.exchange.control_client import ControlClient
from trading_assets.store.journal import Journal

SESSION = date(2012, 7, 3)  # a half day before a holiday


Evaluation = dg.SensorResult | dg.SkipReason


class Watch:
    """Evaluates one sensor again and again, keeping its cursor as the daemon does."""

    def __init__(self, sensor: dg.SensorDefinition, instance: dg.DagsterInstance) -> None:
        self.sensor, self.instance = sensor, instance
        self.cursor: str | None = None

    def __call__(self, *, stored: bool = True) -> Evaluation:
        """stored=False: the daemon dies before it has stored what the evaluation gave."""
        with dg.build_sensor_context(instance=self.instance, cursor=self.cursor) as context:
            result = self.sensor(context)
        assert isinstance(result, Evaluation)
        if stored and isinstance(result, dg.SensorResult):
            self.cursor = result.cursor
        return result


def request(evaluation: Evaluation) -> dg.RunRequest:
    assert isinstance(evaluation, dg.SensorResult), evaluation
    assert evaluation.run_requests is not None
    (only,) = evaluation.run_requests
    return only


def skipped(evaluation: Evaluation) -> str:
    assert isinstance(evaluation, dg.SkipReason), evaluation
    return str(evaluation.skip_message)


def now_ns(floor: TradingFloor) -> int:
    keeper = ControlClient(floor.exchange.control_url, TOKEN)
    try:
        return keeper.now_ns()
    finally:
        keeper.close()


BOOK = "embedded:PA0001:paper"


NS = 10**9


@dataclass
class Desk:
    """A desk that only its configuration, its journal and the machine's clock make up; no venue answers."""

    home: Path
    now_ns: int
    interval_ns: int = 60 * NS

    @property
    def config_path(self) -> Path:
        return self.home / "config" / "execution.yaml"

    def configure(self, text: str) -> None:
        self.config_path.parent.mkdir(exist_ok=True)
        self.config_path.write_text(text)

    @contextmanager
    def journal(self) -> Iterator[Journal]:
        with Journal.open(self.home / "var" / "journal.sqlite") as journal:
            yield journal

    def protected(self) -> None:
        with self.journal() as journal:
            note_protected(journal, BOOK, now_ns=self.now_ns)

    def alerts(self) -> list[str]:
        with self.journal() as journal:
            return [alert.title for alert in journal.pending_alerts()]
