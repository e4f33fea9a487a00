"""What the demonstration left in the stores, read back and judged. Prints; changes nothing."""

from __future__ import annotations

import json
from collections.abc import Mapping
from decimal import Decimal
from pathlib import Path

import dagster as dg
from rich.console import Console
from rich.table import Table

from trading_assets.broker.port import PositionState
from trading_assets.core.gate import reason
from trading_assets.core.ledger import Holding, Ledger
from trading_assets.core.orders import Kind, State
from trading_assets.demo.demo_desk import DemoDesk
from trading_assets.engine.book.accounting import ledger_of
from trading_assets.engine.book.desk import Desk
from trading_assets.engine.evidence.breaks import CASH_TOLERANCE_USD, QUANTITY_TOLERANCE

MINIMUM_MODEL_FILLS = 10


def model_figures(demo: DemoDesk, console: Console) -> None:
    """The champion's out-of-sample figures beside what needs no model."""
    manifest = json.loads((demo.home / "models" / "champion" / "manifest.json").read_text())
    figures = manifest["figures"]
    table = Table(title="The model, out of sample (walk-forward, purged)")
    for column in ("figure", "model", "each symbol's own past share", "no skill"):
        table.add_column(column, justify="left" if column == "figure" else "right")
    rows = (
        ("rank IC", "rank_ic", "prior_rank_ic", 0.0),
        ("its t-statistic", "rank_ic_t", "prior_rank_ic_t", 0.0),
        ("AUC", "auc", "prior_auc", 0.5),
        ("hit rate", "hit_rate", None, figures["base_rate"]),
    )
    for name, key, prior, none in rows:
        theirs = f"{figures[prior]:.3f}" if prior else "–"
        table.add_row(name, f"{figures[key]:.3f}", theirs, f"{none:.3f}")
    console.print(table)
    console.print(
        "Weak, as such figures are: five large stocks chosen in hindsight. "
        "They show that the way works, not that it earns."
    )


def summarise(demo: DemoDesk, console: Console) -> bool:
    """Print the summary. True when ledger and broker agree, no break is open, every check that must
    pass passed and at least ten orders of the model's were filled."""
    with Desk.open(demo.settings(demo.model_config)) as desk:
        orders = desk.journal.orders(desk.book)
        verdicts = desk.journal.verdicts(desk.book)
        fills = desk.journal.fills(desk.book)
        breaks = desk.journal.open_breaks(desk.book)
        ledger = ledger_of(desk.journal, desk.book)
        positions = {position.symbol: position for position in desk.broker.positions()}
        account = desk.broker.account()
        ticks = desk.history.query(
            "SELECT count(DISTINCT tick_ns) AS ticks, count(DISTINCT session) AS sessions FROM features"
        ).to_pylist()[0]
    model_filled = sum(o.intent.kind == Kind.MODEL and State(o.state) is State.FILLED for o in orders)

    judged = Table(title="Orders by verdict")
    judged.add_column("verdict")
    judged.add_column("orders", justify="right")
    counts: dict[str, int] = {}
    for verdict in verdicts:
        name = reason(verdict.failed, verdict.cause)
        counts[name] = counts.get(name, 0) + 1
    for name, count in sorted(counts.items(), key=lambda item: (item[0] != "PASS", item[0])):
        judged.add_row(name, str(count))
    console.print(judged)

    held = Table(title="Positions")
    for column in ("symbol", "ledger", "broker", "average cost"):
        held.add_column(column, justify="left" if column == "symbol" else "right")
    agree = ledger_agrees(ledger, account.cash, positions)
    symbols = {symbol for symbol, holding in ledger.holdings.items() if holding.qty} | positions.keys()
    for symbol in sorted(symbols):
        ours, theirs = _quantities(symbol, ledger, positions)
        cost = f"{ledger.holdings[symbol].avg_cost:.2f}" if symbol in ledger.holdings else ""
        held.add_row(symbol, f"{ours:g}", f"{theirs:g}", cost)
    held.add_row("cash", f"{ledger.cash_usd:.2f}", f"{account.cash:.2f}", "")
    console.print(held)

    passed, warned, failed = _checks(demo.instance)
    clients = demo.keeper.clients()
    rows = (
        ("sessions traded", str(ticks["sessions"])),
        ("ticks", str(ticks["ticks"])),
        ("orders sent", str(sum(order.submitted_ns is not None for order in orders))),
        ("orders of the model filled", f"{model_filled} (at least {MINIMUM_MODEL_FILLS})"),
        ("fills", str(len(fills))),
        ("breaks", str(len(breaks))),
        ("ledger and broker", "agree" if agree else "DIFFER"),
        ("equity", f"${account.equity:.2f} of derived minute bars: no performance figure"),
        ("checks passed/warned/failed", f"{passed} / {warned} / {len(failed)}"),
        ("requests to the exchange", ", ".join(f"{n} by {agent}" for agent, n in clients.items())),
    )
    for name, value in rows:
        console.print(f"{name:28s} {value}")
    for line in failed:
        console.print(f"  failed: {line}", style="red")
    _where(demo, console)
    return all_held(
        agree=agree, open_breaks=len(breaks), failed_checks=len(failed), model_filled=model_filled
    )


