"""The key pair for the venue: from the environment for Alpaca, from its own file for the embedded exchange.

Nothing else reads a credential, and none of Alpaca's is ever read from a file.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from trading_assets.config.embedded_keys import KEYS_NAME, PUBLIC_KEYS, read_key_pair
from trading_assets.config.settings import Settings
from trading_assets.errors import InvalidInput

KEY_VARIABLES = ("APCA_API_KEY_ID", "APCA_API_SECRET_KEY")


def embedded_keys_file(settings: Settings) -> Path:
    """Where the embedded exchange keeps its key pair."""
    return settings.embedded.keys_file or Path(settings.data_dir) / "exchange" / KEYS_NAME


def keys(settings: Settings, environ: Mapping[str, str]) -> tuple[str, str]:
    """The (key id, secret) pair for the venue. Alpaca's come from the environment and nowhere else.

    Raises InvalidInput that names the variables which are missing, and for a file that others may read. The
    embedded exchange's are the public ones where it has left no file.
    """
    if settings.venue == "embedded":
        return read_key_pair(embedded_keys_file(settings)) or PUBLIC_KEYS
    key_id, secret = (environ.get(name, "").strip() for name in KEY_VARIABLES)
    if not key_id or not secret:
        missing = [name for name, value in zip(KEY_VARIABLES, (key_id, secret), strict=True) if not value]
        raise InvalidInput(
            f"{' and '.join(missing)} not set",
            where="environment",
            remedy=f"Export {' and '.join(KEY_VARIABLES)} with the key pair of the {settings.mode} account, "
            "or set `venue: embedded`.",
        )
    return key_id, secret
