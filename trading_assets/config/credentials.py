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
from trading_assets.venues import KEY_VARIABLES, OTHER_NAMES, named


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
    set_as = {name: _set_as(name, environ) for name in variables}
    missing = [name for name, spelling in set_as.items() if spelling is None]
    if missing:
        raise InvalidInput(
            f"{' and '.join(missing)} not set",
            where="environment",
            remedy=f"Export {named(settings.venue)} with the key pair of the {settings.mode} account, "
            "or set `venue: embedded`.",
        )
    key_id, secret = (environ[spelling] for spelling in set_as.values() if spelling is not None)
    return key_id, secret


def _set_as(name: str, environ: Mapping[str, str]) -> str | None:
    """Which spelling of the variable holds its value; None: neither does. Raises InvalidInput where both are
    set and differ: which account would be traded is not guessed."""
    spelled = [name, OTHER_NAMES[name]] if name in OTHER_NAMES else [name]
    held = [one for one in spelled if environ.get(one, "").strip()]
    for one in held:
        refuse_blanks(one, environ[one])
    if len({environ[one] for one in held}) > 1:
        raise InvalidInput(
            f"{' and '.join(held)} are both set, to different values",
            where="environment",
            remedy=f"They are two names of one key. Unset one: `unset {held[1]}`, or `unset {held[0]}`.",
        )
    return held[0] if held else None


def refuse_blanks(variable: str, value: str) -> None:
    """Raises InvalidInput, which does not show the value, for a secret with a blank or a line break in it: no
    header takes it, and a log would show it in parts."""
    if any(character.isspace() or not character.isprintable() for character in value):
        raise InvalidInput(
            f"{variable} holds a blank, a line break or a character that cannot be printed",
            where="environment",
            remedy="Export it again as it was issued, in one line and without quotes around it.",
        )
