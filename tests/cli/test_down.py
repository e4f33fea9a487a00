"""`trading-assets down` on stand-ins for a desk: what it ends, what it leaves alone, and what it says."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import psutil
import pytest
from support.command import Done, command
from support.stand_in_desk import SLEEPS, StandInDesk, runs, stand_in

from trading_assets import down, roster
from trading_assets.errors import InvalidInput

DAEMON, LISTENER = "dagster-daemon", "trading-assets"
IGNORES_SIGTERM = (
    sys.executable,
    "-c",
    "import signal, time; signal.signal(signal.SIGTERM, signal.SIG_IGN); time.sleep(600)",
)
on_linux = pytest.mark.skipif(sys.platform != "linux", reason="elsewhere a system tells less of a process")

Start = Callable[..., StandInDesk]


@pytest.fixture
def start(tmp_path: Path) -> Iterator[Start]:
    started: list[StandInDesk] = []

    def start(place: Path = tmp_path, **how: Any) -> StandInDesk:
        started.append(stand_in(place, **how))
        return started[-1]

    yield start
    for desk in started:
        desk.end()


def type_down(place: Path, *arguments: str, environ: dict[str, str] | None = None) -> Done:
    """Type it in a desk's directory, in a shell that knows no key."""
    return command("down", *arguments, cwd=place, environ=environ)


def test_it_ends_the_desk_of_the_directory_and_says_what_it_ended(start: Start, tmp_path: Path) -> None:
    desk = start()
    done = type_down(tmp_path)
    assert done.status == 0, done.err
    assert not any(map(runs, desk.parts.values()))
    assert desk.process.wait(5) == 0  # asked, not killed
    first, *ended, last = done.out.splitlines()
    assert first == (
        f"ending the desk on {desk.data_dir}: process {desk.process.pid}, since 2012-09-11 08:30:00 EDT, "
        "Dagster http://127.0.0.1:1"
    )
    named = {"make up": desk.process.pid} | {name: part.pid for name, part in desk.parts.items()}
    assert sorted(ended) == sorted(f"ended  {name}, process {pid}" for name, pid in named.items())
    assert last == "no process of the desk is left"


def test_where_no_desk_runs_it_says_how_to_start_one_and_makes_nothing(tmp_path: Path) -> None:
    done = type_down(tmp_path)
    assert (done.status, done.err) == (0, "")
    assert done.out == f"no desk runs on {tmp_path}/var. Start one with `trading-assets up`\n"
    assert list(tmp_path.iterdir()) == []


def test_a_second_one_finds_nothing_left(start: Start, tmp_path: Path) -> None:
    start()
    assert type_down(tmp_path).status == 0
    again = type_down(tmp_path)
    assert again.status == 0
    assert again.out.startswith("no desk runs on")


def test_a_configuration_with_a_typo_holds_nothing_up(start: Start, tmp_path: Path) -> None:
    desk = start()
    desk.config.write_text("stop_los: 0.05\ndata_dir: var\n")
    assert type_down(tmp_path).status == 0
    assert not any(map(runs, desk.parts.values()))


@pytest.mark.slow
def test_what_does_not_end_is_killed_and_it_says_so(start: Start, tmp_path: Path) -> None:
    desk = start(deaf=True, commands={DAEMON: IGNORES_SIGTERM})
    time.sleep(0.5)  # until the daemon's stand-in is deaf
    done = type_down(tmp_path, "--wait", "0.5")
    assert done.status == 0, done.err
    assert desk.process.wait(5) == -signal.SIGKILL
    assert not any(map(runs, desk.parts.values()))
    assert "`make up` has not ended within 0.5 s and is killed" in done.out
    assert f"killed  make up, process {desk.process.pid}" in done.out
    assert f"killed  dagster-daemon, process {desk.parts[DAEMON].pid}" in done.out
    assert f"ended  exchange, process {desk.parts['exchange'].pid}" in done.out


