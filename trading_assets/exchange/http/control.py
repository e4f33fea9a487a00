"""The control plane: what only the exchange's owner may do, on a port of its own, behind a bearer token.

Every POST takes a JSON object; every answer is one, and carries `now_ns`.

    GET  /clock                                  now_ns, is_open, speed (null: time stands)
    POST /clock          {set_ns | step_ns}      play the tape up to there; only forward, only while it stands
    POST /clock          {speed}                 run at so many virtual seconds a second; null: stand still
    POST /account/reset  {cash}                  a new, empty account replaces the present one
    POST /transfer       {amount}                deposit (> 0) or withdraw (< 0) cash
    POST /activity       {kind, amount, ...}     book a fee, interest, …; it may have symbol, qty, description
    POST /bust           {activity_id}           undo a fill
    POST /correct        {activity_id, price}    give a fill another price
    POST /position       {symbol, qty_change}    journal shares in (> 0) or out
    POST /split/hold     {symbol, held_back}     whether its splits wait for /split/book on their ex-date
    POST /split/announce {symbol}                list its next split ahead of its ex-date
    POST /split/book     {symbol, ...}           book the next line of one that waits; it may have
                                                 in_two_lines, in_lieu (cash for a fraction)
    POST /halt           {symbol, halted}        halt or resume a symbol
    POST /quote          {symbol, bid, ask}      quote by hand, 0: no such side; or
                         {symbol, spread_bps}    another spread; or {symbol}: back to the tape
    POST /faults         {faults: [...]}         replace the script (`faults.py`); [] clears it
    GET  /faults                                 the script, and how often each of it has fired
    GET  /journal                                the event journal as text
    GET  /clients                                requests with the keys, by User-Agent, since the start
"""

from __future__ import annotations

import hmac
from collections.abc import Mapping
from decimal import Decimal
from typing import Any

from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from trading_assets.exchange.amounts import parse
from trading_assets.exchange.faults.script import FaultScript
from trading_assets.exchange.http.pace import ClockPace
from trading_assets.exchange.order_entry import read_json
from trading_assets.exchange.refusals import malformed, unauthorized
from trading_assets.exchange.venue import Venue


