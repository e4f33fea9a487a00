"""The tables in docs/*.md that follow from the code, written between markers: `python docs/tables.py`.

With `--check` nothing is written and the exit status is 1 when a table is stale. A table stands between
`<!-- table: name -->` and `<!-- end of table -->`; what is outside is written by people and left alone.
"""

from __future__ import annotations

import re
import sys
import tomllib
from collections.abc import Callable, Iterable, Sequence
from math import nan
from pathlib import Path
from typing import Any

import duckdb
import numpy as np
import typer
from sqlalchemy import BigInteger, Table, UniqueConstraint

from trading_assets.broker import port
from trading_assets.broker.alpaca.activity_types import ACTIVITY_TYPES
from trading_assets.broker.purpose import Purpose
from trading_assets.broker.rate_budget import SHARES
from trading_assets.cli import application
from trading_assets.config import Settings, config_rows
from trading_assets.core.codes import CODE_COUNT, Code, failed_codes
from trading_assets.core.gate import evaluate
from trading_assets.core.limits import LIMIT_ROWS, Limits, Looser
from trading_assets.core.orders import OPEN_STATES, TRANSITIONS
from trading_assets.core.words import (
    Account,
    Activity,
    Halt,
    HaltState,
    Order,
    Position,
    Quote,
    Session,
    Side,
    Signal,
)
from trading_assets.definitions import defs
from trading_assets.engine.checks.table import CHECKS
from trading_assets.engine.evidence.reads import NEEDS
from trading_assets.engine.replay import limit_groups
from trading_assets.features.daily import DAILY
from trading_assets.market.bar_files.shapes import FIRST_RATE, KIBOT, SHAPES
from trading_assets.market.bundle import BundledTape
from trading_assets.market.quarantine.rules import RULES
from trading_assets.market.sessions import Sessions
from trading_assets.store import history_schema, schema
from trading_assets.store.columns import DecimalText, JsonText, NumbersText

DOCS = Path(__file__).parent
REPOSITORY = defs.get_repository_def()
_BLOCK = re.compile(r"(<!-- table: ([a-z-]+) -->\n).*?(<!-- end of table -->)", re.DOTALL)

_HISTORY_COLUMNS = """
SELECT table_name,
       string_agg(
           column_name || ' ' || replace(lower(data_type), 'varchar', 'text'), ', ' ORDER BY column_index
       )
FROM duckdb_columns() WHERE NOT internal GROUP BY table_name ORDER BY min(table_oid)
"""

_Verdict = tuple[frozenset[Code], tuple[str, ...]]  # the failed codes, and the name of each code's limit


def codes() -> str:
    """Every code, and what the gate itself does with an entry, a reducing order and a flatten that are
    wrong in every way."""
    entry, entry_limits = _wrong_in_every_way(Order(Side.SELL, 1e6, nan, False), held=0.0)
    reducing, reducing_limits = _wrong_in_every_way(Order(Side.SELL, 1e6, nan, False), held=1e7)
    flatten, _ = _wrong_in_every_way(Order(Side.SELL, 1e6, nan, True), held=1e7)
    unreachable = set(Code) - entry
    assert not unreachable, f"an entry that is wrong in every way must fail {unreachable}"
    rows = []
    for code in Code:
        limit, other = entry_limits[code], reducing_limits[code]
        spared = "refused" if code in reducing else "recorded only"
        if code in reducing and code not in flatten:
            spared = "refused, but for a flatten"
        if code is Code.SHORT_NOT_ALLOWED:
            spared = "never: it is covered"
        if code in reducing and other != limit:
            spared += f", limit {other}"
        rows.append((code.value, f"`{code.name}`", int(code.check), code.definition, limit or "–", spared))
    return _table(("Bit", "Code", "Check", "What is measured", "Limit", "Reducing orders"), rows)


