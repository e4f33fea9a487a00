"""The brokers that the desk can trade with, an entry each: how it is opened, which variables hold its keys,
what its words for account activities mean. A second broker is a folder beside `alpaca` and an entry here.

An entry imports the broker's client only when it opens it, as alpaca-py costs 0.7 s. `broker.connection` has
them all: a process that imports that ahead of time opens a broker at once.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

from trading_assets.broker.alpaca.activity_types import type_named
from trading_assets.broker.port import BarArchive, PinnedBroker, UpdateSource
from trading_assets.config import Settings
from trading_assets.core.activities import ActivityType
from trading_assets.venues import KEY_VARIABLES, VenueName


@dataclass(frozen=True, slots=True)
class BrokerEntry:
    """What the desk knows of a venue without asking it."""

    title: str  # as a person calls it
    key_variables: tuple[str, ...]  # of the environment; none: it needs none
    client: str  # the module to import ahead of time, so that nothing is imported when it is opened
    open_broker: Callable[[Settings, Mapping[str, str], bool], PinnedBroker]  # the bool: refuse every write
    open_archive: Callable[[Settings, Mapping[str, str]], BarArchive]  # of bars and corporate actions past
    open_updates: Callable[[Settings, Mapping[str, str]], UpdateSource]
    activity_type: Callable[[str], ActivityType]  # of the word that a line has, or had when it was journaled


def _open_alpaca(settings: Settings, environ: Mapping[str, str], read_only: bool) -> PinnedBroker:
    from trading_assets.broker.alpaca.opening import open_broker

    return open_broker(settings, environ, read_only)


def _open_alpaca_archive(settings: Settings, environ: Mapping[str, str]) -> BarArchive:
    from trading_assets.broker.alpaca.opening import open_broker

    return open_broker(settings, environ, read_only=True)


def _open_alpaca_updates(settings: Settings, environ: Mapping[str, str]) -> UpdateSource:
    from trading_assets.broker.alpaca.update_stream import UpdateStream

    return UpdateStream(settings, environ)


def _of_alpacas_api(name: VenueName, title: str) -> BrokerEntry:
    return BrokerEntry(
        title=title,
        key_variables=KEY_VARIABLES[name],
        client="trading_assets.broker.alpaca.opening",
        open_broker=_open_alpaca,
        open_archive=_open_alpaca_archive,
        open_updates=_open_alpaca_updates,
        activity_type=type_named,
    )


ENTRIES: Mapping[VenueName, BrokerEntry] = {
    "embedded": _of_alpacas_api("embedded", "the embedded exchange"),  # it speaks the same API
    "alpaca": _of_alpacas_api("alpaca", "Alpaca"),
}


def entry_of(settings: Settings) -> BrokerEntry:
    """The entry of the configured venue."""
    return ENTRIES[settings.venue]
