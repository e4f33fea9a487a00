"""The list of files that mypy does not yet pass: its counts only fall."""

from __future__ import annotations

from typed import NOT_YET, ROOT, complaints, read_not_yet, sources


def test_a_file_with_as_many_errors_as_listed_passes() -> None:
    assert complaints({"tests/a.py": 2}, {"tests/a.py": 2}) == []


def test_one_error_more_than_listed_fails_its_file() -> None:
    (complaint,) = complaints({"tests/a.py": 3, "tests/b.py": 1}, {"tests/a.py": 2, "tests/b.py": 1})
    assert complaint.startswith("tests/a.py: mypy finds 3 errors")


def test_an_error_in_a_file_that_is_not_listed_fails_it() -> None:
    (output,) = complaints({"tests/a.py": 1}, {})
    assert "allows 0" in output


def test_one_error_fewer_than_listed_asks_for_the_lower_count() -> None:
    (output,) = complaints({"tests/a.py": 1}, {"tests/a.py": 2})
    assert "write 1 there" in output


def test_a_listed_file_that_is_clean_or_gone_must_leave_the_list() -> None:
    (output,) = complaints({}, {"tests/a.py": 2})
    assert "take its line out" in output


def test_each_listed_file_exists_and_has_a_count_above_zero() -> None:
    listed = read_not_yet((ROOT / NOT_YET).read_text())
    there = {str(path) for top in ("tests", "benchmarks") for path in sources(top)}
    assert listed.keys() <= there
    assert all(count > 0 for count in listed.values())
