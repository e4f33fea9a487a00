"""A running desk with planted secrets: after a day with failures nothing that it leaves shows one."""

from __future__ import annotations

import base64
import json
import os
import re
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from secrets import token_hex
from typing import Any
from urllib.parse import quote

import psutil
import pytest
import yaml
from another_user import as_in_a_home_of_its_own, asks, connects, lists, read, signals, tried, write
from support.config_fields import asking, leaves
from support.receiver import Receiver, listening
from support.running_desk import REPOSITORY, TOKEN, RunningDesk, free_ports, start

from trading_assets import keyring
from trading_assets.definitions import defs
from trading_assets.venues import BROKER_KEYS
from trading_assets.web.link import token_of

pytestmark = pytest.mark.slow(seconds=120)

DRAWN = token_hex(8)  # anew for each run of the tests: what is planted was never anybody's
KEY_ID, SECRET_KEY = f"planted-id-{DRAWN}", f"planted/key+{DRAWN}="
FROM_A_FILE = f"planted/file+{DRAWN}="  # Dagster reads .env before each run
PASSWORD, HOOK = f"planted-password-{DRAWN}", f"planted-hook-{DRAWN}"
SECRETS = (KEY_ID, SECRET_KEY, FROM_A_FILE, TOKEN, PASSWORD, HOOK)
_START = (
    """mutation($selector: ScheduleSelector!) { startSchedule(scheduleSelector: $selector) { __typename } }"""
)
_VALIDATE = """query($selector: PipelineSelector!, $config: RunConfigData!) {
  isPipelineConfigValid(pipeline: $selector, mode: "default", runConfigData: $config) { __typename
    ... on RunConfigValidationInvalid { errors { message } } } }"""
_MESSAGES = """query($id: ID!) { logsForRun(runId: $id) { ... on EventConnection { events { __typename
  ... on MessageEvent { message }
  ... on ExecutionStepFailureEvent { error { message stack cause { message stack } } }
  ... on RunFailureEvent { error { message stack } } } } } }"""


@pytest.fixture(scope="module")
def receiver() -> Iterator[Receiver]:
    with listening() as receiver:
        yield receiver


