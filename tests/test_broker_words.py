"""The engine speaks of states and kinds: no word of a broker's is compared with above the adapter.

The words are those of the adapter's own tables. They are looked for as whole string constants in the
source, docstrings left out.
"""

from __future__ import annotations

import ast
import tomllib
from collections.abc import Iterator
from pathlib import Path
from typing import get_args

import pytest

import trading_assets
from trading_assets.broker import registry
from trading_assets.broker.alpaca.activity_types import ACTIVITY_TYPES, STATUSES, TRADE_TYPES
from trading_assets.broker.alpaca.order_words import STATE_OF_STATUS
from trading_assets.broker.alpaca.parsing import ACTIVE
from trading_assets.config import Settings
from trading_assets.keyring import SECRETS
from trading_assets.venues import BROKER_KEYS, KEY_VARIABLES, VenueName

PACKAGE = Path(trading_assets.__file__).parent
PROJECT = PACKAGE.parent / "pyproject.toml"
ABOVE = ("engine", "core", "store", "runs", "defs", "cli")
WORDS = frozenset({*STATE_OF_STATUS, *ACTIVITY_TYPES, *TRADE_TYPES, *STATUSES, *BROKER_KEYS, ACTIVE})

# Where a word is one of our own: file → words, and what they mean there.
OURS = {
    "core/activities.py": {"FILL", "SPLIT", "FEE"},  # our kinds, as journals have them
    "engine/reconciliation/equity.py": {"SPLIT"},  # why an equity is in doubt: a split may have misstated it
    "engine/signals/inbox.py": {"rejected"},  # the folder of files that were refused
    "defs/desk/assets.py": {"held", "filled"},  # names of figures that a page shows
    "cli/operate.py": {"held"},  # a key of the JSON answer
    "cli/trade.py": {"filled", "new"},  # a column's title, and a key of the JSON answer
    "cli/watch.py": {"filled"},  # a column's title
}


def constants(source: str) -> Iterator[str]:
    """Every string constant that is not prose: docstrings are left out."""
    tree = ast.parse(source)
    prose = {id(node.value) for node in ast.walk(tree) if isinstance(node, ast.Expr)}
    for node in ast.walk(tree):
        if isinstance(node, ast.Constant) and isinstance(node.value, str) and id(node) not in prose:
            yield node.value


def sources(*folders: str) -> Iterator[tuple[str, str]]:
    """(name, text) of each file of the package, or of these folders of it."""
    for path in sorted(one for folder in folders or (".",) for one in (PACKAGE / folder).rglob("*.py")):
        yield str(path.relative_to(PACKAGE)), path.read_text(encoding="utf-8")


def test_no_word_of_a_broker_is_known_above_its_adapter() -> None:
    result = {name: WORDS.intersection(constants(text)) for name, text in sources(*ABOVE)}
    assert {name: words for name, words in result.items() if words} == OURS


@pytest.mark.parametrize(
    "line",
    [
        'if order.status_word == "canceled":',
        'if line.type.name in ("DIV", "JNLC"):',
        'if account.status_word != "ACTIVE":',
        'if os.environ["APCA_API_KEY_ID"]:',
    ],
)
def test_a_word_that_is_compared_with_would_be_found(line: str) -> None:
    prose = '"""The docstring may say SPLIT."""\nSPLIT = 1\n"""canceled"""\n'
    assert not WORDS.intersection(constants(prose + "if order.state is State.CANCELED:\n    pass\n"))
    assert WORDS.intersection(constants(f"{prose}{line}\n    pass\n"))


def test_a_variable_of_a_key_is_named_in_one_place() -> None:
    naming = {name for name, text in sources() if any(variable in text for variable in BROKER_KEYS)}
    assert naming == {"venues.py"}
    assert set(BROKER_KEYS) <= set(SECRETS)


def test_every_venue_has_its_entry_and_its_variables() -> None:
    names = set(get_args(VenueName))
    assert names == registry.ENTRIES.keys() == KEY_VARIABLES.keys()
    assert set(get_args(Settings.model_fields["venue"].annotation)) == names
    for name in names:
        assert registry.ENTRIES[name].key_variables == KEY_VARIABLES[name]


def test_the_contracts_of_imports_have_the_folder_of_every_broker() -> None:
    """The engine and a replay do not reach into it."""
    folders = {
        f"trading_assets.broker.{path.parent.name}" for path in (PACKAGE / "broker").glob("*/__init__.py")
    }
    contracts = {
        one["id"]: one for one in tomllib.loads(PROJECT.read_text())["tool"]["importlinter"]["contracts"]
    }
    assert set(contracts["brokers-words"]["protected_modules"]) == folders
    assert contracts["brokers-words"]["allowed_importers"] == ["trading_assets.broker.registry"]
    assert folders <= set(contracts["replay-has-no-broker"]["forbidden_modules"])
