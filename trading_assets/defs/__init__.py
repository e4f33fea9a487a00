"""Dagster's definitions: assets, checks, jobs, schedules and sensors, in one folder for each subject.

Every definition at the top level of a module in this folder, or in one below it, is loaded
(`trading_assets.definitions`): a new file needs no entry anywhere. What definitions are made with is in
`trading_assets.runs`.

What a step does is `trading_assets.engine`'s; a module here names it, hands it the partition and the
configuration, and shows what came of it. Dagster looks at the annotations of what it decorates as objects, so
modules with decorated functions do without postponed annotations.
"""

import re
import warnings

import dagster as dg

# Two parameters in beta: the replay's policy of one run for a range, which is wanted, and one that Dagster
# itself passes on when it copies a sensor. Every other warning stays to be seen.
for _beta in (
    "Parameter `backfill_policy` of function `asset` is currently in beta",
    "Parameter `owners` of initializer `SensorDefinition.__init__` is currently in beta",
):
    warnings.filterwarnings("ignore", message=re.escape(_beta), category=dg.BetaWarning)

# The function by which this folder is loaded is a preview of Dagster's.
_PREVIEW = "Function `load_definitions_from_modules` is currently in preview"
warnings.filterwarnings("ignore", message=re.escape(_PREVIEW), category=dg.PreviewWarning)