@pytest.fixture(scope="module")
def project(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("project")


@pytest.fixture(scope="module")
def desk(
    tmp_path_factory: pytest.TempPathFactory, receiver: Receiver, project: Path
) -> Iterator[RunningDesk]:
    """`make up` over the desk's definitions and three careless jobs, with every secret in its environment."""
    module = {"module_name": "planted_definitions", "location_name": "trading_assets"}
    module["working_directory"] = str(Path(__file__).parent)
    (project / "workspace.yaml").write_text(yaml.safe_dump({"load_from": [{"python_module": module}]}))
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv(BROKER_KEYS[0], KEY_ID)
        patch.setenv(BROKER_KEYS[1], SECRET_KEY)
        patch.setenv("SOMEBODYS_TOKEN", HOOK)  # which no part without a broker is given
        desk = start(
            tmp_path_factory.mktemp("desk"),
            ports=free_ports(3),
            alert_urls=f"json://person:{PASSWORD}@127.0.0.1:{receiver.port}/{HOOK}",
            project=project,
        )
    while not desk.next_line().startswith("Ready."):
        assert desk.process.poll() is None, desk.logs()
    yield desk
    desk.end()


def spellings(secret: str) -> list[bytes]:
    """As it is, URL-encoded, and inside base64 at each alignment."""
    coded = [base64.b64encode(bytes(n) + secret.encode())[4 : 4 + len(secret)] for n in range(3)]
    return [secret.encode(), quote(secret, safe="").encode(), *coded]


def shown_in(content: bytes) -> list[str]:
    return [secret for secret in SECRETS if any(way in content for way in spellings(secret))]


def part_of(process: psutil.Process) -> str:
    line = " ".join(process.cmdline())
    known = ("trading_assets.up", "trading_assets.exchange", "dagster-webserver", "dagster-daemon", "listen")
    return next((name for name in known if name in line), line)


def test_no_process_shows_a_secret_in_its_environment_and_those_without_a_broker_are_given_none(
    desk: RunningDesk,
) -> None:
    desk.launch("reconcile")
    desk.wait("a run, and with it the forkserver", lambda: desk.runs("reconcile"))
    looked_at, all_of_it = [], desk.processes()
    for process in all_of_it:
        with suppress(psutil.NoSuchProcess, ProcessLookupError, FileNotFoundError):  # it has ended meanwhile
            environ = Path(f"/proc/{process.pid}/environ").read_bytes()
            parts = {part_of(one) for one in (process, *process.parents()) if one in all_of_it}
            if process.status() == psutil.STATUS_ZOMBIE:
                continue
            looked_at.append(part_of(process))
            here = looked_at[-1], environ.decode()
            named = {line.partition("=")[0] for line in environ.decode().split("\0")}
            named &= {*keyring.SECRETS, "SOMEBODYS_TOKEN"}
            if "dagster-webserver" in parts:
                assert named == set(), here
            elif "trading_assets.exchange" in parts:
                assert named == {keyring.CONTROL_TOKEN}, here
            elif "dagster-daemon" in parts or "listen" in parts:
                assert not named & set(BROKER_KEYS), here  # this venue takes none
            expected = [HOOK] if "SOMEBODYS_TOKEN" in named else []  # not ours to take
            assert shown_in(environ) == expected, here
    assert len(looked_at) >= 7, looked_at  # with two code servers and the forkserver


@pytest.mark.skipif(
    os.getuid() != 0 and "CI" not in os.environ, reason="only root can try it as another user"
)
def test_another_user_of_this_machine_gets_nothing_and_operates_nothing(desk: RunningDesk) -> None:
    token, processes = token_of(desk.link), desk.processes()
    sockets = [Path(line[line.index("--socket") + 1]) for line in map(_line, processes) if "--socket" in line]
    assert len(sockets) == 2
    assert token is not None
    web, exchange, control = desk.ports
    private = [path for place in (desk.data_dir, desk.home / "dagster_home") for path in place.rglob("*")]
    files = [path for path in private if path.is_file() and path.name != "dagster.yaml"]  # the test's own
    launch = json.dumps({"query": "mutation { launchRun { __typename } }"})
    refused = {
        **{f"read {path}": read(path) for path in files},
        **{f"write {path}": write(path) for path in files},
        **{f"list {path}": lists(path) for path in private if path.is_dir()},
        "drop a signal": write(desk.data_dir / "inbox" / "evil.csv"),
        "kill the book": write(desk.data_dir / "KILL"),
        **{f"environment of {one.pid}": read(Path(f"/proc/{one.pid}/environ")) for one in processes},
        **{f"memory of {one.pid}": read(Path(f"/proc/{one.pid}/mem")) for one in processes},
        **{f"signal {one.pid}": signals(one.pid) for one in processes},
        **{f"code server {path}": connects(path) for path in sockets},
    }
    answered = {
        "the page": asks(web, "GET /"),
        "a launch": asks(web, "POST /graphql", launch),
        "a guess": asks(web, "GET /?token=guessed"),
        "the account": asks(exchange, "GET /v2/account"),
        "an order": asks(exchange, "POST /v2/orders", "{}"),
        "the clock": asks(control, "GET /clock"),
        "a fault": asks(control, "POST /faults", "{}"),
    }
    shown = {f"words of {one.pid}": read(Path(f"/proc/{one.pid}/cmdline")) for one in processes}
    desk.config_path.chmod(0o644)
    with as_in_a_home_of_its_own(desk.config_path.parent):
        got = tried({"what is not ours": read(desk.config_path), **refused, **answered, **shown})
    assert "tick_minutes" in got["what is not ours"]  # so the attempts are real
    ended = {"ProcessLookupError", "FileNotFoundError"}  # a run that has ended, a file that it took along
    taken = {name: got[name][:200] for name in refused if got[name] not in {"PermissionError", *ended}}
    assert taken == {}
    assert len([name for name in refused if got[name] == "PermissionError"]) > 60
    assert all(" 401 " in got[name] or " 403 " in got[name] for name in answered), got
    for name in shown:
        assert shown_in(got[name].encode("latin-1")) == []
        assert token not in got[name]


def _line(process: psutil.Process) -> list[str]:
    with suppress(psutil.NoSuchProcess):
        return process.cmdline()
    return []


def test_no_field_of_a_launch_reads_the_environment(desk: RunningDesk) -> None:
    fields_tried = set()
    for job in defs.get_repository_def().get_all_jobs():
        if job.name.startswith("__"):
            continue
        selector = {**REPOSITORY, "pipelineName": job.name}
        for at in leaves(job):
            config = yaml.safe_dump(asking(at, keyring.CONTROL_TOKEN))
            result = desk.graphql(_VALIDATE, selector=selector, config=config)["isPipelineConfigValid"]
            assert result["__typename"] == "RunConfigValidationInvalid", at
            assert shown_in(str(result).encode()) == []
            fields_tried.add((job.name, *at))
    names = {at[-1] for at in fields_tried}
    assert {"reason", "name", "promote_because", "first", "threads", "rearm_daily"} <= names
    assert {at[0] for at in fields_tried} >= {"kill", "flatten", "rearm", "replay", "train", "trading_tick"}


@pytest.mark.parametrize("variable", keyring.SECRETS)
@pytest.mark.parametrize("field", ["text", "number"])
def test_a_field_that_does_read_it_finds_nothing(desk: RunningDesk, variable: str, field: str) -> None:
    params = {
        "selector": {**REPOSITORY, "jobName": "careless"},
        "runConfigData": yaml.safe_dump(
            {"ops": {"repeat_configuration": {"config": {field: {"env": variable}}}}}
        ),
        "mode": "default",
    }
    query = """mutation($params: ExecutionParams!) { launchRun(executionParams: $params) { __typename
      ... on PythonError { message stack } ... on RunConfigValidationInvalid { errors { message } } } }"""
    answer = str(desk.graphql(query, params=params))
    assert "not set" in answer
    assert shown_in(answer.encode()) == []


def test_what_a_careless_run_says_of_its_secrets_is_stored_and_shown_without_them(
    desk: RunningDesk, project: Path
) -> None:
    (project / ".env").write_text(f"{BROKER_KEYS[1]}={FROM_A_FILE}\n")
    run_id = desk.launch("gives_away")
    desk.wait("its failure", lambda: desk.runs("gives_away", "FAILURE"))
    next_line = str(desk.graphql(_MESSAGES, id=run_id))
    assert "no answer to" in next_line
    assert next_line.count("[redacted]") > 10
    assert "in the environment: set()" in next_line
    assert shown_in(next_line.encode()) == []
    printed = _output(desk, run_id)
    assert "printed [" in printed
    assert "as an error [" in printed
    assert shown_in(printed.encode()) == []


def test_the_alert_of_it_reaches_people_without_them(desk: RunningDesk, receiver: Receiver) -> None:
    desk.wait("the alert", lambda: any("gives_away failed" in title for title in receiver.titles()), 60)
    assert shown_in(str(receiver.messages).encode()) == []


def test_after_a_day_with_failures_no_file_holds_a_secret(desk: RunningDesk, receiver: Receiver) -> None:
    desk.graphql(_START, selector={**REPOSITORY, "scheduleName": "trading_hours"})
    desk.launch("dies")
    desk.wait("two ticks", lambda: len(desk.runs("trading_tick")) >= 2)
    desk.launch("end_of_day")  # before the close: it fails
    desk.wait("the failed end", lambda: desk.runs("end_of_day", "FAILURE"))
    desk.wait("the crash", lambda: desk.runs("dies", "FAILURE"))
    receiver.status = 500
    desk.launch("gives_away")
    desk.wait("its failure", lambda: len(desk.runs("gives_away", "FAILURE")) == 2)
    desk.wait("an address that takes nothing", lambda: "not taken by" in str(_evaluations(desk)), 90)
    desk.end()
    searched, result = 0, {}
    for path in desk.home.rglob("*"):
        if path.is_file():
            searched += 1
            if shown := shown_in(path.read_bytes()):
                result[str(path.relative_to(desk.home))] = shown
    assert searched > 30
    assert result == {}


def test_everything_that_it_left_is_its_users_alone(desk: RunningDesk) -> None:
    desk.end()
    for place in (desk.data_dir, desk.home / "dagster_home"):
        assert place.stat().st_mode & 0o077 == 0
    written = [path for path in desk.home.rglob("*") if path.is_file()]
    open_to_others = [path.name for path in written if path.stat().st_mode & 0o077]
    assert set(open_to_others) <= {"dagster.yaml", "execution.yaml"}  # which the test wrote


def _evaluations(desk: RunningDesk) -> Any:
    query = """query($selector: SensorSelector!) { sensorOrError(sensorSelector: $selector) { ... on Sensor {
      sensorState { ticks(limit: 5) { skipReason error { message } } } } } }"""
    return desk.graphql(query, selector={**REPOSITORY, "sensorName": "alert_delivery"})


def _output(desk: RunningDesk, run_id: str) -> str:
    files = list((desk.home / "dagster_home" / "storage" / run_id).rglob("*"))
    return "\n".join(path.read_text() for path in files if re.fullmatch(r"\.(out|err)", path.suffix))
