"""The key pair that the embedded exchange accepts. Nothing else lives here.

The pair is public and worthless by intention: the exchange listens on loopback only, and a program
that needs *some* pair to run without keys finds it here. Real keys are never sent to this exchange.
"""

from __future__ import annotations

import hmac

from trading_assets.config.credentials import refuse_blanks
from trading_assets.errors import InvalidInput
from trading_assets.keyring import CONTROL_TOKEN, ENVIRON

KEY_ID = "EMBEDDED-PAPER"
SECRET = "loopback-only"

CONTROL_TOKEN_VARIABLE = CONTROL_TOKEN


def is_authorized(key_id: object, secret: object) -> bool:
    """Whether it is this exchange's key pair."""
    return hmac.compare_digest(f"{key_id}\n{secret}".encode(), f"{KEY_ID}\n{SECRET}".encode())


def control_token() -> str:
    """The control plane's bearer token, from the environment. Raises InvalidInput where it is not set."""
    token = ENVIRON.get(CONTROL_TOKEN_VARIABLE, "")
    if not token:
        raise InvalidInput(
            "the control plane has no token",
            where=f"environment variable {CONTROL_TOKEN_VARIABLE}",
            remedy="Set it to a secret of your own for the exchange and for whoever moves its clock.",
        )
    refuse_blanks(CONTROL_TOKEN_VARIABLE, token)
    return token
