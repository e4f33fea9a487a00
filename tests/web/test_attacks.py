"""What another website in the operator's browser can do to Dagster's webserver, and what the guard leaves of
it.

Each attack is made twice: it succeeds against the stock webserver, so that the test shows a real one, and is
refused by ours. The browser's part is played as browsers play it: what a page of another origin may send
without asking first, with the cookie wherever one would go along.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from urllib.parse import quote

import pytest
from interface import LAUNCH, PAGE, PORT, SELECTOR, Interface, launch
from starlette.testclient import TestClient, WebSocketDenialResponse

from trading_assets.web.guard import WebGuard

HOST = f"127.0.0.1:{PORT}"
EVIL = "http://evil.example"
SEEN = "{ runsOrError { ... on Runs { results { jobName } } } }"


@pytest.fixture(autouse=True)
def nothing_is_queued(web: Interface) -> Iterator[None]:
    yield
    assert web.launched() == []


def as_query(body: dict[str, object]) -> str:
    """A launch as a query string, for what sends no JSON."""
    return f"query={quote(str(body['query']))}&variables={quote(json.dumps(body['variables']))}"


def attack_pair(web: Interface, *, host: str = PAGE) -> tuple[TestClient, TestClient]:
    return web.client(web.stock, host), web.client(web.ours, host, logged_in=True)


def test_a_form_on_another_website_kills_the_book(web: Interface) -> None:
    """`<form method=post action="http://127.0.0.1:3000/graphql?query=mutation…">`, submitted by a script."""
    form = {
        "url": f"/graphql?{as_query(launch('kill'))}",
        "data": {"a": "b"},
        "headers": {"Origin": EVIL, "Sec-Fetch-Site": "cross-site"},
    }
    stock, ours = attack_pair(web)
    assert stock.post(**form).json()["data"]["launchRun"]["__typename"] == "LaunchRunSuccess"
    assert web.launched() == ["kill"]
    refused = ours.post(**form)
    assert refused.status_code == 403
    assert "Another website asked for this" in refused.text


@pytest.mark.parametrize(
    "headers", [{"Origin": EVIL}, {"Origin": "null"}, {"Sec-Fetch-Site": "same-site"}, {}]
)
def test_each_sign_of_another_page_is_enough_to_refuse_a_form(
    web: Interface, headers: dict[str, str]
) -> None:
    """From a sandboxed frame, from another port of this machine, from a browser that says nothing."""
    form = {"url": f"/graphql?{as_query(launch('kill'))}", "data": {"a": "b"}, "headers": headers}
    stock, ours = attack_pair(web)
    assert stock.post(**form).status_code == 200
    assert web.launched() == ["kill"]
    assert ours.post(**form).status_code == 403


@pytest.mark.parametrize("kind", ["text/plain", "application/graphql", "application/x-www-form-urlencoded"])
def test_even_our_own_page_sends_nothing_but_json(web: Interface, kind: str) -> None:
    sent = {
        "url": f"/graphql?{as_query(launch('kill'))}",
        "content": LAUNCH,
        "headers": {"Origin": PAGE, "Content-Type": kind},
    }
    stock, ours = attack_pair(web)
    if kind != "application/graphql":
        assert stock.post(**sent).status_code == 200
        assert web.launched() == ["kill"]
    assert ours.post(**sent).status_code == 415


@pytest.mark.parametrize("method", ["GET", "HEAD"])
def test_a_picture_on_another_website_launches_nothing(web: Interface, method: str) -> None:
    """`<img src="http://127.0.0.1:3000/graphql?query=mutation…">`: a mutation by GET."""
    path = f"/graphql?{as_query(launch('rearm', REARM))}"
    stock, ours = attack_pair(web)
    if method == "GET":
        assert stock.get(path, headers={"Accept": "image/*"}).status_code == 200
        assert web.launched() == ["rearm"]
    for headers in ({"Sec-Fetch-Site": "cross-site"}, {"Sec-Fetch-Site": "none"}, {}, {"Origin": PAGE}):
        refused = ours.request(method, path, headers={"Accept": "image/*", **headers})
        assert refused.status_code == (403 if headers.get("Sec-Fetch-Site") == "cross-site" else 405)


@pytest.mark.parametrize("path", ["/graphql%0A", "/%67raphql"])
def test_another_spelling_of_the_path_is_no_way_round(web: Interface, path: str) -> None:
    """The app's routes take a line break at the end of a path for no character at all."""
    path_asked = f"{path}?{as_query(launch('kill'))}"
    stock, ours = attack_pair(web)
    assert stock.get(path_asked).status_code == 200
    assert web.launched() == ["kill"]
    assert ours.get(path_asked).status_code in (404, 405)
    for other in (
        "/graphql/",
        "//graphql",
        "/./graphql",
        "/GRAPHQL",
        "/graphql%00",
        "/graphql%20",
        "/x/../graphql",
    ):
        ours.get(f"{other}?{as_query(launch('kill'))}")