def test_parts_that_outlived_their_up_are_ended_with_what_they_started(start: Start, tmp_path: Path) -> None:
    """The code server is in the session of a daemon that is gone: its command line says what it is."""
    package = tmp_path / "var" / "dagster"
    package.mkdir(parents=True)
    (package / "__init__.py").touch()
    (package / "__main__.py").write_text("import time\ntime.sleep(600)\n")
    starts_one = (
        sys.executable,
        "-c",
        (
            "import subprocess as s, sys, time\n"
            "s.Popen([sys.executable, '-m', 'dagster', 'api', 'grpc'])\n"
            "s.Popen([sys.executable, '-c', 'import time; time.sleep(600)'])\n"
            "time.sleep(600)"
        ),
    )
    desk = start(commands={DAEMON: starts_one})
    daemon = desk.parts[DAEMON]
    until = time.monotonic() + 10
    while len(beneath := daemon.children()) < 2:
        assert time.monotonic() < until
        time.sleep(0.05)
    (server,) = [child for child in beneath if "dagster" in child.cmdline()]
    (other,) = [child for child in beneath if "dagster" not in child.cmdline()]
    desk.kill()
    daemon.kill()
    psutil.wait_procs([daemon], timeout=5)
    try:
        done = type_down(tmp_path, "--json")
        assert done.status == 0, done.err
        document = done.json
        assert {part["name"]: part["by_force"] for part in document["ended"]} == {
            "exchange": False,
            DAEMON: False,
            LISTENER: False,
        }
        assert document["down"] is True
        assert not runs(server)
        assert runs(other)  # nothing tells that it is the desk's
    finally:
        other.kill()


def test_the_watchdog_of_a_book_at_alpaca_is_left_protecting_and_named(start: Start, tmp_path: Path) -> None:
    desk = start(outlives=[LISTENER])
    desk.kill()
    watchdog = desk.parts[LISTENER]
    done = type_down(tmp_path)
    assert done.status == 1
    assert runs(watchdog)
    assert not runs(desk.parts[DAEMON])
    assert done.out.splitlines()[-1] == (
        f"left running: the watchdog, process {watchdog.pid}. It goes on protecting the book at Alpaca: "
        "stops, losses and a kill. End it too with `trading-assets down --watchdog`"
    )
    again = type_down(tmp_path, "--watchdog")
    assert again.status == 0
    assert not runs(watchdog)
    assert again.out.splitlines()[1:] == [
        (
            "Nothing protects the book at Alpaca now: no stop fires, no loss halts it, nobody follows its "
            "orders. Keep the positions protected with `trading-assets listen`, or sell them with "
            "`trading-assets flatten --reason …`"
        ),
        "no process of the desk is left",
    ]


def test_a_hung_up_at_alpaca_is_killed_and_its_watchdog_left(start: Start, tmp_path: Path) -> None:
    desk = start(outlives=[LISTENER], deaf=True)
    done = type_down(tmp_path, "--wait", "0.2")
    assert done.status == 1
    assert {name for name, part in desk.parts.items() if runs(part)} == {LISTENER}


def test_an_orderly_end_at_alpaca_says_that_nothing_protects_any_more(start: Start, tmp_path: Path) -> None:
    """`make up` ends its watchdog as it does at Ctrl-C."""
    start(outlives=[LISTENER])
    done = type_down(tmp_path)
    assert done.status == 0
    assert "Nothing protects the book at Alpaca now" in done.out


@on_linux
@pytest.mark.parametrize(
    "changed",
    [
        {"start": "1"},
        {"command": [sys.executable, "-m", "trading_assets.exchange"]},
        {"pid": 1},
    ],
    ids=["another start", "another command line", "another's process"],
)
def test_a_process_that_is_not_the_desk_s_is_left_alone(
    start: Start, tmp_path: Path, changed: dict[str, object]
) -> None:
    desk = start()
    desk.kill()
    kept = roster_of(desk)
    for name in kept["parts"]:
        kept["parts"][name] |= changed
    write_roster(desk, kept)
    done = type_down(tmp_path, "--watchdog")
    assert (done.status, done.out.partition(" on ")[0]) == (0, "no desk runs")
    assert all(map(runs, desk.parts.values()))


@on_linux
def test_what_was_kept_before_the_machine_was_switched_on_names_nothing(start: Start, tmp_path: Path) -> None:
    desk = start()
    desk.kill()
    write_roster(desk, roster_of(desk) | {"boot": "another"})
    assert type_down(tmp_path).out.startswith("no desk runs on")
    assert all(map(runs, desk.parts.values()))


def roster_of(desk: StandInDesk) -> dict[str, Any]:
    kept: dict[str, Any] = json.loads((desk.data_dir / roster.ROSTER).read_text())
    return kept


