"""Which definitions a folder holds: the modules in it, and the `Definitions` objects that some of them hand
over whole. What cannot be loaded is refused by its name, never passed over.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from importlib import import_module
from pathlib import Path
from types import ModuleType
from typing import Any

import dagster as dg
from dagster.components.component.component_loader import is_component_loader
from dagster.components.definitions import LazyDefinitions

OLD_NAMES = {"trading_assets.defs.fallback"}  # of what is no longer in the folder
COMPONENT_FILES = ("defs.yaml", "defs.yml", "component.yaml")
MEND_IT = "Mend that file, or move it away"
_BY_NAME = "Call it from the module, `NAME = dg.build_defs_for_component(...)`, or move it away"


def modules_of(package: ModuleType) -> list[ModuleType]:
    """Each module in the package's folder and in the folders in it, imported: also those in a folder without
    an `__init__.py`, which pkgutil passes over.

    Raises ImportError, whose text Dagster shows, for a module that does not load and for a component's file.
    """
    _refuse_components(package)
    names = {
        ".".join((package.__name__, *_parts(file.relative_to(folder))))
        for folder in map(Path, package.__path__)
        for file in folder.rglob("*.py")
        if not any("." in part for part in _parts(file.relative_to(folder)))  # no module has such a name
    }
    return [_imported(name) for name in sorted(names - OLD_NAMES - {package.__name__})]


def merged(loaded: dg.Definitions, modules: Sequence[ModuleType]) -> dg.Definitions:
    """`loaded`, which has what stands alone or in a list at the top level of the modules, with what is in a
    `dg.Definitions` object there or comes of a function under `@dg.definitions`.

    What stands in both is taken once. Raises ImportError, with the module's name, where the two contradict
    each other: a resource of the same name, an executor, a logger.
    """
    known = {id(one) for name in _LISTS for one in getattr(loaded, name) or ()}
    for module, own in _own_definitions(modules):
        try:
            loaded = dg.Definitions.merge(loaded, _without(own, known))
        except Exception as error:
            raise _not_loaded(module.__name__, error) from error
        known |= {id(one) for name in _LISTS for one in getattr(own, name) or ()}
    return loaded


_LISTS = ("assets", "asset_checks", "jobs", "schedules", "sensors")


def _without(own: dg.Definitions, known: set[int]) -> dg.Definitions:
    new: dict[str, Any] = {
        name: [one for one in getattr(own, name) or () if id(one) not in known] for name in _LISTS
    }
    return dg.Definitions(
        **new,
        resources=own.resources,
        executor=own.executor,
        loggers=own.loggers,
        metadata=own.metadata,
    )


def _own_definitions(modules: Sequence[ModuleType]) -> Iterator[tuple[ModuleType, dg.Definitions]]:
    seen: set[int] = set()
    for module in modules:
        for name, value in list(vars(module).items()):
            if id(value) in seen:
                continue  # imported from a module before
            if is_component_loader(value):
                raise ImportError(f"{module.__name__}.{name} is a component, which is not loaded. {_BY_NAME}")
            if isinstance(value, LazyDefinitions | dg.Definitions):
                seen.add(id(value))
                yield module, _made(module, value)


def _made(module: ModuleType, value: LazyDefinitions[Any] | dg.Definitions) -> dg.Definitions:
    if isinstance(value, dg.Definitions):
        return value
    try:
        own = value()
    except (Exception, SystemExit) as error:
        raise _not_loaded(module.__name__, error) from error
    if not isinstance(own, dg.Definitions):
        raise ImportError(f"{module.__name__} returns a repository, not dg.Definitions. {MEND_IT}")
    return own


def _refuse_components(package: ModuleType) -> None:
    for folder in map(Path, package.__path__):
        for name in COMPONENT_FILES:
            for file in folder.rglob(name):
                raise ImportError(
                    f"{file} describes a component, which is not loaded: definitions here are Python. "
                    "Define the same in a .py file, or move it away"
                )


def _imported(name: str) -> ModuleType:
    try:
        return import_module(name)
    except (Exception, SystemExit) as error:
        raise _not_loaded(name, error) from error


def _not_loaded(name: str, error: BaseException) -> ImportError:
    return ImportError(f"{name} does not load: {type(error).__name__}: {error}. {MEND_IT}")


def _parts(file: Path) -> tuple[str, ...]:
    return file.parent.parts if file.name == "__init__.py" else file.with_suffix("").parts
