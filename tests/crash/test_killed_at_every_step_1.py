"""The first half of the fixed choice of crashes and faults; the other half is the next file's, for the
other worker."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from parts import run_part

pytestmark = [pytest.mark.slow(seconds=200), pytest.mark.exchange]


@pytest.mark.parametrize("part", ["1/4", "2/4"])
def test_no_crash_or_fault_costs_a_fill_or_sends_an_order_twice(
    part: str, record_property: Callable[[str, object], None], tmp_path_factory: pytest.TempPathFactory
) -> None:
    run_part(part, record_property, tmp_path_factory.getbasetemp())
