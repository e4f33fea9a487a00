"""The engine's checks as Dagster's: one step for each asset, made from the table in `engine.checks`.

A step evaluates all checks of its asset, stores their outcomes and reports those that were asked
for. None is blocking to Dagster: a failed data check vetoes the tick's entries at the gate, which reads
its stored outcome, while protection and exits of the same run go on. The step fails, and with it the
run, where the asset's own step did or the checks cannot be evaluated; no asset waits for it.
"""

from collections.abc import Iterator, Sequence
from math import isfinite

import dagster as dg

from trading_assets.defs.assets_desk import CHAIN
from trading_assets.defs.clean_steps import shows_no_secret
from trading_assets.defs.lanes import BOOK_POOL
from trading_assets.defs.resources import DeskAt, DeskResource
from trading_assets.engine.checks import Check, CheckOutcome, Severity, checks_of, record
from trading_assets.engine.steps import StepFailed, attempt, check_step

_SEVERITY = {Severity.ERROR: dg.AssetCheckSeverity.ERROR, Severity.WARN: dg.AssetCheckSeverity.WARN}


def _evaluate(asset: str, at: DeskAt) -> list[CheckOutcome]:
    """Every check of the asset. Imports what it needs: a run of one asset does not pay for the others."""
    match asset:
        case "bars":
            from trading_assets.engine.data_checks import bar_checks

            return bar_checks(at.desk, at.session, at.tick_ns)
        case "features":
            from trading_assets.engine.data_checks import feature_checks

            return feature_checks(at.desk, at.session, at.tick_ns)
        case "signals":
            from trading_assets.engine.data_checks import signal_checks

            return signal_checks(at.desk, at.session, at.tick_ns)
        case "gated_orders":
            from trading_assets.engine.order_checks import order_checks

            return order_checks(at.desk, at.session)
        case "fills":
            from trading_assets.engine.order_checks import fill_checks

            return fill_checks(at.desk, at.session)
        case "reconciled_positions":
            from trading_assets.engine.limit_checks import limit_checks

            return limit_checks(at.desk)
    raise LookupError(f"no checks of {asset}")


def _stored(asset: str, at: DeskAt) -> list[CheckOutcome]:
    outcomes = _evaluate(asset, at)
    record(at.desk, at.session, at.tick_ns, outcomes)
    return outcomes


def _step(asset: str, checks: Sequence[Check]) -> dg.AssetChecksDefinition:
    @dg.multi_asset_check(
        name=check_step(asset),
        specs=[dg.AssetCheckSpec(check.name, asset=asset, description=check.description) for check in checks],
        can_subset=True,
        pool=BOOK_POOL,
    )
    @shows_no_secret
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


CHECK_STEPS: Sequence[dg.AssetChecksDefinition] = tuple(
    _step(key, checks_of(key)) for key in (asset.key.to_user_string() for asset in CHAIN)
)
