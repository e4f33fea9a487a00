"""A limit is added to a copy of the project in three places, and works everywhere that a limit does."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent
PLACES = {
    "trading_assets/core/limits.py": (
        "    threshold: Annotated[\n",
        """    max_order_shares: Annotated[
        float,
        _row(
            1_000,
            "Most shares of an entry.",
            _HIGHER,
            Code.SHARES_ABOVE_MAX,
            **_COUNT,
            checks=(
                LimitCheck("order_shares", "No entry is of more shares.", "qty", of="entries"),
            ),
        ),
    ]
""",
    ),
    "trading_assets/core/codes.py": (
        "    PRICE_COLLAR = (",
        """    SHARES_ABOVE_MAX = (
        34,
        Check.ORDER_SIZE,
        "Shares of the order, above the limit.",
    )
""",
    ),
    "trading_assets/core/gate.py": (
        "    # 6 price\n",
        """    most = limits.max_order_shares
    failed = _ceiling(failed, Code.SHARES_ABOVE_MAX, order.qty, most, entry, measured, limit)

""",
    ),
}

SEEN = """
import json, pathlib, tempfile
import numpy as np
from trading_assets import config
from trading_assets.core.codes import CODE_COUNT, Code, failed_codes
from trading_assets.core.gate import evaluate
from trading_assets.core.limits import LIMIT_ROWS, Limits, looser_limits, tightened
from trading_assets.core.sent_orders import SentOrders
from trading_assets.core.words import Account, Activity, Halt, Order, Position, Quote, Session, Signal
from trading_assets.engine.checks.table import checks_of
from trading_assets.engine.decision.decide import decide
from trading_assets.engine.decision.inputs import DecisionInput, limits_not_in
from trading_assets.errors import InvalidInput
from trading_assets.store.history import History
from decide.decisions import inputs, opinion
from test_sent_orders import sent

# the configuration has it, with its default and its range
assert config.Settings().limit_values()["max_order_shares"] == 1000
home = pathlib.Path(tempfile.mkdtemp())
(home / "config").mkdir()
file = home / "config" / "execution.yaml"
file.write_text("max_order_shares: 3\\n")
limits = config.limits(config.load(file))
assert limits.max_order_shares == 3.0
file.write_text("max_order_shares: 0\\n")
try:
    config.load(file)
except InvalidInput as error:
    assert "max_order_shares" in str(error) and "at line 1" in str(error)
else:
    raise AssertionError("0 shares were taken")

# it loosens upward
assert looser_limits(limits, limits._replace(max_order_shares=4.0)) == ("max_order_shares",)
assert tightened(limits, limits._replace(max_order_shares=4.0)) == limits

# the gate refuses by it, and it is shown before the codes of price
given = inputs(signals=(opinion("AAA"),), limits=limits)
(refused,) = decide(given).verdicts
assert Code.SHARES_ABOVE_MAX in failed_codes(refused.failed) and int(Code.SHARES_ABOVE_MAX) == 34
codes = list(Code)
assert codes.index(Code.SHARES_ABOVE_MAX) == codes.index(Code.PRICE_COLLAR) - 1

# its check measures what was sent
assert [check.name for check in checks_of("gated_orders")].count("order_shares") == 1
orders = sent("AB")
(check,) = LIMIT_ROWS["max_order_shares"].checks
assert orders.measured(LIMIT_ROWS["max_order_shares"], check, 1.0).within.tolist() == [True, True]
assert orders.measured(LIMIT_ROWS["max_order_shares"], check, 0.5).within.tolist() == [False, False]

# an input that was stored before there was such a limit is decided as it was
before = given.as_json()
del before["limits"]["max_order_shares"]
before["codes"] = 34
assert limits_not_in(before) == ("max_order_shares",)
(then,) = decide(DecisionInput.from_json(before)).verdicts
assert not then.failed, failed_codes(then.failed)

# a history from before knows the new code once it is opened
path = home / "history.duckdb"
History(path).query("SELECT 1")
import duckdb
with duckdb.connect(str(path)) as raw:
    raw.execute("DELETE FROM codes WHERE number = 34")
found = History(path).query("SELECT code FROM codes WHERE number = 34").to_pylist()
assert found == [{"code": "SHARES_ABOVE_MAX"}]

# and the docs' tables have their rows
from docs import tables
assert "`max_order_shares`" in tables.configuration() and "`SHARES_ABOVE_MAX`" in tables.configuration()
assert "SHARES_ABOVE_MAX" in tables.codes() and "order_shares" in tables.checks()
print("all of it")
"""


@pytest.mark.slow(seconds=20)
def test_a_limit_is_added_in_three_places_and_works_everywhere(tmp_path: Path) -> None:
    for part in ("trading_assets", "docs", "config", "tests"):
        shutil.copytree(ROOT / part, tmp_path / part, ignore=shutil.ignore_patterns("__pycache__"))
    shutil.copy(ROOT / "pyproject.toml", tmp_path)
    for name, (before, added) in PLACES.items():
        text = (tmp_path / name).read_text(encoding="utf-8")
        assert text.count(before) == 1, f"{name} has another shape"
        (tmp_path / name).write_text(text.replace(before, added + before), encoding="utf-8")
    cases = tmp_path / "tests" / "core" / "cases" / "gate_cases.py"
    cases.write_text(
        cases.read_text().replace("    threshold=0.1,", "    max_order_shares=1e3,\n    threshold=0.1,", 1)
    )
    paths = (
        tmp_path,
        tmp_path / "tests" / "engine" / "decision",
        tmp_path / "tests" / "core",
        tmp_path / "tests",
    )
    seen = subprocess.run(
        [sys.executable, "-c", SEEN],
        cwd=tmp_path,
        env=os.environ | {"PYTHONPATH": os.pathsep.join(map(str, paths)), "NUMBA_DISABLE_JIT": "1"},
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )
    assert (seen.returncode, seen.stdout.strip()) == (0, "all of it"), seen.stderr
