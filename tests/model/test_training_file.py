from __future__ import annotations

from collections.abc import Callable
from dataclasses import fields
from pathlib import Path

import duckdb
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from trading_assets.errors import InvalidInput
from trading_assets.model.training_file import read_training_set, write_training_set
from trading_assets.model.training_set import TrainingSet


def test_a_training_set_is_read_as_it_was_written_bit_for_bit(
    synthetic_set: Callable[..., TrainingSet], tmp_path: Path
) -> None:
    written = synthetic_set(symbols=12)
    write_training_set(written, tmp_path / "new" / "training.parquet")
    read = read_training_set(tmp_path / "new" / "training.parquet")
    for field in fields(TrainingSet):
        ours, theirs = getattr(written, field.name), getattr(read, field.name)
        if isinstance(ours, np.ndarray):
            assert ours.dtype == theirs.dtype
            assert np.array_equal(ours, theirs)
            assert not theirs.flags.writeable
        else:
            assert ours == theirs


def test_the_file_can_be_queried_by_session_symbol_and_feature(
    synthetic_set: Callable[..., TrainingSet], tmp_path: Path
) -> None:
    training_set = synthetic_set()
    path = tmp_path / "training.parquet"
    write_training_set(training_set, path)
    row = 5 * 6 + 2
    result = duckdb.sql(
        f"SELECT label, label_end, alpha FROM '{path}' WHERE session = ? AND symbol = ?",
        params=[training_set.sessions[5], "S02"],
    ).fetchall()
    assert result == [(training_set.y[row], training_set.sessions[11], training_set.X[row, 0])]


def test_another_file_is_refused_by_name(tmp_path: Path) -> None:
    path = tmp_path / "training.parquet"
    with pytest.raises(InvalidInput, match=r"training.parquet: no training set"):
        read_training_set(path)
    path.write_text("text")
    with pytest.raises(InvalidInput, match="no training set"):
        read_training_set(path)
    pq.write_table(pa.table({"label": [1.0]}), path)
    with pytest.raises(InvalidInput, match="no training set"):
        read_training_set(path)
