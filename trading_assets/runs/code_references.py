"""Where the source of each asset is, for the link that Dagster's interface shows on the asset's page.

A checkout has the file and the line on this machine. A wheel has no source that a person edits: there the
link leads to the address in TRADING_ASSETS_SOURCE_URL, below which the project's files lie, such as
`https://github.com/OWNER/trading_assets/blob/v0.1.0`; without it there is no link.
"""

from __future__ import annotations

import ast
import inspect
import re
import warnings
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from types import ModuleType
from typing import Any, NamedTuple
from urllib.parse import urlsplit

import dagster as dg

import trading_assets
from trading_assets.log import get_logger

log = get_logger(__name__)

SOURCE_VARIABLE = "TRADING_ASSETS_SOURCE_URL"
PROJECT = Path(trading_assets.__file__).resolve().parents[1]
METADATA = "dagster/code_references"  # the name that Dagster's interface looks for

for _beta in ("LocalFileCodeReference", "UrlCodeReference", "CodeReferencesMetadataValue"):
    warnings.filterwarnings(
        "ignore", message=re.escape(f"Class `{_beta}` is currently in beta"), category=dg.BetaWarning
    )


class SourcePlace(NamedTuple):
    """Where the project's files are looked at: on this machine, or below an address."""

    project: Path
    url: str = ""

    def reference(
        self, file: Path, line: int | None
    ) -> dg.LocalFileCodeReference | dg.UrlCodeReference | None:
        """None for a file that does not lie in the project, where only an address is known."""
        if not self.url:
            return dg.LocalFileCodeReference(file_path=str(file), line_number=line)
        if not file.is_relative_to(self.project):
            return None
        at = file.relative_to(self.project).as_posix()
        return dg.UrlCodeReference(url=f"{self.url}/{at}" + f"#L{line}", label=at)


def source_place(environ: Mapping[str, str], project: Path = PROJECT) -> SourcePlace | None:
    """The address where one is given, else the checkout; None: neither. What is no web address gives no link,
    and a line in the log."""
    url = environ.get(SOURCE_VARIABLE, "").strip().rstrip("/")
    if url and urlsplit(url).scheme in ("http", "https") and urlsplit(url).netloc:
        return SourcePlace(project, url)
    if url:
        log.warning("source address not used", variable=SOURCE_VARIABLE, why="it is no http or https address")
    return SourcePlace(project) if (project / "pyproject.toml").is_file() else None


def with_code_references(
    defs: dg.Definitions, modules: Sequence[ModuleType], place: SourcePlace | None
) -> dg.Definitions:
    """The definitions with each asset's source in its metadata: the function that makes it; of an external
    asset the line that describes it."""
    if place is None:
        return defs
    described = {key: at for module in modules for key, at in _described(module)}
    return dg.Definitions(
        assets=[_referring(asset, described, place) for asset in defs.assets or ()],
        asset_checks=defs.asset_checks,
        jobs=defs.jobs,
        schedules=defs.schedules,
        sensors=defs.sensors,
        resources=defs.resources,
        executor=defs.executor,
        loggers=defs.loggers,
        metadata=defs.metadata,
    )


def _described(module: ModuleType) -> Iterator[tuple[int, tuple[Path, int]]]:
    """Each external asset that the module gives a name, by its identity: file and line. One that it imports
    belongs to another module."""
    specs = {name: value for name, value in vars(module).items() if isinstance(value, dg.AssetSpec)}
    if not specs:
        return
    file = Path(str(module.__file__))
    for node in ast.parse(file.read_text(encoding="utf-8")).body:
        targets = node.targets if isinstance(node, ast.Assign) else ()
        for target in targets:
            if isinstance(target, ast.Name) and target.id in specs:
                yield id(specs[target.id]), (file, node.lineno)


def _referring(asset: Any, described: Mapping[int, tuple[Path, int]], place: SourcePlace) -> Any:
    if isinstance(asset, dg.AssetSpec):
        at = described.get(id(asset))
        return asset if at is None else _spec(asset, place.reference(*at))
    function = _function_of(asset)
    if function is None:
        return asset
    source, line = inspect.getsourcefile(function), inspect.getsourcelines(function)[1]
    reference = None if source is None else place.reference(Path(source).resolve(), line)
    return asset.map_asset_specs(lambda spec: _spec(spec, reference))


def _spec(
    spec: dg.AssetSpec, reference: dg.LocalFileCodeReference | dg.UrlCodeReference | None
) -> dg.AssetSpec:
    """Its own references stay: whoever wrote them knows better."""
    if reference is None or METADATA in spec.metadata:
        return spec
    value = dg.CodeReferencesMetadataValue(code_references=[reference])
    return spec.replace_attributes(metadata={**spec.metadata, METADATA: value})


def _function_of(asset: Any) -> Callable[..., Any] | None:
    """What a person wrote, below every wrapper; None for what is no function."""
    node = asset.node_def if isinstance(asset, dg.AssetsDefinition) and asset.is_executable else None
    if isinstance(node, dg.OpDefinition):
        function: Any = getattr(node.compute_fn, "decorated_fn", node.compute_fn)
    elif isinstance(node, dg.GraphDefinition):
        function = node.composition_fn
    else:
        function = None
    return None if function is None else inspect.unwrap(function)
