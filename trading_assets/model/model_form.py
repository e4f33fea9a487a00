"""The form of a model's file, read without XGBoost: universal binary JSON (ubjson.org) with sound trees.

XGBoost follows the numbers in its file without checking them. A node outside its tree is somebody else's
memory: one process dies of it, the next does not. This module therefore checks a file's trees first.
"""

from __future__ import annotations

import struct
from collections.abc import Mapping, Sequence
from math import isfinite
from typing import Any

DEEPEST = 20
NO_PARENT = 2_147_483_647  # of a root
NO_CHILD = -1  # of a leaf

_NUMBERS = {"i": "b", "U": "B", "I": "h", "l": "i", "L": "q", "d": "f", "D": "d"}
_COLUMNS = (
    "base_weights",
    "default_left",
    "loss_changes",
    "split_conditions",
    "split_type",
    "sum_hessian",
)
_WORDS = {"Z": None, "T": True, "F": False}


class NotAModel(ValueError):
    """The bytes are not a model with sound trees; the message says where."""


def refuse_unsound(ubj: bytes, features: int) -> None:
    """Raises NotAModel unless the bytes are a regression or binary model of that many features, made of trees
    of numeric splits: each node is reached once from its root and names its parent, each split is on a
    feature."""
    try:
        saved = _Reader(ubj).whole()
        learner = saved["learner"]
        booster, about = learner["gradient_booster"], learner["learner_model_param"]
        model = booster["model"]
        trees, stated = model["trees"], model["gbtree_model_param"]
        ends = list(model["iteration_indptr"])
        _require(booster["name"] == "gbtree", "the booster")
        _require(int(about["num_feature"]) == features, "the number of features")
        _require((int(about["num_class"]), int(about["num_target"])) == (0, 1), "the number of outputs")
        _require(0 < len(trees) == int(stated["num_trees"]), "the number of trees")
        _require(int(stated["num_parallel_tree"]) == 1, "trees in parallel")
        _require(list(model["tree_info"]) == [0] * len(trees), "the outputs of the trees")
        _require(ends == list(range(len(trees) + 1)), "the rounds of the trees")
        _require(not any(len(column) for column in model["cats"].values()), "categories")
        for name in ("feature_names", "feature_types"):
            _require(len(learner[name]) in (0, features), name)
        for number, tree in enumerate(trees):
            _require_tree(tree, features, f"tree {number}")
    except (KeyError, TypeError, ValueError, struct.error, RecursionError) as error:
        if isinstance(error, NotAModel):
            raise
        raise NotAModel(f"not the form of a model ({type(error).__name__})") from error


def _require_tree(tree: Mapping[str, Any], features: int, where: str) -> None:
    left, right, parent, split = (
        list(tree[name]) for name in ("left_children", "right_children", "parents", "split_indices")
    )
    stated, nodes = tree["tree_param"], len(left)
    _require(0 < nodes == int(stated["num_nodes"]), f"{where}: the number of nodes")
    _require(int(stated["num_deleted"]) == 0, f"{where}: deleted nodes")
    _require(int(stated["num_feature"]) == features, f"{where}: the number of features")
    _require(int(stated["size_leaf_vector"]) == 1, f"{where}: the size of a leaf")
    for name in _COLUMNS:
        _require(len(tree[name]) == nodes, f"{where}: {name}")
    _require(len(right) == len(parent) == len(split) == nodes, f"{where}: its columns")
    whole = (*left, *right, *parent, *split, *tree["default_left"], *tree["split_type"])
    _require(all(type(number) is int for number in whole), f"{where}: its columns")
    _require(all(map(isfinite, (*tree["split_conditions"], *tree["base_weights"]))), f"{where}: its weights")
    _require(not any(tree["split_type"]), f"{where}: a split by category")
    _require(
        not any(len(tree[name]) for name in tree if name.startswith("categories")), f"{where}: categories"
    )
    _require(parent[0] == NO_PARENT, f"{where}: its root")
    seen, waiting = {0}, [0]
    while waiting:
        node = waiting.pop()
        if left[node] == NO_CHILD and right[node] == NO_CHILD:
            continue
        _require(0 <= split[node] < features, f"{where}: a split on no feature")
        for child in (left[node], right[node]):
            _require(0 < child < nodes and child not in seen and parent[child] == node, f"{where}: a child")
            seen.add(child)
            waiting.append(child)
    _require(len(seen) == nodes, f"{where}: a node that is not reached")


def _require(holds: bool, what: str) -> None:
    if not holds:
        raise NotAModel(what)


class _Reader:
    """One value of universal binary JSON. Raises NotAModel, struct.error or ValueError for anything else."""

    def __init__(self, data: bytes) -> None:
        self._data, self._at = data, 0

    def whole(self) -> Any:
        value = self._value(self._mark(), 0)
        _require(self._at == len(self._data), "bytes after its end")
        return value

    def _value(self, mark: str, depth: int) -> Any:
        _require(depth < DEEPEST, "brackets nested too deep")
        if mark in _NUMBERS:
            return self._numbers(mark, 1)[0]
        if mark in _WORDS:
            return _WORDS[mark]
        if mark == "S":
            return self._text()
        if mark == "{":
            return self._object(depth)
        _require(mark == "[", "an unknown mark")
        return self._array(depth)

    def _object(self, depth: int) -> dict[str, Any]:
        members: dict[str, Any] = {}
        while self._peek() != "}":
            name = self._text()
            _require(name not in members, "a name that is there twice")
            members[name] = self._value(self._mark(), depth + 1)
        self._at += 1
        return members

    def _array(self, depth: int) -> Sequence[Any]:
        kind = None
        if self._peek() == "$":
            self._at += 1
            kind = self._mark()
        if self._peek() == "#":
            self._at += 1
            count = self._count()
            if kind is not None:
                _require(kind in _NUMBERS, "an array of an unknown kind")
                return self._numbers(kind, count)
            _require(count <= len(self._data), "an array longer than its file")
            return [self._value(self._mark(), depth + 1) for _ in range(count)]
        _require(kind is None, "an array of a kind without a length")
        items = []
        while self._peek() != "]":
            items.append(self._value(self._mark(), depth + 1))
        self._at += 1
        return items

    def _numbers(self, mark: str, count: int) -> Sequence[Any]:
        _require(count <= len(self._data), "an array longer than its file")
        form = f">{count}{_NUMBERS[mark]}"
        values = struct.unpack_from(form, self._data, self._at)
        self._at += struct.calcsize(form)
        return values

    def _text(self) -> str:
        length = self._count()
        _require(self._at + length <= len(self._data), "a text longer than its file")
        self._at += length
        return self._data[self._at - length : self._at].decode("utf-8")

    def _count(self) -> int:
        mark = self._mark()
        _require(mark in "iUIlL", "a length that is no whole number")
        count = self._numbers(mark, 1)[0]
        _require(count >= 0, "a length below zero")
        return int(count)

    def _peek(self) -> str:
        _require(self._at < len(self._data), "an end in the middle")
        return chr(self._data[self._at])

    def _mark(self) -> str:
        mark = self._peek()
        self._at += 1
        return mark
