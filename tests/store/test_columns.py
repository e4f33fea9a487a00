"""Decimals in one spelling, and JSON that loses nothing."""

from __future__ import annotations

from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from trading_assets.store.columns import decimal_text, from_json, to_json


@pytest.mark.parametrize(
    ("spelling", "text"),
    [
        ("10", "10"),
        ("10.0", "10"),
        ("1E+1", "10"),
        ("1E-9", "0.000000001"),
        ("-0.50", "-0.5"),
        ("-0", "0"),
        ("-0.0", "0"),
        ("100", "100"),
        ("NaN", "NaN"),
        ("-Infinity", "-Infinity"),
        ("12345678901234567890123456789012345.10", "12345678901234567890123456789012345.1"),
    ],
)
def test_one_number_has_one_spelling(spelling: str, text: str) -> None:
    assert decimal_text(Decimal(spelling)) == text


finite = st.decimals(allow_nan=False, allow_infinity=False)


@given(finite, finite)
def test_equal_decimals_and_no_others_have_the_same_text(one: Decimal, other: Decimal) -> None:
    assert Decimal(decimal_text(one)) == one
    assert (decimal_text(one) == decimal_text(other)) == (one == other)


texts = st.one_of(
    st.text(), st.sampled_from(["NaN", "Infinity", "-Infinity", "\\NaN", "\\\\Infinity", "nan"])
)
leaves = st.one_of(st.none(), st.booleans(), st.integers(), st.floats(), texts)
structures = st.recursive(
    leaves, lambda inner: st.one_of(st.lists(inner), st.dictionaries(texts, inner)), max_leaves=20
)


@given(structures)
def test_a_structure_comes_back_as_it_was(value: object) -> None:
    assert repr(from_json(to_json(value))) == repr(value)  # repr: NaN is not equal to itself


def test_the_text_is_json_that_others_can_read() -> None:
    assert to_json({"a": float("nan"), "b": (float("inf"), -float("inf"), 1.5)}) == (
        '{"a":"NaN","b":["Infinity","-Infinity",1.5]}'
    )


def test_a_key_that_is_no_text_is_refused_instead_of_renamed() -> None:
    with pytest.raises(TypeError, match="text keys"):
        to_json({1: "a"})
