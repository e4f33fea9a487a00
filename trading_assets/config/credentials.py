"""The key pair for the venue: from the environment for a broker, from its own file for the embedded exchange.

Nothing else reads a credential, and none of a broker's is ever read from a file. Where a process keeps what
it was started with is `trading_assets.keyring`.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from trading_assets.config.embedded_keys import KEYS_NAME, PUBLIC_KEYS, read_key_pair
from trading_assets.config.settings import Settings
from trading_assets.errors import InvalidInput
from trading_assets.venues import KEY_VARIABLES


def embedded_keys_file(settings: Settings) -> Path:
    """Where the embedded exchange keeps its key pair."""
    return settings.embedded.keys_file or Path(settings.data_dir) / "exchange" / KEYS_NAME


def keys(settings: Settings, environ: Mapping[str, str]) -> tuple[str, str]:
    """The (key id, secret) pair for the venue. A broker's come from the environment and nowhere else.

    Raises InvalidInput that names the variables which are missing, or hold what no key is, and for a file
    that others may read. The embedded exchange's are the public ones where it has left no file.
    """
    if settings.venue == "embedded":
        return read_key_pair(embedded_keys_file(settings)) or PUBLIC_KEYS
    variables = KEY_VARIABLES[settings.venue]
    key_id, secret = (environ.get(name, "") for name in variables)
    missing = [name for name in variables if not environ.get(name, "").strip()]
    if missing:
        raise InvalidInput(
            f"{' and '.join(missing)} not set",
            where="environment",
            remedy=f"Export {' and '.join(variables)} with the key pair of the {settings.mode} account, "
            "or set `venue: embedded`.",
        )
    for name in variables:
        refuse_blanks(name, environ[name])
    return key_id, secret


def refuse_blanks(variable: str, value: str) -> None:
    """Raises InvalidInput, which does not show the value, for a secret with a blank or a line break in it: no
    header takes it, and a log would show it in parts."""
    if any(character.isspace() or not character.isprintable() for character in value):
        raise InvalidInput(
            f"{variable} holds a blank, a line break or a character that cannot be printed",
            where="environment",
            remedy="Export it again as it was issued, in one line and without quotes around it.",
        )
