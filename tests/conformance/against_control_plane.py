"""The control plane under generated requests, by schemathesis: run by `make conformance`, as its sibling is.

Everything that is generated is answered or refused, never a failure of the server's own; without the token
nothing is answered at all. A script of faults that was taken is cleared, since it makes failures on purpose.
"""

from __future__ import annotations

import json
import os
from collections import Counter
from pathlib import Path
from typing import Any

import hypothesis
import pytest
import requests
import schemathesis

URL = os.environ["EXCHANGE_CONTROL_URL"]
HEADERS = {"Authorization": f"Bearer {os.environ['EXCHANGE_TOKEN']}"}
EXAMPLES = int(os.environ.get("EXCHANGE_EXAMPLES", "60"))
DOCUMENT = json.loads((Path(os.environ["EXCHANGE_DOCUMENTS"]) / "control.json").read_text())
OPERATIONS = [operation.ok() for operation in schemathesis.openapi.from_dict(DOCUMENT).get_all_operations()]
HOSTILE = {"Authorization": ["Bearer wrong", "Basic x", "Bearer ", ""]}


@pytest.mark.parametrize("operation", OPERATIONS, ids=[f"{one.method} {one.path}" for one in OPERATIONS])
def test_what_is_generated_is_answered_or_refused(operation: Any) -> None:
    answered: Counter[int] = Counter()

    @hypothesis.settings(
        max_examples=EXAMPLES, deadline=None, database=None, derandomize=True,
        suppress_health_check=list(hypothesis.HealthCheck),
    )  # fmt: skip
    @hypothesis.given(case=operation.as_strategy())
    def ask(case: Any) -> None:
        response = case.call(base_url=URL, headers=HEADERS)
        answered[response.status_code] += 1
        assert response.status_code in (200, 404, 422), f"{response.status_code}: {response.text}"
        for wrong in HOSTILE["Authorization"]:
            refused = case.call(base_url=URL, headers={"Authorization": wrong})
            answered[refused.status_code] += 1
            assert refused.status_code == 401, refused.text
        for path, body in (("/faults", {"faults": []}), ("/clock", {"speed": None})):
            requests.post(URL + path, json=body, headers=HEADERS, timeout=60).raise_for_status()

    ask()
    print(f"{operation.method} {operation.path}: {dict(sorted(answered.items()))}")
