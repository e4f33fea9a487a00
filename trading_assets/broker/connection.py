"""Opening a connection to the configured venue, to the account that is pinned and to no other.

Which key pair opened which account is kept as a hash in a file of the data directory: exits do not wait for
an account that cannot be read.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from importlib import import_module
from pathlib import Path

from trading_assets.broker.port import BrokerError, PinnedBroker, Rejected
from trading_assets.broker.registry import ENTRIES, entry_of
from trading_assets.config import Settings, keys
from trading_assets.log import get_logger

log = get_logger(__name__)

# A service imports this module before it needs it: nothing is then read from the sources to open a broker.
for _client in {entry.client for entry in ENTRIES.values()}:
    import_module(_client)


def connect(settings: Settings, environ: Mapping[str, str], *, read_only: bool = False) -> PinnedBroker:
    """A broker for the configured venue, with its key pair from `environ` (embedded: from its own file).

    Where `account_number` is set (live demands it) the broker's own answer is compared with it.
    While the broker does not answer, the connection is returned. It refuses to write until a later
    `account()` has confirmed it, unless these keys have opened the account before: a key pair is one
    account's for good, and exits do not wait for an account that cannot be read. Raises InvalidInput for
    missing keys and for the wrong account.
    """
    broker = entry_of(settings).open_broker(settings, environ, read_only)
    if settings.account_number is not None:
        key_id, _ = keys(settings, environ)
        opened = Path(settings.data_dir) / f"account_opened-{settings.venue}-{settings.mode}"
        try:
            broker.account()
            _note_opened(opened, key_id, settings.account_number)
        except BrokerError as error:
            if not isinstance(error, Rejected) and _has_opened(opened, key_id, settings.account_number):
                broker.confirm()
                log.warning("account not readable, these keys have opened it before", error=str(error))
            else:
                log.warning("account not confirmed, no order leaves until it is", error=str(error))
        except BaseException:
            broker.close()
            raise
    return broker


def _note_opened(path: Path, key_id: str, account_number: str) -> None:
    """Keep which key pair opened which account; nothing of either can be read from it."""
    opening = _opening(key_id, account_number)
    if _has_opened(path, key_id, account_number):
        return
    try:
        path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        path.write_text(opening)
        path.chmod(0o600)
    except OSError as error:  # it costs the foresight, and no order
        log.warning("not kept which account the keys open", why=str(error))


def _has_opened(path: Path, key_id: str, account_number: str) -> bool:
    try:
        return path.read_text() == _opening(key_id, account_number)
    except OSError:
        return False


def _opening(key_id: str, account_number: str) -> str:
    return hashlib.sha256(f"{account_number} {key_id}".encode()).hexdigest()
