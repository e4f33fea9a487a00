"""Closes a client's connection, which an ASGI application cannot do by itself."""

from __future__ import annotations

import socket
import struct
from collections.abc import Callable

import uvicorn
from starlette.types import Scope

_RESET_ON_CLOSE = struct.pack("ii", 1, 0)  # struct linger: on, no time to linger

Disconnect = Callable[[Scope, bool], None]
"""Closes the connection of a request or a socket at once, with nothing more sent; True: by a reset."""


def disconnecting(server: uvicorn.Server) -> Disconnect:
    """Lets the applications of this server close connections. A connection that is already gone is left
    alone."""

    def disconnect(scope: Scope, reset: bool) -> None:
        for connection in list(server.server_state.connections):
            transport = connection.transport
            if transport.get_extra_info("peername") == scope["client"]:
                if reset:
                    peer = transport.get_extra_info("socket")
                    peer.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _RESET_ON_CLOSE)
                transport.abort()

    return disconnect
