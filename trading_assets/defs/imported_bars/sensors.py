"""The sensor that has stored bars judged after each import."""

import dagster as dg

from trading_assets.defs.imported_bars.jobs import judge_bars
from trading_assets.engine.market_data.import_mark import last_import
from trading_assets.runs.decorators import sensor
from trading_assets.runs.resources import read_settings


@sensor(every_seconds=30, job=judge_bars, description="Requests `judge_bars` after each `import-bars`.")
def bars_imported(context: dg.SensorEvaluationContext) -> dg.SensorResult | dg.SkipReason:
    mark = last_import(read_settings().data_dir)
    if mark is None:
        return dg.SkipReason("nothing has been imported")
    if mark == context.cursor:
        return dg.SkipReason("the last import is judged")
    return dg.SensorResult(run_requests=[dg.RunRequest(run_key=f"import {mark}")], cursor=mark)
