"""Each relative link and each anchor of README, docs and the pages beside them leads somewhere."""

from __future__ import annotations

from pathlib import Path

import pytest
import yaml
from links import anchors, broken, links

ROOT = Path(__file__).resolve().parents[2]
PAGES = [*sorted(ROOT.glob("*.md")), *sorted((ROOT / "docs").glob("*.md")), ROOT / "deploy" / "README.md"]


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_every_link_and_every_anchor_leads_somewhere(page: Path) -> None:
    assert list(broken(page, ROOT)) == []


def test_every_page_of_docs_is_found_from_the_index() -> None:
    index = ROOT / "docs" / "index.md"
    linked = {(index.parent / link.partition("#")[0]).resolve() for link in links(index.read_text())}
    assert [page.name for page in (ROOT / "docs").glob("*.md") if page != index and page not in linked] == []


def test_the_site_has_every_page_in_its_navigation() -> None:
    site = yaml.safe_load((ROOT / "docs" / "mkdocs.yml").read_text())
    listed = {page for part in site["nav"] for under in part.values() for page in in_part(under)}
    missing = {str(page.relative_to(ROOT)) for page in PAGES} - listed
    assert missing == set()
    assert [page for page in listed if not (ROOT / page).exists()] == []


def in_part(under: str | list[dict[str, str]]) -> list[str]:
    return [under] if isinstance(under, str) else [page for entry in under for page in entry.values()]


def test_the_readme_leads_to_the_index_and_is_short() -> None:
    text = (ROOT / "README.md").read_text()
    assert "docs/index.md" in links(text)
    assert len(text.split()) < 1200
    assert links(text)[0] == "docs/images/recording.svg"  # the first picture


def test_a_missing_file_a_missing_anchor_and_a_way_out_of_the_repository_are_broken(tmp_path: Path) -> None:
    root = tmp_path / "root"
    root.mkdir()
    (tmp_path / "outside.md").write_text("# There\n")
    (root / "other.md").write_text("# Of `each` day, (twice)\n\n```sh\n# no heading\n```\n\n## A\n\n## A\n")
    page = root / "page.md"
    right = "[a](other.md#of-each-day-twice) [b](other.md#a-1) [c](#here) [d](https://x.example/#no)"
    wrong = "[e](none.md) [f](other.md#no-heading) [g](../outside.md) [h](#there) ![i](none.png)"
    page.write_text(f"# Here\n\n{right} {wrong} `[j](code.md)`\n")
    not_there = ["none.md", "other.md#no-heading", "../outside.md", "#there", "none.png"]
    assert list(broken(page, root)) == not_there


def test_anchors_are_githubs() -> None:
    assert anchors("# Kill, flatten & rearm\n\n## `make up` – the desk\n") == {
        "kill-flatten--rearm",
        "make-up--the-desk",
    }
