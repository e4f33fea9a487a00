"""What a demonstration stands on: a directory of its own, an exchange process, a Dagster instance."""

from __future__ import annotations

import os
import secrets
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import date
from decimal import Decimal
from pathlib import Path
from typing import Any

import dagster as dg
import yaml

from trading_assets import config
from trading_assets.config import Settings
from trading_assets.definitions import defs
from trading_assets.errors import InvalidInput
from trading_assets.exchange.control_client import ControlClient
from trading_assets.exchange.process import ExchangeProcess, start_process
from trading_assets.market.sessions import Sessions
from trading_assets.runs.lanes import tick_tags
from trading_assets.runs.partitions import come_to

CASH = Decimal(100_000)
MARKER = "made-by-the-demo"
RANGE_START_TAG, RANGE_END_TAG = "dagster/asset_partition_range_start", "dagster/asset_partition_range_end"
QUIET = {"loggers": {"console": {"config": {"log_level": "CRITICAL"}}}}


@dataclass(frozen=True, slots=True)
class DemoDesk:
    """A running demonstration. Relative paths are the project's."""

    home: Path
    model_config: Path  # signals from the model
    outside_config: Path  # signals from outside
    instance: dg.DagsterInstance
    exchange: ExchangeProcess
    keeper: ControlClient
    sessions: Sessions

    def settings(self, path: Path) -> Settings:
        return config.load(path)

    def run(
        self,
        job: str,
        *,
        session: date | None = None,
        tick_ns: int = 0,
        config_path: Path | None = None,
        ops: dict[str, Any] | None = None,
        over: tuple[date, date] | None = None,
    ) -> dg.ExecuteInProcessResult:
        """One Dagster run in this process, kept in the demonstration's instance. Does not raise when
        the run fails: the result says so.

        over: a range of sessions, both ends included, for what takes one
        """
        os.environ[config.CONFIG_VARIABLE] = str(config_path or self.model_config)
        tags = tick_tags(tick_ns) if tick_ns else {}
        if over is not None:
            first, last = (day.isoformat() for day in over)
            tags |= {RANGE_START_TAG: first, RANGE_END_TAG: last}
        run_config: dict[str, Any] = {**QUIET}
        if ops:
            run_config["ops"] = ops
        if session is not None:
            come_to(self.instance, session.isoformat())
        return defs.resolve_job_def(job).execute_in_process(
            instance=self.instance,
            partition_key=session.isoformat() if session is not None else None,
            run_config=run_config,
            raise_on_error=False,
            tags=tags,
        )


@contextmanager
def demo_desk(project: Path, home: Path, first: date) -> Iterator[DemoDesk]:
    """A desk at an empty `home`, with the exchange's clock at the open of `first`.

    A home that an earlier demonstration left is removed; raises InvalidInput for any other directory
    that is not empty.
    """
    _clear(home)
    sessions = Sessions()
    token = secrets.token_urlsafe(24)
    dagster_home = home / "dagster_home"
    dagster_home.mkdir(mode=0o700)
    shutil.copy(project / "dagster_home" / "dagster.yaml", dagster_home)
    os.environ["DAGSTER_HOME"] = str(dagster_home)
    base = yaml.safe_load((project / "config" / "demo.yaml").read_text())
    with (
        start_process(
            state_dir=home / "exchange",
            token=token,
            start_ns=sessions.open_ns(first),
            cash=CASH,
            spread_bps=Decimal(str(base["quote_spread_bps"])),
        ) as exchange,
        dg.DagsterInstance.from_config(str(dagster_home)) as instance,
    ):
        keeper = ControlClient(exchange.control_url, token)
        base["data_dir"] = str(home)
        base["model_path"] = str(home / "models" / "champion" / "model.ubj")
        base["features_path"] = str(home / "models" / "champion" / "features.json")
        base["embedded"] = {"url": exchange.url, "control_url": exchange.control_url}
        model_config = _write(home / "config" / "model.yaml", base)
        base["model"] = {"enabled": False}
        outside_config = _write(home / "config" / "outside.yaml", base)
        try:
            yield DemoDesk(home, model_config, outside_config, instance, exchange, keeper, sessions)
        finally:
            keeper.close()


def _clear(home: Path) -> None:
    if home.exists() and any(home.iterdir()) and not (home / MARKER).exists():
        raise InvalidInput(
            "the directory is not empty and no demonstration made it",
            where=str(home),
            remedy="Give another directory, or empty this one yourself.",
        )
    shutil.rmtree(home, ignore_errors=True)
    home.mkdir(parents=True, mode=0o700)
    (home / MARKER).touch()


def _write(path: Path, values: dict[str, Any]) -> Path:
    path.parent.mkdir(exist_ok=True)
    path.write_text(yaml.safe_dump(values, sort_keys=False))
    return path
