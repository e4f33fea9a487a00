"""The tutorial, typed as it stands: every command of it, in its order, in one terminal."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

import pytest
from project_copy import environment, project_copy
from runbook_page import lacking, steps
from support.running_desk import ROOT, free_ports
from terminal import Terminal

from trading_assets.store.journal import Journal

PAGE = ROOT / "docs" / "tutorial.md"
COMMITTED_PORTS = (8865, 8866)
BOOK = "embedded:PA0001:paper"


@pytest.fixture
def home(tmp_path: Path) -> Path:
    project_copy(tmp_path)
    return tmp_path


@pytest.fixture
def terminal(home: Path) -> Iterator[Terminal]:
    terminal = Terminal(home, environment(), patience_seconds=200)
    yield terminal
    terminal.end()


@pytest.mark.slow(seconds=60)
@pytest.mark.exchange
def test_the_tutorial_shows_what_is_printed(home: Path, terminal: Terminal) -> None:
    ports = dict(zip(map(str, COMMITTED_PORTS), map(str, free_ports(2)), strict=True))

    def here(text: str) -> str:
        return re.sub("|".join(ports), lambda port: ports[port[0]], text)

    (configuration,) = re.findall(r"```yaml\n(.*?)```", PAGE.read_text(), re.DOTALL)
    (home / "config" / "tutorial.yaml").write_text(here(configuration))
    for step in steps(PAGE):
        status, output = terminal.type(here(step.typed))
        missing = lacking(step.shown, output)
        assert missing is None, f"$ {step.typed}\n{output}\nThe tutorial shows: {missing}"
        assert status == 0, f"$ {step.typed}\n{output}\nexit status {status}"
        assert "Traceback" not in output, output
    with Journal.open(home / "var" / "tutorial" / "journal.sqlite") as journal:
        orders = [(order.intent.symbol, order.intent.side, order.state) for order in journal.orders(BOOK)]
    assert orders == [("AAPL", 1, "FILLED"), ("AAPL", -1, "FILLED")]
