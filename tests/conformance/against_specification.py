"""Alpaca's own documents against a running exchange, by schemathesis: run by `make conformance`.

A pytest module for the environment that `conformance.py` makes; the project's own tests do not collect
it. Requests are generated from the documents and then pointed at things that exist, most of them, since
a made-up order id proves a 404 only. An answer of a documented status has to fit its documented schema;
any other has to be a refusal in Alpaca's form. Each operation has to succeed at least once.
"""

from __future__ import annotations

import json
import os
import re
from collections import Counter
from collections.abc import Iterator, Sequence
from functools import reduce
from pathlib import Path
from typing import Any

import hypothesis
import pytest
import schemathesis
from hypothesis import strategies as st
from operations import CORRECTED, EXCLUDED, IMPLEMENTED, NEEDED, SELDOM
from schemathesis.checks import content_type_conformance, not_a_server_error, response_schema_conformance

URL = os.environ["EXCHANGE_URL"]
DOCUMENTS = Path(os.environ["EXCHANGE_DOCUMENTS"])
KNOWN: dict[str, list[Any]] = json.loads(os.environ["EXCHANGE_KNOWN"])  # parameter → values that exist
HEADERS = {
    "APCA-API-KEY-ID": os.environ["EXCHANGE_KEY"],
    "APCA-API-SECRET-KEY": os.environ["EXCHANGE_SECRET"],
}
EXAMPLES = int(os.environ.get("EXCHANGE_EXAMPLES", "60"))
REFUSALS = {400, 403, 404, 422}
MOSTLY = st.sampled_from([True, True, True, False])
LAST = ("deleteOrderByOrderID", "deleteAllOrders", "deleteOpenPosition", "deleteAllOpenPositions")
UNIQUE = {"client_order_id"}  # in a body it has to be new
CHECKS = [not_a_server_error, content_type_conformance, response_schema_conformance]


def _operations(document: str) -> Iterator[tuple[str, Any]]:
    content = json.loads((DOCUMENTS / f"{document}.json").read_text())
    for (of, *path), (written, meant) in CORRECTED.items():
        if of == document:
            place = reduce(lambda result, name: result[name], path, content)
            place[meant] = place.pop(written)
    for result in schemathesis.openapi.from_dict(content).get_all_operations():
        operation = result.ok()
        yield operation.definition.raw["operationId"], operation


ALL = {(document, name): operation for document in IMPLEMENTED for name, operation in _operations(document)}
CASES = sorted(
    ((document, name) for document, names in IMPLEMENTED.items() for name in names),
    key=lambda case: LAST.index(case[1]) if case[1] in LAST else -1,  # what takes away what others ask for
)


@pytest.mark.parametrize("document", IMPLEMENTED)
def test_every_operation_is_implemented_or_excluded_with_a_reason(document: str) -> None:
    for (of, name), operation in ALL.items():
        if of == document and name not in IMPLEMENTED[document]:
            reasons = [why for why, paths in EXCLUDED.items() if re.fullmatch(paths, operation.path)]
            assert len(reasons) == 1, f"{operation.method.upper()} {operation.path} ({name}): {reasons}"


@pytest.mark.parametrize(("document", "name"), CASES, ids=[name for _, name in CASES])
def test_answers_are_as_documented(document: str, name: str) -> None:
    operation = ALL[document, name]
    documented = {int(status) for status in operation.definition.raw["responses"] if status.isdigit()}
    answered: Counter[int] = Counter()
    refused: Counter[str] = Counter()

    @hypothesis.settings(
        max_examples=EXAMPLES, deadline=None, database=None, derandomize=True,
        suppress_health_check=list(hypothesis.HealthCheck),
    )  # fmt: skip
    @hypothesis.given(case=operation.as_strategy(), data=st.data())
    def ask(case: Any, data: st.DataObject) -> None:
        _point_at_what_exists(case, data, NEEDED.get(name, ()))
        response = case.call(base_url=URL, headers=HEADERS)
        answered[response.status_code] += 1
        if response.status_code >= 400:
            refused[f"{response.status_code} {response.text[:120]}"] += 1
        if response.status_code in documented:
            case.validate_response(response, checks=CHECKS)
        else:
            assert response.status_code in REFUSALS, f"{response.status_code}: {response.text}"
            refusal = response.json()
            assert type(refusal["code"]) is int, refusal
            assert refusal["message"], refusal

    ask()
    print(f"{name}: {dict(sorted(answered.items()))}, refused: {refused.most_common(3)}")
    assert any(200 <= status < 300 for status in answered), f"never succeeded: {refused}"


def _point_at_what_exists(case: Any, data: st.DataObject, needed: Sequence[str]) -> None:
    """Replace what the exchange knows by name, leave out what it nearly always refuses and add what it
    needs although the document does not say so: three times out of four each."""
    if isinstance(case.body, dict):
        case.body = dict(case.body)  # generated parts may be shared between examples
        for name in SELDOM:
            if name in case.body and data.draw(MOSTLY):
                del case.body[name]
        case.body |= {name: "" for name in needed if name not in case.body and data.draw(MOSTLY)}
    for members in (case.path_parameters, case.query, case.body):
        if isinstance(members, dict):
            for name in sorted(KNOWN.keys() & members.keys() - (UNIQUE if members is case.body else set())):
                if data.draw(MOSTLY):
                    members[name] = data.draw(st.sampled_from(KNOWN[name]))
