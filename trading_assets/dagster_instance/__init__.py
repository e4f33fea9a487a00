"""The classes that dagster.yaml names for Dagster's instance: storages, queue, launcher and printed output.

`fallback` is what dagster.yaml names; it loads the others. Assets, jobs, schedules and sensors are in
`trading_assets.defs`.
"""