class ControlApi:
    def __init__(
        self, venue: Venue, pace: ClockPace, script: FaultScript, token: str, clients: Mapping[str, int]
    ) -> None:
        self._venue = venue
        self._pace = pace
        self._script = script
        self._clients = clients
        self._authorization = f"Bearer {token}".encode()

    def routes(self) -> list[Route]:
        return [
            Route("/clock", self.clock, methods=["GET"]),
            Route("/clock", self.move_clock, methods=["POST"]),
            Route("/account/reset", self.reset, methods=["POST"]),
            Route("/transfer", self.transfer, methods=["POST"]),
            Route("/activity", self.activity, methods=["POST"]),
            Route("/bust", self.bust, methods=["POST"]),
            Route("/correct", self.correct, methods=["POST"]),
            Route("/position", self.position, methods=["POST"]),
            Route("/split/hold", self.hold_splits, methods=["POST"]),
            Route("/split/announce", self.announce_split, methods=["POST"]),
            Route("/split/book", self.book_split, methods=["POST"]),
            Route("/halt", self.halt, methods=["POST"]),
            Route("/quote", self.quote, methods=["POST"]),
            Route("/faults", self.faults, methods=["GET"]),
            Route("/faults", self.set_faults, methods=["POST"]),
            Route("/journal", self.journal, methods=["GET"]),
            Route("/clients", self.clients, methods=["GET"]),
        ]

    def _authorize(self, request: Request) -> None:
        given = request.headers.get("authorization", "").encode()
        if not hmac.compare_digest(given, self._authorization):
            raise unauthorized()

    async def _members(self, request: Request) -> Mapping[str, Any]:
        self._authorize(request)
        return read_json(await request.body())

    def _answer(self, **members: object) -> Response:
        return JSONResponse({"now_ns": self._venue.now_ns, **members})

    async def clock(self, request: Request) -> Response:
        self._authorize(request)
        return self._clock()

    def _clock(self) -> Response:
        return self._answer(is_open=self._venue.is_open, speed=self._pace.speed)

    async def clients(self, request: Request) -> Response:
        self._authorize(request)
        return self._answer(clients=dict(self._clients))

    async def move_clock(self, request: Request) -> Response:
        members = await self._members(request)
        if len({"set_ns", "step_ns", "speed"} & set(members)) != 1:
            raise malformed("one of set_ns, step_ns and speed is required, and not two")
        if "speed" in members:
            self._set_speed(members)
            return self._clock()
        if "set_ns" in members:
            to_ns = _nanoseconds(members, "set_ns")
        else:
            to_ns = self._venue.now_ns + _nanoseconds(members, "step_ns")
        self._pace.move(to_ns)
        return self._clock()

    def _set_speed(self, members: Mapping[str, Any]) -> None:
        if members["speed"] is None:
            self._pace.stand()
        else:
            self._pace.run(float(_decimal(members, "speed")))

    async def reset(self, request: Request) -> Response:
        cash = _decimal(await self._members(request), "cash")
        if cash < 0:
            raise malformed("cash must not be negative")
        self._venue.open_account(cash)
        return self._answer(account_number=self._venue.state.account.number)

    async def transfer(self, request: Request) -> Response:
        amount = _decimal(await self._members(request), "amount")
        if not amount:
            raise malformed("amount must not be 0")
        self._venue.transfer(amount)
        return self._answer()

    async def activity(self, request: Request) -> Response:
        members = await self._members(request)
        self._venue.post_activity(
            _text(members, "kind"),
            _decimal(members, "amount"),
            symbol=None if members.get("symbol") is None else _symbol(members),
            qty=None if members.get("qty") is None else _decimal(members, "qty"),
            description=_text(members, "description") if members.get("description") else "",
        )
        return self._booked()

    async def bust(self, request: Request) -> Response:
        self._venue.bust(_text(await self._members(request), "activity_id"))
        return self._booked()

    async def correct(self, request: Request) -> Response:
        members = await self._members(request)
        self._venue.correct(_text(members, "activity_id"), _decimal(members, "price"))
        return self._booked()

    def _booked(self) -> Response:
        return self._answer(activity_id=self._venue.state.account.activities[-1].id)

    async def position(self, request: Request) -> Response:
        members = await self._members(request)
        qty_change = _decimal(members, "qty_change")
        if not qty_change:
            raise malformed("qty_change must not be 0")
        self._venue.move_shares(_symbol(members), qty_change)
        return self._booked()

    async def hold_splits(self, request: Request) -> Response:
        members = await self._members(request)
        self._venue.splits.hold_back(_symbol(members), held_back=_boolean(members, "held_back"))
        return self._answer()

    async def announce_split(self, request: Request) -> Response:
        self._venue.splits.announce(_symbol(await self._members(request)))
        return self._answer()

    async def book_split(self, request: Request) -> Response:
        members = {"in_two_lines": False, "in_lieu": False, **await self._members(request)}
        booked = self._venue.splits.book(
            _symbol(members),
            in_two_lines=_boolean(members, "in_two_lines"),
            in_lieu=_boolean(members, "in_lieu"),
        )
        return self._answer(booked=booked)

    async def halt(self, request: Request) -> Response:
        members = await self._members(request)
        symbol = _symbol(members)
        if _boolean(members, "halted"):
            self._venue.halt(symbol)
        else:
            self._venue.resume(symbol)
        return self._answer()

    async def quote(self, request: Request) -> Response:
        members = await self._members(request)
        bid, ask, spread_bps = (
            _decimal(members, name) if members.get(name) is not None else None
            for name in ("bid", "ask", "spread_bps")
        )
        if (bid is None) != (ask is None) or (bid is not None and spread_bps is not None):
            raise malformed("give bid and ask, or spread_bps alone, or none of them")
        if any(value is not None and value < 0 for value in (bid, ask, spread_bps)):
            raise malformed("bid, ask and spread_bps must not be negative")
        self._venue.override_quote(_symbol(members), bid=bid, ask=ask, spread_bps=spread_bps)
        return self._answer()

    async def faults(self, request: Request) -> Response:
        self._authorize(request)
        return self._answer(faults=self._script.lines())

    async def set_faults(self, request: Request) -> Response:
        lines = (await self._members(request)).get("faults")
        if not isinstance(lines, list) or not all(isinstance(line, dict) for line in lines):
            raise malformed("faults must be a list of JSON objects")
        self._script.replace(lines)
        return self._answer(faults=self._script.lines())

    async def journal(self, request: Request) -> Response:
        self._authorize(request)
        return Response(self._venue.journal_bytes(), media_type="text/plain")


def _nanoseconds(members: Mapping[str, Any], name: str) -> int:
    """A whole JSON number; text is no time."""
    value = members[name]
    if not isinstance(value, Decimal) or value != value.to_integral_value() or abs(value) >= 2**63:
        raise malformed(f"{name} must be a whole number of nanoseconds")
    return int(value)


def _decimal(members: Mapping[str, Any], name: str) -> Decimal:
    if members.get(name) is None:
        raise malformed(f"{name} is required")
    return parse(name, members[name])


def _boolean(members: Mapping[str, Any], name: str) -> bool:
    value = members.get(name)
    if not isinstance(value, bool):
        raise malformed(f"{name} must be a boolean")
    return value


def _symbol(members: Mapping[str, Any]) -> str:
    return _text(members, "symbol")


def _text(members: Mapping[str, Any], name: str) -> str:
    value = members.get(name)
    if not isinstance(value, str) or not value:
        raise malformed(f"{name} is required")
    return value