def test_the_page_of_graphiql_executes_nothing_of_its_address(web: Interface) -> None:
    requests = f"/graphql?{as_query(launch('kill'))}"
    shown = web.client(web.ours, logged_in=True).get(requests, headers={"Accept": "text/html"})
    assert shown.status_code == 200
    assert "<html" in shown.text


@pytest.mark.parametrize("host", ["evil.example", f"evil.example:{PORT}", "127.0.0.1", "127.0.0.1:3001", ""])
def test_a_name_of_an_attacker_that_leads_to_loopback_is_refused(web: Interface, host: str) -> None:
    """DNS rebinding: to the browser it is one origin, so it sends anything and reads the answer."""
    stock, ours = attack_pair(web)
    headers = {"Host": host, "Origin": f"http://{host}", "Sec-Fetch-Site": "same-origin"}
    assert stock.post("/graphql", json=launch("kill"), headers=headers).status_code == 200
    assert web.launched() == ["kill"]
    refused = ours.post("/graphql", json=launch("kill"), headers=headers)
    assert refused.status_code == 403
    assert refused.json()["errors"][0]["message"] == (
        f"The web interface is not at this address but at {PAGE}."
    )
    assert ours.get("/", headers={"Host": host}).status_code == 403


def test_two_host_headers_are_one_too_many(web: Interface) -> None:
    _, ours = attack_pair(web)
    twice = [("Host", f"127.0.0.1:{PORT}"), ("Host", "evil.example")]
    assert ours.get("/", headers=twice).status_code == 403


def test_another_website_opens_a_socket_and_reads(web: Interface) -> None:
    """A page may open a websocket to any address, with that address's cookies, and read what comes."""
    headers = {"Host": HOST, "Origin": EVIL, "Cookie": f"{web.cookie}={web.token}"}
    stock, ours = attack_pair(web)
    with stock.websocket_connect("/graphql", ["graphql-ws"], headers=headers) as socket:
        socket.send_json({"type": "connection_init"})
        assert socket.receive_json()["type"] == "connection_ack"
        subscription = "subscription { locationStateChangeEvents { event { message } } }"
        socket.send_json({"type": "start", "id": "1", "payload": {"query": subscription}})
    assert "Another website" in refusal_of_socket(ours, headers)


@pytest.mark.parametrize(
    ("headers", "why"),
    [
        ({"Host": "evil.example", "Origin": "http://evil.example"}, "not at this address"),
        ({"Origin": "null"}, "Another website"),
        ({}, "names its page"),
        ({"Origin": PAGE, "Cookie": ""}, "the link in the file"),
        ({"Origin": PAGE, "Cookie": "trading_assets_3000=guessed"}, "the link in the file"),
        ({"Origin": PAGE, "Authorization": "Bearer guessed", "Cookie": ""}, "the link in the file"),
    ],
)
def test_a_socket_needs_our_name_our_page_and_the_cookie(
    web: Interface, headers: dict[str, str], why: str
) -> None:
    given = {"Host": HOST, "Cookie": f"{web.cookie}={web.token}", **headers}
    assert why in refusal_of_socket(web.client(web.ours), given)


