"""The table of asset checks, their outcomes, and where outcomes are kept. No check is evaluated here.

`CHECKS` is the one list: Dagster's checks, the gate's list of blocking checks and the table in the
documentation are made from it. The checks of a limit come from its row in `core.limits`. What a check looks
at is `engine.checks.data`, `engine.checks.orders`, `engine.checks.order_limits`, `engine.checks.book_limits`
and `engine.checks.stops`; what a failed one does to entries is `engine.ticks.tick`'s.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import date
from enum import StrEnum

from trading_assets.core.limits import LIMIT_ROWS
from trading_assets.engine.book.desk import Desk, holding_history
from trading_assets.log import get_logger
from trading_assets.store.records import GateCheckRecord

log = get_logger(__name__)


class Severity(StrEnum):
    """ERROR: something is wrong. WARN: a person should know."""

    ERROR = "ERROR"
    WARN = "WARN"


@dataclass(frozen=True, slots=True)
class AssetCheck:
    """One asset check. A blocking one vetoes the tick's entries until it is stored as passed."""

    asset: str
    name: str
    severity: Severity
    blocking: bool
    description: str

    @property
    def key(self) -> str:
        """Its name in the journal."""
        return f"{self.asset}.{self.name}"


@dataclass(frozen=True, slots=True)
class CheckOutcome:
    """What a check found. `measured` is held against `limit`; both None where nothing is counted."""

    check: AssetCheck
    passed: bool
    measured: float | None
    limit: float | None
    detail: str  # what is wrong and where, or what was looked at
    symbols: tuple[str, ...] = ()  # those that it finds not fit to be entered on


def _blocking(asset: str, name: str, description: str) -> AssetCheck:
    return AssetCheck(asset, name, Severity.ERROR, True, description)


def _error(asset: str, name: str, description: str) -> AssetCheck:
    return AssetCheck(asset, name, Severity.ERROR, False, description)


def _warn(asset: str, name: str, description: str) -> AssetCheck:
    return AssetCheck(asset, name, Severity.WARN, False, description)


def _of_limits(asset: str, *, holdings: bool) -> Iterator[AssetCheck]:
    """The checks that a limit names for itself, in the order of `Limits`."""
    for row in LIMIT_ROWS.values():
        for check in row.checks:
            if check.holdings is holdings and check.passes_when:
                severity = Severity.WARN if check.warns else Severity.ERROR
                yield AssetCheck(asset, check.name, severity, False, check.passes_when)


CHECKS: tuple[AssetCheck, ...] = (
    _blocking(
        "bars",
        "complete",
        "At most `max_incomplete_share` of the symbols lack a daily bar for a session of the features' "
        "look-back, or have a gap of more than 15 minutes in today's minute bars between open and tick. One "
        "such symbol is always allowed.",
    ),
    _warn(
        "bars",
        "no_symbol_incomplete",
        "No symbol's bars have such gaps. The gate refuses entries in a symbol that has them "
        "(INCOMPLETE_BARS) until they are filled. Entries in other symbols and all exits go on.",
    ),
    _blocking(
        "bars",
        "sane",
        "In the look-back's daily bars and today's minute bars, prices are finite and positive, open and "
        "close lie between low and high, volumes are not negative, and no version has a bar twice.",
    ),
    _blocking(
        "bars",
        "fresh",
        "The newest minute bar of all symbols ended at most `stale_signal_seconds` before the tick.",
    ),
    _warn(
        "bars",
        "no_symbol_behind",
        "No symbol that had a bar in each of 15 minutes lags the newest bar of all symbols by more than "
        "`stale_signal_seconds`. A symbol that lags is halted, or the feed has lost it.",
    ),
    _blocking(
        "bars",
        "not_from_the_future",
        "The desk received no daily bar of the look-back and no minute bar of today before that bar had "
        "ended, and no bar lies after the venue's current time.",
    ),
    _blocking(
        "features",
        "complete",
        "Every configured symbol has one row of the current feature set, with every feature.",
    ),
    _blocking(
        "features",
        "finite",
        "Every value of the tick's rows is a finite number, except in a symbol that lacks bars of the "
        "look-back; the model gives that symbol no signal.",
    ),
    _blocking(
        "features",
        "point_in_time",
        "Rows that are computed again from the bars that the desk had received by the tick are the same, "
        "bit for bit.",
    ),
    _blocking("signals", "in_range", "Every signal is a finite value in [−1, 1] of a configured symbol."),
    _warn(
        "signals",
        "fresh",
        "No signal is stamped after the tick or more than `stale_signal_seconds` before it. The gate refuses "
        "a stale signal; this check says that its producer lags.",
    ),
    _error(
        "gated_orders",
        "each_has_a_verdict",
        "Every order of the session has a stored verdict that passed, for the same symbol, side, quantity "
        "and limit price, and the verdict has the measurement of every code.",
    ),
    _error(
        "gated_orders",
        "no_foreign_order",
        "Every order at the broker with the desk's id prefix has an intent in the journal, equals it, and "
        "is not filled beyond it.",
    ),
    *_of_limits("gated_orders", holdings=False),
    _error(
        "gated_orders",
        "market_hours",
        "The desk sent every order of today within regular hours by the calendar, or within extended hours "
        "where `extended_hours` is true.",
    ),
    _error(
        "fills", "each_belongs_to_an_order", "Every fill of the session belongs to an order of the journal."
    ),
    _error(
        "fills",
        "within_order_quantity",
        "An order's fills add up to its filled quantity, at most to its quantity.",
    ),
    _error("fills", "within_limit_price", "No fill is worse than its order's limit price."),
    _error(
        "fills",
        "all_received",
        "The journal has every fill that the broker's activities name since the session began.",
    ),
    _error(
        "reconciled_positions",
        "ledger_equals_broker",
        "The ledger's quantities are the broker's (1e-6 for fractions).",
    ),
    _error("reconciled_positions", "cash_agrees", "The ledger's cash is the broker's within $1."),
    _error("reconciled_positions", "no_open_break", "No break was seen in two reconciliations in a row."),
    _error(
        "reconciled_positions",
        "cost_known",
        "Every symbol that the ledger holds has a cost above 0. Its stop is measured from that cost.",
    ),
    _error("reconciled_positions", "no_short", "No position is negative, at the broker or in the ledger."),
    *_of_limits("reconciled_positions", holdings=True),
)

