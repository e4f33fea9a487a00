"""Faults in what the account shows: cancels that do not take effect, positions and activities that lag.

The venue itself goes on unchanged; this module delays what it is asked to do and what its answers say.
Nothing of it outlives the process.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from starlette.responses import JSONResponse, Response

from trading_assets.exchange import payloads
from trading_assets.exchange.account import VenueExecution, VenueHolding
from trading_assets.exchange.faults.script import CANCELS, FILLS, ExchangeFault, FaultKind, FaultScript
from trading_assets.exchange.ids import asset_id
from trading_assets.exchange.orders import Status, VenueOrder
from trading_assets.exchange.recorder import Recorded
from trading_assets.exchange.refusals import ApiRefusal, not_found, unprocessable
from trading_assets.exchange.venue import Venue

_ORDERS, _POSITIONS, _ACTIVITIES = "/v2/orders", "/v2/positions", "/v2/account/activities"
_PENDING_CANCEL = "pending_cancel"


@dataclass(slots=True)
class _Stuck:
    """A cancel that waits: for so many more requests, or until the exchange's time; both None: for ever."""

    calls_left: int | None
    until_ns: int | None


@dataclass(slots=True)
class _Lag:
    """Positions as they were, for so many more reads."""

    holdings: Mapping[str, VenueHolding] = field(default_factory=dict)
    reads_left: int = 0