def _wrong_in_every_way(order: Order, *, held: float) -> _Verdict:
    """The gate's answer where nothing is known but the order's quantity and the position. Each limit is
    a number of its own, so that the limit the gate reports names the field it came from."""
    numbers: dict[str, Any] = {name: float(1000 + index) for index, name in enumerate(Limits._fields)}
    measured, limit = np.empty(CODE_COUNT), np.empty(CODE_COUNT)
    verdict = evaluate(
        order,
        Signal(as_of_ns=0, reference_price=nan),
        Account(nan, nan, nan, as_of_ns=0),
        Position(held, reserved_qty=0.0, exposure_usd=nan),
        Quote(nan, nan, nan, nan, as_of_ns=0),
        Session(0, 0, calendar_open=False, broker_open=False, tradable=False, symbol_halted=True),
        Activity(True, 1, 1.0, nan, 10**6, 10**6, 10**6, 10**6, 10**6),
        Halt(HaltState.HALTED, True, True, True, True, True),
        Limits(**numbers)._replace(use_margin=False, fractional=False),
        1,
        measured,
        limit,
    )
    of_number = {value: f"`{name}`" for name, value in numbers.items()}
    of_number |= {value * 60.0: name for value, name in of_number.items() if "minutes" in name}
    return frozenset(failed_codes(int(verdict))), tuple(of_number.get(value, "") for value in limit.tolist())


def checks() -> str:
    rows = [
        (
            f"`{check.asset}`",
            f"`{check.name}`",
            check.severity,
            "yes" if check.blocking else "",
            check.description,
        )
        for check in CHECKS
    ]
    return _table(("Asset", "Check", "Severity", "Vetoes entries", "Passes when"), rows)


def activity_types() -> str:
    rows = [
        (
            f"`{one.name}`",
            one.meaning,
            one.kind,
            "yes" if one.moves_shares else "",
            "yes" if one.moves_cash else "",
            one.cost,
            "yes" if one.alerts else "",
        )
        for one in ACTIVITY_TYPES.values()
    ]
    head = ("Type", "Meaning", "Kind", "Moves shares", "Moves cash", "Cost of the shares", "Alerts")
    return _table(head, rows)


def replay_checks() -> str:
    rows = [
        (
            "`replay/replay`",
            f"`{group}`",
            "WARN" if group in limit_groups.WARNINGS else "ERROR",
            limit_groups.DESCRIPTION[group],
        )
        for group in limit_groups.Group
    ]
    return _table(("Asset", "Check", "Severity", "Passes when"), rows)


def commands() -> str:
    """Every command of the program with the first line of its help."""
    found: dict[str, Any] = {}
    for name, command in vars(typer.main.get_command(application.app))["commands"].items():
        inner = vars(command).get("commands")  # a group's
        found |= {f"{name} {other}": one for other, one in inner.items()} if inner else {name: command}
    rows = [(f"`{name}`", command.help.strip().split("\n")[0]) for name, command in found.items()]
    return _table(("Command", "What it does"), rows)


def jobs() -> str:
    every = (job for job in REPOSITORY.get_all_jobs() if not job.name.startswith("__"))
    rows = [(f"`{job.name}`", job.description) for job in sorted(every, key=lambda job: job.name)]
    return _table(("Job", "What a run does"), rows)


def automation() -> str:
    """Schedules and sensors. "Starts" is their state in a new instance."""
    rows = [
        (
            f"`{found.name}`",
            kind,
            "on" if found.default_status.value == "RUNNING" else "off",
            found.description,
        )
        for kind, group in (("schedule", REPOSITORY.schedule_defs), ("sensor", REPOSITORY.sensor_defs))
        for found in sorted(group, key=lambda one: one.name)
    ]
    return _table(("Name", "", "Starts", "What it does"), rows)


def configuration() -> str:
    rows = []
    for row in config_rows():
        limit = LIMIT_ROWS.get(row.key)
        looser = "" if limit is None else "higher" if limit.looser is Looser.HIGHER else "lower"
        if row.type == "true or false" and looser:
            looser = "true"
        enforced = [f"`{code.name}`" for code in limit.codes] if limit else []
        checked = [f"`{check.name}`" for check in limit.checks] if limit else []
        rows.append(
            (
                f"`{row.key}`",
                row.type,
                f"`{row.default}`",
                _range(row.key),
                looser,
                row.description,
                ", ".join(enforced),
                ", ".join(dict.fromkeys(checked)),
            )
        )
    head = (
        "Key",
        "Type",
        "Default",
        "Range",
        "Looser when",
        "Meaning",
        "The gate refuses with",
        "Asset checks",
    )
    return _table(head, rows)


