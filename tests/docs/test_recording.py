"""The recording in README shows what its commands print today."""

from __future__ import annotations

import importlib.util
import re
import sys
from pathlib import Path
from types import ModuleType
from xml.etree import ElementTree as ET

import pytest

ROOT = Path(__file__).parents[2]
EXECUTION = re.compile(r"execution [0-9a-f]{16}")


@pytest.fixture(scope="module")
def recording() -> ModuleType:
    spec = importlib.util.spec_from_file_location("docs_recording", ROOT / "docs" / "recording.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module
    spec.loader.exec_module(module)
    return module


def shown(svg: str) -> list[str]:
    """The lines of the terminal, without their ends and without empty ones."""
    lines: dict[int, str] = {}
    for text in ET.fromstring(svg).iter("{http://www.w3.org/2000/svg}text"):
        row = re.fullmatch(r"url\(#t-line-(\d+)\)", text.attrib["clip-path"])
        assert row is not None
        column = round(float(text.attrib["x"]) / 12.2)
        lines[int(row[1])] = lines.get(int(row[1]), "").ljust(column) + "".join(text.itertext())
    return [text for row in sorted(lines) if (text := lines[row].replace("\xa0", " ").rstrip())]


def masked(lines: list[str]) -> list[str]:
    return [EXECUTION.sub("execution …", line) for line in lines]


def test_the_picture_shows_a_stale_signal_refused_and_a_fresh_one_filled(recording: ModuleType) -> None:
    text = "\n".join(shown(recording.PICTURE.read_text()))
    refused, _, filled = text.partition("# 10:05")
    assert "STALE_SIGNAL" in refused
    assert "FILLED" not in refused
    assert re.search(r"PASS +FILLED +1\n", filled)
    assert re.search(r"AAPL +1 +1 ", filled)  # ledger, broker


def test_the_picture_loads_nothing(recording: ModuleType) -> None:
    outside = re.findall(r"(?:url\(|href=|src=)[^#)]*", recording.PICTURE.read_text())
    assert {result.removeprefix("url(").strip("\"'") for result in outside} <= {""}


@pytest.mark.slow(seconds=30)
@pytest.mark.exchange
def test_the_commands_print_today_what_the_picture_shows(recording: ModuleType, tmp_path: Path) -> None:
    lines = recording.recorded(tmp_path)
    assert [line.at for line in lines] == sorted(line.at for line in lines)
    assert 15 < max(line.whole_at for line in lines) + recording.END_SECONDS < 25
    today = masked([line.text for line in lines if line.text])
    assert masked(shown(recording.PICTURE.read_text())) == today, "run `python docs/recording.py`"
