"""On Dagster's own storage, which cleans nothing: what a step of the desk gives away is stored without it."""

import base64
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any
from urllib.parse import quote

import dagster as dg
import pytest
from dagster._core.definitions.decorators.op_decorator import DecoratedOpFunction
from dagster._core.storage.event_log import SqliteEventLogStorage

from trading_assets import redaction
from trading_assets.dagster_instance import fallback
from trading_assets.dagster_instance.clean_events import CleanEventLog
from trading_assets.definitions import defs
from trading_assets.redaction import REDACTED
from trading_assets.runs.clean_steps import cleaned_metadata, is_wrapped, shows_no_secret

SECRET = 'pL4nted/"in\\a+Test=0123456789'
CODED = base64.b64encode(f"user:{SECRET}".encode()).decode()


@pytest.fixture(autouse=True)
def _hidden() -> Iterator[None]:
    redaction.hide(SECRET)
    yield
    redaction.forget()


def gives_away(context: dg.OpExecutionContext) -> None:
    redaction.redact_log_records()  # as every process of ours does first
    context.log.info(f"asks with {SECRET}")
    context.add_output_metadata(cleaned_metadata({"headers": {"x": SECRET}, "kept": "word"}))
    try:
        raise KeyError(SECRET, CODED)
    except KeyError as error:
        raise ValueError(f"no answer to {quote(SECRET)} through http://me:pa55@proxy:3128") from error


def fails(_: dg.OpExecutionContext) -> None:
    raise dg.Failure(f"not flat: {SECRET}", metadata={"x": CODED, "kept": "word"}, allow_retries=False)


def shows() -> dg.MaterializeResult[None]:
    return dg.MaterializeResult(metadata={"x": SECRET, "coded": dg.MetadataValue.md(CODED), "kept": "word"})


def checks() -> Iterator[dg.AssetCheckResult]:
    yield dg.AssetCheckResult(
        asset_key="shows",
        check_name="one",
        passed=True,
        description=f"with {SECRET}",
        metadata={"x": {"y": [SECRET]}, "measured": 1.5, "kept": "word"},
    )
    raise LookupError(SECRET)


def job(clean: bool) -> dg.Definitions:
    def wrap(step: Callable[..., Any]) -> Callable[..., Any]:
        return shows_no_secret(step) if clean else step

    ops = [dg.op(wrap(gives_away)), dg.op(wrap(fails))]
    jobs = [dg.GraphDefinition(name=f"do_{op.name}", node_defs=[op]).to_job() for op in ops]
    asset = dg.asset(wrap(shows))
    check = dg.multi_asset_check(specs=[dg.AssetCheckSpec("one", asset="shows")])(wrap(checks))
    return dg.Definitions(assets=[asset], asset_checks=[check], jobs=[*jobs, dg.define_asset_job("do_shows")])


def left_by(place: Path, *, clean: bool) -> bytes:
    """What the files hold after a run of each."""
    place.mkdir()
    with dg.instance_for_test(temp_dir=str(place)) as instance:
        assert type(instance.event_log_storage) is SqliteEventLogStorage
        definitions = job(clean)
        for name in ("do_gives_away", "do_fails", "do_shows"):
            definitions.resolve_job_def(name).execute_in_process(instance=instance, raise_on_error=False)
        return b"".join(path.read_bytes() for path in place.rglob("*") if path.is_file())


def test_nothing_of_a_careless_step_is_in_any_file_and_all_else_is(tmp_path: Path) -> None:
    given_away = (b"pL4nted", CODED[8:28].encode(), b"pa55")
    without = left_by(tmp_path / "as Dagster stores it", clean=False)
    assert [secret for secret in given_away if secret not in without] == []
    left = left_by(tmp_path / "ours", clean=True)
    assert [secret for secret in given_away if secret in left] == []
    for kept in (b"asks with [redacted]", b"no answer to [redacted]", b"not flat: [redacted]", b"measured"):
        assert kept in left, kept
    assert b"test_clean_steps.py" in left  # the trace


def test_an_error_without_one_is_the_same_error() -> None:
    @shows_no_secret
    def step() -> None:
        raise LookupError("no word")

    @shows_no_secret
    def failing() -> None:
        raise dg.Failure("not flat", metadata={"held": 1})

    with pytest.raises(LookupError, match="no word"):
        step()
    with pytest.raises(dg.Failure) as failed:
        failing()
    assert failed.value.metadata == {"held": dg.MetadataValue.int(1)}


def test_a_failure_keeps_its_word_on_retries() -> None:
    with pytest.raises(dg.Failure) as failed:
        shows_no_secret(fails)(None)
    assert not failed.value.allow_retries
    assert REDACTED in str(failed.value.description)
    assert failed.value.__suppress_context__


def test_every_step_of_the_desk_is_wrapped() -> None:
    steps = dict[str, bool]()
    for one in defs.get_repository_def().get_all_jobs():
        for node in one.all_node_defs:
            if isinstance(node, dg.OpDefinition):
                function = node.compute_fn
                assert isinstance(function, DecoratedOpFunction), node.name
                steps[node.name] = is_wrapped(function.decorated_fn)
    assert len(steps) > 20
    assert [name for name, wrapped in steps.items() if not wrapped] == []


def test_what_stands_in_for_our_event_log_stores_none_either(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(
        fallback.OURS, fallback.EVENT_LOG, ("trading_assets.dagster_instance.event_log", "Gone")
    )
    monkeypatch.setattr(fallback, "_tried", {fallback.EVENT_LOG})
    monkeypatch.setattr(fallback, "_reported", {fallback.EVENT_LOG})  # of the alert other tests tell
    home = tmp_path / "home"
    with dg.instance_for_test(
        overrides={
            "event_log_storage": {
                "module": "trading_assets.dagster_instance.fallback",
                "class": "EventLogStorage",
                "config": {"dagster_home": str(home)},
            }
        }
    ) as instance:
        assert type(instance.event_log_storage) is CleanEventLog
        definitions = job(clean=False)
        for name in ("do_gives_away", "do_fails", "do_shows"):
            ended = definitions.resolve_job_def(name).execute_in_process(
                instance=instance, raise_on_error=False
            )
            assert instance.all_logs(ended.run_id)
        instance.report_runless_asset_event(dg.AssetMaterialization("shows", metadata={"x": SECRET}))
    stored = b"".join(path.read_bytes() for path in home.rglob("*") if path.is_file())
    assert b"asks with [redacted]" in stored
    assert b"no answer to [redacted]" in stored
    for secret in (b"pL4nted", CODED[8:28].encode(), b"pa55"):
        assert secret not in stored
