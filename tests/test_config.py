"""The configuration: defaults, errors that help, limits and which of two sets is looser."""

from __future__ import annotations

import math
from pathlib import Path

import pytest

from trading_assets.config import (
    PUBLIC_KEYS,
    Settings,
    config_rows,
    data_dir_of,
    keys,
    limits,
    load,
)
from trading_assets.core.limits import Limits, looser_limits, tightened
from trading_assets.errors import InvalidInput

ROOT = Path(__file__).resolve().parent.parent


def written(tmp_path: Path, text: str) -> Path:
    path = tmp_path / "config" / "execution.yaml"
    path.parent.mkdir(exist_ok=True)
    path.write_text(text, encoding="utf-8")
    return path


def complaint(tmp_path: Path, text: str) -> str:
    path = written(tmp_path, text)
    with pytest.raises(InvalidInput) as caught:
        load(path)
    message = str(caught.value)
    assert message.startswith(f"{path}: ")
    return message.removeprefix(f"{path}: ")


def test_the_file_that_ships_writes_every_key_with_its_default() -> None:
    path = ROOT / "config" / "execution.yaml"
    loaded = load(path)
    assert loaded.model_copy(update={"data_dir": Path("var")}) == Settings()
    text = path.read_text(encoding="utf-8")
    for row in config_rows():
        assert f"{row.key.rpartition('.')[2]}: " in text, row.key


def test_the_demo_configuration_loads_and_trades_a_model_below_its_own_directory() -> None:
    demo = load(ROOT / "config" / "demo.yaml")
    assert demo.venue == "embedded"
    assert demo.model.enabled
    assert demo.model_path is not None
    assert demo.model_path.is_relative_to(demo.data_dir)


def test_relative_paths_start_at_the_directory_above_the_files_own(tmp_path: Path) -> None:
    settings = load(written(tmp_path, "data_dir: var/x\nmodel_path: /models/model.ubj\n"))
    assert settings.data_dir == tmp_path.resolve() / "var" / "x"
    assert settings.model_path == Path("/models/model.ubj")
    assert settings.features_path is None


def test_a_misspelt_key_is_refused_with_its_line_and_the_nearest_valid_key(tmp_path: Path) -> None:
    text = "mode: paper\n" * 1 + "# a comment\n\nmax_postion_pct: 0.05\n"
    assert complaint(tmp_path, text) == (
        "unknown key `max_postion_pct` at line 4. Nearest valid key: `max_position_pct`"
    )


def test_a_misspelt_key_in_a_section_is_named_with_its_section(tmp_path: Path) -> None:
    text = "model:\n  enable: true\n"
    assert complaint(tmp_path, text) == (
        "unknown key `model.enable` at line 2. Nearest valid key: `model.enabled`"
    )


