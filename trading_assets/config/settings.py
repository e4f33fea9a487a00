"""Every field of config/execution.yaml: type, default, constraint and one sentence about it.

Here is what may be written, and the table of it for the docs. The limits' fields follow from the table in
`core.limits`. Reading the file belongs to `config.file`.
"""

from __future__ import annotations

import json
import re
import types
import typing
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal, NamedTuple
from urllib.parse import urlsplit

from pydantic import (
    AfterValidator,
    BaseModel,
    ConfigDict,
    Field,
    create_model,
    field_validator,
    model_validator,
)

from trading_assets.core.limits import LIMIT_ROWS, LimitRow
from trading_assets.venues import BROKERS, VenueName

LOOPBACK_HOSTS = ("127.0.0.1", "localhost", "::1")

Positive = Annotated[float, Field(gt=0)]


def _ticker(symbol: str) -> str:
    if not re.fullmatch(r"[A-Z][A-Z0-9]{0,5}(\.[A-Z]{1,2})?", symbol):
        raise ValueError("must be a ticker in capitals, such as AAPL or BRK.B")
    return symbol


Ticker = Annotated[str, AfterValidator(_ticker)]


class _Section(BaseModel):
    model_config = ConfigDict(
        frozen=True,
        strict=True,
        extra="forbid",
        allow_inf_nan=False,
        protected_namespaces=(),
    )


class ModelSettings(_Section):
    enabled: bool = Field(
        default=False, description="Trade the signals of the model at `model_path`; needs both model paths."
    )


class EmbeddedSettings(_Section):
    url: str = Field(
        default="http://127.0.0.1:8765",
        description="Origin of the embedded exchange's Alpaca API, on loopback.",
    )
    control_url: str = Field(
        default="http://127.0.0.1:8766",
        description="Origin of the embedded exchange's control plane, on loopback.",
    )
    time: Literal["stands", "runs"] = Field(
        default="stands",
        description="Its time `stands`, moved from tick to tick by a sensor, or `runs` with the machine's.",
    )
    bars: Literal["bundled", "history"] = Field(
        default="bundled",
        description="What it trades: the `bundled` bars, or those imported into the `history` of data_dir.",
    )
    keys_file: Path | None = Field(
        default=None,
        description="File of its key pair, which it makes; null: exchange/keys.json in data_dir.",
    )

    @field_validator("url", "control_url")
    @classmethod
    def _is_a_loopback_origin(cls, url: str) -> str:
        parts = urlsplit(url)
        origin = f"http://{parts.netloc}"
        if url != origin or parts.hostname not in LOOPBACK_HOSTS or not parts.port or parts.username:
            raise ValueError("must be a loopback origin such as http://127.0.0.1:8765, without a path")
        return url


class _DeskSettings(_Section):
    """What trades, where, and by which model."""

    mode: Literal["paper", "live"] = Field(
        default="paper", description="Whether orders risk real money: `paper` or `live`."
    )
    venue: VenueName = Field(
        default="embedded",
        description="Where orders go: the `embedded` exchange on this machine, or `alpaca`.",
    )
    account_number: Annotated[str, Field(min_length=1)] | None = Field(
        default=None,
        description="The only account that orders may go to, as the broker states it; required for live.",
    )
    feed: Literal["iex", "sip"] = Field(default="iex", description="Market data feed: `iex` or `sip`.")
    symbols: tuple[Ticker, ...] = Field(
        default=("AAPL", "FB", "GOOG", "IBM", "MSFT"), description="Tickers that are traded."
    )
    tick_minutes: int = Field(
        default=5, ge=1, le=390, description="Minutes between two decision times of a session."
    )
    data_dir: Path = Field(
        default=Path("var"),
        description="Directory of journal, history and logs; a relative path starts at the project's root.",
    )
    import_dir: Path | None = Field(
        default=None,
        description="Directory of files that a launch in Dagster may name; null: `imports` in `data_dir`.",
    )

    embedded: EmbeddedSettings = Field(
        default=EmbeddedSettings(), description="Where the embedded exchange listens."
    )
    model: ModelSettings = Field(default=ModelSettings(), description="The model's part in trading.")
    model_path: Path | None = Field(
        default=None,
        description="The champion model (model.ubj); a relative path starts at the project's root.",
    )
    features_path: Path | None = Field(
        default=None,
        description="The model's feature list (features.json); a relative path starts at the project's root.",
    )


def _limit_field(row: LimitRow) -> tuple[Any, Any]:
    """A limit's field as pydantic is given it: a count is an integer, what may be unset is null."""
    kind: Any = bool if isinstance(row.default, bool) else int if row.whole else float
    bounds = {name: bound for name in ("gt", "ge", "le") if (bound := getattr(row, name)) is not None}
    if bounds:
        kind = Annotated[kind, Field(**bounds)]
    if row.default is None:
        kind = kind | None
    return kind, Field(default=row.default, description=row.meaning)


