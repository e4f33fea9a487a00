"""The first visit by the link, the token's file, the read-only interface, and whose act a launch is."""

from __future__ import annotations

import os
import stat
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import dagster as dg
import pytest
from interface import PAGE, PORT, Interface, interface, launch
from starlette.requests import Request
from starlette.types import ASGIApp

from trading_assets.definitions import defs
from trading_assets.engine.operation.operator import person
from trading_assets.market.clock import system_now_ns
from trading_assets.runs.acts import LAUNCHED_TAG, author, launched_tags
from trading_assets.web.guard import WebGuard
from trading_assets.web.link import KEEP_SECONDS, link_file, link_of, made_link, page_of, token_of

KILLED_BY = {"ops": {"kill_book": {"config": {"reason": "enough", "author": "the auditor"}}}}


def test_the_link_leaves_a_cookie_that_no_script_and_no_other_site_sees(web: Interface) -> None:
    visit = web.client(web.ours)
    first = visit.get(f"/?token={web.token}", headers={"Sec-Fetch-Site": "none"})
    assert (first.status_code, first.headers["Location"]) == (303, "/")
    (cookie,) = first.headers.get_list("set-cookie")
    assert cookie.startswith(f"trading_assets_{PORT}=")
    assert {"HttpOnly", "SameSite=strict", "Path=/"} <= set(cookie.split("; "))
    assert first.headers["Cache-Control"] == "no-store"
    assert first.headers["Referrer-Policy"] == "no-referrer"
    assert visit.get("/").status_code == 200


def test_the_link_may_lead_to_any_page_and_keeps_what_else_is_asked(web: Interface) -> None:
    address = f"/assets/a%20b?view=checks&token={web.token}&x=1%262"
    assert web.client(web.ours).get(address).headers["Location"] == "/assets/a%20b?view=checks&x=1%262"


@pytest.mark.parametrize("path", ["//evil.example/", "/\\evil.example", "///evil.example", "//"])
def test_the_link_leads_nowhere_else(web: Interface, path: str) -> None:
    client = web.client(web.ours)
    answer = client.get(f"{PAGE}{path}?token={web.token}")
    assert answer.status_code == 303
    assert answer.headers["Location"].startswith("/")
    assert not answer.headers["Location"].startswith(("//", "/\\"))


def test_a_link_that_is_clicked_in_a_terminal_of_the_browser_works_too(web: Interface) -> None:
    """A redirect of a click in another site's page would come without the cookie that it has just set."""
    answer = web.client(web.ours).get(
        f"/runs?token={web.token}&a=%22%3E%3Cscript%3E", headers={"Sec-Fetch-Site": "cross-site"}
    )
    assert answer.status_code == 200
    assert answer.text == ('<meta http-equiv="refresh" content="0; url=/runs?a=%22%3E%3Cscript%3E">')
    assert "set-cookie" in answer.headers


@pytest.mark.parametrize("token", ["", "guessed", "{token}x", "%00", "%ff"])
def test_a_wrong_link_is_told_where_the_right_one_is(web: Interface, token: str) -> None:
    answer = web.client(web.ours).get(f"/?token={token.format(token=web.token)}")
    assert answer.status_code == 403
    assert "set-cookie" not in answer.headers


def test_the_token_is_compared_in_constant_time(web: Interface, monkeypatch: pytest.MonkeyPatch) -> None:
    compared = list[bytes]()

    def compare(given: bytes, token: bytes) -> bool:
        compared.append(given)
        return given == token

    monkeypatch.setattr("trading_assets.web.guard.hmac.compare_digest", compare)
    client = web.client(web.ours)
    client.get("/?token=a")
    client.get("/", headers={"Authorization": "Bearer b"})
    client.get("/", headers={"Cookie": f"{web.cookie}=c"})
    assert {b"a", b"b", b"c"} <= set(compared)


def test_a_proxys_address_is_taken_where_it_was_named_and_its_cookie_goes_by_tls_only(web: Interface) -> None:
    where = "https://desk.example.org"
    behind = WebGuard(web.stock, token=web.token, port=PORT, where="x", origins=[where])
    visit = web.client(behind, where)
    first = visit.get(f"/?token={web.token}")
    assert "Secure" in first.headers["set-cookie"].split("; ")
    answer = visit.post("/graphql", json={"query": "{ version }"}, headers={"Origin": where})
    assert answer.status_code == 200
    assert web.client(web.ours, where, logged_in=True).get("/").status_code == 403


def test_the_file_is_its_owners_alone_whatever_the_umask(tmp_path: Path) -> None:
    before = os.umask(0)
    try:
        link = made_link(tmp_path, PORT)
    finally:
        os.umask(before)
    file = link_file(tmp_path)
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    assert link_of(tmp_path) == link == file.read_text().strip()
    assert page_of(link) == f"{PAGE}/"
    assert list(tmp_path.iterdir()) == [file]


