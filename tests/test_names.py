"""A name means one thing, and says which: no two public classes share one, and none is an empty word."""

from __future__ import annotations

import ast
import re
from collections import defaultdict
from collections.abc import Iterator
from pathlib import Path

import pytest

import trading_assets

PACKAGE = Path(trading_assets.__file__).parent
TESTS = Path(__file__).parent

# Words that said nothing, or the wrong thing to a trader, and what stands for them now.
INSTEAD = {
    "settle": "reconcile, book, or settlement: the day on which cash of a trade is paid",
    "absorb": "apply or journal",
    "wish": "candidate",
    "standing": "state, status or exposure",
    "stage": "escalation, or the desk of the demonstration",
    "play": "advance, run or show",
    "put_away": "archive",
    "face": "API",
    "found": "what it is that was found",
    "told": "alert, message or reply",
    "said": "text, output or stated",
    "asked": "request",
}
EMPTY = re.compile(
    r"settle_\w+|settling_\w+|absorb(_\w+|ed)?|(\w+_)?(wish|wishes|standing|stage|stages|faces?)|stage_\w+"
    r"|standing_\w+|play(_\w+)?|(is_)?put_\w*away|found|told|said|asked",
    re.IGNORECASE,
)
EMPTY_CLASS = re.compile(r"\w*(Wish|Wishes|Standing|Stage|Faces?)|Found|Told|Said|Asked")


def definitions_of(tree: ast.AST) -> Iterator[tuple[str, int]]:
    """Every name that the file gives to a class, function, argument, variable or attribute, with its line."""
    for node in ast.walk(tree):
        if isinstance(node, ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef):
            yield node.name, node.lineno
        elif isinstance(node, ast.arg):
            yield node.arg, node.lineno
        elif isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store):
            yield node.id, node.lineno
        elif isinstance(node, ast.Attribute) and isinstance(node.ctx, ast.Store):
            yield node.attr, node.lineno


def is_empty(name: str) -> bool:
    bare = name.strip("_")
    return bool((EMPTY_CLASS if bare[:1].isupper() and not bare.isupper() else EMPTY).fullmatch(bare))


def test_a_public_class_name_means_one_thing() -> None:
    places: dict[str, list[str]] = defaultdict(list)
    for path in sorted(PACKAGE.rglob("*.py")):
        for node in ast.parse(path.read_text(encoding="utf-8")).body:
            if isinstance(node, ast.ClassDef) and not node.name.startswith("_"):
                places[node.name].append(str(path.relative_to(PACKAGE)))
    assert {name: where for name, where in places.items() if len(where) > 1} == {}


@pytest.mark.parametrize("root", [PACKAGE, TESTS], ids=["package", "tests"])
def test_no_name_is_one_of_the_words_that_say_nothing(root: Path) -> None:
    empty = [
        f"{path.relative_to(root)}:{line} {name}"
        for path in sorted(root.rglob("*.py"))
        for name, line in definitions_of(ast.parse(path.read_text(encoding="utf-8")))
        if is_empty(name)
    ]
    assert not empty, "\n".join([*empty, "", *(f"{word}: write {noun}" for word, noun in INSTEAD.items())])


@pytest.mark.parametrize(
    "name",
    ["found", "_told", "settle_fills", "absorb_order", "wishes", "SETTLE_NS", "AlpacaFace", "is_put_away"],
)
def test_each_of_those_words_is_seen(name: str) -> None:
    assert is_empty(name)


@pytest.mark.parametrize(
    "name", ["settlement", "settled_cash_usd", "not_found", "replay", "Interface", "FoundBars", "tape_player"]
)
def test_the_trades_own_words_are_left_alone(name: str) -> None:
    assert not is_empty(name)
