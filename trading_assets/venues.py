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
OTHER_NAMES: Mapping[str, str] = {
    "APCA_API_KEY_ID": "ALPACA_API_KEY",
    "APCA_API_SECRET_KEY": "ALPACA_SECRET_KEY",
}
"""What a broker's other programs call the same variable: Alpaca's command line and its MCP server do."""
BROKERS = tuple(name for name, variables in KEY_VARIABLES.items() if variables)
"""Those where money can be real."""


def spellings(venue: VenueName) -> tuple[str, ...]:
    """Every variable that may hold one of the venue's keys, its own names first."""
    names = KEY_VARIABLES[venue]
    return (*names, *(OTHER_NAMES[name] for name in names if name in OTHER_NAMES))


def named(venue: VenueName) -> str:
    """The venue's variables as a message names them, with their other names."""
    names = KEY_VARIABLES[venue]
    others = spellings(venue)[len(names) :]
    return " and ".join(names) + (f" (or {' and '.join(others)})" if others else "")


BROKER_KEYS = tuple(dict.fromkeys(name for venue in KEY_VARIABLES for name in spellings(venue)))
"""Those of every venue: each is a secret, whichever venue is configured and however it is spelled."""
