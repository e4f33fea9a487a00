"""Reading config/execution.yaml: strict YAML, line numbers, and errors that say what to write instead.

The YAML is the core schema of version 1.2: `true` and `false` are the only booleans (the ticker ON
is text), numbers have no octal, sexagesimal or underscored forms, dates are text. A key given twice,
an alias and a tag are refused. What the keys may hold is stated in `config.settings`.
"""

from __future__ import annotations

import difflib
import json
import os
import re
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple, TypeVar

import yaml
from pydantic import BaseModel, ValidationError
from pydantic_core import ErrorDetails

from trading_assets.config.settings import Settings
from trading_assets.errors import InvalidInput

Location = tuple[str | int, ...]
S = TypeVar("S", bound=BaseModel)

CONFIG_VARIABLE = "TRADING_ASSETS_CONFIG"
DEFAULT_CONFIG = "config/execution.yaml"
LOCAL = "local.yaml"
_PATHS = ("data_dir", "import_dir", "model_path", "features_path")
_DATA_DIR = re.compile(
    r"^(?P<key>[\"']?)data_dir(?P=key)[ \t]*:"
    r"[ \t]*(?P<quote>[\"']?)(?P<path>.+?)(?P=quote)[ \t]*(?:[ \t]#.*)?$",
    re.MULTILINE,
)


def path_in_use(given: Path | str | None, environ: Mapping[str, str]) -> Path:
    """The file to read: the one given, else the environment's TRADING_ASSETS_CONFIG, else
    config/execution.yaml. A relative path starts at the working directory."""
    return Path(given or environ.get(CONFIG_VARIABLE) or DEFAULT_CONFIG)


def load(path: Path | str) -> Settings:
    """The settings in a YAML file. Those of a `local.yaml` beside config/execution.yaml take their place: it
    is the file to edit, which no checkout overwrites. Keys that both leave out have their defaults.

    Relative paths in the files start at the project's root, which is the directory above the file's
    own: in /desk/config/execution.yaml, `data_dir: var` is /desk/var.

    Raises InvalidInput that names the file, every wrong key with its line, and what to write instead.
    """
    values: dict[str, Any] = {}
    lines: dict[Location, _Place] = {}
    for layer in layers(path):
        layer_values, at = _read(layer)
        _put_over(values, layer_values)
        lines |= {location: _Place(layer, line) for location, line in at.items()}
    try:
        # through JSON: pydantic is then strict about numbers and booleans, and takes text for a path
        settings = Settings.model_validate_json(json.dumps(values))
    except ValidationError as error:
        nowhere = _Place(Path(path), 0)
        faults = sorted((_fault(detail, lines, nowhere) for detail in error.errors()), key=_by_place(path))
        first, *others = faults
        also = "".join(f". Also: {fault.what}. {fault.remedy}" for fault in others)
        raise InvalidInput(first.what, where=str(first.place.file), remedy=first.remedy + also) from None
    root = Path(path).resolve().parent.parent
    return _from_root(root, settings, _PATHS).model_copy(
        update={"embedded": _from_root(root, settings.embedded, ("keys_file",))}
    )


def layers(path: Path | str) -> tuple[Path, ...]:
    """The files of a configuration, the later over the earlier."""
    path = Path(path)
    local = path.with_name(LOCAL)
    # a link to nowhere is there, and cannot be read: without its values limits would be looser, unsaid
    return (path, local) if path.name == Path(DEFAULT_CONFIG).name and os.path.lexists(local) else (path,)


def _put_over(values: dict[str, Any], other: Mapping[str, Any]) -> None:
    for name, value in other.items():
        if isinstance(value, Mapping) and isinstance(values.get(name), dict):
            _put_over(values[name], value)
        else:
            values[name] = value


def _from_root(root: Path, section: S, names: Sequence[str]) -> S:
    """The section with its relative paths beginning at `root`."""
    return section.model_copy(
        update={name: root / value for name in names if (value := getattr(section, name)) is not None}
    )


def data_dir_of(path: Path | str) -> Path:
    """The data directory of a file that need not be usable otherwise: for a kill, which a typo must not hold
    back. The default's where the file names none that can be read."""
    directory = str(Settings.model_fields["data_dir"].default)
    for layer in layers(path):
        directory = _data_dir_in(layer) or directory
    return Path(path).resolve().parent.parent / directory


def _data_dir_in(layer: Path) -> str | None:
    """What a file names as `data_dir`: as YAML, and by its line where it is none."""
    try:
        named = _read(layer)[0].get("data_dir")
        return named if isinstance(named, str) else None
    except InvalidInput:
        pass
    try:
        line = _DATA_DIR.search(layer.read_text(encoding="utf-8", errors="replace"))
    except OSError:
        return None
    return line and line["path"]


class _Place(NamedTuple):
    file: Path
    line: int  # 1-based; 0: of the file as a whole


class _Fault(NamedTuple):
    place: _Place
    what: str
    remedy: str


def _by_place(path: Path | str) -> Callable[[_Fault], tuple[bool, int]]:
    """The configuration's own file first, line by line."""
    return lambda fault: (fault.place.file != Path(path), fault.place.line)


