"""What runs, schedules and sensors of Dagster are made with, and no definition itself: lanes and tags,
partitions, resources, whose act a run is, what keeps secrets out of its events, how a result is shown.

The definitions are in `trading_assets.defs`; they import from here, and nothing here imports them.
"""
