"""How much of an order trades at once, in the three fill modes. At what price: `core.matching`.

ideal          all of it, whatever its size
alpaca_paper   as Alpaca's paper trading: one order in ten trades a random part first, then the rest
participation  no more than a share of each minute bar's volume; the rest waits for the next bar
"""

from __future__ import annotations

from decimal import Decimal
from enum import StrEnum
from hashlib import blake2b

from trading_assets.exchange.amounts import ZERO, ceil_to
from trading_assets.exchange.orders import VenueOrder

PARTIAL_ONE_IN = 10


class FillMode(StrEnum):
    IDEAL = "ideal"
    ALPACA_PAPER = "alpaca_paper"
    PARTICIPATION = "participation"


def paper_qty(order: VenueOrder, wanted: Decimal, seed: int) -> Decimal:
    """What trades of `wanted` shares on paper. The part is whole shares, drawn from seed and order."""
    whole = int(ceil_to(wanted, Decimal(1)))
    if order.filled_qty or whole < 2:
        return wanted
    drawn = int.from_bytes(blake2b(f"{seed}|{order.id}|partial".encode(), digest_size=8).digest())
    luck, drawn = drawn % PARTIAL_ONE_IN, drawn // PARTIAL_ONE_IN
    return wanted if luck else Decimal(1 + drawn % (whole - 1))


def participation_qty(wanted: Decimal, volume: float, participation: Decimal, traded: Decimal) -> Decimal:
    """What trades of `wanted` shares, in whole shares unless all of it does.

    volume: of the last minute bar that ended; traded: since its end, by the whole account
    """
    room = (Decimal(repr(float(volume))) * participation).to_integral_value(rounding="ROUND_FLOOR") - traded
    return min(wanted, max(room, ZERO))