def _fault(detail: ErrorDetails, lines: Mapping[Location, _Place], nowhere: _Place) -> _Fault:
    location = detail["loc"]
    key = "".join(f"[{part}]" if isinstance(part, int) else f".{part}" for part in location).lstrip(".")
    known = (lines[location[:n]] for n in range(len(location), 0, -1) if location[:n] in lines)
    place = next(known, nowhere)
    at = f" at line {place.line}" if place.line else ""
    at += f" of {place.file.name}" if place.file != nowhere.file else ""
    if detail["type"] == "extra_forbidden":
        section = _section(location[:-1])
        nearest = difflib.get_close_matches(str(location[-1]), section.model_fields, n=1, cutoff=0.0)[0]
        prefix = key[: len(key) - len(str(location[-1]))]
        return _Fault(place, f"unknown key `{key}`{at}", f"Nearest valid key: `{prefix}{nearest}`")
    reason = detail["msg"].removeprefix("Value error, ")
    if not location:  # of two keys together: the file of the first that is written
        named = (tuple(name.split(".")) for name in re.findall(r"`([\w.]+)", reason))
        place = next((lines[name] for name in named if name in lines), nowhere)
        return _Fault(place, reason, "Change one of the two")
    given = json.dumps(detail["input"], ensure_ascii=False, default=str)
    given = given if len(given) <= 80 else f"{given[:80]}…"
    name = next(part for part in reversed(location) if isinstance(part, str))
    field = _section(location[: location.index(name)]).model_fields[name]
    default = json.dumps(field.get_default(), default=_plain)
    return _Fault(
        place,
        f"`{key}` is {given}{at}: {reason[:1].lower()}{reason[1:]}",
        f"{field.description} Default: {default}",
    )


def _plain(value: object) -> object:
    return value.model_dump() if isinstance(value, BaseModel) else str(value)


def _section(location: Location) -> type[BaseModel]:
    section: type[BaseModel] = Settings
    for part in location:
        section = type(section.model_fields[str(part)].get_default())
    return section


class _CoreSchema(yaml.SafeLoader):
    """SafeLoader with the implicit types of YAML 1.2's core schema, and without aliases."""

    yaml_implicit_resolvers: dict[str, Any] = {}  # noqa: RUF012 - PyYAML's own declaration

    def compose_node(self, parent: yaml.Node | None, index: Any) -> yaml.Node | None:
        if self.check_event(yaml.AliasEvent):
            raise yaml.MarkedYAMLError(problem="an alias is not allowed here", problem_mark=self.get_mark())
        return super().compose_node(parent, index)


for _tag, _pattern, _first in (
    ("null", r"^(?:~|null|)$", ["~", "n", ""]),
    ("bool", r"^(?:true|false)$", list("tf")),
    ("int", r"^[-+]?(?:0|[1-9][0-9]*)$", list("-+0123456789")),
    (
        "float",
        r"^(?:[-+]?(?:\.[0-9]+|[0-9]+\.[0-9]*)(?:[eE][-+]?[0-9]+)?|[-+]?[0-9]+[eE][-+]?[0-9]+|[-+]?\.inf|\.nan)$",
        list("-+.0123456789"),
    ),
):
    _CoreSchema.add_implicit_resolver(f"tag:yaml.org,2002:{_tag}", re.compile(_pattern), _first)

_TAGS = {f"tag:yaml.org,2002:{kind}" for kind in ("map", "seq", "str", "int", "float", "bool", "null")}


def _read(path: Path) -> tuple[dict[str, Any], dict[Location, int]]:
    """The file's values, and the line of each key and list item."""
    try:
        loader = _CoreSchema(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise InvalidInput(
            "there is no such file", where=str(path), remedy="Give the path of an execution.yaml"
        ) from None
    except (OSError, UnicodeDecodeError, yaml.YAMLError) as error:
        raise InvalidInput(
            f"cannot be read: {error}", where=str(path), remedy="It must be readable UTF-8 text"
        ) from error
    lines: dict[Location, int] = {}
    try:
        node = loader.get_single_node()
        nothing = node is None or (isinstance(node, yaml.ScalarNode) and node.tag == "tag:yaml.org,2002:null")
        if nothing and path.name == LOCAL:
            return {}, {}
        if not isinstance(node, yaml.MappingNode):
            raise InvalidInput(
                "holds no keys", where=str(path), remedy="Write at least `mode: paper`; the rest has defaults"
            )
        _note_lines(node, (), lines, path)
        values: dict[str, Any] = loader.construct_document(node)
    except yaml.MarkedYAMLError as error:
        line = f" at line {error.problem_mark.line + 1}" if error.problem_mark else ""
        raise InvalidInput(
            f"not valid YAML{line}: {error.problem}", where=str(path), remedy="Write `key: value`, one a line"
        ) from error
    except (ValueError, RecursionError) as error:
        raise InvalidInput(
            f"not valid YAML: {error}", where=str(path), remedy="Write `key: value`, one a line"
        ) from error
    finally:
        loader.dispose()
    return values, lines


def _note_lines(node: yaml.Node, at: Location, lines: dict[Location, int], path: Path) -> None:
    """Note where each key stands; refuse a key given twice and a tag that is not plain data."""
    if node.tag not in _TAGS:
        raise yaml.MarkedYAMLError(problem=f"the tag {node.tag} is not allowed", problem_mark=node.start_mark)
    if isinstance(node, yaml.MappingNode):
        for key, value in node.value:
            here = (*at, str(key.value))
            line = key.start_mark.line + 1
            if here in lines:
                raise InvalidInput(
                    f"`{'.'.join(map(str, here))}` is given twice, at lines {lines[here]} and {line}",
                    where=str(path),
                    remedy="Keep one of them",
                )
            lines[here] = line
            _note_lines(value, here, lines, path)
    elif isinstance(node, yaml.SequenceNode):
        for position, item in enumerate(node.value):
            lines[*at, position] = item.start_mark.line + 1
            _note_lines(item, (*at, position), lines, path)