@pytest.mark.parametrize(
    ("text", "says"),
    [
        (
            "max_position_pct: 1.5",
            "`max_position_pct` is 1.5 at line 1: input should be less than or equal to 1",
        ),
        ("max_position_pct: 0", "greater than 0"),
        ("max_position_pct: -0.1", "greater than 0"),
        ("max_position_pct: .inf", "finite number"),
        ("max_position_pct: .nan", "finite number"),
        ("max_order_notional: .inf", "finite number"),
        (
            "max_position_pct: '0.05'",
            '`max_position_pct` is "0.05" at line 1: input should be a valid number',
        ),
        ("max_position_pct: true", "valid number"),
        ("max_orders_per_day: true", "valid integer"),
        ("max_orders_per_day: 5.5", "valid integer"),
        ("max_orders_per_day: 0", "greater than or equal to 1"),
        ("max_orders_per_day: 010", "valid integer"),
        ("max_orders_per_day: 1_000", "valid integer"),
        ("use_margin: yes", '`use_margin` is "yes" at line 1: input should be a valid boolean'),
        ("use_margin: 1", "valid boolean"),
        ("tick_minutes: 0", "greater than or equal to 1"),
        ("tick_minutes: 391", "less than or equal to 390"),
        ("mode: real", "input should be 'paper' or 'live'"),
        ("mode: live", "`mode: live` needs `venue: alpaca`"),
        ("mode: live\nvenue: alpaca", "needs `account_number`"),
        ("account_number: 123", "`account_number` is 123 at line 1: input should be a valid string"),
        ("model: {enabled: true}", "needs `model_path` and `features_path`"),
        ("model: {enabled: true}\nmodel_path: m", "needs `model_path` and `features_path`"),
        ("model: true", "input should be an object"),
        ("allow_shorts: true", "short selling is not built yet"),
        ("symbols: []", "at least one ticker"),
        ("symbols: AAPL", "valid array"),
        ("symbols:\n  - AAPL\n  - aapl", '`symbols[1]` is "aapl" at line 3: must be a ticker'),
        ("symbols: [AAPL, MSFT, AAPL]", "lists AAPL more than once"),
        ("min_order_notional: 20000", "`min_order_notional` is above `max_order_notional`"),
        ("embedded: {url: 'https://api.alpaca.markets:443'}", "must be a loopback origin"),
        ("embedded: {url: 'http://127.0.0.1:8765/v2'}", "must be a loopback origin"),
        ("embedded: {url: 'http://x@127.0.0.1:8765'}", "must be a loopback origin"),
        ("embedded: {control_url: 'http://127.0.0.1:8765?x'}", "must be a loopback origin"),
        ("mode: paper\nmode: live", "`mode` is given twice, at lines 1 and 2"),
        ("a: &x 1\nb: *x", "not valid YAML at line 2: an alias"),
        ("mode: !!python/name:os.system ''", "not valid YAML at line 1: the tag"),
        ("mode: [", "not valid YAML at line 1"),
        ("tick_minutes: !!int five", "not valid YAML"),
        ("", "holds no keys"),
        ("- mode", "holds no keys"),
    ],
)
def test_a_value_that_cannot_be_used_is_refused_with_key_line_and_reason(
    tmp_path: Path, text: str, says: str
) -> None:
    assert says in complaint(tmp_path, text)


def test_every_fault_of_a_file_is_named_at_once_in_the_order_of_its_lines(tmp_path: Path) -> None:
    message = complaint(tmp_path, "stop_loss: 2\nfoo: 1\nthreshold: no\n")
    assert (
        message.index("`stop_loss` is 2 at line 1")
        < message.index("`foo` at line 2")
        < message.index('`threshold` is "no" at line 3')
    )


def test_a_missing_or_unreadable_file_is_refused_by_name(tmp_path: Path) -> None:
    with pytest.raises(InvalidInput, match=r"absent\.yaml: there is no such file"):
        load(tmp_path / "absent.yaml")
    binary = tmp_path / "binary.yaml"
    binary.write_bytes(b"\xff\xfe\x00")
    with pytest.raises(InvalidInput, match=r"binary\.yaml: cannot be read"):
        load(binary)


def test_the_ticker_ON_is_text_and_an_integer_may_stand_for_a_number(tmp_path: Path) -> None:
    settings = load(written(tmp_path, "symbols: [ON, BRK.B]\nmin_order_notional: 100\nmax_spread_bps: 2e1\n"))
    assert settings.symbols == ("ON", "BRK.B")
    assert limits(settings).min_order_notional == 100.0
    assert limits(settings).max_spread_bps == 20.0


def test_settings_cannot_be_changed_after_loading() -> None:
    with pytest.raises(ValueError, match="frozen"):
        Settings().mode = "live"


def test_limits_carry_the_files_values_and_resolve_what_is_null() -> None:
    given = limits(
        Settings.model_validate({"max_position_pct": 0.04, "max_orders_per_day": 7, "use_margin": True})
    )
    assert (given.max_position_pct, given.max_orders_per_day, given.use_margin) == (0.04, 7.0, True)
    assert all(
        type(getattr(given, name)) is float for name in set(Limits._fields) - {"use_margin", "fractional"}
    )
    assert given.stale_quote_seconds == 120.0
    assert limits(Settings(feed="sip")).stale_quote_seconds == 15.0
    assert (
        limits(Settings.model_validate({"feed": "sip", "stale_quote_seconds": 3.0})).stale_quote_seconds
        == 3.0
    )
    assert math.isnan(given.volatility_target)
    assert limits(Settings.model_validate({"volatility_target": 0.2})).volatility_target == 0.2


