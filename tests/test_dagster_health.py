"""What Dagster's webserver answers, turned into what people must know. The real one answers in test_up."""

from __future__ import annotations

import json
import os
import threading
from collections.abc import Iterator
from contextlib import closing, contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest

from trading_assets.dagster_health import DagsterHealth, NoAnswer, troubles
from trading_assets.web.link import link_file, made_link, token_of

NOW = 1_800_000_000.0


def ticks(*, status: str = "RUNNING", last: float | None = 10, failed: float | None = None) -> dict[str, Any]:
    """A sensor's or schedule's state; times are seconds ago."""
    return {
        "status": status,
        "ticks": [] if last is None else [{"timestamp": NOW - last}],
        "failed": []
        if failed is None
        else [{"tickId": "7", "timestamp": NOW - failed, "error": {"message": "Boom at line 3"}}],
    }


def answer(
    *,
    heartbeat: float = 20,
    location: dict[str, Any] | None = None,
    protection: dict[str, Any] | None = None,
    schedule: dict[str, Any] | None = None,
) -> dict[str, Any]:
    """A webserver's answer about a desk that is well, but for what is given."""
    repository = {
        "sensors": [{"name": "protection", "minIntervalSeconds": 15, "sensorState": protection or ticks()}],
        "schedules": [{"name": "trading_hours", "scheduleState": schedule or ticks(status="STOPPED")}],
    }
    statuses = [
        {"daemonType": "SENSOR", "required": True, "healthy": True, "lastHeartbeatTime": NOW - heartbeat},
        {"daemonType": "BACKFILL", "required": False, "healthy": False, "lastHeartbeatTime": None},
    ]
    return {
        "instance": {"daemonHealth": {"allDaemonStatuses": statuses}},
        "workspaceOrError": {
            "locationEntries": [
                {
                    "name": "trading_assets",
                    "locationOrLoadError": location or {"repositories": [repository]},
                }
            ]
        },
    }


@contextmanager
def webserver(data: object) -> Iterator[DagsterHealth]:
    """Answers every question with `data`."""

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            document = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
            assert "daemonHealth" in document["query"]
            body = json.dumps({"data": data}).encode()
            self.send_response(200)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_: object) -> None:
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        with closing(DagsterHealth(f"http://127.0.0.1:{server.server_address[1]}")) as health:
            yield health
        server.shutdown()


def trouble_titles(data: dict[str, Any], *, since: float = 3_600) -> list[str]:
    """The titles of the troubles; `since`: how long ago the watchdog began, seconds."""
    with webserver(data) as health:
        return [trouble.title for trouble in troubles(health.ask(), now_s=NOW, since_s=NOW - since)]


BROKEN = {"message": "SyntaxError: invalid syntax (assets_desk.py, line 12)"}


@pytest.mark.slow(seconds=7)
@pytest.mark.parametrize(
    ("data", "titles"),
    [
        (answer(), []),
        (answer(heartbeat=119), []),
        (answer(heartbeat=121), ["Dagster's daemon gives no sign of life"]),
        (answer(location=BROKEN), ["The code location trading_assets does not load"]),
        (answer(protection=ticks(failed=30)), ["An evaluation of protection failed"]),
        (answer(schedule=ticks(status="STOPPED", failed=30)), ["An evaluation of trading_hours failed"]),
        (answer(protection=ticks(failed=4_000)), []),  # before the watchdog began
        (answer(protection=ticks(last=179)), []),
        (answer(protection=ticks(last=181)), ["Sensors are not evaluated"]),
        (answer(protection=ticks(last=None)), ["Sensors are not evaluated"]),
        (answer(protection=ticks(status="STOPPED", last=4_000)), []),
        (answer(schedule=ticks(last=4_000)), []),  # a schedule is asked at its own minutes
        (answer(heartbeat=500, protection=ticks(last=500)), ["Dagster's daemon gives no sign of life"]),
    ],
)
def test_what_is_not_right_is_told_and_nothing_else(data: dict[str, Any], titles: list[str]) -> None:
    assert trouble_titles(data) == titles


def test_who_has_just_begun_gives_the_sensors_time() -> None:
    """Their last evaluation was before the desk was down."""
    assert trouble_titles(answer(protection=ticks(last=4_000)), since=100) == []


def test_a_failed_evaluation_is_one_occurrence_with_its_reason() -> None:
    with webserver(answer(protection=ticks(failed=30))) as health:
        (trouble,) = troubles(health.ask(), now_s=NOW, since_s=0)
    assert (trouble.occurrence, trouble.body) == ("7", "Boom at line 3")


def test_the_body_of_a_broken_location_is_what_python_says() -> None:
    with webserver(answer(location=BROKEN)) as health:
        (trouble,) = troubles(health.ask(), now_s=NOW, since_s=0)
    assert trouble.body == BROKEN["message"]


@pytest.mark.parametrize("data", [None, {}, {"instance": 3}, []])
def test_an_answer_that_is_none_is_the_webservers_trouble(data: object) -> None:
    with webserver(data) as health:
        with pytest.raises(NoAnswer):
            health.ask()
        assert [trouble.subject for trouble in health.troubles()] == ["dagster:webserver"]


def test_a_webserver_that_is_not_there_is_a_trouble_too() -> None:
    with closing(DagsterHealth("http://127.0.0.1:9")) as health:
        (trouble,) = health.troubles()
    assert trouble.title == "Dagster's webserver does not answer"


def test_the_token_of_the_link_is_sent_and_read_anew_at_each_question(tmp_path: Path) -> None:
    tokens = list[str]()

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            tokens.append(self.headers.get("Authorization", "none"))
            self.send_error(403)

        def log_message(self, *_: object) -> None:
            """Nothing."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    try:
        with closing(DagsterHealth(f"http://127.0.0.1:{server.server_address[1]}", tmp_path)) as health:
            links = []
            for _ in range(2):
                with pytest.raises(NoAnswer):
                    health.ask()
                link_file(tmp_path).unlink(missing_ok=True)
                links.append(made_link(tmp_path, 3000))
            with pytest.raises(NoAnswer):
                health.ask()
    finally:
        server.shutdown()
        thread.join()
        server.server_close()
    assert tokens == ["none", *(f"Bearer {token_of(link)}" for link in links)]


def test_a_process_of_another_user_at_the_port_is_sent_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    """Whoever takes the port while the webserver is down would be sent the interface's token."""
    with webserver(answer()) as health:
        assert health.ask().heartbeats
        another = os.getuid() + 1
        monkeypatch.setattr(os, "getuid", lambda: another)
        with pytest.raises(NoAnswer, match="another user's process"):
            health.ask()
