"""What the exchange answers when it refuses a request: HTTP status, Alpaca's code and message.

One constructor for each row of Alpaca's table. The module that checks a rule says when it applies.
"""

from __future__ import annotations

from typing import Any

from trading_assets.errors import TradingAssetsError


class ApiRefusal(TradingAssetsError):
    """A refused request. `details` are further members of the JSON body."""

    def __init__(self, status: int, code: int, message: str, **details: Any) -> None:
        self.status = status
        self.body: dict[str, Any] = {"code": code, "message": message, **details}
        super().__init__(f"{status}/{code}: {message}")


def unauthorized() -> ApiRefusal:
    return ApiRefusal(401, 40110000, "access key verification failed : access key not found")


def rate_limited() -> ApiRefusal:
    return ApiRefusal(429, 42910000, "rate limit exceeded")


def malformed(message: str) -> ApiRefusal:
    """Missing or malformed fields, unknown words, a client_order_id that is taken."""
    return ApiRefusal(422, 40010001, message)


def unprocessable(message: str) -> ApiRefusal:
    """Well-formed, but against a rule of order entry or of the order's life."""
    return ApiRefusal(422, 42210000, message)


def forbidden(message: str, **details: Any) -> ApiRefusal:
    """Understood, but not allowed to this account now."""
    return ApiRefusal(403, 40310000, message, **details)


def not_found(message: str) -> ApiRefusal:
    return ApiRefusal(404, 40410000, message)


def bad_data_request(message: str) -> ApiRefusal:
    """The market data API answers 400 where the trading API answers 422."""
    return ApiRefusal(400, 40010000, message)
