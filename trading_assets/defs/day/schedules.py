"""The schedules of a session's two ends.

Cron only asks; the calendar and the venue's clock decide (`runs.due_runs`), and a skip says why.
"""

import dagster as dg

from trading_assets.defs.day.jobs import end_of_day, premarket
from trading_assets.engine.operation.timetable import Work
from trading_assets.runs.decorators import schedule
from trading_assets.runs.due_runs import decide


@schedule(
    job=premarket,
    cron="0 9 * * 1-5",
    description="Requests `premarket` half an hour before a session opens.",
)
def before_the_open(context: dg.ScheduleEvaluationContext) -> dg.RunRequest | dg.SkipReason:
    return decide(context, Work.PREMARKET)


@schedule(
    job=end_of_day,
    cron="*/10 * * * *",  # a day that was missed is made up for whenever the desk is up
    description="Requests `end_of_day` ten minutes after a session closes; a half day closes at 13:00 New "
    "York time. If the desk was down then, it requests the run at the next start.",
)
def after_the_close(context: dg.ScheduleEvaluationContext) -> dg.RunRequest | dg.SkipReason:
    return decide(context, Work.END_OF_DAY)
