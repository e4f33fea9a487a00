"""The control plane from the caller's side: moves the virtual clock, halts symbols, sets quotes.

For whoever keeps the exchange (the demo, the lockstep sensor, a test); the desk never holds one.
"""

from __future__ import annotations

from decimal import Decimal
from typing import Any

import requests

from trading_assets.errors import TradingAssetsError

TIMEOUT_SECONDS = (2.0, 60.0)


class ControlRefused(TradingAssetsError):
    """The control plane did not do it; the message is its answer."""


class Keeper:
    """A client of one exchange's control plane. Raises ControlRefused for anything but success."""

    def __init__(self, control_url: str, token: str) -> None:
        self._url = control_url
        self._session = requests.Session()
        self._session.trust_env = False  # loopback: no proxy of the environment is asked
        self._session.headers["Authorization"] = f"Bearer {token}"

    def close(self) -> None:
        self._session.close()

    def now_ns(self) -> int:
        """The exchange's virtual time."""
        return int(self._call("GET", "/clock")["now_ns"])

    def move_to(self, now_ns: int) -> None:
        """Play the tape up to there; only forward."""
        self._call("POST", "/clock", {"set_ns": now_ns})

    def transfer(self, amount_usd: Decimal) -> None:
        """Deposit (> 0) or withdraw (< 0) cash."""
        self._call("POST", "/transfer", {"amount": str(amount_usd)})

    def halt(self, symbol: str, *, halted: bool = True) -> None:
        self._call("POST", "/halt", {"symbol": symbol, "halted": halted})

    def quote(self, symbol: str, bid: float, ask: float) -> None:
        """Quote by hand until `tape_quote`; 0 is an absent side."""
        self._call("POST", "/quote", {"symbol": symbol, "bid": str(bid), "ask": str(ask)})

    def tape_quote(self, symbol: str) -> None:
        """Back to the quotes that the tape gives."""
        self._call("POST", "/quote", {"symbol": symbol})

    def clients(self) -> dict[str, int]:
        """Requests to the public APIs by User-Agent, since the exchange started."""
        return dict(self._call("GET", "/clients")["clients"])

    def journal(self) -> str:
        """The exchange's own event journal."""
        return str(self._call("GET", "/journal", as_text=True))

    def _call(
        self, method: str, path: str, body: dict[str, Any] | None = None, *, as_text: bool = False
    ) -> Any:
        try:
            answer = self._session.request(method, self._url + path, json=body, timeout=TIMEOUT_SECONDS)
        except requests.RequestException as error:
            raise ControlRefused(f"the exchange's control plane does not answer: {error}") from error
        if answer.status_code >= 400:
            raise ControlRefused(f"{method} {path}: HTTP {answer.status_code}: {answer.text}")
        return answer.text if as_text else answer.json()
