"""No field of a run's configuration takes its value from the environment, in no job and no asset."""

import dagster as dg
import pytest
from pydantic import Field, ValidationError
from support.config_fields import asking, leaves

from trading_assets.definitions import defs
from trading_assets.runs.plain_config import PlainConfig
from trading_assets.venues import BROKER_KEYS

JOBS = {job.name: job for job in defs.get_repository_def().get_all_jobs()}
PLANTED = "planted-in-a-test-0123456789"


@pytest.mark.parametrize("name", JOBS)
@pytest.mark.parametrize("variable", [BROKER_KEYS[1], "HOME"])
def test_a_launch_that_asks_for_a_variable_is_refused_at_that_field(
    monkeypatch: pytest.MonkeyPatch, name: str, variable: str
) -> None:
    monkeypatch.setenv(variable, PLANTED)
    fields = list(leaves(JOBS[name]))
    assert fields
    for at in fields:
        with pytest.raises(dg.DagsterInvalidConfigError) as refused:
            dg.validate_run_config(JOBS[name], asking(at, variable))
        assert f"{{'env': '{variable}'}}" in str(refused.value), at
        assert PLANTED not in str(refused.value)


class Everything(PlainConfig):
    text: str = Field(min_length=2)
    number: int = 3
    flag: bool = False
    path: str | None = None
    names: list[str] = []  # noqa: RUF012 - dagster.Config copies defaults


@dg.op
def keep(config: Everything) -> str:
    return config.model_dump_json()


@dg.job
def keeps() -> None:
    keep()


def test_a_plain_field_takes_what_is_written_with_its_defaults_and_bounds() -> None:
    def run(config: dict[str, object]) -> str:
        ended = keeps.execute_in_process(run_config={"ops": {"keep": {"config": config}}})
        return str(ended.output_for_node("keep"))

    assert run({"text": "ab"}) == '{"text":"ab","number":3,"flag":false,"path":null,"names":[]}'
    assert '"path":"x","names":["y"]' in run({"text": "ab", "path": "x", "names": ["y"]})
    with pytest.raises(ValidationError, match="at least 2 characters"):
        run({"text": "a"})


@pytest.mark.parametrize("field", ["text", "number", "flag", "path"])
def test_one_that_asks_for_a_variable_is_refused(monkeypatch: pytest.MonkeyPatch, field: str) -> None:
    monkeypatch.setenv("ASKED", "1")
    config = {"text": "ab", field: {"env": "ASKED"}}
    with pytest.raises(dg.DagsterInvalidConfigError, match=rf"Invalid scalar at path .*config:{field}"):
        dg.validate_run_config(keeps, {"ops": {"keep": {"config": config}}})
