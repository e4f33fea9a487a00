"""Opening Alpaca's adapter, and its stream of trade updates, by the configuration: its keys and its share of
the rate limit. Which account the keys may open is compared in `broker.connection`.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from trading_assets.broker.alpaca.adapter import AlpacaBroker
from trading_assets.broker.alpaca.origins import origins
from trading_assets.broker.rate_budget import RateBudget
from trading_assets.config import PUBLIC_KEYS, Settings, keys
from trading_assets.redaction import hide


def open_broker(settings: Settings, environ: Mapping[str, str], read_only: bool) -> AlpacaBroker:
    """The adapter for the configured venue. Nothing is asked yet. Raises InvalidInput for missing keys."""
    key_id, secret = keys(settings, environ)
    if (key_id, secret) != PUBLIC_KEYS:
        hide(key_id, secret)
    return AlpacaBroker(
        origins(settings),
        key_id,
        secret,
        mode=settings.mode,
        feed=settings.feed,
        account_number=settings.account_number,
        read_only=read_only,
        budget=RateBudget(Path(settings.data_dir) / f"rate_limit-{settings.venue}-{settings.mode}"),
    )