def test_our_page_has_its_socket(web: Interface) -> None:
    headers = {"Host": HOST, "Origin": PAGE, "Cookie": f"{web.cookie}={web.token}"}
    client = web.client(web.ours)
    with client.websocket_connect("/graphql", ["graphql-ws"], headers=headers) as socket:
        socket.send_json({"type": "connection_init"})
        assert socket.receive_json()["type"] == "connection_ack"
    program = {"Host": HOST, "Authorization": f"Bearer {web.token}"}
    with client.websocket_connect("/graphql", ["graphql-ws"], headers=program) as socket:
        socket.send_json({"type": "connection_init"})
        assert socket.receive_json()["type"] == "connection_ack"


def test_a_mutation_by_socket_changes_nothing_anywhere(web: Interface) -> None:
    headers = {"Host": HOST, "Origin": PAGE, "Cookie": f"{web.cookie}={web.token}"}
    for app in (web.stock, web.ours):
        with web.client(app).websocket_connect("/graphql", ["graphql-ws"], headers=headers) as socket:
            socket.send_json({"type": "start", "id": "1", "payload": launch("kill")})
            assert socket.receive_json()["type"] == "error"
    assert web.launched() == []


@pytest.mark.parametrize(
    "path",
    ["/", "/runs", "/graphql", "/server_info", "/logs/a/b/out", "/download_debug/1", "/notebook", "/nothing"],
)
def test_without_cookie_or_token_every_address_says_where_the_link_is(web: Interface, path: str) -> None:
    """Any local user, on the stock webserver, reads all and operates the desk."""
    refused = web.client(web.ours).get(path)
    assert refused.status_code == 403
    assert f"the link in the file {web.home / 'web_link'}" in refused.text
    assert web.token not in refused.text


def test_any_local_user_operates_the_stock_webserver_and_not_ours(web: Interface) -> None:
    stock, ours = web.client(web.stock), web.client(web.ours)
    assert stock.post("/graphql", json=launch("rearm", REARM)).status_code == 200
    assert web.launched() == ["rearm"]
    assert ours.post("/graphql", json=launch("rearm", REARM)).status_code == 403
    assert "results" in stock.post("/graphql", json={"query": SEEN}).text
    assert ours.post("/graphql", json={"query": SEEN}).status_code == 403


@pytest.mark.parametrize(
    "headers",
    [
        {"Authorization": "Bearer "},
        {"Authorization": "Bearer guessed"},
        {"Authorization": "Basic {token}"},
        {"Authorization": "{token}"},
        {"Cookie": "{cookie}="},
        {"Cookie": "{cookie}=guessed"},
        {"Cookie": "another={token}"},
    ],
)
def test_what_only_looks_like_a_login_is_none(web: Interface, headers: dict[str, str]) -> None:
    given = {name: value.format(token=web.token, cookie=web.cookie) for name, value in headers.items()}
    client = web.client(web.ours)
    assert client.get("/", headers=given).status_code == 403
    assert client.post("/graphql", json={"query": SEEN}, headers=given).status_code == 403


def test_a_program_sends_the_token(web: Interface) -> None:
    headers = {"Authorization": f"Bearer {web.token}"}
    answer = web.client(web.ours).post("/graphql", json={"query": SEEN}, headers=headers)
    assert answer.json() == {"data": {"runsOrError": {"results": []}}}


def test_another_website_does_not_send_events_of_assets(web: Interface) -> None:
    """A POST without content is a form's, too; it would report an asset as materialized."""
    stock, ours = attack_pair(web)
    sent = {"url": "/report_asset_materialization/fills?description=evil", "headers": {"Origin": EVIL}}
    assert stock.post(**sent).status_code == 200
    assert ours.post(**sent).status_code == 403
    assert ours.post(**{**sent, "headers": {"Origin": PAGE}}).status_code == 415


@pytest.mark.parametrize("method", ["PUT", "DELETE", "PATCH", "OPTIONS", "TRACE"])
def test_no_other_method_is_taken_and_no_other_origin_is_promised_anything(
    web: Interface, method: str
) -> None:
    """OPTIONS is how a browser asks for another page's sake; the refusal allows it nothing."""
    refused = web.client(web.ours, logged_in=True).request(method, "/graphql", headers={"Origin": EVIL})
    assert refused.status_code == 405
    assert not [name for name in refused.headers if name.startswith("access-control")]


