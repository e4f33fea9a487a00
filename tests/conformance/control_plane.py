"""The control plane's description in OpenAPI, from its own routes, for schemathesis: `make conformance`.

There is no document of it elsewhere; what its members are is in `exchange/http/control.py`. Everything
optional is left to the generator, which also sends what is not described.
"""

from __future__ import annotations

from typing import Any

from starlette.routing import Route

_NUMBER = {"type": ["number", "string"]}
_TEXT = {"type": "string"}
_INTEGER = {"type": "integer"}
_TRUTH = {"type": "boolean"}
_MEMBERS: dict[str, dict[str, Any]] = {
    "/clock": {
        "set_ns": _INTEGER,
        "step_ns": _INTEGER,
        "speed": {"type": ["number", "null"]},
    },
    "/account/reset": {"cash": _NUMBER},
    "/transfer": {"amount": _NUMBER},
    "/activity": {"kind": _TEXT, "amount": _NUMBER, "symbol": _TEXT, "qty": _NUMBER, "description": _TEXT},
    "/bust": {"activity_id": _TEXT},
    "/correct": {"activity_id": _TEXT, "price": _NUMBER},
    "/position": {"symbol": _TEXT, "qty_change": _NUMBER},
    "/split/hold": {"symbol": _TEXT, "held_back": _TRUTH},
    "/split/announce": {"symbol": _TEXT},
    "/split/book": {"symbol": _TEXT, "in_two_lines": _TRUTH, "in_lieu": _TRUTH},
    "/halt": {"symbol": _TEXT, "halted": _TRUTH},
    "/quote": {"symbol": _TEXT, "bid": _NUMBER, "ask": _NUMBER, "spread_bps": _NUMBER},
    "/faults": {"faults": {"type": "array", "items": {"type": "object"}}},
}


def described(routes: list[Route]) -> dict[str, Any]:
    """OpenAPI 3.1 of these routes. Raises KeyError for one with a body that nothing here says."""
    paths: dict[str, dict[str, Any]] = {}
    for route in routes:
        for method in sorted((route.methods or set()) - {"HEAD"}):
            operation: dict[str, Any] = {
                "operationId": f"{method.lower()}{route.path.replace('/', '_')}",
                "responses": {"200": {"description": "done"}, "401": {"description": "no token"},
                              "422": {"description": "refused"}},
            }  # fmt: skip
            if method == "POST":
                body = {"type": "object", "properties": _MEMBERS[route.path]}
                operation["requestBody"] = {
                    "content": {"application/json": {"schema": body}},
                    "required": True,
                }
            paths.setdefault(route.path, {})[method.lower()] = operation
    return {"openapi": "3.1.0", "info": {"title": "control plane", "version": "1"}, "paths": paths}
