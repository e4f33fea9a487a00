"""The service's unit: systemd takes it as it stands, and what it starts is the guarded desk."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
UNIT = ROOT / "deploy" / "systemd" / "trading-assets.service"
MOST_EXPOSED = 5.5  # of 10, by systemd's own count: JIT needs memory that is written and executed

needs_systemd = pytest.mark.skipif(
    shutil.which("systemd-analyze") is None and "CI" not in os.environ,
    reason="no systemd-analyze here (Debian: systemd)",
)


def at_home(home: Path) -> Path:
    """The unit of a user whose project is this one."""
    (home / "trading_assets").symlink_to(ROOT)
    unit = home / UNIT.name
    interpreter = f"{home}/trading_assets/.venv/bin/python"
    unit.write_text(UNIT.read_text().replace("%h", str(home)).replace(interpreter, sys.executable))
    return unit


def analyzed(home: Path, *arguments: str) -> str:
    output = subprocess.run(
        ["systemd-analyze", *arguments, str(at_home(home))], capture_output=True, text=True, check=False
    )
    return output.stdout + output.stderr


@needs_systemd
def test_systemd_takes_the_unit_without_a_word(tmp_path: Path) -> None:
    report = analyzed(tmp_path, "verify", "--man=no").splitlines()
    assert [line for line in report if UNIT.name in line] == []


@needs_systemd
def test_the_service_is_confined(tmp_path: Path) -> None:
    output = analyzed(tmp_path, "security", "--offline=yes")
    exposed = re.search(r"Overall exposure level .*?: ([\d.]+)", output)
    assert exposed is not None, output
    assert float(exposed[1]) <= MOST_EXPOSED, output


def test_it_starts_what_make_up_starts_with_files_for_its_user_alone() -> None:
    unit = UNIT.read_text()
    (started,) = re.findall(r"^ExecStart=\S+/python -m (\S+)", unit, re.M)
    assert f"-m {started} --port" in (ROOT / "Makefile").read_text()
    assert "UMask=0077" in unit
    assert "LimitCORE=0" in unit


def test_the_page_names_the_unit_and_no_key_of_its_own() -> None:
    page = (ROOT / "deploy" / "README.md").read_text()
    assert UNIT.name in page
    assert re.findall(r"(?:APCA_API_\w+|ALERT_URLS)=", page) == []
