"""What the embedded exchange accepts: the public key pair's names, and the control plane's token.

An exchange has a key pair of its own (`config.embedded_keys`). With `--public-keys` it accepts the public
pair. Real keys are never sent to this exchange.
"""

from __future__ import annotations

from trading_assets.config import PUBLIC_KEYS, refuse_blanks
from trading_assets.errors import InvalidInput
from trading_assets.keyring import CONTROL_TOKEN, ENVIRON

KEY_ID, SECRET = PUBLIC_KEYS

CONTROL_TOKEN_VARIABLE = CONTROL_TOKEN


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
