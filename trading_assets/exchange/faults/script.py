"""The fault script: which faults strike, and at which call. It counts calls; nothing is random.

A fault fires at its `nth` matching call after the script was set, and at the `times` − 1 after it. What
counts as a call depends on its kind: a request to the Alpaca API, an open order that is to be cancelled, a
fill, or a message of a stream. A script is not part of the exchange's journal. The modules beside this one
carry the faults out: `http.py` (requests), `account.py` (cancels, positions, activities);
`streams/connections.py` does so for messages.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal
from enum import StrEnum
from typing import Any, NamedTuple

from trading_assets.exchange.refusals import malformed


class FaultKind(StrEnum):
    """Done: the request was carried out in full; only its answer suffers."""

    # requests
    DELAY = "delay"  # carried out `seconds` late, whether or not the client still waits
    DROP = "drop"  # the connection is closed, nothing was done
    RESET_AFTER_COMMIT = "reset_after_commit"  # done; the connection is reset instead of an answer
    HANG_AFTER_COMMIT = "hang_after_commit"  # done; silence for `seconds`, then the connection is closed
    GATEWAY_TIMEOUT_AFTER_COMMIT = "gateway_timeout_after_commit"  # done; 504 with a JSON body
    HTML_502 = "html_502"  # nothing was done
    HTML_502_AFTER_COMMIT = "html_502_after_commit"
    RATE_LIMITED = "rate_limited"  # 429, nothing was done
    SERVER_ERROR = "server_error"  # 500, nothing was done
    TRUNCATED_JSON = "truncated_json"  # done; the first half of the answer
    UNKNOWN_ENUM = "unknown_enum"  # done; `field` holds a word never seen, wherever it stands
    MISSING_FIELD = "missing_field"  # done; `field` is taken out, wherever it stands
    ZERO_SIDED_QUOTE = "zero_sided_quote"  # the `symbol`'s quote has no `side` (bid or ask)
    MISSING_BAR = "missing_bar"  # the `symbol`'s last bar of an answer is not in it
    STRANGE_ROW = "strange_row"  # done; lists of the answer have one more row, of what no equity desk made
    ORDER_ENDED = "order_ended"  # before it is carried out, open orders end at the broker as `status`
    SPLIT_BOOKED = "split_booked"  # before it is carried out, the next line of a split that waits is booked
    SPLIT_UNLISTED = "split_unlisted"  # done; corporate actions are listed without the `symbol`'s splits
    # cancels, of the `symbol` or of any
    STUCK_PENDING_CANCEL = "stuck_pending_cancel"  # accepted; carried out `calls` requests or `seconds` later
    IGNORED_CANCEL = "ignored_cancel"  # accepted, and never carried out
    # fills
    POSITION_LAG = "position_lag"  # the next `reads` of positions answer as before the fill
    MISSING_FILL_ACTIVITY = "missing_fill_activity"  # the next `reads` of activities leave the fill out
    # messages of a stream
    UPDATE_MISSING = "update_missing"  # never sent
    UPDATE_DUPLICATE = "update_duplicate"  # sent twice
    UPDATE_REORDERED = "update_reordered"  # held back and sent after the next
    SOCKET_CLOSED = "socket_closed"  # instead of the message every socket of the stream is closed
    SOCKET_MUTE = "socket_mute"  # the sockets that are open stay open and are silent from now on


CANCELS = frozenset({FaultKind.STUCK_PENDING_CANCEL, FaultKind.IGNORED_CANCEL})
UPDATES = frozenset(
    {
        FaultKind.UPDATE_MISSING,
        FaultKind.UPDATE_DUPLICATE,
        FaultKind.UPDATE_REORDERED,
        FaultKind.SOCKET_CLOSED,
        FaultKind.SOCKET_MUTE,
    }
)
FILLS = frozenset({FaultKind.POSITION_LAG, FaultKind.MISSING_FILL_ACTIVITY})
REQUESTS = frozenset(FaultKind) - CANCELS - UPDATES - FILLS

TRADING_STREAM = "/stream"
_QUOTES = r"/v2/stocks/(.+/)?(quotes/latest|snapshots?)"
_BARS = r"/v2/stocks/(.+/)?bars(/latest)?"
STRANGE_ROWS_AT = r"/v2/orders|/v2/positions|/v2/account/activities|/v1/corporate-actions"
ENDS = ("rejected", "expired", "canceled")


class _Form(NamedTuple):
    """What a kind needs and may have besides, and which calls it means unless it says so itself."""

    needs: tuple[str, ...] = ()
    takes: tuple[str, ...] = ()
    method: str | None = None
    path: str | None = None


_FORMS = {
    FaultKind.DELAY: _Form(("seconds",)),
    FaultKind.HANG_AFTER_COMMIT: _Form(("seconds",)),
    FaultKind.UNKNOWN_ENUM: _Form(("field",)),
    FaultKind.MISSING_FIELD: _Form(("field",)),
    FaultKind.ZERO_SIDED_QUOTE: _Form(("symbol", "side"), method="GET", path=_QUOTES),
    FaultKind.MISSING_BAR: _Form(("symbol",), method="GET", path=_BARS),
    FaultKind.STRANGE_ROW: _Form(method="GET", path=STRANGE_ROWS_AT),
    FaultKind.ORDER_ENDED: _Form(("status",), ("symbol",)),
    FaultKind.SPLIT_BOOKED: _Form(("symbol",), ("in_two_lines", "in_lieu")),
    FaultKind.SPLIT_UNLISTED: _Form(("symbol",), method="GET", path="/v1/corporate-actions"),
    FaultKind.STUCK_PENDING_CANCEL: _Form((), ("symbol", "calls", "seconds")),
    FaultKind.IGNORED_CANCEL: _Form((), ("symbol",)),
    FaultKind.POSITION_LAG: _Form(("reads",)),
    FaultKind.MISSING_FILL_ACTIVITY: _Form(("reads",)),
} | {kind: _Form(path=TRADING_STREAM) for kind in UPDATES}


@dataclass(frozen=True, slots=True)
class ExchangeFault:
    """One line of the script. `times` None: for ever. The rest is what its kind needs (`Kind`)."""

    kind: FaultKind
    method: str | None = None
    path: re.Pattern[str] | None = None
    nth: int = 1
    times: int | None = 1
    seconds: float | None = None
    field: str = ""
    symbol: str | None = None
    side: str = ""
    calls: int | None = None
    reads: int = 0
    status: str = ""
    in_two_lines: bool = False
    in_lieu: bool = False

    def matches(self, method: str, path: str, symbol: str) -> bool:
        return (
            self.method in (None, method)
            and (self.path is None or bool(self.path.fullmatch(path)))
            and (self.kind not in CANCELS or self.symbol in (None, symbol))
        )

    def fires_at(self, call: int) -> bool:
        """Whether it fires at the `call`-th matching call; the first is 1."""
        return self.nth <= call and (self.times is None or call < self.nth + self.times)


class FaultScript:
    """The faults in force. Each counts its own matching calls."""

    def __init__(self) -> None:
        self._faults: tuple[ExchangeFault, ...] = ()
        self._given: tuple[Mapping[str, Any], ...] = ()
        self._calls: list[int] = []
        self._fired: list[int] = []
        self._endings: list[Callable[[], None]] = []

    def at_end(self, end: Callable[[], None]) -> None:
        """Call `end` whenever the script is replaced, for faults that last."""
        self._endings.append(end)

    def replace(self, lines: Sequence[Mapping[str, Any]]) -> None:
        """Replace the script by these lines; counts begin anew. Raises ApiRefusal 422 for a line that is no
        fault."""
        faults = tuple(read_fault(line) for line in lines)
        for end in self._endings:
            end()
        self._faults = faults
        self._given = tuple({name: _plain(value) for name, value in line.items()} for line in lines)
        self._calls = [0] * len(lines)
        self._fired = [0] * len(lines)

    def call(
        self, kinds: Collection[FaultKind], *, method: str = "", path: str = "", symbol: str = ""
    ) -> list[ExchangeFault]:
        """Count a call for the faults of these kinds; returns those that fire, in the script's order."""
        firing = []
        for row, fault in enumerate(self._faults):
            if fault.kind in kinds and fault.matches(method, path, symbol):
                self._calls[row] += 1
                if fault.fires_at(self._calls[row]):
                    self._fired[row] += 1
                    firing.append(fault)
        return firing

    def lines(self) -> list[dict[str, Any]]:
        """The script as it was given, with the matching `calls_seen` and how often each has `fired`."""
        counts = zip(self._given, self._calls, self._fired, strict=True)
        return [{**given, "calls_seen": calls, "fired": fired} for given, calls, fired in counts]


