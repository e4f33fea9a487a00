"""The engine's checks as Dagster's: one step for each asset, made from the table in `engine.checks.table`.

A step evaluates all checks of its asset, stores their outcomes and reports those that were asked
for. None is blocking to Dagster: a failed data check vetoes the tick's entries at the gate, which reads
its stored outcome, while protection and exits of the same run go on. The step fails, and with it the
run, where the asset's own step did or the checks cannot be evaluated; no asset waits for it.
"""

from collections.abc import Iterator, Sequence
from math import isfinite

import dagster as dg

from trading_assets.engine.checks.table import AssetCheck, CheckOutcome, Severity, checks_of, record
from trading_assets.engine.ticks.failures import StepFailed, attempt
from trading_assets.engine.ticks.steps import LIVE_ASSETS, STEP_OF, check_step
from trading_assets.runs.decorators import checks
from trading_assets.runs.lanes import BOOK_POOL
from trading_assets.runs.resources import DeskAt, DeskResource

_SEVERITY = {Severity.ERROR: dg.AssetCheckSeverity.ERROR, Severity.WARN: dg.AssetCheckSeverity.WARN}


def _stored(asset: str, at: DeskAt) -> list[CheckOutcome]:
    outcomes = STEP_OF[asset].checks(at.desk, at.session, at.tick_ns)
    record(at.desk, at.session, at.tick_ns, outcomes)
    return outcomes


def _step(asset: str, of_asset: Sequence[AssetCheck]) -> dg.AssetChecksDefinition:
    specs = [dg.AssetCheckSpec(check.name, asset=asset, description=check.description) for check in of_asset]

    @checks(check_step(asset), specs, pool=BOOK_POOL)
    def evaluated(
        context: dg.AssetCheckExecutionContext, desk: DeskResource
    ) -> Iterator[dg.AssetCheckResult]:
        at = desk.at(context)
        try:
            outcomes = attempt(at.desk, at.tick_ns, check_step(asset), lambda: _stored(asset, at))
        except StepFailed as error:
            raise dg.Failure(description=str(error), allow_retries=False) from error
        wanted = {key.name for key in context.selected_asset_check_keys}
        for outcome in outcomes:
            if outcome.check.name in wanted:
                yield _result(outcome)

    return evaluated


def _result(outcome: CheckOutcome) -> dg.AssetCheckResult:
    metadata = {
        # a number is plotted over time; infinity and NaN are no JSON
        name: dg.MetadataValue.float(value) if isfinite(value) else dg.MetadataValue.text(f"{value:g}")
        for name, value in (("measured", outcome.measured), ("limit", outcome.limit))
        if value is not None
    }
    return dg.AssetCheckResult(
        asset_key=outcome.check.asset,
        check_name=outcome.check.name,
        passed=outcome.passed,
        severity=_SEVERITY[outcome.check.severity],
        description=outcome.detail or None,
        metadata=metadata,
    )


CHECK_STEPS = [_step(asset, checks_of(asset)) for asset in LIVE_ASSETS]  # a list: Dagster finds what is in it
