"""What `make conformance` asks of the control plane is all that it has."""

from __future__ import annotations

from decimal import Decimal

from control_plane import described

from trading_assets.exchange.faults.script import FaultScript
from trading_assets.exchange.http.control import ControlApi
from trading_assets.exchange.http.pace import ClockPace
from trading_assets.exchange.store import EventStore
from trading_assets.exchange.venue import Venue, VenueSettings
from trading_assets.market.bundle import BundledTape
from trading_assets.market.sessions import Sessions


def test_every_route_of_the_control_plane_is_described_with_its_members() -> None:
    venue = Venue(BundledTape(7), Sessions(), EventStore(None), VenueSettings(0, Decimal(1)))
    routes = ControlApi(venue, ClockPace(venue), FaultScript(), "token", {}).routes()
    document = described(routes)
    assert set(document["paths"]) == {route.path for route in routes}
