"""What no replay of the range can do without, each bare: the features by their kernel, the model's inference,
writing the rows that the replay left to a DuckDB file, and Dagster's events for the partitions.

Prints CPU and wall seconds of each. What a part needs is prepared outside its time.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import date
from pathlib import Path

import duckdb
import numpy as np
import pyarrow as pa
from whole import HOME

from trading_assets.config import load
from trading_assets.engine.replay.predictions import FeatureRows, Tick
from trading_assets.engine.replay.recording import ROWS_OF_A_COMMIT
from trading_assets.engine.replay.tape import open_tape, session_minutes
from trading_assets.market.sessions import Sessions
from trading_assets.model.registry import load as load_model
from trading_assets.store.history import History

TABLES = ("signals", "gate_verdicts", "orders", "fills", "positions", "equity", "checks")
Seconds = dict[str, list[float]]


@contextmanager
def timed(seconds: Seconds, part: str) -> Iterator[None]:
    """Add what the block takes to the part: CPU, wall."""
    cpu, wall = time.process_time(), time.perf_counter()
    yield
    spent = seconds.setdefault(part, [0.0, 0.0])
    spent[0] += time.process_time() - cpu
    spent[1] += time.perf_counter() - wall


def features_and_inference(seconds: Seconds, config: Path, days: list[date], minutes: int) -> None:
    settings, sessions = load(config), Sessions()
    symbols = sorted(settings.symbols)
    tape = open_tape(History(settings.data_dir / "history.duckdb"), symbols, "history", days, intraday=True)
    ticks = [Tick(day, at_ns) for day in days for at_ns in sessions.ticks(day, minutes)]
    assert settings.model_path is not None
    assert settings.features_path is not None
    model = load_model(settings.model_path, settings.features_path)
    FeatureRows(tape, symbols, ticks[:1], sessions, intraday=True).between(
        0, 1
    )  # compiled, or from the cache
    with timed(seconds, "features"):
        features = FeatureRows(tape, symbols, ticks, sessions, intraday=True)
    at = 0
    for day in days:
        session_minutes(tape, symbols, day)  # reading bars is no part
        end = at + len(sessions.ticks(day, minutes))
        with timed(seconds, "features"):
            rows = features.between(at, end)
        flat = rows.reshape(-1, rows.shape[2])
        flat = flat[np.isfinite(flat).all(axis=1)]
        with timed(seconds, "inference"):
            model.booster.inplace_predict(flat, predict_type="margin")
        at = end


def writing(seconds: Seconds, replayed: Path, directory: Path) -> dict[str, int]:
    """The rows of a replay's file into a new one, as many in a transaction. Returns the tables' rows."""
    counts = {}
    with (
        tempfile.TemporaryDirectory(dir=directory) as place,
        duckdb.connect(replayed, read_only=True) as source,
    ):
        made = History(Path(place) / "written.duckdb")
        made.query("SELECT 1")
        for table in TABLES:
            counts[table] = 0
            source.execute(f'SELECT * FROM "{table}"')
            for batch in source.to_arrow_reader(ROWS_OF_A_COMMIT):
                rows = pa.Table.from_batches([_as_dictionaries(batch)])
                counts[table] += rows.num_rows
                with timed(seconds, "writing"), made.writing() as connection:
                    connection.execute("SET threads = 1")
                    connection.register("incoming", rows)
                    connection.execute(f'INSERT INTO "{table}" BY NAME SELECT * FROM incoming')
                    connection.unregister("incoming")
    return counts


def _as_dictionaries(batch: pa.RecordBatch) -> pa.RecordBatch:
    """Texts as DuckDB takes them fastest; ids that are all different as they are."""
    columns = [
        column.dictionary_encode() if pa.types.is_string(column.type) and name != "decision_id" else column
        for name, column in zip(batch.schema.names, batch.columns, strict=True)
    ]
    return pa.RecordBatch.from_arrays(columns, batch.schema.names)


def events(seconds: Seconds, days: list[date]) -> None:
    """An asset that does nothing but materialize the same partitions with as many figures each."""
    import dagster as dg

    from trading_assets.runs.partitions import SESSIONS

    @dg.asset(partitions_def=SESSIONS, backfill_policy=dg.BackfillPolicy.single_run())
    def nothing(context):  # Dagster would look for the annotations' names in the module
        for key in context.partition_keys:
            figures = {f"figure_{number}": 1.0 for number in range(7)}
            context.add_asset_metadata(figures, partition_key=key)
        return dg.MaterializeResult(metadata={"book": "nothing", "history": "nothing", "report": "nothing"})

    job = dg.Definitions(assets=[nothing], jobs=[dg.define_asset_job("only", [nothing])]).resolve_job_def(
        "only"
    )
    whole = "dagster/asset_partition_range_"
    with dg.DagsterInstance.get() as instance, timed(seconds, "events"):
        tags = {f"{whole}start": days[0].isoformat(), f"{whole}end": days[-1].isoformat()}
        result = job.execute_in_process(instance=instance, tags=tags)
        assert len(result.get_asset_materialization_events()) == len(days)


def main() -> None:
    options = argparse.ArgumentParser()
    options.add_argument("config", type=Path)
    options.add_argument("first", type=date.fromisoformat)
    options.add_argument("last", type=date.fromisoformat)
    options.add_argument("replayed", type=Path)
    options.add_argument("--minutes", type=int, default=5)
    given = options.parse_args()
    days, seconds = Sessions().between(given.first, given.last), Seconds()
    features_and_inference(seconds, given.config, days, given.minutes)
    rows = writing(seconds, given.replayed, given.config.parent)
    with tempfile.TemporaryDirectory(dir=given.config.parent) as home:
        (Path(home) / "dagster.yaml").write_text(HOME.read_text())
        os.environ["DAGSTER_HOME"] = home
        events(seconds, days)
    json.dump({"seconds": seconds, "rows_written": rows}, sys.stdout)


if __name__ == "__main__":
    main()
