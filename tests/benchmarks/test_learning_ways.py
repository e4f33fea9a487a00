"""That the features in plain pandas, which the comparison times, are the desk's own."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import numpy as np

from trading_assets.features.daily import DAILY

FOLDER = Path(__file__).parents[2] / "benchmarks" / "learning"


def rows(script: str, sample: Path) -> np.ndarray:
    command = [sys.executable, str(FOLDER / script), "6", "400", str(sample)]
    subprocess.run(command, capture_output=True, check=True)
    return np.load(sample)


def test_pandas_has_the_desks_features_within_a_billionth_splits_and_dividends_included(
    tmp_path: Path,
) -> None:
    own, plain = (
        rows("features_ours.py", tmp_path / "own.npy"),
        rows("features_pandas.py", tmp_path / "plain.npy"),
    )
    assert own.shape == (6, 400, len(DAILY.names))
    full = np.isfinite(own)
    assert full[:, DAILY.lookback - 1 :].all()
    assert np.array_equal(full, np.isfinite(plain))
    assert np.nanmax(np.abs(plain - own) / np.maximum(np.abs(own), 1.0)) < 1e-9
