"""What a day of faults draws from: one line each of the exchange's script. Which call it meets is drawn."""

from __future__ import annotations

FAULTS: tuple[dict[str, object], ...] = (
    {"kind": "reset_after_commit", "method": "POST"},
    {"kind": "gateway_timeout_after_commit", "method": "POST"},
    {"kind": "hang_after_commit", "method": "POST", "seconds": 0.2},
    {"kind": "html_502", "method": "POST"},
    {"kind": "html_502"},
    {"kind": "html_502_after_commit", "method": "DELETE"},
    {"kind": "drop"},
    {"kind": "drop", "method": "POST"},
    {"kind": "delay", "seconds": 0.1},
    {"kind": "server_error", "times": 3},
    {"kind": "rate_limited", "times": 4},
    {"kind": "truncated_json"},
    {"kind": "truncated_json", "method": "POST"},
    {"kind": "unknown_enum", "field": "status", "path": "/v2/orders.*"},
    {"kind": "missing_field", "field": "qty", "path": "/v2/positions"},
    {"kind": "missing_field", "field": "id", "path": "/v2/orders.*"},
    {"kind": "stuck_pending_cancel", "calls": 5},
    {"kind": "ignored_cancel"},
    {"kind": "position_lag", "reads": 1},
    {"kind": "missing_fill_activity", "reads": 1},
    {"kind": "zero_sided_quote", "symbol": "AAPL", "side": "ask", "times": 2},
    {"kind": "missing_bar", "symbol": "MSFT"},
    {"kind": "strange_row", "times": 4},
    {"kind": "order_ended", "status": "rejected"},
    {"kind": "order_ended", "status": "canceled"},
)
