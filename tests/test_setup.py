"""What a fresh machine is set up from: every package pinned by hash, no index named, bytecode compiled."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import tomllib
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
PINNED = re.compile(r"(?P<name>[A-Za-z0-9._-]+)==[^\s;]+(?: ; [^\\]+?)?(?: --hash=sha256:[0-9a-f]{64})+")
NAMED = re.compile(r"[A-Za-z0-9._-]+")


def canonical(name: str) -> str:
    return re.sub(r"[-_.]+", "-", name).lower()


@pytest.fixture(scope="module")
def requirements() -> list[str]:
    """One requirement a line, without comments."""
    text = (ROOT / "requirements.txt").read_text().replace("\\\n", " ")
    lines = [" ".join(line.split()) for line in text.splitlines()]
    return [line for line in lines if line and not line.startswith("#")]


def test_every_package_is_pinned_by_hash_and_no_index_host_is_named(requirements: list[str]) -> None:
    assert not [line for line in requirements if not PINNED.fullmatch(line)]
    named = re.compile(r"index-url|find-links|trusted-host|://", re.IGNORECASE)
    assert not named.search((ROOT / "requirements.txt").read_text())


def test_every_package_that_the_project_names_is_among_them(requirements: list[str]) -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())
    named = project["project"]["dependencies"] + project["dependency-groups"]["dev"]
    wanted = {canonical(NAMED.match(name)[0]) for name in named}
    assert wanted <= {canonical(PINNED.fullmatch(line)["name"]) for line in requirements}


def test_the_set_up_installs_by_hash_and_compiles_what_it_installs_and_the_package() -> None:
    environ = {name: value for name, value in os.environ.items() if not name.startswith(("MAKE", "MFLAGS"))}
    output = subprocess.run(
        ["make", "-n", "--always-make", "setup"],
        cwd=ROOT,
        env=environ,
        capture_output=True,
        text=True,
        check=True,
    ).stdout.splitlines()
    (install,) = [line for line in output if "-r requirements.txt" in line]
    assert {"--require-hashes", "--no-deps", "--compile"} <= set(install.split())
    assert "--only-binary :all:" in install  # no package's own code runs at its installation
    assert "index" not in install
    assert output[-1].endswith("-m compileall -q trading_assets")


@pytest.mark.parametrize(
    ("output", "status", "ends"),
    [
        ("No known vulnerabilities found", 0, 0),
        ("Found 2 known vulnerabilities in 1 package", 1, 2),
        ("Found 1 known vulnerability, ignored 1 in 1 package\nyarl could not be audited", 1, 2),
        ("No known vulnerabilities found\nyarl  not found on PyPI and could not be audited: yarl", 0, 2),
        ("ERROR:pip_audit._cli:Connection error: unreachable", 1, 2),
    ],
)
def test_an_audit_that_had_no_answer_says_so_and_never_passes(
    tmp_path: Path, output: str, status: int, ends: int
) -> None:
    tool = tmp_path / "bin" / "pip-audit"
    tool.parent.mkdir()
    tool.write_text(f"#!/bin/sh\necho '{output}'\nexit {status}\n")
    tool.chmod(0o700)
    environ = {name: value for name, value in os.environ.items() if not name.startswith(("MAKE", "MFLAGS"))}
    ended = subprocess.run(
        ["make", "audit", f"AUDIT={tmp_path}"],
        cwd=ROOT,
        env=environ,
        capture_output=True,
        text=True,
        check=False,
    )
    assert ended.returncode == ends
    assert ("NOT AUDITED" in ended.stdout) == (
        "Found" not in output and output != "No known vulnerabilities found"
    )


KEPT = (
    "var/journal.sqlite",
    "var/history.duckdb",
    "dagster_home/dagster.yaml",
    "dagster_home/history/runs.db",
)
REMOVED = (".venv/bin/python", "var/demo/journal.sqlite", "build/x", "trading_assets/__pycache__/a.pyc")


def cleaned(checkout: Path) -> list[str]:
    shutil.copy(ROOT / "Makefile", checkout)
    clean = ("make", "--no-print-directory", "clean")
    output = subprocess.run(clean, cwd=checkout, capture_output=True, text=True, check=True)
    return output.stdout.splitlines()


def test_cleaning_leaves_every_book_and_says_what_it_left(tmp_path: Path) -> None:
    for name in (*KEPT, *REMOVED, "tests/t.py"):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text("")
    assert cleaned(tmp_path) == [
        "Left, as it cannot be made again: var/history.duckdb var/journal.sqlite ",
        "Left, as it cannot be made again: dagster_home/history ",
    ]
    assert all((tmp_path / name).exists() for name in (*KEPT, "tests/t.py"))
    assert not any((tmp_path / name).exists() for name in REMOVED)


def test_cleaning_what_is_clean_says_nothing(tmp_path: Path) -> None:
    for name in ("trading_assets", "tests"):
        (tmp_path / name).mkdir()
    assert cleaned(tmp_path) == []