if TYPE_CHECKING:
    # The fields are made of the table; code reads limits as `config.limits(settings)`, which is typed.
    _LimitedSettings = _DeskSettings
else:
    _LimitedSettings = create_model(
        "_LimitedSettings",
        __base__=_DeskSettings,
        **{name: _limit_field(row) for name, row in LIMIT_ROWS.items()},
    )


class Settings(_LimitedSettings):
    """Every field of config/execution.yaml. Build it with `load`; without a file, defaults hold."""

    quote_spread_bps: Annotated[float, Field(gt=0, le=10_000)] = Field(
        default=2.0,
        description="Spread assumed around bars that come without quotes, basis points of the price.",
    )

    extended_hours: bool = Field(default=False, description="Allow orders outside regular trading hours.")

    allow_shorts: bool = Field(
        default=False, description="Allow short positions; refused at start until short selling is built."
    )

    max_incomplete_share: Annotated[float, Field(ge=0, le=1)] = Field(
        default=0.2,
        description="Share of the symbols whose bars may have gaps; with more, and more than one, nothing is "
        "entered on.",
    )

    flatten_on_kill: bool = Field(
        default=False, description="Sell everything when the kill switch is seen, instead of only stopping."
    )

    arming_days: Annotated[float, Field(gt=0, le=365)] = Field(
        default=30.0,
        description="Days after which a person's arming of a book ends; a book that is not armed enters on "
        "nothing.",
    )

    timeout_seconds: Positive = Field(
        default=30.0, description="Seconds after which what still works of an execution is cancelled."
    )
    reconciliation_interval_seconds: Positive = Field(
        default=60.0, description="Seconds between two reconciliations of ledger and broker."
    )
    watchdog_seconds: Annotated[float, Field(gt=0, le=180)] = Field(
        default=180.0, description="Seconds without a protection after which the watchdog protects itself."
    )

    @field_validator("symbols")
    @classmethod
    def _are_some_and_unique(cls, symbols: tuple[str, ...]) -> tuple[str, ...]:
        if not symbols:
            raise ValueError("must name at least one ticker")
        twice = sorted({symbol for symbol in symbols if symbols.count(symbol) > 1})
        if twice:
            raise ValueError(f"lists {', '.join(twice)} more than once")
        return symbols

    @field_validator("allow_shorts")
    @classmethod
    def _is_not_built(cls, allowed: bool) -> bool:
        if allowed:
            raise ValueError("must be false: short selling is not built yet")
        return allowed

    @model_validator(mode="after")
    def _fits_together(self) -> Settings:
        if self.mode == "live" and self.venue not in BROKERS:
            raise ValueError(f"`mode: live` needs `venue: {' or '.join(BROKERS)}`")
        if self.mode == "live" and self.account_number is None:
            raise ValueError("`mode: live` needs `account_number`, the account that orders may go to")
        if self.model.enabled and (self.model_path is None or self.features_path is None):
            raise ValueError("`model.enabled: true` needs `model_path` and `features_path`")
        limits = self.limit_values()
        if limits["min_order_notional"] > limits["max_order_notional"]:
            raise ValueError("`min_order_notional` is above `max_order_notional`")
        return self

    def limit_values(self) -> dict[str, Any]:
        """The limits as the file has them, by name: a number, a switch, or None where one is unset."""
        return {name: getattr(self, name) for name in LIMIT_ROWS}

    @property
    def virtual_time(self) -> Literal["stands", "runs"] | None:
        """How the embedded exchange's time passes; None on a venue whose time is the world's."""
        return self.embedded.time if self.venue == "embedded" else None


class ConfigRow(NamedTuple):
    """One field for the table in the docs."""

    key: str
    type: str
    default: str
    description: str


def config_rows() -> list[ConfigRow]:
    """Every field of the file in its order, those of a section as `section.field`."""
    return _rows(Settings, "")


def _rows(section: type[BaseModel], prefix: str) -> list[ConfigRow]:
    rows: list[ConfigRow] = []
    for name, field in section.model_fields.items():
        if isinstance(field.default, BaseModel):
            rows += _rows(type(field.default), f"{prefix}{name}.")
            continue
        default = json.dumps(section.model_construct().model_dump(mode="json")[name])
        kind = _type_text(field.annotation)
        rows.append(ConfigRow(f"{prefix}{name}", kind, default, field.description or ""))
    return rows


def _type_text(annotation: Any) -> str:
    origin, inside = typing.get_origin(annotation), typing.get_args(annotation)
    if origin is Annotated:
        return _type_text(inside[0])
    if origin is Literal:
        return " or ".join(f"`{value}`" for value in inside)
    if origin in (typing.Union, types.UnionType):
        return " or ".join(_type_text(one) for one in inside)
    if origin is tuple:
        return f"list of {_type_text(inside[0])}"
    names = {float: "number", int: "integer", bool: "true or false", str: "text", Path: "path"}
    return names.get(annotation, "null")