def test_the_defaults_are_the_definitions() -> None:
    defined = {
        "limit_offset": 0.001,
        "max_slip_pct": 0.005,
        "exit_collar_pct": 0.05,
        "max_spread_bps": 50.0,
        "max_symbol_move": 0.10,
        "stale_signal_seconds": 120.0,
        "stale_quote_seconds": 15.0,
        "stale_account_seconds": 60.0,
        "no_entry_seconds_after_open": 70.0,
        "no_entry_minutes_before_close": 5.0,
        "min_order_notional": 50.0,
        "max_order_notional": 10_000.0,
        "max_position_pct": 0.05,
        "max_gross_exposure": 0.60,
        "threshold": 0.1,
        "max_orders_per_symbol_per_day": 5.0,
        "max_orders_per_day": 200.0,
        "max_orders_per_execution": 10.0,
        "max_reject_streak": 5.0,
        "max_exit_orders_per_day": 400.0,
        "session_drawdown": 0.01,
        "max_daily_loss": 0.02,
        "max_drawdown": 0.10,
        "stop_loss": 0.05,
        "volatility_target": None,
        "use_margin": False,
        "fractional": False,
    }
    result = limits(Settings(feed="sip"))._asdict()
    assert {
        name: None if isinstance(value, float) and math.isnan(value) else value
        for name, value in result.items()
    } == defined
    assert limits(Settings(feed="iex"))._asdict() | {"volatility_target": None} == defined | {
        "stale_quote_seconds": 120.0
    }


def test_the_defaults_of_what_is_no_limit_are_the_definitions() -> None:
    settings = Settings()
    assert (settings.mode, settings.venue, settings.tick_minutes) == ("paper", "embedded", 5)
    assert (settings.timeout_seconds, settings.reconciliation_interval_seconds) == (30.0, 60.0)
    off = (settings.extended_hours, settings.allow_shorts, settings.flatten_on_kill, settings.model.enabled)
    assert not any(off)
    assert (settings.model_path, settings.features_path) == (None, None)


def test_the_embedded_exchange_never_gets_alpacas_keys() -> None:
    environ = {"APCA_API_KEY_ID": "PKREAL", "APCA_API_SECRET_KEY": "real"}
    assert keys(Settings(), environ) == PUBLIC_KEYS
    assert keys(Settings(venue="alpaca"), environ) == ("PKREAL", "real")


@pytest.mark.parametrize(
    ("environ", "missing"),
    [
        ({}, "APCA_API_KEY_ID and APCA_API_SECRET_KEY not set"),
        ({"APCA_API_KEY_ID": "PK"}, "environment: APCA_API_SECRET_KEY not set"),
        ({"APCA_API_KEY_ID": " ", "APCA_API_SECRET_KEY": "x"}, "environment: APCA_API_KEY_ID not set"),
    ],
)
def test_missing_keys_are_named_by_their_variables(environ: dict[str, str], missing: str) -> None:
    with pytest.raises(InvalidInput, match=missing):
        keys(Settings(venue="alpaca"), environ)


@pytest.mark.parametrize(
    "environ",
    [
        {"ALPACA_API_KEY": "PK1", "ALPACA_SECRET_KEY": "s3cret"},
        {"APCA_API_KEY_ID": "PK1", "ALPACA_SECRET_KEY": "s3cret"},
        {"APCA_API_KEY_ID": " ", "ALPACA_API_KEY": "PK1", "APCA_API_SECRET_KEY": "s3cret"},
        {
            "ALPACA_API_KEY": "PK1",
            "ALPACA_SECRET_KEY": "s3cret",
            "APCA_API_KEY_ID": "PK1",
            "APCA_API_SECRET_KEY": "s3cret",
        },
    ],
)
def test_both_names_of_a_key_are_understood(environ: dict[str, str]) -> None:
    assert keys(Settings(venue="alpaca"), environ) == ("PK1", "s3cret")