class AccountFaults:
    def __init__(self, venue: Venue, script: FaultScript) -> None:
        self._venue = venue
        self._script = script
        self._stuck: dict[str, _Stuck] = {}  # by order id
        self._lag = _Lag()
        self._hidden: dict[str, int] = {}  # activity id → reads left
        self._keep()
        venue.subscribe(self._look_for_fills)
        script.at_end(self._end)

    # What is asked of the account

    def answer(self, method: str, path: str) -> Response | None:
        """The answer that replaces the API's own; None where no fault strikes. Call it once for each
        request."""
        self._count_request(path)
        if method == "DELETE" and path.startswith(_ORDERS):
            return self._answer_cancel(path)
        if method == "PATCH" and path.removeprefix(_ORDERS + "/") in self._stuck:
            return _pending_cancel()
        if method == "GET" and path.startswith(_POSITIONS) and self._lag.reads_left:
            self._lag.reads_left -= 1
            return self._answer_positions(path.removeprefix(_POSITIONS).strip("/"))
        return None

    def alters(self, method: str, path: str) -> bool:
        """Whether `altered` may change such answers."""
        if path.startswith(_ORDERS):
            return bool(self._stuck) and method != "DELETE"
        return bool(self._hidden) and path.startswith(_ACTIVITIES)

    def altered(self, path: str, body: Any) -> Any:
        """An answer's JSON with the delays applied: pending cancels, activities left out."""
        if path.startswith(_ORDERS):
            return [self._shown(order) for order in body] if isinstance(body, list) else self._shown(body)
        hidden = dict(self._hidden)
        self._hidden = {id_: reads - 1 for id_, reads in hidden.items() if reads > 1}
        return [activity for activity in body if activity.get("id") not in hidden]

    def _shown(self, order: Any) -> Any:
        if isinstance(order, dict) and order.get("id") in self._stuck and self._is_open(order["id"]):
            return order | {"status": _PENDING_CANCEL}
        return order

    def end_orders(self, status: Status, symbol: str | None) -> None:
        """End every open order, or those of one symbol, as the broker does by itself."""
        for order in list(self._venue.state.account.open_orders()):
            if symbol in (None, order.symbol):
                self._venue.end(order.id, status)
                self._stuck.pop(order.id, None)

    def book_split(self, fault: ExchangeFault) -> None:
        """Book the next line of the symbol's split, if one waits."""
        assert fault.symbol is not None
        self._venue.splits.book(fault.symbol, in_two_lines=fault.in_two_lines, in_lieu=fault.in_lieu)

    # Cancels

    def _answer_cancel(self, path: str) -> Response | None:
        order_id = path.removeprefix(_ORDERS).strip("/")
        if order_id:
            order = self._venue.state.account.orders.get(order_id)
            if order is None or not order.is_open:
                return None
            if order_id in self._stuck:
                return _pending_cancel()
            return Response(status_code=204) if self._is_held_back(order, path) else None
        orders = [o for o in self._venue.state.account.open_orders() if o.id not in self._stuck]
        held = {order.id for order in orders if self._is_held_back(order, path)}
        if not held and not self._stuck:
            return None
        for order in orders:
            if order.id not in held:
                self._venue.cancel(order.id)
        return JSONResponse([{"id": order.id, "status": 200} for order in orders], status_code=207)

    def _is_held_back(self, order: VenueOrder, path: str) -> bool:
        faults = self._script.call(CANCELS, method="DELETE", path=path, symbol=order.symbol)
        for fault in faults:
            if fault.kind is FaultKind.STUCK_PENDING_CANCEL:
                self._stuck[order.id] = self._stuck_by(fault)
        return bool(faults)

    def _stuck_by(self, fault: ExchangeFault) -> _Stuck:
        until_ns = None
        if fault.seconds is not None:
            until_ns = self._venue.now_ns + int(fault.seconds * 1_000_000_000)
        return _Stuck(fault.calls, until_ns)

    def _count_request(self, path: str) -> None:
        """A stuck cancel is seen by as many requests to the trading API as it says, then carried out."""
        if path.startswith("/v2/stocks/"):
            return
        for order_id, stuck in list(self._stuck.items()):
            if stuck.calls_left is not None:
                if not stuck.calls_left:
                    self._release(order_id)
                stuck.calls_left -= 1

    def advance(self, to_ns: int) -> None:
        """Move the venue's clock, and carry out at its time each cancel that becomes due on the way."""
        while True:
            due = [(s.until_ns, id_) for id_, s in self._stuck.items() if s.until_ns is not None]
            until_ns, order_id = min(due, default=(to_ns + 1, ""))
            if until_ns > to_ns:
                break
            self._venue.move_clock(max(until_ns, self._venue.now_ns))
            self._release(order_id)
        self._venue.move_clock(to_ns)

    def _release(self, order_id: str) -> None:
        del self._stuck[order_id]
        if self._is_open(order_id):
            self._venue.cancel(order_id)

    def _end(self) -> None:
        """End every failing that lasts, as when the script is replaced: cancels are carried out."""
        for order_id in list(self._stuck):
            self._release(order_id)
        self._lag = _Lag()
        self._hidden = {}

    def _is_open(self, order_id: str) -> bool:
        order = self._venue.state.account.orders.get(order_id)
        return order is not None and order.is_open

    # Fills

    def _keep(self) -> None:
        """Keep what the account holds now, which is what it held before the next fill."""
        account = self._venue.state.account
        self._account_number = account.number
        self._holdings = dict(account.holdings)
        self._activities_seen = len(account.activities)

    def _look_for_fills(self, stored: Sequence[Recorded]) -> None:
        account = self._venue.state.account
        new = account.activities[self._activities_seen :] if account.number == self._account_number else ()
        for activity in new:
            if activity.order is None or activity.execution is not VenueExecution.FILL:
                continue
            for fault in self._script.call(FILLS):
                if fault.kind is FaultKind.POSITION_LAG:
                    self._lag = _Lag(self._holdings, fault.reads)
                else:
                    self._hidden[activity.id] = fault.reads
        self._keep()

    def _answer_positions(self, wanted: str) -> Response:
        held = self._lag.holdings
        if not wanted:
            return JSONResponse([self._position(symbol, held[symbol]) for symbol in sorted(held)])
        for symbol, holding in held.items():
            if wanted in (symbol, asset_id(symbol)):
                return JSONResponse(self._position(symbol, holding))
        return _refused(not_found("position does not exist"))

    def _position(self, symbol: str, holding: VenueHolding) -> payloads.Json:
        venue = self._venue
        price, previous = venue.mark(symbol), venue.view.previous_close(symbol, venue.now_ns)
        return payloads.position_json(
            symbol,
            holding,
            held_for_orders=min(venue.state.account.held_for_orders(symbol), holding.qty),
            price=price,
            previous_close=price if previous is None else previous.price,
        )


def _pending_cancel() -> Response:
    return _refused(unprocessable(f'order is already in "{_PENDING_CANCEL}" state'))


def _refused(refusal: ApiRefusal) -> Response:
    return JSONResponse(refusal.body, status_code=refusal.status)