def _range(key: str) -> str:
    """The bounds of a number as pydantic holds it to them, e.g. "> 0, ≤ 1"."""
    whole = Settings.model_json_schema()
    node: dict[str, Any] = whole
    for part in key.split("."):
        node = node["properties"][part]
        node = whole["$defs"][node["$ref"].rpartition("/")[2]] if "$ref" in node else node
    for kind in (node, *node.get("anyOf", ())):
        signs = (("exclusiveMinimum", ">"), ("minimum", "≥"), ("maximum", "≤"))
        bounds = [f"{sign} {kind[name]:g}" for name, sign in signs if name in kind]
        if bounds:
            return ", ".join(bounds)
    return ""


def order_states() -> str:
    rows = [
        (
            f"`{state}`",
            "open" if state in OPEN_STATES else "terminal",
            _names(to for to in TRANSITIONS if to in edges),
        )
        for state, edges in TRANSITIONS.items()
    ]
    return _table(("From", "", "To"), rows)


def layers() -> str:
    """The layers of import-linter's contract, the highest first."""
    configured = tomllib.loads((DOCS.parent / "pyproject.toml").read_text())["tool"]["importlinter"][
        "contracts"
    ]
    (contract,) = (contract for contract in configured if contract["id"] == "layers")
    rows = [(_names(re.split(r"\s*[|:]\s*", layer)),) for layer in contract["layers"]]
    return _table(("Layer: may import what stands below it",), rows)


def journal_tables() -> str:
    """Columns of the journal; a question mark follows one that may be empty."""
    rows = []
    for table in schema.METADATA.sorted_tables:
        columns = [
            f"{column.name}{'?' if column.nullable else ''} {_journal_type(column.type)}"
            for column in table.columns
        ]
        rows.append((f"`{table.name}`", ", ".join(columns), "; ".join(dict.fromkeys(_unique(table))) or "–"))
    return _table(("Table", "Columns", "Unique"), sorted(rows))


def _journal_type(kind: object) -> str:
    names: dict[type, str] = {
        DecimalText: "decimal",
        JsonText: "json",
        NumbersText: "numbers",
        BigInteger: "bigint",
    }
    return names.get(type(kind), type(kind).__name__.lower())


def _unique(table: Table) -> Iterable[str]:
    yield ", ".join(column.name for column in table.primary_key)
    yield from (column.name for column in table.columns if column.unique)
    for constraint in table.constraints:
        if isinstance(constraint, UniqueConstraint):
            yield ", ".join(column.name for column in constraint.columns)


def history_tables() -> str:
    with duckdb.connect(":memory:") as connection:
        connection.execute(history_schema.SQL)
        found = connection.execute(_HISTORY_COLUMNS).fetchall()
    return _table(("Table", "Columns"), [(f"`{name}`", columns) for name, columns in found])


def broker_errors() -> str:
    kinds = [
        kind for kind in vars(port).values() if isinstance(kind, type) and issubclass(kind, port.BrokerError)
    ]
    rows = [
        (f"`{kind.__name__}`", f"`{kind.__bases__[0].__name__}`", (kind.__doc__ or "").split("\n")[0])
        for kind in kinds
        if kind is not port.BrokerError
    ]
    return _table(("Error", "A kind of", "Meaning"), rows)


def reads() -> str:
    rows = [
        (
            f"`{read}`",
            ", ".join(sorted(need.acts)) or "–",
            "its symbol" if need.by_symbol else "all" if need.acts else "–",
            need.without,
        )
        for read, need in NEEDS.items()
    ]
    return _table(("Read", "Needed for", "Waits", "Without it"), rows)


def request_purposes() -> str:
    rows = [
        (f"`{purpose.name}`", f"{SHARES[purpose].leaves:.0%}", f"{SHARES[purpose].most:.0%}")
        for purpose in Purpose
    ]
    return _table(("Purpose", "Leaves to the ones above it", "Takes at most in a minute"), rows)


