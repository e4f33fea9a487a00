"""How long and how a port is fuzzed: hypothesis's settings for all of it. FUZZ_EXAMPLES asks for longer."""

from __future__ import annotations

import os

from hypothesis import HealthCheck, settings


def fuzzed(examples: int) -> settings:
    """The same requests each time. examples: how many where FUZZ_EXAMPLES does not say"""
    return settings(
        max_examples=int(os.environ.get("FUZZ_EXAMPLES", str(examples))),
        deadline=None,
        database=None,
        derandomize=True,
        suppress_health_check=list(HealthCheck),
    )