def read_fault(members: Mapping[str, Any]) -> ExchangeFault:
    """The fault in a line of JSON (numbers as Decimal). Raises ApiRefusal 422, which says what is wrong."""
    word = members.get("kind")
    if not isinstance(word, str) or word not in set(FaultKind):
        raise malformed(f"unknown kind of fault {word!r}; one of {', '.join(FaultKind)}")
    kind = FaultKind(word)
    form = _FORMS.get(kind, _Form())
    known = {"kind", "nth", "times", *form.needs, *form.takes}
    if kind not in FILLS:
        known |= {"method", "path"}
    if unknown := sorted(set(members) - known):
        raise malformed(f"{kind} has no {', '.join(unknown)}; it has {', '.join(sorted(known))}")
    if missing := [name for name in form.needs if members.get(name) is None]:
        raise malformed(f"{kind} needs {', '.join(missing)}")
    return ExchangeFault(
        kind,
        method=_text(members, "method") or form.method,
        path=_pattern(_text(members, "path") or form.path),
        nth=_count(members, "nth") or 1,
        times=None if members.get("times", 1) is None else _count(members, "times") or 1,
        seconds=_seconds(members),
        field=_text(members, "field") or "",
        symbol=_text(members, "symbol"),
        side=_side(members),
        calls=_count(members, "calls"),
        reads=_count(members, "reads") or 0,
        status=_end(members),
        in_two_lines=_yes(members, "in_two_lines"),
        in_lieu=_yes(members, "in_lieu"),
    )


