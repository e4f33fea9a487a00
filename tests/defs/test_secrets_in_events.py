"""What Dagster stores of a run and of an evaluation holds no secret, whoever wrote it there."""

import base64
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import quote

import dagster as dg
import pytest

from trading_assets import redaction
from trading_assets.dagster_instance.event_log import PooledSqliteEventLogStorage
from trading_assets.redaction import REDACTED
from trading_assets.runs.evaluations import EvaluationFailed, told_of_failure

SECRET = 'pL4nted/"in\\a+Test=0123456789'


@pytest.fixture(autouse=True)
def _hidden() -> Iterator[None]:
    redaction.hide(SECRET)
    yield
    redaction.forget()


@dg.op
def gives_away(context: dg.OpExecutionContext) -> None:
    coded = base64.b64encode(f"user:{SECRET}".encode()).decode()
    context.log.info(f"asks with {SECRET}")
    context.add_output_metadata({"headers": {"x": SECRET, "Authorization": f"Basic {coded}"}, "kept": "word"})
    raise ValueError(f"no answer to {quote(SECRET)} through http://me:pa55@proxy:3128")


@dg.job
def careless() -> None:
    gives_away()


def test_a_failed_step_is_stored_without_them_and_with_all_else(tmp_path: Path) -> None:
    with dg.instance_for_test(
        overrides={
            "event_log_storage": {
                "module": "trading_assets.dagster_instance.fallback",
                "class": "EventLogStorage",
                "config": {"dagster_home": str(tmp_path)},
            }
        }
    ) as instance:
        assert isinstance(instance.event_log_storage, PooledSqliteEventLogStorage)
        ended = careless.execute_in_process(instance=instance, raise_on_error=False)
        (failure,) = [
            entry.get_dagster_event().step_failure_data
            for entry in instance.all_logs(ended.run_id, of_type=dg.DagsterEventType.STEP_FAILURE)
        ]
        trace = failure.error_display_string
    assert f"no answer to {REDACTED}" in trace
    assert f"through http://{REDACTED}@proxy:3128" in trace
    assert "line" in trace
    stored = b"".join(path.read_bytes() for path in (tmp_path / "history").rglob("*") if path.is_file())
    assert b"asks with [redacted]" in stored
    assert b"pL4nted" not in stored
    assert b"pa55" not in stored
    assert base64.b64encode(f"user:{SECRET}".encode())[8:28] not in stored


def test_an_evaluation_that_fails_with_one_fails_without_it(monkeypatch: pytest.MonkeyPatch) -> None:
    alerts: list[str] = []
    monkeypatch.setattr(
        "trading_assets.runs.evaluations.tell_failure", lambda _name, why: alerts.append(str(why))
    )

    @told_of_failure
    def evaluate(with_a_secret: bool) -> None:
        raise LookupError(f"no {SECRET}" if with_a_secret else "no word")

    with pytest.raises(EvaluationFailed) as failed:
        evaluate(True)
    assert f"LookupError: no {REDACTED}" in str(failed.value)
    assert failed.value.__cause__ is None
    assert failed.value.__suppress_context__
    with pytest.raises(LookupError, match="no word"):
        evaluate(False)
    assert len(alerts) == 2
