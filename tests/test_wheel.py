"""The wheel works outside a checkout, in a directory that `trading-assets init` made."""

from __future__ import annotations

import os
import subprocess
import sys
import sysconfig
import zipfile
from collections.abc import Callable
from pathlib import Path

import pytest
import yaml

from trading_assets import config
from trading_assets.cli.new_desk import FILES, template
from trading_assets.config import Settings

ROOT = Path(__file__).parents[1]
Run = Callable[..., subprocess.CompletedProcess[str]]


@pytest.fixture(scope="module")
def installed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An interpreter with the wheel, and the packages that it needs from this one's environment."""
    place = tmp_path_factory.mktemp("wheel")
    build = (
        "-m",
        "pip",
        "wheel",
        "--quiet",
        "--no-deps",
        "--no-build-isolation",
        "--no-index",
        "-w",
        str(place),
    )
    subprocess.run([sys.executable, *build, str(ROOT)], check=True, timeout=300)
    environment = place / "environment"
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", str(environment)], check=True, timeout=120)
    (packages,) = (environment / "lib").glob("python3*/site-packages")
    (wheel,) = place.glob("*.whl")
    with zipfile.ZipFile(wheel) as packed:
        packed.extractall(packages)
    needed = sysconfig.get_path("purelib")
    (packages / "needed.pth").write_text(f"import site; site.addsitedir({needed!r})\n")
    return environment / "bin" / "python"


@pytest.fixture(scope="module")
def run(installed: Path) -> Run:
    def command(*arguments: str, at: Path, status: int = 0) -> subprocess.CompletedProcess[str]:
        clean = {
            name: value for name, value in os.environ.items() if not name.startswith(("PYTHON", "DAGSTER"))
        }
        ended = subprocess.run(
            [str(installed), *arguments],
            cwd=at,
            env=clean | {"DAGSTER_HOME": str(at / "dagster_home")},
            capture_output=True,
            text=True,
            timeout=300,
            check=False,
        )
        assert ended.returncode == status, ended.stdout + ended.stderr
        return ended

    return command


CLI = ("-m", "trading_assets.cli")


@pytest.mark.slow(seconds=60)
def test_every_command_works_in_a_directory_that_the_installed_program_made(tmp_path: Path, run: Run) -> None:
    where = run("-c", "import trading_assets; print(trading_assets.__file__)", at=tmp_path)
    assert "environment" in where.stdout
    run(*CLI, "init", "desk", at=tmp_path)
    desk = tmp_path / "desk"
    assert oct(desk.stat().st_mode & 0o777) == "0o700"
    for name in FILES:
        assert (desk / name).read_bytes() == (ROOT / name).read_bytes()
    assert f"data     {desk / 'var'}" in run(*CLI, "config", "check", at=desk).stdout
    brought = ("examples/bars.csv", "--interval", "1d", "--stamps", "start", "--adjusted", "no")
    imported = run(*CLI, "import-bars", *brought, "--zone", "America/New_York", at=desk)
    assert "20 bars of MSFT read from examples/bars.csv, 20 of them new" in imported.stdout
    span = ("--from", "2012-07-02", "--to", "2012-07-30", "--signals", "examples/signals.csv")
    replayed = run(*CLI, "replay", *span, "--name", "example", at=desk)
    assert "replayed             20 sessions" in replayed.stdout
    assert "PASS 2" in replayed.stdout
    run("-m", "dagster", "definitions", "validate", "-w", "workspace.yaml", at=desk)
    refused = run(*CLI, "init", ".", at=desk, status=1)
    assert "is not an empty directory" in refused.stderr


def test_a_new_desks_configuration_has_every_key_with_its_default(tmp_path: Path) -> None:
    path = tmp_path / "config" / "execution.yaml"
    path.parent.mkdir()
    path.write_text(template("config/execution.yaml").read_text())
    written = yaml.safe_load(path.read_text())
    assert written.keys() == Settings.model_fields.keys()
    changed = {"data_dir": config.load(path).data_dir}
    assert config.load(path) == Settings().model_copy(update=changed)