def features() -> str:
    rows = [(f"`{feature.name}`", feature.meaning) for feature in DAILY.features]
    return _table(("Feature", "Meaning"), rows)


def bar_shapes() -> str:
    rows = [
        (shape.name, f"`{shape.options}`", shape.zone or "as stated", shape.about or "–")
        for shape in (*SHAPES, KIBOT, FIRST_RATE)
    ]
    return _table(("File", "Options", "Zone of times without one", "To know"), rows)


def bar_rules() -> str:
    rows = [
        (f"`{rule.name}`", f"{rule[0].upper()}{rule[1:]}", terms.threshold, terms.effect, terms.remedy)
        for rule, terms in RULES.items()
    ]
    return _table(("Rule", "What is wrong", "Threshold", "What becomes of it", "What to do"), rows)


def tape() -> str:
    sessions, bundled = Sessions(), BundledTape()
    rows = []
    for symbol in bundled.symbols:
        daily, actions = bundled.daily(symbol), bundled.actions(symbol)
        days = [sessions.new_york_date(int(daily.start_ns[index])) for index in (0, -1)]
        splits = [f"{a.ex_date} {a.split_ratio:g}:1" for a in actions if a.split_ratio != 1.0]
        cash = [a for a in actions if a.cash_usd]
        dividends = f"{len(cash)}, {cash[0].ex_date} to {cash[-1].ex_date}" if cash else "none"
        most = max(cash, key=lambda action: action.cash_usd, default=None)
        largest = f"${most.cash_usd:.2f} on {most.ex_date}" if most else "–"
        rows.append((symbol, *days, len(daily.start_ns), ", ".join(splits) or "none", dividends, largest))
    head = (
        "Symbol",
        "First session",
        "Last session",
        "Sessions",
        "Splits",
        "Cash dividends",
        "Largest dividend",
    )
    return _table(head, rows)


TABLES: dict[str, Callable[[], str]] = {
    "codes": codes,
    "checks": checks,
    "activity-types": activity_types,
    "replay-checks": replay_checks,
    "commands": commands,
    "jobs": jobs,
    "automation": automation,
    "configuration": configuration,
    "order-states": order_states,
    "layers": layers,
    "journal-tables": journal_tables,
    "history-tables": history_tables,
    "broker-errors": broker_errors,
    "reads": reads,
    "request-purposes": request_purposes,
    "features": features,
    "bar-shapes": bar_shapes,
    "bar-rules": bar_rules,
    "tape": tape,
}


def rendered(text: str) -> str:
    """The text of a page with its tables made again. Raises KeyError for a marker without a table."""
    return _BLOCK.sub(lambda block: f"{block[1]}{TABLES[block[2]]()}\n{block[3]}", text)


def pages(folder: Path) -> list[Path]:
    """The pages that have tables."""
    return sorted(page for page in folder.glob("*.md") if _BLOCK.search(page.read_text(encoding="utf-8")))


def stale(folder: Path) -> list[Path]:
    """The pages whose tables are not what the code says."""
    return [page for page in pages(folder) if rendered(text := page.read_text(encoding="utf-8")) != text]


def main(arguments: Sequence[str]) -> int:
    """The exit status."""
    found = stale(DOCS)
    if list(arguments) == ["--check"]:
        for page in found:
            sys.stderr.write(f"{page.name} is stale: run `python docs/tables.py`\n")
        return 1 if found else 0
    for page in found:
        page.write_text(rendered(page.read_text(encoding="utf-8")), encoding="utf-8")
        sys.stdout.write(f"{page.name} written\n")
    return 0


def _names(names: Iterable[object]) -> str:
    return ", ".join(f"`{name}`" for name in names) or "none"


def _table(head: Sequence[str], rows: Iterable[Sequence[object]]) -> str:
    lines = [tuple(head), ("---",) * len(head), *rows]
    return "\n".join(f"| {' | '.join(_cell(value) for value in line)} |" for line in lines)


def _cell(value: object) -> str:
    return str(value).replace("|", "\\|").replace("\n", " ")


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
