"""Where the APIs of each venue are, and which host may be sent an order in which mode."""

from __future__ import annotations

from typing import NamedTuple
from urllib.parse import urlsplit

from alpaca.common.enums import BaseURL

from trading_assets.broker.alpaca.transport import is_loopback
from trading_assets.config import Settings
from trading_assets.errors import InvalidInput

TRADING_HOSTS = {
    "paper": urlsplit(BaseURL.TRADING_PAPER.value).hostname,
    "live": urlsplit(BaseURL.TRADING_LIVE.value).hostname,
}


class Origins(NamedTuple):
    """Where the trading API and the data APIs are, without path and trailing slash."""

    trading: str
    data: str


def origins(settings: Settings) -> Origins:
    """The origins that venue and mode name. The embedded exchange has both at one."""
    if settings.venue == "embedded":
        return Origins(settings.embedded.url, settings.embedded.url)
    trading = BaseURL.TRADING_LIVE if settings.mode == "live" else BaseURL.TRADING_PAPER
    return Origins(trading.value, BaseURL.DATA.value)


def refuse_other_host(url: str, mode: str) -> None:
    """Raises InvalidInput where orders of this mode do not go to this host."""
    host = urlsplit(url).hostname
    if host != TRADING_HOSTS[mode] and not (mode == "paper" and is_loopback(url)):
        raise InvalidInput(
            f"{mode} orders do not go to {host}",
            where="config `mode`",
            remedy=f"In {mode} mode the trading host is {TRADING_HOSTS[mode]}",
        )