@pytest.mark.parametrize(
    ("name", "other"),
    [("APCA_API_KEY_ID", "ALPACA_API_KEY"), ("APCA_API_SECRET_KEY", "ALPACA_SECRET_KEY")],
)
def test_two_names_of_one_key_with_different_values_are_refused_and_no_value_is_shown(
    name: str, other: str
) -> None:
    whole = {"APCA_API_KEY_ID": "first-value", "APCA_API_SECRET_KEY": "second-value"}
    with pytest.raises(InvalidInput) as refused:
        keys(Settings(venue="alpaca"), whole | {other: "third-value"})
    assert str(refused.value) == (
        f"environment: {name} and {other} are both set, to different values. "
        f"They are two names of one key. Unset one: `unset {other}`, or `unset {name}`."
    )
    assert keys(Settings(), whole | {other: "third-value"}) == PUBLIC_KEYS  # which needs none of them


def test_the_other_name_of_a_key_is_held_to_the_same_rules() -> None:
    with pytest.raises(InvalidInput, match="ALPACA_SECRET_KEY holds a blank"):
        keys(Settings(venue="alpaca"), {"ALPACA_API_KEY": "PK1", "ALPACA_SECRET_KEY": "two words"})


BASE = limits(Settings())._replace(volatility_target=0.2, use_margin=False, fractional=False)
LOWER_IS_LOOSER = {
    "no_entry_seconds_after_open",
    "no_entry_minutes_before_close",
    "min_order_notional",
    "threshold",
}


@pytest.mark.parametrize("name", Limits._fields)
def test_a_limit_is_looser_in_one_direction_only_and_the_tighter_one_holds(name: str) -> None:
    value = getattr(BASE, name)
    other = True if isinstance(value, bool) else value * (0.5 if name in LOWER_IS_LOOSER else 2)
    loose = BASE._replace(**{name: other})
    assert looser_limits(BASE, loose) == (name,)
    assert looser_limits(loose, BASE) == ()
    assert tightened(BASE, loose) == BASE
    assert tightened(loose, BASE) == BASE


def test_an_unset_volatility_target_is_the_loosest() -> None:
    off = BASE._replace(volatility_target=math.nan)
    assert looser_limits(BASE, off) == ("volatility_target",)
    assert tightened(BASE, off) == BASE
    assert tightened(off, BASE) == BASE
    assert looser_limits(off, off) == ()


def test_tightened_takes_each_limit_from_the_tighter_side() -> None:
    wanted = BASE._replace(max_position_pct=0.5, stop_loss=0.01, threshold=0.05)
    assert looser_limits(BASE, wanted) == ("max_position_pct", "threshold")
    assert tightened(BASE, wanted) == BASE._replace(stop_loss=0.01)


def test_the_docs_table_has_every_field_with_type_default_and_one_sentence() -> None:
    rows = {row.key: row for row in config_rows()}
    assert set(Limits._fields) <= set(rows)
    assert rows["max_position_pct"].type == "number"
    assert rows["max_position_pct"].default == "0.05"
    assert rows["mode"].type == "`paper` or `live`"
    assert rows["model_path"].type == "path or null"
    assert rows["symbols"].type == "list of text"
    assert rows["embedded.url"].default == '"http://127.0.0.1:8765"'
    assert "model" not in rows
    for row in rows.values():
        assert row.description.endswith("."), row
        assert row.description.count(". ") == 0, row


def overlaid(tmp_path: Path, text: str, local: str) -> Path:
    path = written(tmp_path, text)
    path.with_name("local.yaml").write_text(local, encoding="utf-8")
    return path


def test_what_a_person_writes_into_local_yaml_is_put_over_the_tracked_file(tmp_path: Path) -> None:
    path = overlaid(
        tmp_path,
        "max_position_pct: 0.04\nsymbols: [AAPL]\nembedded:\n  time: runs\n",
        "symbols: [MSFT, IBM]\nembedded:\n  url: http://127.0.0.1:9000\ndata_dir: mine\n",
    )
    settings = load(path)
    assert settings.symbols == ("MSFT", "IBM")
    assert limits(settings).max_position_pct == 0.04
    assert (settings.embedded.time, settings.embedded.url) == ("runs", "http://127.0.0.1:9000")
    assert settings.data_dir == data_dir_of(path) == tmp_path / "mine"


