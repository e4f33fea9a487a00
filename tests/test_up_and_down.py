"""Whole desks and their terminals: `make up` in one that closes, and one of `init`'s that outlives its
terminal until somebody types `trading-assets down`."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest
import yaml
from support.pseudo_terminal import PseudoTerminal, wait_for
from support.running_desk import ROOT, free_ports
from support.stand_in_desk import runs

from trading_assets import roster
from trading_assets.environment import DAEMON, LISTENER, WEBSERVER
from trading_assets.web.link import link_of, token_of

pytestmark = [pytest.mark.slow(seconds=80), pytest.mark.exchange]

PATIENCE_SECONDS = 150
ALL = {roster.ITSELF, roster.EXCHANGE, WEBSERVER, DAEMON, LISTENER}


class Desk:
    """A desk's directory as `trading-assets init` makes it, on free ports."""

    def __init__(self, place: Path) -> None:
        typed(ROOT, "init", str(place)).check_returncode()
        self.place = place
        self.ports = free_ports(3)
        embedded = {
            "url": f"http://127.0.0.1:{self.ports[1]}",
            "control_url": f"http://127.0.0.1:{self.ports[2]}",
        }
        (place / "config" / "local.yaml").write_text(yaml.safe_dump({"embedded": embedded}))

    @property
    def config(self) -> Path:
        return self.place / "config" / "execution.yaml"

    def environ(self) -> dict[str, str]:
        kept = {name: value for name, value in os.environ.items() if not name.startswith(("MAKE", "MFLAGS"))}
        return kept | {"TERM": "dumb", "TRADING_ASSETS_CONFIG": str(self.config)}

    def printed(self) -> list[str]:
        file = self.place / "var" / "logs" / "up.log"
        lines = file.read_text(encoding="utf-8").splitlines() if file.exists() else []
        return [line.partition("  ")[2] for line in lines]

    def is_ready(self) -> bool:
        return any(line.startswith("Ready.") for line in self.printed())

    def processes(self) -> dict[str, psutil.Process]:
        """By name, with those that its parts have started."""
        kept = roster.read(self.place / "var")
        assert kept is not None
        running = kept.running()
        assert set(running) == ALL
        beneath = {f"{process.pid}": process for name in running for process in kept.beneath(name)}
        assert len(beneath) >= 2  # a code server each
        return running | beneath


def typed(
    place: Path, *words: str, environ: dict[str, str] | None = None
) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "trading_assets.cli", *words],
        cwd=place,
        env=environ or {**os.environ, "TERM": "dumb"},
        capture_output=True,
        text=True,
        timeout=120,
    )


@pytest.fixture
def desk(tmp_path: Path) -> Iterator[Desk]:
    desk = Desk(tmp_path / "desk")
    yield desk
    typed(desk.place, "down", "--wait", "5")


def test_make_up_ends_with_its_terminal_and_meanwhile_refuses_a_second_one(
    desk: Desk, tmp_path: Path
) -> None:
    make = [
        *(
            "make",
            "--old-file=setup",
            "up",
            f"WEB_PORT={desk.ports[0]}",
            f"BIN={Path(sys.executable).parent}",
        ),
        f"DAGSTER_HOME={desk.place / 'dagster_home'}",
    ]
    terminal = PseudoTerminal(make, cwd=ROOT, environ=desk.environ())
    try:
        terminal.read_until("Ready.", PATIENCE_SECONDS)
        processes = desk.processes()
        refuses_a_second_one(desk, processes[roster.ITSELF].pid, tmp_path)
        terminal.close()
        wait_for("its end", lambda: not any(map(runs, processes.values())), 40)
        terminal.process.wait(10)
    finally:
        terminal.end()
    assert desk.printed()[-2:] == ["ending …", "ended: no process is left, the ports are free"]
    assert roster.read(desk.place / "var") is None
    link = link_of(desk.place / "dagster_home")
    assert link is not None
    assert str(token_of(link)) not in "".join(desk.printed())


def refuses_a_second_one(desk: Desk, pid: int, tmp_path: Path) -> None:
    """On its data directory, and on its Dagster home with a data directory of one's own."""
    kept = roster.read(desk.place / "var")
    assert kept is not None
    message = (
        f"a desk runs here already: {kept.summary()}. Look at it with `trading-assets status --config "
        f"{desk.config}`, end it with `trading-assets down --config {desk.config}`\n"
    )
    assert f"process {pid}, since " in message
    assert (
        f", Dagster http://127.0.0.1:{desk.ports[0]}, exchange http://127.0.0.1:{desk.ports[1]}." in message
    )
    here = {name: value for name, value in desk.environ().items() if name != "TRADING_ASSETS_CONFIG"}
    other = Desk(tmp_path / "other")
    same_data = typed(other.place, "up", "--config", str(desk.config), environ=here)
    assert (same_data.returncode, same_data.stderr) == (1, f"trading-assets: {desk.place}/var: {message}")
    same_home = typed(other.place, "up", environ=here | {"DAGSTER_HOME": str(desk.place / "dagster_home")})
    assert (same_home.returncode, same_home.stderr) == (
        1,
        f"trading-assets: {desk.place}/dagster_home: {message}",
    )


def test_a_desk_of_nohup_outlives_its_terminal_until_down_is_typed_in_its_directory(desk: Desk) -> None:
    program = [sys.executable, "-m", "trading_assets.cli", "up", "--port", str(desk.ports[0])]
    terminal = PseudoTerminal(["nohup", *program], cwd=desk.place)
    try:
        wait_for("the desk", desk.is_ready, PATIENCE_SECONDS)
        processes = desk.processes()
        terminal.close()
        with pytest.raises(subprocess.TimeoutExpired):
            terminal.process.wait(3)
        assert all(map(runs, processes.values()))
        done = typed(desk.place, "down")
        assert done.returncode == 0, done.stderr
        assert terminal.process.wait(5) == 0
        assert not any(map(runs, processes.values()))
        first, *ended, last = done.stdout.splitlines()
        assert first.startswith(
            f"ending the desk on {desk.place}/var: process {terminal.process.pid}, since 20"
        )
        assert {line.split()[1].rstrip(",") for line in ended} >= {
            roster.EXCHANGE,
            WEBSERVER,
            DAEMON,
            LISTENER,
        }
        assert all(line.startswith("ended  ") for line in ended)
        assert last == "no process of the desk is left"
        assert typed(desk.place, "down").stdout.startswith(f"no desk runs on {desk.place}/var.")
        assert "ended: no process is left, the ports are free" in (desk.place / "nohup.out").read_text()
    finally:
        terminal.end()
