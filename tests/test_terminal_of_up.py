"""The terminal of `make up` closes: what was started in it ends as with Ctrl-C, what was started to stay
stays, and what cannot be written to it breaks nothing."""

from __future__ import annotations

import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest
from support.pseudo_terminal import PseudoTerminal, wait_for
from support.stand_in_desk import runs

# What `up` does with its terminal and its signals, without the desk.
SPEAKER = """
import sys, threading
from contextlib import closing
from pathlib import Path
from trading_assets.terminal import Terminal
from trading_assets.up import ENDED_BY, _is_over, stop_signals

with closing(Terminal()) as terminal, stop_signals(*ENDED_BY) as stop:
    terminal.keep(Path(sys.argv[1]))
    terminal.say("Ready.")
    while not _is_over(stop, terminal):
        pass
    terminal.say("ending …")
    terminal.say("ended")
"""
# The first program in a terminal, which goes on after SIGHUP until its child has ended, and tells it nothing.
DEAF_LEADER = """
import signal, subprocess, sys
signal.signal(signal.SIGHUP, lambda *_: None)
child = subprocess.Popen(sys.argv[2:])
open(sys.argv[1] + ".part", "w").write(str(child.wait()))
__import__("os").replace(sys.argv[1] + ".part", sys.argv[1])
"""


@pytest.fixture
def terminals() -> Iterator[list[PseudoTerminal]]:
    opened: list[PseudoTerminal] = []
    yield opened
    for terminal in opened:
        terminal.end()


@pytest.fixture
def log(tmp_path: Path) -> Path:
    return tmp_path / "logs" / "up.log"


def speaker(log: Path) -> list[str]:
    return [sys.executable, "-c", SPEAKER, str(log)]


def printed(log: Path) -> list[str]:
    return [line.partition("  ")[2] for line in log.read_text(encoding="utf-8").splitlines()]


def test_a_terminal_that_closes_ends_it_with_its_usual_words_and_status(
    terminals: list[PseudoTerminal], log: Path
) -> None:
    terminals.append(terminal := PseudoTerminal(speaker(log)))
    terminal.read_until("Ready.")
    terminal.close()
    assert terminal.process.wait(15) == 0
    assert printed(log) == ["Ready.", "ending …", "ended"]


def test_under_a_first_program_that_does_not_pass_the_end_on_it_notices_by_itself(
    terminals: list[PseudoTerminal], log: Path, tmp_path: Path
) -> None:
    """As under `ssh -t host make up`: only make is told, and waits."""
    status = tmp_path / "status"
    command = [sys.executable, "-c", DEAF_LEADER, str(status), *speaker(log)]
    terminals.append(terminal := PseudoTerminal(command))
    terminal.read_until("Ready.")
    terminal.close()
    assert terminal.process.wait(15) == 0
    assert printed(log) == ["Ready.", "ending …", "ended"]
    assert status.read_text() == "0"


def test_one_that_was_started_with_nohup_stays(terminals: list[PseudoTerminal], log: Path) -> None:
    terminals.append(terminal := PseudoTerminal(["nohup", *speaker(log)], cwd=log.parents[1]))
    wait_for("its first words", lambda: log.exists() and printed(log) == ["Ready."])
    terminal.close()
    time.sleep(1.5)
    assert terminal.process.poll() is None
    terminal.process.send_signal(signal.SIGTERM)
    assert terminal.process.wait(15) == 0
    assert (log.parents[1] / "nohup.out").read_text().splitlines()[-3:] == ["Ready.", "ending …", "ended"]


def test_one_that_was_left_in_the_background_stays_and_its_words_to_nobody_break_nothing(
    terminals: list[PseudoTerminal], log: Path, tmp_path: Path
) -> None:
    """An interactive shell gives a job in the background a process group of its own; `disown` spares it."""
    words = " ".join(f"'{word}'" for word in speaker(log))
    shell = [
        "bash",
        "--norc",
        "--noprofile",
        "-i",
        "-c",
        f"set -m; {words} & echo $! > pid; disown; sleep 600",
    ]
    terminals.append(terminal := PseudoTerminal(shell, cwd=tmp_path))
    terminal.read_until("Ready.")
    left = psutil.Process(int((tmp_path / "pid").read_text()))
    terminal.close()
    terminal.process.wait(15)
    try:
        time.sleep(1.5)
        assert runs(left)
        left.send_signal(signal.SIGTERM)
        wait_for("its end", lambda: not runs(left))
        assert printed(log) == ["Ready.", "ending …", "ended"]
    finally:
        if runs(left):
            left.kill()


def test_a_reader_that_is_gone_breaks_nothing(log: Path) -> None:
    """As `make up | tee file` when tee is killed."""
    process = subprocess.Popen(speaker(log), stdout=subprocess.PIPE, start_new_session=True)
    assert process.stdout is not None
    process.stdout.readline()
    process.stdout.close()
    process.send_signal(signal.SIGINT)
    assert process.wait(15) == 0
    assert printed(log) == ["Ready.", "ending …", "ended"]


def test_a_log_that_takes_nothing_is_said_and_breaks_nothing(log: Path) -> None:
    log.mkdir(parents=True)
    process = subprocess.Popen(speaker(log), stdout=subprocess.PIPE, text=True, start_new_session=True)
    assert process.stdout is not None
    shown = [process.stdout.readline() for _ in range(2)]
    process.send_signal(signal.SIGHUP)
    shown += process.stdout.readlines()
    assert process.wait(15) == 0
    assert shown == [
        f"{log} does not take what follows: Is a directory\n",
        "Ready.\n",
        "ending …\n",
        "ended\n",
    ]