@pytest.mark.parametrize("local", ["", "# nothing yet\n"])
def test_an_empty_local_yaml_changes_nothing(tmp_path: Path, local: str) -> None:
    path = overlaid(tmp_path, "symbols: [AAPL]\ndata_dir: here\n", local)
    assert load(path).symbols == ("AAPL",)
    assert data_dir_of(path) == tmp_path / "here"


def test_a_fault_names_the_file_and_the_line_that_it_stands_in(tmp_path: Path) -> None:
    path = overlaid(tmp_path, "mode: paper\n", "symbols: [AAPL]\nmax_positon_pct: 0.1\n")
    with pytest.raises(InvalidInput) as raised:
        load(path)
    assert raised.value.where == str(path.with_name("local.yaml"))
    assert "unknown key `max_positon_pct` at line 2 of local.yaml" in str(raised.value)
    path = overlaid(tmp_path, "mode: papier\n", "stop_loss: 2\n")
    with pytest.raises(InvalidInput) as raised:
        load(path)
    assert raised.value.where == str(path)
    assert "`stop_loss` is 2 at line 1 of local.yaml: input should be less" in str(raised.value)


def test_local_yaml_belongs_to_execution_yaml_alone(tmp_path: Path) -> None:
    path = overlaid(tmp_path, "symbols: [AAPL]\n", "symbols: [MSFT]\n")
    assert load(path.rename(path.with_name("other.yaml"))).symbols == ("AAPL",)


def test_a_local_yaml_that_is_a_link_to_nowhere_is_refused(tmp_path: Path) -> None:
    """Its limits were left out, and nobody was told."""
    path = written(tmp_path, "data_dir: here\n")
    path.with_name("local.yaml").symlink_to(tmp_path / "not mounted.yaml")
    with pytest.raises(InvalidInput, match=r"local\.yaml: there is no such file"):
        load(path)
    assert data_dir_of(path) == tmp_path / "here"


@pytest.mark.parametrize("local", ["---\n", "--- # nothing yet\n", "~\n"])
def test_a_local_yaml_of_an_empty_document_changes_nothing(tmp_path: Path, local: str) -> None:
    assert load(overlaid(tmp_path, "symbols: [AAPL]\n", local)).symbols == ("AAPL",)


@pytest.mark.parametrize(
    ("written_as", "named"),
    [
        ("data_dir : other", "other"),
        ("'data_dir': other", "other"),
        ("data_dir: a#b # with a comment", "a#b"),
        ("data_dir:\n  other", "other"),
        ("data_dir: >-\n  other", "other"),
        ("{data_dir: other, max_positon_pct: 1}", "other"),
        ("data_dir: null", "here"),
        ("data_dir: a#b\nmode: [", "a#b"),
        ("'data_dir' : 'a b' # with a comment\nmode: [", "a b"),
    ],
)
def test_a_kill_reads_the_data_directory_however_yaml_lets_it_be_written(
    tmp_path: Path, written_as: str, named: str
) -> None:
    """Beside a fault elsewhere in the file, which must not send the kill to another directory."""
    fault = "" if written_as.startswith("{") else "\nmax_positon_pct: 1"
    path = overlaid(tmp_path, "data_dir: here\n", f"{written_as}{fault}\n")
    with pytest.raises(InvalidInput):
        load(path)
    assert data_dir_of(path) == tmp_path / named


@pytest.mark.parametrize(
    ("text", "local", "named"),
    [
        ("mode: paper\n", "mode: live\nvenue: alpaca\n", "local.yaml"),
        ("mode: live\nvenue: embedded\n", "venue: alpaca\n", "execution.yaml"),
        ("model:\n  enabled: false\n", "model:\n  enabled: true\n", "local.yaml"),
    ],
)
def test_a_fault_of_two_keys_names_the_file_of_the_first(
    tmp_path: Path, text: str, local: str, named: str
) -> None:
    with pytest.raises(InvalidInput) as raised:
        load(overlaid(tmp_path, text, local))
    assert str(raised.value).startswith(f"{tmp_path / 'config' / named}: ")