def test_no_page_is_shown_inside_another(web: Interface) -> None:
    shown = web.client(web.ours, logged_in=True).get("/")
    assert shown.status_code == 200
    assert shown.headers["X-Frame-Options"] == "DENY"
    assert shown.headers["Cross-Origin-Resource-Policy"] == "same-origin"
    assert "X-Frame-Options" not in web.client(web.stock).get("/").headers


def test_a_request_that_does_not_end_is_cut_off(web: Interface) -> None:
    _, ours = attack_pair(web)
    large = {"query": SEEN, "more": "x" * 4_000_001}
    assert ours.post("/graphql", json=large, headers={"Origin": PAGE}).status_code == 413


def refusal_of_socket(client: TestClient, headers: dict[str, str]) -> str:
    """What is said where a websocket is refused."""
    with (
        pytest.raises(WebSocketDenialResponse) as refused,
        client.websocket_connect("/graphql", ["graphql-ws"], headers=headers),
    ):
        pass
    assert refused.value.status_code == 403
    return refused.value.text


REARM = {"ops": {"rearm_book": {"config": {"reason": "evil"}}}}


def test_who_is_refused_fills_no_log(web: Interface, caplog: pytest.LogCaptureFixture) -> None:
    guard = WebGuard(web.stock, token=web.token, port=PORT, where="x")
    client = web.client(guard)
    for _ in range(50):
        client.get("/%1b[31m" + "a" * 500, params={"token": "guessed-by-somebody"})
    lines = [record for record in caplog.records if "web request refused" in str(record.msg)]
    assert len(lines) == 1
    assert "guessed-by-somebody" not in str(lines[0].msg)
    assert "\x1b" not in str(lines[0].msg)


def test_a_launch_cannot_hide_every_run_behind_one_that_nobody_can_read(web: Interface) -> None:
    bearer = {"Authorization": f"Bearer {web.token}"}
    ours = web.client(web.ours)
    launched = ours.post(
        "/graphql", json=launch("kill", tags={"__class__": "no_such"}), headers=bearer
    ).json()
    assert "could not read" in launched["data"]["launchRun"]["message"]
    listed = ours.post("/graphql", json={"query": RUNS}, headers=bearer).json()
    assert listed["data"]["runsOrError"]["__typename"] == "Runs"


RUNS = "{ runsOrError { __typename ... on Runs { results { runId } } } }"


HALF = "\udcff"  # half of a character: JSON can hold it, and UTF-8, which every answer is in, cannot
SET_CURSOR = """mutation($sensor: SensorSelector!, $cursor: String) {
  setSensorCursor(sensorSelector: $sensor, cursor: $cursor) { __typename } }"""
CURSORS = """query($repository: RepositorySelector!) { sensorsOrError(repositorySelector: $repository) {
  ... on Sensors { results { sensorState { typeSpecificData { ... on SensorData { lastCursor } } } } } } }"""


def test_no_request_leaves_what_fails_the_pages_of_all_sensors(web: Interface) -> None:
    request = {
        "query": SET_CURSOR,
        "variables": {"sensor": {**SELECTOR, "sensorName": "alert_on_success"}, "cursor": HALF},
    }
    look = {"query": CURSORS, "variables": {"repository": SELECTOR}}
    sent = {"Content-Type": "application/json", "Authorization": f"Bearer {web.token}"}
    ours, stock = web.client(web.ours), web.client(web.stock)
    refused = ours.post("/graphql", content=json.dumps(request), headers=sent)
    assert refused.status_code == 400
    assert "sensorsOrError" in ours.post("/graphql", json=look, headers=sent).json()["data"]
    taken = stock.post("/graphql", content=json.dumps(request), headers=sent)
    assert taken.json()["data"]["setSensorCursor"]["__typename"] == "Sensor"
    try:
        with pytest.raises(UnicodeEncodeError):
            stock.post("/graphql", json=look)
    finally:
        request["variables"] = {"sensor": {**SELECTOR, "sensorName": "alert_on_success"}, "cursor": None}
        stock.post("/graphql", json=request)
    assert "sensorsOrError" in stock.post("/graphql", json=look).json()["data"]