def _plain(value: Any) -> Any:
    """A JSON number as it was written."""
    if isinstance(value, Decimal):
        return int(value) if value == value.to_integral_value() else float(value)
    return value


def _text(members: Mapping[str, Any], name: str) -> str | None:
    value = members.get(name)
    if value is not None and (not isinstance(value, str) or not value):
        raise malformed(f"{name} is not a text")
    return value


def _side(members: Mapping[str, Any]) -> str:
    side = _text(members, "side") or ""
    if side not in ("", "bid", "ask"):
        raise malformed(f"side {side!r} is neither bid nor ask")
    return side


def _end(members: Mapping[str, Any]) -> str:
    status = _text(members, "status") or ""
    if status not in ("", *ENDS):
        raise malformed(f"status {status!r} is none of {', '.join(ENDS)}")
    return status


def _yes(members: Mapping[str, Any], name: str) -> bool:
    value = members.get(name, False)
    if not isinstance(value, bool):
        raise malformed(f"{name} is neither true nor false")
    return value


def _count(members: Mapping[str, Any], name: str) -> int | None:
    value = members.get(name)
    if value is None:
        return None
    if not isinstance(value, Decimal) or value != value.to_integral_value() or not 1 <= value <= 10**9:
        raise malformed(f"{name} is not a whole number of 1 or more")
    return int(value)


def _seconds(members: Mapping[str, Any]) -> float | None:
    value = members.get("seconds")
    if value is None:
        return None
    if not isinstance(value, Decimal) or not 0 <= value <= 10**6:
        raise malformed("seconds is not a number of 0 or more")
    return float(value)


def _pattern(text: str | None) -> re.Pattern[str] | None:
    if text is None:
        return None
    try:
        return re.compile(text)
    except re.error as error:
        raise malformed(f"path {text!r} is not a regular expression: {error}") from error
