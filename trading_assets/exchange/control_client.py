"""A client of the control plane: moves the clock, halts symbols, sets quotes, scripts faults.

For whatever controls the exchange (the demo, the lockstep sensor, a test); the desk never holds one.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from decimal import Decimal
from typing import Any

import requests

from trading_assets.errors import TradingAssetsError
from trading_assets.no_answer import plain_words

TIMEOUT_SECONDS = (2.0, 60.0)


class ControlRefused(TradingAssetsError):
    """The control plane refused the request; the message is its answer."""


class ControlClient:
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
        """Play the tape up to that time; only forward, and only while time stands."""
        self._call("POST", "/clock", {"set_ns": now_ns})

    def run(self, speed: float) -> None:
        """Let time run from where it is, `speed` virtual seconds a real second."""
        self._call("POST", "/clock", {"speed": speed})

    def stand(self) -> None:
        """Stop time where it is."""
        self._call("POST", "/clock", {"speed": None})

    def speed(self) -> float | None:
        """None: time stands."""
        speed = self._call("GET", "/clock")["speed"]
        return None if speed is None else float(speed)

    def transfer(self, amount_usd: Decimal) -> None:
        """Deposit (> 0) or withdraw (< 0) cash."""
        self._call("POST", "/transfer", {"amount": str(amount_usd)})

    def reset(self, cash_usd: Decimal) -> str:
        """Replace the account by a new, empty one; returns its number."""
        return str(self._call("POST", "/account/reset", {"cash": str(cash_usd)})["account_number"])

    def post_activity(
        self,
        kind: str,
        amount_usd: Decimal,
        *,
        symbol: str | None = None,
        qty: Decimal | None = None,
        description: str = "",
    ) -> str:
        """Book cash under an activity type (FEE, INT, …); < 0: the account pays. Returns the activity's
        id."""
        members = {"kind": kind, "amount": str(amount_usd), "symbol": symbol, "description": description}
        return self._book("/activity", members if qty is None else members | {"qty": str(qty)})

    def bust(self, activity_id: str) -> str:
        """Undo a fill; returns the id of the activity that records it."""
        return self._book("/bust", {"activity_id": activity_id})

    def correct(self, activity_id: str, price_usd: Decimal) -> str:
        """Give a fill another price; returns the id of the activity that records it."""
        return self._book("/correct", {"activity_id": activity_id, "price": str(price_usd)})

    def move_shares(self, symbol: str, qty_change: Decimal) -> str:
        """Journal shares in (> 0) or out; returns the activity's id."""
        return self._book("/position", {"symbol": symbol, "qty_change": str(qty_change)})

    def hold_splits(self, symbol: str, *, held_back: bool = True) -> None:
        """Say whether the symbol's splits wait for `book_split` on their ex-date."""
        self._call("POST", "/split/hold", {"symbol": symbol, "held_back": held_back})

    def announce_split(self, symbol: str) -> None:
        """List the symbol's next split ahead of its ex-date, from when on it may be booked."""
        self._call("POST", "/split/announce", {"symbol": symbol})

    def book_split(self, symbol: str, *, in_two_lines: bool = False, in_lieu: bool = False) -> bool:
        """Book the next line of a split that waits; returns whether there was one."""
        members = {"symbol": symbol, "in_two_lines": in_two_lines, "in_lieu": in_lieu}
        return bool(self._call("POST", "/split/book", members)["booked"])

    def _book(self, path: str, members: dict[str, Any]) -> str:
        return str(self._call("POST", path, members)["activity_id"])

    def halt(self, symbol: str, *, halted: bool = True) -> None:
        self._call("POST", "/halt", {"symbol": symbol, "halted": halted})

    def quote(self, symbol: str, bid: float, ask: float) -> None:
        """Quote by hand until `tape_quote`; 0 is an absent side."""
        self._call("POST", "/quote", {"symbol": symbol, "bid": str(bid), "ask": str(ask)})

    def tape_quote(self, symbol: str) -> None:
        """Go back to the quotes of the tape."""
        self._call("POST", "/quote", {"symbol": symbol})

    def script(self, faults: Sequence[Mapping[str, object]]) -> None:
        """Replace the fault script (`exchange.faults.script`); counts begin anew, [] clears it."""
        self._call("POST", "/faults", {"faults": [dict(fault) for fault in faults]})

    def faults(self) -> list[dict[str, Any]]:
        """The script, each fault with the matching `calls_seen` and how often it has `fired`."""
        return list(self._call("GET", "/faults")["faults"])

    def clients(self) -> dict[str, int]:
        """How many requests each User-Agent has sent to the public APIs, with the keys, since the exchange
        started."""
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
            raise ControlRefused(
                f"the exchange's control plane does not answer: {plain_words(error)}"
            ) from error
        if answer.status_code >= 400:
            raise ControlRefused(f"{method} {path}: HTTP {answer.status_code}: {answer.text}")
        return answer.text if as_text else answer.json()
