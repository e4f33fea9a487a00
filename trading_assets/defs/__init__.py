"""Dagster, and nothing else: assets, checks, jobs, resources and the definitions they make up.

What a step does is `trading_assets.engine`'s; a module here names it, hands it the partition and the
configuration, and shows what came of it. Dagster looks at the annotations of what it decorates as objects, so
modules with decorated functions do without postponed annotations.
"""
