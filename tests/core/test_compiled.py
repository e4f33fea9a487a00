"""The compiled code that runs is the code in the sources: after an edit elsewhere, in a fork, uncached."""

from __future__ import annotations

import multiprocessing
import os
import shutil
import subprocess
import sys
from pathlib import Path

import numba
import numpy as np
import pytest
from cases.gate_cases import CASES, ENTRY, run

import trading_assets
from trading_assets.core.compiled import allocation_free, cache_directory, inlined
from trading_assets.core.tolerance import at_most

PACKAGE = Path(trading_assets.__file__).parent
ASK_THE_GATE = """
from cases.gate_cases import ENTRY, run
from trading_assets.core.gate import evaluate
from trading_assets.core.prices import __file__ as source
verdict = run(ENTRY)[0]
print(source, verdict, sum(evaluate.stats.cache_hits.values()))
"""


def ask_the_gate(where: Path) -> tuple[int, int]:
    """The verdict on an ordinary entry and the hits on the disk cache, by the package copied to `where`."""
    environment = os.environ | {
        "PYTHONPATH": os.pathsep.join((str(where), str(Path(__file__).parent))),
        "NUMBA_CACHE_DIR": str(where / "cache"),
    }
    command = [sys.executable, "-c", ASK_THE_GATE]
    done = subprocess.run(
        command, env=environment, cwd=where, capture_output=True, text=True, check=True, timeout=120
    )
    source, verdict, hits = done.stdout.split()
    assert Path(source).is_relative_to(where)
    return int(verdict), int(hits)


@pytest.mark.slow
def test_an_edit_in_what_the_gate_calls_takes_effect(tmp_path: Path) -> None:
    core = tmp_path / "trading_assets" / "core"
    shutil.copytree(PACKAGE / "core", core, ignore=shutil.ignore_patterns("__pycache__"))
    for name in ("__init__.py", "errors.py", "ownership.py"):
        shutil.copy(PACKAGE / name, core.parent / name)
    assert ask_the_gate(tmp_path) == (0, 0)
    assert ask_the_gate(tmp_path) == (0, 1)
    prices = core / "prices.py"
    written = prices.stat()
    edited = prices.read_text().replace("return is_positive(bid)", "return is_positive(-bid)")
    prices.write_text(edited)
    os.utime(prices, ns=(written.st_atime_ns, written.st_mtime_ns))
    verdict, hits = ask_the_gate(tmp_path)
    assert verdict != 0
    assert hits == 0


def test_a_forked_child_gives_the_same_verdicts() -> None:
    expected = [run(case.inputs)[0] for case in CASES[:20]]
    context = multiprocessing.get_context("fork")
    receiver, sender = context.Pipe(duplex=False)
    child = context.Process(target=lambda: sender.send([run(case.inputs)[0] for case in CASES[:20]]))
    child.start()
    assert receiver.poll(30)
    assert receiver.recv() == expected
    child.join(30)
    assert child.exitcode == 0


def test_the_cache_of_a_directory_given_by_the_user_still_carries_the_hash(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    sources = tmp_path / "kernels"
    sources.mkdir()
    (sources / "kernel.py").write_text("x = 1\n")
    monkeypatch.setenv("NUMBA_CACHE_DIR", str(tmp_path / "cache"))
    first = cache_directory.__wrapped__(sources)
    (sources / "kernel.py").write_text("x = 2\n")
    second = cache_directory.__wrapped__(sources)
    assert first.parent == second.parent == tmp_path / "cache"
    assert first != second
    assert first.stat().st_mode & 0o077 == 0


def test_without_one_the_cache_is_the_users_own(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("NUMBA_CACHE_DIR", raising=False)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    assert cache_directory.__wrapped__(PACKAGE / "core").parent == tmp_path / "trading_assets" / "numba"


def test_a_cache_that_cannot_be_written_is_gone_without(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "file").touch()
    monkeypatch.setenv("NUMBA_CACHE_DIR", str(tmp_path / "file"))
    with pytest.warns(RuntimeWarning, match="compiled code is not kept"):
        assert cache_directory.__wrapped__(PACKAGE / "core") is None


def test_compiled_functions_keep_their_names_and_plain_form() -> None:
    assert at_most.__name__ == "at_most"
    assert at_most.py_func(1.0, 1.0)
    assert run(ENTRY)[0] == 0


@inlined
def _largest(values: np.ndarray) -> float:
    result = values[0]
    for value in values:
        result = max(result, value)
    return result


def test_an_inlined_function_is_plain_python_by_itself_and_a_part_of_what_calls_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("NUMBA_CACHE_DIR", str(tmp_path))
    twice = allocation_free(lambda values: 2.0 * _largest(values))
    values = np.array([1.0, 3.0, 2.0])
    assert not isinstance(_largest, numba.core.dispatcher.Dispatcher)
    assert (_largest(values), twice(values)) == (3.0, 6.0)
    assert "NRT_" not in next(iter(twice.inspect_llvm().values())), "references to arrays are counted"


def test_an_allocation_free_function_that_makes_an_array_does_not_compile() -> None:
    made = allocation_free(lambda count: np.zeros(count).size)
    with pytest.raises(numba.TypingError, match="Only accept returning of array passed into the function"):
        made(3)
