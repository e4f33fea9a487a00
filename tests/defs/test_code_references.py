"""The link from an asset's page to its source: a file and a line, an address, or none."""

from __future__ import annotations

import inspect
from pathlib import Path

import dagster as dg
import pytest

from trading_assets.definitions import defs
from trading_assets.defs.desk import assets as desk_assets
from trading_assets.runs.code_references import (
    METADATA,
    PROJECT,
    SOURCE_VARIABLE,
    SourcePlace,
    source_place,
    with_code_references,
)

GRAPH = defs.resolve_asset_graph()
KEYS = sorted(GRAPH.get_all_asset_keys())


@pytest.mark.parametrize("key", KEYS, ids=lambda key: key.to_user_string())
def test_each_asset_in_a_checkout_names_the_lines_that_define_it(key: dg.AssetKey) -> None:
    value = GRAPH.get(key).metadata[METADATA]
    assert isinstance(value, dg.CodeReferencesMetadataValue)
    (reference,) = value.code_references
    assert isinstance(reference, dg.LocalFileCodeReference)
    lines = Path(reference.file_path).read_text().splitlines()
    name = key.path[-1]
    assert reference.line_number is not None
    if GRAPH.get(key).is_external:
        assert lines[reference.line_number - 1].startswith(f"{name} = ")
    else:
        block = inspect.getblock([f"{line}\n" for line in lines[reference.line_number - 1 :]])
        assert any(line.startswith(f"def {name}(") for line in block)


def test_a_wheel_links_to_the_address_that_is_given_or_nowhere(tmp_path: Path) -> None:
    assert source_place({}, tmp_path) is None
    assert source_place({SOURCE_VARIABLE: "javascript:alert(1)"}, tmp_path) is None
    assert source_place({SOURCE_VARIABLE: " "}, tmp_path) is None
    url = "https://github.com/somebody/trading_assets/blob/v1"
    place = source_place({SOURCE_VARIABLE: f"{url}/"}, tmp_path)
    assert place == SourcePlace(tmp_path, url)


def test_an_address_leads_to_the_files_path_and_line() -> None:
    url = "https://github.com/somebody/trading_assets/blob/v1"
    own = dg.Definitions(assets=[desk_assets.bars])
    linked = with_code_references(own, [desk_assets], SourcePlace(PROJECT, url))
    value = linked.get_assets_def("bars").metadata_by_key[dg.AssetKey("bars")][METADATA]
    assert isinstance(value, dg.CodeReferencesMetadataValue)
    (reference,) = value.code_references
    assert isinstance(reference, dg.UrlCodeReference)
    assert reference.url.startswith(f"{url}/trading_assets/defs/desk/assets.py#L")


def test_nothing_is_said_of_a_file_outside_of_the_project_where_only_an_address_is_known(
    tmp_path: Path,
) -> None:
    place = SourcePlace(PROJECT, "https://example.com/source")
    assert place.reference(tmp_path / "mine.py", 3) is None


def test_a_reference_that_an_asset_brings_stays() -> None:
    own = dg.CodeReferencesMetadataValue(
        code_references=[dg.UrlCodeReference(url="https://example.com/mine")]
    )

    @dg.asset(metadata={METADATA: own})
    def mine() -> None: ...

    linked = with_code_references(dg.Definitions(assets=[mine]), [], SourcePlace(PROJECT))
    assert linked.get_assets_def("mine").metadata_by_key[mine.key][METADATA] == own


def test_without_a_place_nothing_changes() -> None:
    own = dg.Definitions(assets=[desk_assets.bars])
    assert with_code_references(own, [], None) is own