def write_roster(desk: StandInDesk, kept: dict[str, Any]) -> None:
    for directory in (desk.data_dir, desk.home):
        (directory / roster.ROSTER).write_text(json.dumps(kept))


def test_a_dagster_home_that_the_shell_names_by_chance_ends_no_other_desk(
    start: Start, tmp_path: Path
) -> None:
    other = start(tmp_path / "other")
    here = tmp_path / "here"
    here.mkdir()
    exported = {"DAGSTER_HOME": str(other.home)}
    done = type_down(here, environ=exported)
    assert done.status == 1
    assert done.err == (
        f"trading-assets: {other.home}: it belongs to the desk on {other.data_dir}, process "
        f"{other.process.pid}, since 2012-09-11 08:30:00 EDT, Dagster http://127.0.0.1:1, and no desk runs "
        f"on {here}/var. End that one with `trading-assets down --config {other.config}`\n"
    )
    assert all(map(runs, other.parts.values()))
    assert type_down(here, "--config", str(other.config)).status == 0
    assert not any(map(runs, other.parts.values()))


def test_a_home_that_a_person_names_is_ended(start: Start, tmp_path: Path) -> None:
    desk = start(tmp_path / "other")
    assert type_down(tmp_path, "--home", str(desk.home)).status == 0
    assert not any(map(runs, desk.parts.values()))


def test_a_data_directory_that_was_moved_in_the_file_meanwhile_is_found_by_its_home(
    start: Start, tmp_path: Path
) -> None:
    desk = start()
    desk.config.write_text("data_dir: elsewhere\n")
    done = type_down(tmp_path, environ={"DAGSTER_HOME": str(desk.home)})
    assert done.status == 0, done.err
    assert "no process of the desk is left" in done.out, done.out
    assert not any(map(runs, desk.parts.values()))


DAMAGED = ["", '{"boot": "', "\0" * 4096]


def copies(desk: StandInDesk) -> list[Path]:
    """Where its roster is kept, the locked files last."""
    return [
        directory / name for name in (roster.ROSTER, roster.LOCK) for directory in (desk.data_dir, desk.home)
    ]


@pytest.mark.parametrize("damage", DAMAGED, ids=["empty", "cut off", "zeros"])
@pytest.mark.parametrize("killed", [False, True], ids=["runs", "was killed"])
def test_a_damaged_roster_hides_no_part(start: Start, tmp_path: Path, damage: str, killed: bool) -> None:
    desk = start()
    for copy in copies(desk)[:2]:
        copy.write_text(damage)
    if killed:
        desk.kill()
    done = type_down(tmp_path)
    assert done.status == 0, done.err
    assert not any(map(runs, desk.parts.values()))
    for name, part in desk.parts.items():
        assert f"ended  {name}, process {part.pid}" in done.out


@pytest.mark.parametrize("kept", range(4))
def test_one_copy_of_four_is_enough(start: Start, tmp_path: Path, kept: int) -> None:
    desk = start()
    for copy in copies(desk)[:kept] + copies(desk)[kept + 1 :]:
        copy.write_text("")  # in place: a locked file stays locked
    done = type_down(tmp_path, environ={"DAGSTER_HOME": str(desk.home)})
    assert done.status == 0, done.err
    assert desk.process.wait(5) == 0
    assert not any(map(runs, desk.parts.values()))


@on_linux
def test_a_desk_that_keeps_nothing_any_more_is_named_by_what_the_kernel_says(
    start: Start, tmp_path: Path
) -> None:
    desk = start()
    for copy in copies(desk):
        copy.write_text("")
    done = type_down(tmp_path)
    pid = desk.process.pid
    assert done.status == 1
    assert done.err == (
        f"trading-assets: {tmp_path}/var: a desk runs here already: process {pid}, whose list of parts is "
        f"lost. Look at it with `ps -p {pid}`, and end it with `kill {pid}`: it ends its parts\n"
    )
    assert runs(psutil.Process(pid))


def test_one_that_no_kernel_names_is_no_success_either(start: Start, monkeypatch: pytest.MonkeyPatch) -> None:
    desk = start()
    for copy in copies(desk):
        copy.write_text("")
    monkeypatch.setattr(roster, "_holder_of", lambda directory: None)
    with pytest.raises(InvalidInput) as refused:
        down.desk_on(desk.data_dir, desk.home, desk.config, home_is_named=False)
    assert str(refused.value) == (
        f"{desk.data_dir}: a desk runs here already, and does not say which process it is. Find it with "
        f"`fuser {desk.data_dir}/desk.lock`, and end it with `kill`"
    )


