"""A broker is one entry: whoever connects, and whoever books, asks the entry of the configured venue."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Mapping
from dataclasses import replace
from decimal import Decimal
from pathlib import Path

import pytest

from trading_assets import keyring
from trading_assets.broker import registry
from trading_assets.broker.connection import connect
from trading_assets.broker.port import AccountState, Unreachable
from trading_assets.config import Settings
from trading_assets.core.activities import ActivityKind
from trading_assets.environment import environment
from trading_assets.errors import InvalidInput
from trading_assets.venues import BROKER_KEYS

KEYS = dict.fromkeys(BROKER_KEYS, "a-key")


class Other:
    """The adapter of a second broker, as far as it takes to be connected to."""

    is_down = False

    def __init__(self, read_only: bool) -> None:
        self.read_only, self.is_confirmed = read_only, False

    def account(self) -> AccountState:
        if self.is_down:
            raise Unreachable("down")
        self.is_confirmed = True
        money = Decimal(1000)
        return AccountState("B2", "in good standing", True, money, money, money, money, False, money)

    def confirm(self) -> None:
        self.is_confirmed = True

    def close(self) -> None:
        pass


@pytest.fixture
def opened(monkeypatch: pytest.MonkeyPatch) -> list[Other]:
    """What the venue `alpaca` opens: the adapters of another broker."""
    result: list[Other] = []

    def open_broker(settings: Settings, environ: Mapping[str, str], read_only: bool) -> Other:
        result.append(Other(read_only))
        return result[-1]

    entry = replace(registry.ENTRIES["alpaca"], open_broker=open_broker)
    monkeypatch.setattr(registry, "ENTRIES", {**registry.ENTRIES, "alpaca": entry})
    return result


def at(tmp_path: Path, account_number: str | None) -> Settings:
    return Settings(venue="alpaca", account_number=account_number, data_dir=tmp_path)


def test_the_entry_opens_the_broker_and_the_pinned_account_is_compared_whoever_it_is(
    opened: list[Other], tmp_path: Path
) -> None:
    assert connect(at(tmp_path, None), KEYS) is opened[0]
    assert not opened[0].is_confirmed  # nothing was asked
    assert connect(at(tmp_path, "B2"), KEYS, read_only=True) is opened[1]
    assert (opened[1].read_only, opened[1].is_confirmed) == (True, True)


def test_keys_that_have_opened_the_account_are_known_by_again_whoever_the_broker_is(
    opened: list[Other], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    connect(at(tmp_path, "B2"), KEYS)
    monkeypatch.setattr(Other, "is_down", True)
    connect(at(tmp_path, "B2"), KEYS)
    assert opened[1].is_confirmed
    connect(at(tmp_path, "B2"), {**KEYS, BROKER_KEYS[0]: "another"})
    assert not opened[2].is_confirmed


@pytest.mark.parametrize("name", registry.ENTRIES)
def test_a_venue_that_needs_keys_names_them_and_one_that_needs_none_gives_none_to_its_parts(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    entry, settings = registry.ENTRIES[name], Settings(venue=name, data_dir=tmp_path)
    if entry.key_variables:
        with pytest.raises(InvalidInput, match=f"{' and '.join(entry.key_variables)} not set"):
            registry.entry_of(settings).open_broker(settings, {}, False)
        with pytest.raises(InvalidInput, match=" and ".join(entry.key_variables)):
            entry.open_updates(settings, {})
    monkeypatch.setattr(keyring, "_held", {})
    for variable in BROKER_KEYS:
        monkeypatch.setenv(variable, "a-key")
    keyring.take()
    given = environment(tmp_path, tmp_path / "execution.yaml", settings)
    assert given.keys() & set(BROKER_KEYS) == set(entry.key_variables)


@pytest.mark.parametrize("name", registry.ENTRIES)
def test_an_entry_says_of_every_word_what_it_means(name: str) -> None:
    """Of an unlisted one too: journals have words that were not listed when they were written."""
    strange = registry.ENTRIES[name].activity_type("A_WORD_OF_NEXT_YEAR")
    assert (strange.kind, strange.listed, strange.alerts) == (ActivityKind.OTHER, False, True)
    assert (strange.moves_shares, strange.moves_cash) == (False, True)


@pytest.mark.parametrize(("module", "loaded"), [("registry", False), ("connection", True)])
def test_whoever_only_asks_an_entry_loads_no_client_and_whoever_will_connect_has_it(
    module: str, loaded: bool
) -> None:
    """A protection opens its broker without reading a source file: services import `connection` ahead."""
    shown = subprocess.run(
        [sys.executable, "-c", f"import sys, trading_assets.broker.{module}\nprint(*sys.modules)"],
        capture_output=True,
        text=True,
        check=True,
    )
    names = set(shown.stdout.split())
    assert ("alpaca" in names) == loaded
    assert {entry.client in names for entry in registry.ENTRIES.values()} == {loaded}
