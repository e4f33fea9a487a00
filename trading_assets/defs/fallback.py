"""The old name of `trading_assets.dagster_instance.fallback`, which a desk's own dagster.yaml may still have.

A desk whose instance does not open protects nothing, so the old name goes on working.
"""

import sys
from importlib import import_module

sys.modules[__name__] = import_module("trading_assets.dagster_instance.fallback")
