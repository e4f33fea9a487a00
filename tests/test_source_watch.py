"""A source that is broken while the desk runs is known within seconds, and known to be mended."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from trading_assets.source_watch import SourceWatch, signature

ROOT = Path(__file__).parents[1]


class Loads:
    """Answers in place of a process that loads; counts how often it was asked."""

    def __init__(self) -> None:
        self.why, self.requests = "", 0

    def __call__(self) -> str:
        self.requests += 1
        return self.why


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "inner").mkdir()
    (tmp_path / "inner" / "mine.py").write_text("x = 1\n")
    return tmp_path


def test_nothing_is_loaded_while_no_file_changes(folder: Path) -> None:
    loads = Loads()
    watch = SourceWatch(loads, folder)
    assert [watch.troubles() for _ in range(3)] == [(), (), ()]
    assert loads.requests == 0


def test_a_file_that_breaks_is_trouble_until_it_is_mended(folder: Path) -> None:
    loads = Loads()
    watch = SourceWatch(loads, folder)
    (folder / "inner" / "mine.py").write_text("def half(:\n")
    loads.why = "SyntaxError: invalid syntax"
    (trouble,) = watch.troubles()
    assert trouble.not_loaded
    assert trouble.body.endswith("SyntaxError: invalid syntax")
    assert watch.troubles() == (trouble,)  # the same occurrence: people are told once
    assert loads.requests == 1
    (folder / "inner" / "mine.py").write_text("def half(): ...\n")
    loads.why = ""
    assert watch.troubles() == ()
    assert loads.requests == 2


def test_definitions_that_were_broken_before_the_watch_began_are_found_once_it_has_settled(
    folder: Path,
) -> None:
    loads = Loads()
    loads.why = "it never loaded"
    watch = SourceWatch(loads, folder, first_load_seconds=0.0)
    assert [len(watch.troubles()) for _ in range(3)] == [1, 1, 1]
    assert loads.requests == 1


def test_a_new_file_a_gone_one_and_a_touched_one_change_the_signature_and_bytecode_does_not(
    folder: Path,
) -> None:
    seen = [signature(folder)]
    (folder / "new.py").touch()
    seen.append(signature(folder))
    os.utime(folder / "new.py", ns=(1, 1))
    seen.append(signature(folder))
    (folder / "inner" / "mine.py").unlink()
    seen.append(signature(folder))
    assert len(set(seen)) == 4
    (folder / "inner" / "__pycache__").mkdir()
    (folder / "inner" / "__pycache__" / "mine.py").touch()
    assert signature(folder) == seen[-1]


@pytest.mark.slow(seconds=8)
def test_a_process_of_its_own_loads_the_definitions_and_says_which_file_is_broken(tmp_path: Path) -> None:
    shutil.copytree(
        ROOT / "trading_assets", tmp_path / "trading_assets", ignore=shutil.ignore_patterns("__pycache__")
    )
    code = (
        "from pathlib import Path; from trading_assets.source_watch import PACKAGE, load_definitions\n"
        "assert PACKAGE == Path('trading_assets').resolve(), PACKAGE\n"
        "assert load_definitions() == '', load_definitions()\n"
        "(PACKAGE / 'defs' / 'mine.py').write_text('def half(:')\n"
        "print(load_definitions().splitlines()[-1])"
    )
    shown = subprocess.run(
        [sys.executable, "-c", code], cwd=tmp_path, capture_output=True, text=True, timeout=120
    )
    assert shown.returncode == 0, shown.stderr
    assert "trading_assets.defs.mine does not load: SyntaxError: invalid syntax" in shown.stdout