def test_a_restart_keeps_the_token_for_a_week_and_no_longer(tmp_path: Path) -> None:
    first = token_of(made_link(tmp_path, PORT))
    assert token_of(made_link(tmp_path, PORT + 1)) == first
    assert page_of(link_of(tmp_path) or "") == f"http://127.0.0.1:{PORT + 1}/"
    made_ns = link_file(tmp_path).stat().st_mtime_ns
    old = made_ns - (KEEP_SECONDS - 60) * 10**9
    os.utime(link_file(tmp_path), ns=(old, old))
    assert token_of(made_link(tmp_path, PORT)) == first
    assert link_file(tmp_path).stat().st_mtime_ns == old  # a start does not make it younger
    old = made_ns - (KEEP_SECONDS + 60) * 10**9
    os.utime(link_file(tmp_path), ns=(old, old))
    assert token_of(made_link(tmp_path, PORT)) not in (None, first)


@pytest.mark.parametrize("damage", ["for all to read", "a link", "no link", "of the future"])
def test_a_token_that_others_may_know_is_not_used_again(tmp_path: Path, damage: str) -> None:
    first, file = made_link(tmp_path, PORT), link_file(tmp_path)
    if damage == "for all to read":
        file.chmod(0o644)
    elif damage == "a link":
        file.rename(tmp_path / "elsewhere")
        file.symlink_to(tmp_path / "elsewhere")
    elif damage == "no link":
        file.write_text("http://evil.example/?token=" + "a" * 43)
    else:
        later = system_now_ns() + 10**15
        os.utime(file, ns=(later, later))
    if damage != "of the future":
        assert link_of(tmp_path) is None
    assert made_link(tmp_path, PORT) != first
    assert not file.is_symlink()


@pytest.fixture(scope="module")
def viewer(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Interface]:
    home = tmp_path_factory.mktemp("viewer") / "dagster_home"
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("DAGSTER_HOME", str(home))
        with interface(home, read_only=True) as viewer:
            yield viewer


@pytest.mark.parametrize(
    "query",
    [
        "mutation { setNuxSeen }",
        "query Seen { version } mutation Do { setNuxSeen }",
        "mutation Do { setNuxSeen } query Seen { version }",
        '{ a: version } mutation { deleteRun(runId: "x") { __typename } }',
    ],
)
def test_a_read_only_interface_takes_no_mutation(viewer: Interface, query: str) -> None:
    client = viewer.client(viewer.ours, logged_in=True)
    for operation in (None, "Seen"):
        body = {"query": query, "operationName": operation}
        refused = client.post("/graphql", json=body, headers={"Origin": PAGE})
        assert refused.status_code == 403
        assert refused.json()["errors"][0]["message"] == "This web interface is read-only."


def test_dagsters_own_read_only_mode_lets_mutations_pass_that_ours_refuses(viewer: Interface) -> None:
    stock = viewer.client(viewer.stock)
    assert stock.post("/graphql", json={"query": "mutation { setNuxSeen }"}).json() == {
        "data": {"setNuxSeen": True}
    }
    launched = stock.post("/graphql", json=launch("kill")).json()["data"]["launchRun"]
    assert launched["__typename"] == "UnauthorizedError"


@pytest.mark.parametrize(
    "body", [b"", b"[]", b"{}", b"null", b'{"query": 1}', b'{"query": "{"}', b"[" * 100_000, b"\xff"]
)
def test_a_read_only_interface_passes_on_nothing_that_it_cannot_read(viewer: Interface, body: bytes) -> None:
    headers = {"Origin": PAGE, "Content-Type": "application/json"}
    client = viewer.client(viewer.ours, logged_in=True)
    assert client.post("/graphql", content=body, headers=headers).status_code == 400


def test_a_line_break_after_the_path_is_no_way_round_read_only(viewer: Interface) -> None:
    client = viewer.client(viewer.ours, logged_in=True)
    sent = client.post("/graphql%0A", json={"query": "mutation { setNuxSeen }"}, headers={"Origin": PAGE})
    assert sent.status_code == 404


def test_a_read_only_interface_shows_all_and_reports_nothing(viewer: Interface) -> None:
    client = viewer.client(viewer.ours, logged_in=True)
    answer = client.post("/graphql", json={"query": "{ version }"}, headers={"Origin": PAGE})
    assert set(answer.json()["data"]) == {"version"}
    assert client.get("/").status_code == 200
    sent = client.post("/report_asset_materialization/fills", json={}, headers={"Origin": PAGE})
    assert sent.status_code == 403
    assert link_file(viewer.home, read_only=True).exists()
    assert not link_file(viewer.home).exists()  # it opens no interface that operates


