"""Fences of the kind `sh` that need no running desk, run as they stand."""

from __future__ import annotations

import gzip
import re
import subprocess
from pathlib import Path
from textwrap import dedent

import pytest
from project_copy import ROOT, environment, project_copy

README = (ROOT / "README.md").read_text()
ALPACA = (ROOT / "docs" / "alpaca.md").read_text()
REPLAY = (ROOT / "docs" / "replay.md").read_text()


def fence(text: str, containing: str) -> str:
    (only,) = (
        dedent(block)
        for block in re.findall(r"^ *```(?:sh|yaml)\n(.*?)^ *```", text, re.DOTALL | re.MULTILINE)
        if containing in block
    )
    return only


def run(script: str, home: Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        ["bash", "-euc", script],
        cwd=home,
        env=environment(),
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )


@pytest.mark.slow
def test_the_way_onto_alpaca_paper_is_checked_before_anybody_is_asked(tmp_path: Path) -> None:
    project_copy(tmp_path)
    configuration = fence(ALPACA, "venue: alpaca")
    (tmp_path / "config" / "alpaca-paper.yaml").write_text(configuration)
    script = fence(ALPACA, "trading-assets config check")
    ended = run(script, tmp_path)
    assert ended.returncode == 0, ended.stderr
    assert "Alpaca (iex), paper" in ended.stdout
    assert "AAPL, GOOG, IBM, META, MSFT every 5 minutes" in ended.stdout
    without_keys = "\n".join(line for line in script.splitlines() if "APCA_API" not in line)
    ended = run(without_keys, tmp_path)
    assert ended.returncode == 1
    assert "APCA_API_KEY_ID and APCA_API_SECRET_KEY not set" in ended.stderr


@pytest.mark.slow
def test_bars_and_signals_of_ones_own_are_replayed_in_the_readmes_six_lines(tmp_path: Path) -> None:
    project_copy(tmp_path)
    bundle = gzip.decompress((ROOT / "trading_assets" / "market" / "data" / "stocks.csv.gz").read_bytes())
    year = [line for line in bundle.decode().splitlines() if line.startswith(("Ticker", "AAPL,2012"))]
    (tmp_path / "bars.csv").write_text("\n".join(year))
    script = fence(README, "import-bars")
    assert len(script.splitlines()) == 6
    ended = run(script, tmp_path)
    assert ended.returncode == 0, ended.stdout + ended.stderr
    assert (tmp_path / "var" / "mine" / "replays" / "mine.html").exists()


@pytest.mark.slow
def test_a_replay_is_launched_with_dg(tmp_path: Path) -> None:
    project_copy(tmp_path)
    (tmp_path / "signals.csv").write_text("symbol,value,session\nAAPL,0.9,2012-09-11\nAAPL,-0.9,2012-09-13\n")
    ended = run(fence(REPLAY, "dg launch"), tmp_path)
    assert ended.returncode == 0, ended.stdout + ended.stderr
    assert "19 of 19 sessions replayed" in ended.stdout + ended.stderr
    assert {path.name for path in (tmp_path / "var" / "replays").iterdir()} >= {"mine.duckdb", "mine.html"}
