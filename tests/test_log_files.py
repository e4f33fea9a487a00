"""Log files of bounded size: lines of several processes, and what a child prints."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from trading_assets import log, log_files
from trading_assets.log_files import EARLIER_FILES, earlier, empty


def test_a_log_that_is_too_large_is_put_aside_and_the_next_line_begins_a_new_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(log_files, "MOST_BYTES", 2_000)
    path = tmp_path / "log.jsonl"
    log.configure(json_path=path, terminal_level="CRITICAL")
    logger = log.get_logger("trading_assets.x")
    for number in range(400):
        logger.info("line", number=number, filling="x" * 100)
    log.shutdown()
    kept = [path, *(earlier(path, number) for number in range(1, EARLIER_FILES + 1))]
    assert all(file.exists() and file.stat().st_size <= 2_300 for file in kept)
    assert not earlier(path, EARLIER_FILES + 1).exists()
    assert '"number": 399' in path.read_text()
    assert [file for file in kept if file.stat().st_mode & 0o077] == []


def test_no_line_of_several_processes_is_lost_or_torn_while_it_is_put_aside(tmp_path: Path) -> None:
    code = """
import sys
from trading_assets import log, log_files
log_files.MOST_BYTES = 40_000
log.configure(json_path=__import__("pathlib").Path(sys.argv[1]), terminal_level="CRITICAL")
logger = log.get_logger("trading_assets.x")
for number in range(300):
    logger.info("line", who=sys.argv[2], number=number)
log.shutdown()
"""
    path = tmp_path / "log.jsonl"
    writers = [subprocess.Popen([sys.executable, "-c", code, str(path), str(who)]) for who in range(3)]
    assert [writer.wait(60) for writer in writers] == [0, 0, 0]
    files = [path, *(earlier(path, number) for number in range(1, EARLIER_FILES + 1))]
    lines = [line for file in files if file.exists() for line in file.read_text().splitlines()]
    assert len(lines) == 900
    assert all(line.startswith("{") and line.endswith("}") for line in lines)
    assert earlier(path, 1).exists()


def test_what_a_child_prints_is_copied_and_emptied_under_it(tmp_path: Path) -> None:
    path = tmp_path / "part.log"
    code = "import sys\nfor line in sys.stdin: print(line, end='', flush=True)"
    with (
        path.open("ab") as output,
        subprocess.Popen(
            [sys.executable, "-c", code], stdin=subprocess.PIPE, stdout=output, text=True, bufsize=1
        ) as child,
    ):
        assert child.stdin is not None
        child.stdin.write("x" * 500 + "\n")
        while path.stat().st_size < 500:
            pass
        empty(path, most_bytes=400)
        assert path.stat().st_size == 0
        child.stdin.write("next\n")
        child.stdin.close()
    assert path.read_text() == "next\n"
    assert earlier(path, 1).read_text() == "x" * 500 + "\n"
    empty(path, most_bytes=400)
    assert path.read_text() == "next\n"
