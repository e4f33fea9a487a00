"""How the exchange's time passes: it stands, or it runs at so many virtual seconds a real second.

The venue keeps the time and plays what happens on the way; this module only tells it where to go. While time
runs, it moves before every request and, without requests, by `keep_up`.
"""

from __future__ import annotations

import asyncio
import math
from collections.abc import Callable

from trading_assets.errors import InvalidInput
from trading_assets.exchange.venue import Venue
from trading_assets.market.clock import monotonic_ns

UPDATE_SECONDS = 0.2
FASTEST = 86_400.0  # a day in a second


class ClockPace:
    """Time stands at first. `speed` is None while it does.

    advance: moves the venue's clock to a time; the venue's own method unless a caller wraps it
    """

    def __init__(
        self,
        venue: Venue,
        *,
        advance: Callable[[int], None] | None = None,
        monotonic_ns: Callable[[], int] = monotonic_ns,
    ) -> None:
        self._venue = venue
        self._advance = advance or venue.move_clock
        self._monotonic_ns = monotonic_ns
        self._began = (0, 0)  # the venue's ns and the monotonic ns at which it began to run
        self.speed: float | None = None

    def run(self, speed: float) -> None:
        """Run from where time is now. Raises InvalidInput for a speed that is not in (0, FASTEST]."""
        if not (math.isfinite(speed) and 0.0 < speed <= FASTEST):
            raise InvalidInput(
                f"{speed} is no speed",
                where="speed",
                remedy=f"Give virtual seconds for each real one, above 0 and at most {FASTEST:g}.",
            )
        self.catch_up()
        self._began = (self._venue.now_ns, self._monotonic_ns())
        self.speed = speed

    def stand(self) -> None:
        """Stop where time is now."""
        self.catch_up()
        self.speed = None

    def move(self, to_ns: int) -> None:
        """Move time there at once. Raises InvalidInput for an earlier time, and while time runs."""
        if self.speed is not None:
            raise InvalidInput(
                "the clock runs",
                where="clock",
                remedy="It is set and stepped while it stands: stop it first.",
            )
        self._advance(to_ns)

    def catch_up(self) -> None:
        """Play what has become due since the last call; nothing while time stands."""
        if self.speed is None:
            return
        from_ns, began_ns = self._began
        to_ns = from_ns + int((self._monotonic_ns() - began_ns) * self.speed)
        if to_ns > self._venue.now_ns:
            self._advance(to_ns)

    async def keep_up(self) -> None:
        """Catch up about five times a second, until cancelled."""
        while True:
            self.catch_up()
            await asyncio.sleep(UPDATE_SECONDS)
