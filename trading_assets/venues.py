"""Where orders can go: each venue's name, and the environment variables that hold its keys.

This table is at the bottom of the package because `keyring` takes the keys out of a process's environment
before anything else of ours is imported, and because the configuration names the venues. Everything else that
the desk knows of a venue is in its entry in `broker.registry`.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Literal

VenueName = Literal["embedded", "alpaca"]

KEY_VARIABLES: Mapping[VenueName, tuple[str, ...]] = {
    "embedded": (),  # the exchange on this machine keeps its pair in a file of its own
    "alpaca": ("APCA_API_KEY_ID", "APCA_API_SECRET_KEY"),
}
BROKERS = tuple(name for name, variables in KEY_VARIABLES.items() if variables)
"""Those where money can be real."""
BROKER_KEYS = tuple(dict.fromkeys(name for names in KEY_VARIABLES.values() for name in names))
"""Those of every venue: each is a secret, whichever venue is configured."""