PROBLEMS_SHOWN = 10
INCOMPLETE = "bars.no_symbol_incomplete"
_BY_KEY = {check.key: check for check in CHECKS}
BLOCKING = frozenset(check.key for check in CHECKS if check.blocking)


def checks_of(asset: str) -> tuple[AssetCheck, ...]:
    """The asset's checks, in the table's order."""
    return tuple(check for check in CHECKS if check.asset == asset)


def outcome(
    key: str,
    problems: Sequence[str] | None = None,
    *,
    passed: bool | None = None,
    measured: float | None = None,
    limit: float | None = None,
    detail: str = "",
    symbols: Iterable[str] = (),
) -> CheckOutcome:
    """The outcome of the check `key` ("asset.name"): passed when there are no `problems`, or as said.

    detail: what to say when it passes, and in front of the problems
    """
    lines = list(problems or ())
    if passed is None:
        passed = not lines
    if len(lines) > PROBLEMS_SHOWN:
        lines[PROBLEMS_SHOWN:] = [f"and {len(lines) - PROBLEMS_SHOWN} more"]
    return CheckOutcome(
        _BY_KEY[key],
        passed,
        measured,
        limit,
        "; ".join([*([detail] if detail else []), *lines]),
        tuple(symbols),
    )


def in_order(outcomes: Iterable[CheckOutcome]) -> list[CheckOutcome]:
    """As the table has their checks."""
    return sorted(outcomes, key=lambda outcome: CHECKS.index(outcome.check))


@holding_history
def record(desk: Desk, session: date, tick_ns: int, outcomes: Iterable[CheckOutcome]) -> None:
    """Keep outcomes: those that the tick looks at in the journal first, then all in history.

    Recording a tick's check again replaces it. Raises what the stores raise.
    """
    outcomes = list(outcomes)
    now = desk.now_ns()
    desk.journal.record_gate_checks(
        [
            GateCheckRecord(desk.book, tick_ns, outcome.check.key, outcome.passed, now, outcome.detail)
            for outcome in outcomes
            if outcome.check.blocking
        ]
        + [
            GateCheckRecord(desk.book, tick_ns, INCOMPLETE, outcome.passed, now, " ".join(outcome.symbols))
            for outcome in outcomes
            if outcome.check.key == INCOMPLETE
        ]
    )
    for asset in dict.fromkeys(outcome.check.asset for outcome in outcomes):
        rows = [_row(desk, session, tick_ns, outcome) for outcome in outcomes if outcome.check.asset == asset]
        desk.history.replace(
            "checks", {"book": desk.book, "session": session, "tick_ns": tick_ns, "asset": asset}, rows
        )
    for outcome in outcomes:
        if not outcome.passed:
            log.warning(
                "check failed",
                check=outcome.check.key,
                severity=str(outcome.check.severity),
                measured=outcome.measured,
                limit=outcome.limit,
                detail=outcome.detail,
            )


def missing_or_failed(desk: Desk, tick_ns: int) -> tuple[str, ...]:
    """The blocking checks that are not stored as passed for the tick: while there are any, no entry."""
    passed = {stored.check for stored in desk.journal.gate_checks(desk.book, tick_ns) if stored.passed}
    return tuple(sorted(BLOCKING - passed))


def incomplete_symbols(desk: Desk, tick_ns: int) -> frozenset[str]:
    """The symbols whose bars the tick's check found incomplete: they are not entered on."""
    stored = {record.check: record.detail for record in desk.journal.gate_checks(desk.book, tick_ns)}
    return frozenset(stored.get(INCOMPLETE, "").split())


def _row(desk: Desk, session: date, tick_ns: int, outcome: CheckOutcome) -> dict[str, object]:
    measured = "" if outcome.measured is None else f"measured {outcome.measured:g}, limit {outcome.limit:g}. "
    return {
        "book": desk.book,
        "session": session,
        "tick_ns": tick_ns,
        "asset": outcome.check.asset,
        "check": outcome.check.name,
        "severity": str(outcome.check.severity),
        "blocking": outcome.check.blocking,
        "passed": outcome.passed,
        "detail": measured + outcome.detail,
    }
