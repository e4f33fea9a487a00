"""The schedules of a session's two ends.

Cron only asks; the calendar and the venue's clock decide (`runs.due_runs`), and a skip says why.
"""

import dagster as dg

from trading_assets.defs.day.jobs import end_of_day, premarket
from trading_assets.engine.operation.timetable import Work
from trading_assets.runs.due_runs import NEW_YORK, decide
from trading_assets.runs.evaluations import told_of_failure


@dg.schedule(
    job=premarket,
    cron_schedule="0 9 * * 1-5",
    execution_timezone=NEW_YORK,
    default_status=dg.DefaultScheduleStatus.RUNNING,
    description="Half an hour before the open of a session.",
)
@told_of_failure
def before_the_open(context: dg.ScheduleEvaluationContext) -> dg.RunRequest | dg.SkipReason:
    return decide(context, Work.PREMARKET)


@dg.schedule(
    job=end_of_day,
    cron_schedule="*/10 * * * *",  # a day that was missed is made up for whenever the desk is up
    execution_timezone=NEW_YORK,
    default_status=dg.DefaultScheduleStatus.RUNNING,
    description="Ten minutes after the close of a session; a half day closes at 13:00. What was missed then "
    "is made up for when the desk is next up.",
)
@told_of_failure
def after_the_close(context: dg.ScheduleEvaluationContext) -> dg.RunRequest | dg.SkipReason:
    return decide(context, Work.END_OF_DAY)