def test_another_desk_s_home_is_not_taken_for_one_that_does_not_say_which_it_is(
    start: Start, tmp_path: Path
) -> None:
    other, here = start(tmp_path / "other"), start(tmp_path / "here")
    for copy in copies(here):
        copy.write_text("")
    done = type_down(tmp_path / "here", environ={"DAGSTER_HOME": str(other.home)})
    assert done.status == 1
    assert f"{here.data_dir}: a desk runs here already" in done.err
    assert all(map(runs, [*other.parts.values(), *here.parts.values()]))


def test_what_stays_in_spite_of_all_is_named(
    start: Start, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As a process that hangs in the kernel does."""
    desk = start(parts=[DAEMON], commands={DAEMON: IGNORES_SIGTERM})
    time.sleep(0.5)
    desk.kill()
    monkeypatch.setattr(down, "PART_SECONDS", 0.2)
    monkeypatch.setattr(psutil.Process, "kill", lambda process: None)
    result = down.desk_on(desk.data_dir, desk.home, desk.config, home_is_named=False)
    assert result is not None
    ending = down.end(result, with_watchdog=False, patience_seconds=0.1, say=lambda line: None)
    assert ending.left == ((DAEMON, desk.parts[DAEMON].pid),)
    assert not ending.is_down
    monkeypatch.undo()


def test_two_starts_at_once_on_one_directory_are_one_desk_and_one_refusal(
    start: Start, tmp_path: Path
) -> None:
    desk = start()
    lock = desk.data_dir / roster.LOCK
    (desk.data_dir / roster.ROSTER).rename(tmp_path / "kept")  # as before its first line is written
    written, _ = lock.read_text(), lock.write_text("")
    taken = {"dagster_home": tmp_path / "another", "data_dir": desk.data_dir, "config_path": desk.config}
    with pytest.raises(InvalidInput, match="a desk runs here already"):
        hold(**taken)
    assert lock.read_text() == ""  # who is refused writes nothing
    lock.write_text(written)
    with pytest.raises(InvalidInput, match=f"a desk runs here already: process {desk.process.pid}, since"):
        hold(**taken)
    (tmp_path / "kept").rename(desk.data_dir / roster.ROSTER)
    with pytest.raises(InvalidInput) as refused:
        hold(**taken)
    assert str(refused.value) == (
        f"{desk.data_dir}: a desk runs here already: process {desk.process.pid}, since 2012-09-11 08:30:00 "
        "EDT, Dagster http://127.0.0.1:1. Look at it with `trading-assets status --config "
        f"{desk.config}`, end it with `trading-assets down --config {desk.config}`"
    )


def test_a_dagster_home_has_one_desk_too(start: Start, tmp_path: Path) -> None:
    desk = start()
    with pytest.raises(InvalidInput, match=f"{desk.home}: a desk runs here already: process"):
        hold(dagster_home=desk.home, data_dir=tmp_path / "another", config_path=desk.config)


def hold(**taken: Path) -> None:
    for place in ("data_dir", "dagster_home"):
        taken[place].mkdir(exist_ok=True)
    with roster.held(**taken, since_ns=0, addresses={}, outlives=()):
        pass


def test_make_down_is_the_same_command(tmp_path: Path) -> None:
    root = Path(__file__).parents[2]
    kept = {name: value for name, value in os.environ.items() if not name.startswith(("MAKE", "MFLAGS"))}
    done = subprocess.run(
        ["make", "down", f"BIN={Path(sys.executable).parent}"],
        cwd=root,
        env=kept | {"TRADING_ASSETS_CONFIG": str(tmp_path / "config" / "execution.yaml")},
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout == f"no desk runs on {tmp_path}/var. Start one with `trading-assets up`\n"


def test_stand_ins_sleep_until_they_are_ended(start: Start) -> None:
    """What the tests above end would not have ended by itself."""
    desk = start()
    time.sleep(1)
    assert all(map(runs, desk.parts.values()))
    assert tuple(desk.parts[DAEMON].cmdline()) == SLEEPS
