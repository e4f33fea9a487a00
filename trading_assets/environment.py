"""What each part of the desk on this machine is started with: its variables, and which secrets are handed on
to it.

A secret is handed on in the environment of exactly one child, which takes it out of there as it starts
(`keyring`). Who talks to no broker is given a short list of variables and none of a person's own.
"""

from __future__ import annotations

import os
import re
import secrets
from collections.abc import Mapping
from pathlib import Path

from trading_assets import keyring
from trading_assets.broker.registry import entry_of
from trading_assets.config import Settings
from trading_assets.errors import InvalidInput
from trading_assets.exchange.credentials import CONTROL_TOKEN_VARIABLE, control_token
from trading_assets.venues import BROKER_KEYS

DAEMON, WEBSERVER, LISTENER = "dagster-daemon", "dagster-webserver", "trading-assets"
# The secrets that a part is given, with the whole of our environment; one that is not here is given what
# `keyring.public` lists. The daemon begins the runs, and its code server delivers alerts and moves time.
GIVEN = {DAEMON: keyring.SECRETS, LISTENER: (*BROKER_KEYS, keyring.ALERT_URLS)}


def refuse_secrets_in_a_file(project: Path) -> None:
    """Raises InvalidInput where `.env`, which every process of Dagster's reads, has a secret in it."""
    file = project / ".env"
    if not file.exists():
        return
    named = rf"^\s*(?:export\s+)?({'|'.join(keyring.SECRETS)})\s*="
    names = re.findall(named, file.read_text(errors="replace"), re.MULTILINE)
    if names:
        raise InvalidInput(
            f"sets {' and '.join(dict.fromkeys(names))}, which Dagster's webserver would read too",
            where=str(file),
            remedy="Take it out of the file, and export it in the shell that you type `make up` in.",
        )


def dagster_home(project: Path) -> Path:
    """The Dagster instance's directory: the one that the environment names, else the project's."""
    return Path(os.environ.get("DAGSTER_HOME") or project / "dagster_home").resolve()


def environment(project: Path, config_path: Path, settings: Settings) -> dict[str, str]:
    """What the parts are given from: our environment and the secrets, the instance, configuration, log, a
    token of this start. Nothing that the venue does not need: the exchange on this machine takes no keys."""
    on_this_machine = settings.venue == "embedded"
    given = keyring.given(keyring.ALERT_URLS, *entry_of(settings).key_variables)
    return {
        **os.environ,
        **given,
        "DAGSTER_HOME": str(dagster_home(project)),
        "DAGSTER_DISABLE_TELEMETRY": "1",
        "TRADING_ASSETS_CONFIG": str(config_path.resolve()),
        "TRADING_ASSETS_LOG": str(Path(settings.data_dir) / "log.jsonl"),
        **({CONTROL_TOKEN_VARIABLE: _token()} if on_this_machine else {}),
    }


def environment_of(part: str, environ: Mapping[str, str]) -> dict[str, str]:
    """What a part of the desk is started with, of what there is."""
    if part not in GIVEN:
        return keyring.public(environ)
    kept_back = set(keyring.SECRETS) - set(GIVEN[part])
    return {name: value for name, value in environ.items() if name not in kept_back}


def _token() -> str:
    """The control plane's: the one that a person has chosen, else one of this start."""
    if keyring.ENVIRON.get(CONTROL_TOKEN_VARIABLE):
        return control_token()
    return secrets.token_urlsafe(24)
