"""Dagster's own command line, with the keys in its environment: a run configuration that asks for one finds
nothing, on the committed instance and on one of Dagster's own."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

from trading_assets.venues import BROKER_KEYS

HERE = Path(__file__).parent
INSTANCE = HERE.parents[1] / "dagster_home" / "dagster.yaml"
PLANTED = "planted-in-a-test-0123456789"


@pytest.mark.slow(seconds=20)
@pytest.mark.parametrize(
    ("field", "committed"),
    [pytest.param("text", True, id="our instance"), pytest.param("number", False, id="one of Dagster's own")],
)
def test_a_job_from_dagsters_command_line_reads_no_key(tmp_path: Path, field: str, committed: bool) -> None:
    home = tmp_path / "dagster_home"
    home.mkdir(mode=0o700)
    if committed:
        shutil.copy(INSTANCE, home)
    config = tmp_path / "run.yaml"
    fields = {field: {"env": BROKER_KEYS[1]}}
    config.write_text(yaml.safe_dump({"ops": {"repeat_configuration": {"config": fields}}}))
    job = ["-f", str(HERE / "planted_definitions.py"), "-a", "defs", "-j", "careless", "-c", str(config)]
    done = subprocess.run(
        [sys.executable, "-m", "dagster", "job", "execute", *job],
        env=os.environ | {BROKER_KEYS[1]: PLANTED, "DAGSTER_HOME": str(home)},
        cwd=HERE,
        capture_output=True,
        text=True,
        check=False,
    )
    output = done.stdout + done.stderr
    assert done.returncode != 0
    assert "not set" in output, output[-3000:]
    assert PLANTED not in output
    left = [path for path in tmp_path.rglob("*") if path.is_file() and PLANTED.encode() in path.read_bytes()]
    assert left == []