def all_held(*, agree: bool, open_breaks: int, failed_checks: int, model_filled: int) -> bool:
    """Whether everything that must hold held.

    agree: ledger and broker; failed_checks: of severity ERROR; model_filled: orders of the model's, filled
    """
    return agree and not open_breaks and not failed_checks and model_filled >= MINIMUM_MODEL_FILLS


def ledger_agrees(ledger: Ledger, cash: Decimal, positions: Mapping[str, PositionState]) -> bool:
    """Whether the ledger has the broker's cash and its quantity of every symbol, as a reconciliation compares
    them."""
    pairs = [_quantities(symbol, ledger, positions) for symbol in ledger.holdings.keys() | positions.keys()]
    return abs(ledger.cash_usd - float(cash)) <= CASH_TOLERANCE_USD and all(
        abs(ours - theirs) <= QUANTITY_TOLERANCE for ours, theirs in pairs
    )


def _quantities(symbol: str, ledger: Ledger, positions: Mapping[str, PositionState]) -> tuple[float, float]:
    """Shares of one symbol in the ledger and at the broker."""
    theirs = float(positions[symbol].qty) if symbol in positions else 0.0
    return ledger.holdings.get(symbol, Holding()).qty, theirs


def _checks(instance: dg.DagsterInstance) -> tuple[int, int, list[str]]:
    """Evaluations in the instance: how many passed, how many only warn, and the errors by name."""
    passed, warned, failed = 0, 0, []
    for run in instance.get_runs():
        records = instance.get_records_for_run(
            run.run_id, of_type=dg.DagsterEventType.ASSET_CHECK_EVALUATION
        ).records
        for record in records:
            event = record.event_log_entry.dagster_event
            assert event is not None
            evaluation = event.asset_check_evaluation_data
            if evaluation.passed:
                passed += 1
            elif evaluation.severity is dg.AssetCheckSeverity.ERROR:
                failed.append(
                    f"{evaluation.asset_key.to_user_string()}.{evaluation.check_name} ({run.run_id})"
                )
            else:
                warned += 1
    return passed, warned, failed


def _where(demo: DemoDesk, console: Console) -> None:
    home = _relative(demo.home)
    console.print(
        f"\nEverything is below {home}: journal.sqlite, history.duckdb, log.jsonl, models, exchange."
    )
    console.print("See the runs, assets and checks in the Dagster UI, by the link that this prints:")
    console.print(f"  DAGSTER_HOME={demo.home / 'dagster_home'} .venv/bin/python -m trading_assets.web")


def _relative(path: Path) -> Path:
    return path.relative_to(Path.cwd()) if path.is_relative_to(Path.cwd()) else path
