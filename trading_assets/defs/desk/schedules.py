"""The schedule of the trading ticks, by which a person arms trading on every venue.

Cron only asks, every minute; the calendar and the venue's clock decide (`runs.due_runs`), and a skip says
why.
"""

import dagster as dg

from trading_assets.defs.desk.jobs import trading_tick
from trading_assets.engine.operation.timetable import Work
from trading_assets.runs.decorators import schedule
from trading_assets.runs.due_runs import decide
from trading_assets.runs.readiness import TRADING_SCHEDULE


@schedule(
    name=TRADING_SCHEDULE,
    job=trading_tick,
    cron="* * * * *",  # the embedded exchange may be in its session on our Sunday night
    on=False,
    description="Requests a tick every `tick_minutes` of a session. Turn it on to trade; it starts "
    "stopped. The book must be armed too: `trading-assets arm` does that, and the embedded exchange's "
    "book is armed from the start.",
)
def trading_hours(context: dg.ScheduleEvaluationContext) -> dg.RunRequest | dg.SkipReason:
    return decide(context, Work.TICK)
