"""The schedule of the trading ticks, by which a person arms trading on every venue.

Cron only asks, every minute; the calendar and the venue's clock decide (`runs.due_runs`), and a skip says
why.
"""

import dagster as dg

from trading_assets.defs.desk.jobs import trading_tick
from trading_assets.engine.operation.timetable import Work
from trading_assets.runs.due_runs import NEW_YORK, decide
from trading_assets.runs.evaluations import told_of_failure
from trading_assets.runs.readiness import TRADING_SCHEDULE


@dg.schedule(
    name=TRADING_SCHEDULE,
    job=trading_tick,
    cron_schedule="* * * * *",  # the embedded exchange may be in its session on our Sunday night
    execution_timezone=NEW_YORK,
    default_status=dg.DefaultScheduleStatus.STOPPED,
    description="A tick every `tick_minutes` of a session, of a book that is armed (`trading-assets arm`; "
    "the embedded exchange's is from the start). Turn it on to trade, on the embedded exchange too; it "
    "starts stopped.",
)
@told_of_failure
def trading_hours(context: dg.ScheduleEvaluationContext) -> dg.RunRequest | dg.SkipReason:
    return decide(context, Work.TICK)