def tags_of_launch(web: Interface, app: ASGIApp, tags: dict[str, str], *, logged_in: bool) -> dict[str, str]:
    client = web.client(app, logged_in=logged_in)
    client.post("/graphql", json=launch("kill", tags=tags), headers={"Origin": PAGE})
    (run,) = web.instance.get_runs()
    assert web.launched() == ["kill"]
    return dict(run.tags)


@pytest.mark.parametrize("claimed", [None, "web", "no login", "the auditor", ""])
def test_a_launch_cannot_say_whose_act_it_is(web: Interface, claimed: str | None) -> None:
    sent = {} if claimed is None else {LAUNCHED_TAG: claimed}
    ours = tags_of_launch(web, web.ours, sent, logged_in=True)
    assert author(ours) == f"web:{person()}"
    stock = tags_of_launch(web, web.stock, sent, logged_in=False)
    assert author(stock) == f"no login:{person()}"


def test_no_header_makes_a_request_one_that_the_guard_let_pass() -> None:
    names = ("trading_assets.web_session", "trading_assets/launched_by", "x-trading-assets-web-session")
    headers = [(name.encode(), b"true") for name in names]
    request = Request({"type": "http", "method": "POST", "headers": headers, "path": "/"})
    run = dg.DagsterRun("kill", tags={LAUNCHED_TAG: "web"})
    assert launched_tags(run, request) == {LAUNCHED_TAG: "no login"}
    assert launched_tags(run, None) == {LAUNCHED_TAG: ""}
    assert launched_tags(dg.DagsterRun("kill"), None) == {}


def test_run_configuration_has_no_field_for_an_author(web: Interface) -> None:
    client = web.client(web.ours, logged_in=True)
    answer = client.post("/graphql", json=launch("kill", KILLED_BY), headers={"Origin": PAGE})
    refused = answer.json()["data"]["launchRun"]
    assert refused["__typename"] == "RunConfigValidationInvalid"
    assert 'Received unexpected config entry "author"' in refused["errors"][0]["message"]


def test_the_author_is_the_processs_user_whatever_the_environment_says(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    for name in ("USER", "LOGNAME", "LNAME", "USERNAME"):
        monkeypatch.setenv(name, "the auditor")
    assert "auditor" not in author({LAUNCHED_TAG: "the auditor"})
    assert author({}) == person()


@pytest.mark.parametrize(
    "job", ["kill", "flatten", "rearm", "adopt", "trading_tick", "reconcile", "train", "replay"]
)
@pytest.mark.parametrize("resource", ["desk", "configuration"])
def test_no_run_names_another_configuration(web: Interface, job: str, resource: str) -> None:
    config: dict[str, Any] = {"resources": {resource: {"config": {"config_path": "/tmp/mine.yaml"}}}}
    if job == "rearm":
        config["ops"] = {"rearm_book": {"config": {"reason": "evil"}}}
    client = web.client(web.ours, logged_in=True)
    refused = client.post("/graphql", json=launch(job, config), headers={"Origin": PAGE}).json()
    assert refused["data"]["launchRun"]["__typename"] == "RunConfigValidationInvalid"
    assert "config" in refused["data"]["launchRun"]["errors"][0]["message"]
    assert web.launched() == []


def fields_of(kind: Any, at: str = "") -> dict[str, Any]:
    """What can be set in a run's configuration: place → type."""
    inner = getattr(kind, "inner_type", None)
    if getattr(kind, "fields", None):
        return {
            place: result
            for name, field in kind.fields.items()
            for place, result in fields_of(field.config_type, f"{at}/{name}").items()
        }
    return {at: kind} if inner is None else fields_of(inner, at)


def test_the_only_files_that_a_launch_names_are_those_of_a_replay() -> None:
    """Every other text of a run's configuration is a reason, a name, a date or a word of a list."""
    texts = set[str]()
    for job in defs.resolve_all_job_defs():
        for place, kind in fields_of(job.run_config_schema.config_type).items():
            if type(kind).__name__ in ("String", "StringSourceType"):
                texts.add(place)
    replay = "/ops/replay__replay/config/"
    files = {"configuration", "model_path", "features_path", "signals_path"}
    words = {"name", "interval", "source", "bars", "lifted_limits", "fill_mode"}
    assert {text.removeprefix(replay) for text in texts if text.startswith(replay)} == files | words
    others = {text.rpartition("/")[2] for text in texts if not text.startswith(replay)}
    assert others == {"reason", "first", "last", "promote_because", "marker_to_close", "log_level", "name"}
