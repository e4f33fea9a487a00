"""What may ask the web interface: this person's browser from the interface's own page, and this person's
programs. Everything else is refused before Dagster's app sees it.

A website that is open in the same browser can send requests to loopback, and can name loopback by a host name
of its own (DNS rebinding). So the guard looks, in this order, at the name that a request was sent to, its
method, the page that sent it, its cookie or token, and the form of its content. GraphQL is asked by POST with
JSON, which no page of another origin can send without asking first. A read-only interface takes no mutation,
and none takes an event of an asset that no run reports, or a part of the definitions.

Here nothing is known of Dagster but the paths of its app and what a mutation is.
"""

from __future__ import annotations

import asyncio
import hmac
import html
import json
import re
from collections.abc import Awaitable, Callable, Iterable
from typing import Any, NamedTuple
from urllib.parse import parse_qsl, quote, urlencode, urlsplit

from graphql import GraphQLError, OperationDefinitionNode, OperationType, parse
from starlette.datastructures import Headers, MutableHeaders
from starlette.requests import HTTPConnection
from starlette.responses import HTMLResponse, JSONResponse, PlainTextResponse, RedirectResponse, Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from trading_assets.log import get_logger
from trading_assets.market.clock import monotonic_ns
from trading_assets.runs.acts import SESSION

log = get_logger(__name__)

GRAPHQL = "/graphql"
TOKEN = "token"  # in the link's query
LOOPBACK_NAMES = ("127.0.0.1", "localhost", "[::1]")
LARGEST_BODY = 4_000_000  # bytes; a run's configuration is text
BODY_SECONDS = 30.0  # for all of a body
COOKIE_SECONDS = 7 * 86_400
TELL_SECONDS = 10  # between two lines about what was refused
LONGEST_PATH = 100  # characters of a path in such a line

# What nobody sends here. An event that no run reports would claim what the desk has not done, under the name
# of one of its assets, and one with a key such as `__class__` hides all events of the asset from Dagster.
# Managed components are code that the next code server loads.
UNTAKEN_MUTATIONS = frozenset(
    {
        *("reportRunlessAssetEvents", "reportAssetCheckEvaluations"),
        *("setAppManagedComponent", "deleteAppManagedComponent", "refreshComponentState"),
    }
)
UNTAKEN_PATHS = "/report_asset_"

_METHODS = ("GET", "HEAD", "POST")
_NAME = re.compile(r"\w+")
_HEADERS = {
    "X-Frame-Options": "DENY",
    "X-Content-Type-Options": "nosniff",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Referrer-Policy": "same-origin",
}


class WebRefusal(NamedTuple):
    """Why a request is not passed on. status: of HTTP; why: a sentence for the person who reads it."""

    status: int
    why: str


_UNTAKEN = WebRefusal(
    403,
    "Events of assets come from runs, and definitions from files: this web interface takes neither. Launch a "
    "run, or change the file and reload the code location.",
)


class WebGuard:
    """An ASGI app around Dagster's.

    token:     the link's
    port:      where this is served on loopback, which the allowed names and origins are made of
    origins:   further ones, such as https://desk.example.org of a reverse proxy with a login
    read_only: every mutation is refused
    where:     the file with the link, for the sentence to who comes without it
    """

    def __init__(
        self,
        app: ASGIApp,
        *,
        token: str,
        port: int,
        where: str,
        origins: Iterable[str] = (),
        read_only: bool = False,
    ) -> None:
        self._app, self._token, self._read_only = app, token.encode(), read_only
        own = [f"http://{name}:{port}" for name in LOOPBACK_NAMES]
        self._origins = frozenset([*own, *origins])
        self._hosts = frozenset(urlsplit(origin).netloc for origin in self._origins)
        self._secure_hosts = frozenset(urlsplit(o).netloc for o in self._origins if o.startswith("https:"))
        self._page = own[0]
        self._told_ns: int | None = None  # monotonic: when a refusal was logged
        self._untold = 0  # refusals since
        self.cookie = f"trading_assets_{port}"  # cookies know no ports: two webservers have two
        self._no_login = WebRefusal(
            403,
            f"This needs the link in the file {where}, which `make up` printed too: open it once in this "
            "browser; a program sends its token as `Authorization: Bearer`.",
        )

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "http":
            await self._http(scope, receive, _with_headers(send))
        elif scope["type"] == "websocket":
            await self._websocket(scope, receive, send)
        else:  # the app's start and end
            await self._app(scope, receive, send)

    async def _http(self, scope: Scope, receive: Receive, send: Send) -> None:
        headers = Headers(scope=scope)
        answer: WebRefusal | Response | None = self._refusal_of_place(headers) or self._refusal_of_method(
            scope
        )
        if answer is None:
            answer = self._login(scope, headers)
        if answer is None:
            answer = self._refusal_of_page(headers) or self._refusal_of_login(scope, headers)
        body = b""
        if answer is None and scope["method"] == "POST":
            answer = _refusal_of_content(headers)
            if answer is None:
                read = await _body(receive)
                answer, body = (read, b"") if isinstance(read, WebRefusal) else (None, read)
                receive = _again(body, receive)
        if answer is None:
            answer = self._refusal_of_request(scope, headers, body)
        if isinstance(answer, WebRefusal):
            self._tell(answer, scope)
            answer = _answer(answer, scope["path"])
        if answer is not None:
            await answer(scope, receive, send)
            return
        if scope["path"] == GRAPHQL and scope["method"] != "POST":
            scope = {**scope, "query_string": b""}  # the page of GraphiQL: it executes nothing
        await self._app({**scope, SESSION: True}, receive, send)

    async def _websocket(self, scope: Scope, receive: Receive, send: Send) -> None:
        headers = Headers(scope=scope)
        refusal = self._refusal_of_place(headers) or self._refusal_of_page(headers)
        refusal = refusal or self._refusal_of_login(scope, headers, must_say_page=True)
        if refusal is None and scope["path"] != GRAPHQL:
            refusal = WebRefusal(404, "There is nothing at this address.")
        if refusal is not None:
            self._tell(refusal, scope)
            await receive()  # websocket.connect
            if "websocket.http.response" in scope.get("extensions", {}):
                await _answer(refusal, "")(scope, receive, send)
            else:
                await send({"type": "websocket.close", "code": 1008, "reason": ""})
            return
        await self._app({**scope, SESSION: True}, receive, send)

    def _tell(self, refusal: WebRefusal, scope: Scope) -> None:
        """One line for many: who is refused must not fill the log. The query, which may have a token, is in
        none."""
        now, self._untold = monotonic_ns(), self._untold + 1
        if self._told_ns is not None and now - self._told_ns < TELL_SECONDS * 10**9:
            return
        path = ascii(scope["path"])[:LONGEST_PATH]
        log.warning("web request refused", why=refusal.why, path=path, refused=self._untold)
        self._told_ns, self._untold = now, 0

    def _refusal_of_place(self, headers: Headers) -> WebRefusal | None:
        """A name that is not this desk's leads here where a website had it resolved to loopback."""
        hosts = headers.getlist("host")
        if len(hosts) == 1 and hosts[0].lower() in self._hosts:
            return None
        return WebRefusal(403, f"The web interface is not at this address but at {self._page}.")

    def _refusal_of_method(self, scope: Scope) -> WebRefusal | None:
        if scope["method"] not in _METHODS:
            return WebRefusal(405, "Only GET, HEAD and POST are taken.")
        if not scope["path"].isprintable():  # to the app's routes `/graphql` and a line break is `/graphql`
            return WebRefusal(404, "There is nothing at this address.")
        return None

    def _refusal_of_page(self, headers: Headers) -> WebRefusal | None:
        """A browser says which page asks: in Origin for whatever may change something and for websockets, in
        Sec-Fetch-Site for all."""
        origins, sites = headers.getlist("origin"), headers.getlist("sec-fetch-site")
        ours = all(origin.lower() in self._origins for origin in origins) and len(origins) <= 1
        if ours and all(site in ("same-origin", "none") for site in sites):
            return None
        return WebRefusal(403, f"Another website asked for this. The web interface is at {self._page}.")

    def _refusal_of_login(
        self, scope: Scope, headers: Headers, *, must_say_page: bool = False
    ) -> WebRefusal | None:
        given = headers.getlist("authorization")
        scheme, _, token = given[0].partition(" ") if len(given) == 1 else ("", "", "")
        if scheme.lower() == "bearer" and self._is_token(token.strip()):
            return None
        if not self._is_token(HTTPConnection(scope).cookies.get(self.cookie, "")):
            return self._no_login
        says_page = "origin" in headers or (not must_say_page and "sec-fetch-site" in headers)
        if says_page or (scope.get("method") in ("GET", "HEAD") and not must_say_page):
            return None
        return WebRefusal(403, "A browser names its page in `Origin` with this; a program sends the token.")

    def _is_token(self, given: str) -> bool:
        return hmac.compare_digest(given.encode(), self._token)

    def _login(self, scope: Scope, headers: Headers) -> Response | None:
        """The first visit by the link: a cookie, and on to the same address without the token."""
        query = parse_qsl(scope["query_string"].decode("latin-1"), keep_blank_values=True)
        if scope["method"] == "POST" or not any(
            name == TOKEN and self._is_token(value) for name, value in query
        ):
            return None
        rest = urlencode([(name, value) for name, value in query if name != TOKEN])
        to = "/" + quote(scope["path"].lstrip("/\\")) + (f"?{rest}" if rest else "")
        answer: Response
        if headers.get("sec-fetch-site", "none") in ("none", "same-origin"):
            answer = RedirectResponse(to, 303)
        else:  # a click in another page, as of a terminal in the browser: a redirect of it bears no cookie
            answer = HTMLResponse(f'<meta http-equiv="refresh" content="0; url={html.escape(to)}">')
        answer.set_cookie(
            self.cookie,
            self._token.decode(),
            max_age=COOKIE_SECONDS,
            httponly=True,
            samesite="strict",
            secure=headers["host"].lower() in self._secure_hosts,
        )
        answer.headers["Referrer-Policy"] = "no-referrer"
        answer.headers["Cache-Control"] = "no-store"
        return answer

    def _refusal_of_request(self, scope: Scope, headers: Headers, body: bytes) -> WebRefusal | None:
        if scope["method"] != "POST":
            shows_page = "text/html" in headers.get("accept", "")
            if scope["path"] == GRAPHQL and not shows_page:
                return WebRefusal(405, "GraphQL is asked by POST, with a JSON body.")
            return None
        if scope["path"].startswith(UNTAKEN_PATHS):
            return _UNTAKEN
        if scope["path"] != GRAPHQL:
            return WebRefusal(403, "This web interface is read-only.") if self._read_only else None
        return _refusal_of_query(body, read_only=self._read_only)


def _refusal_of_content(headers: Headers) -> WebRefusal | None:
    """Content in JSON: a page of another origin cannot send it without a question that nobody answers."""
    given = headers.getlist("content-type")
    if len(given) == 1 and given[0].partition(";")[0].strip().lower() == "application/json":
        return None
    return WebRefusal(415, "Send JSON, with `Content-Type: application/json`.")


def _refusal_of_query(body: bytes, *, read_only: bool) -> WebRefusal | None:
    """Mutations that nobody may send; for a read-only interface every one, and what cannot be read."""
    try:
        request = json.loads(body)
        json.dumps(request, ensure_ascii=False).encode()  # half a character: no page could show it again
        query = request["query"]
        if not UNTAKEN_MUTATIONS.isdisjoint(_NAME.findall(query)):
            return _UNTAKEN
        document = parse(query) if read_only else None
    except (ValueError, KeyError, TypeError, RecursionError, GraphQLError):
        return WebRefusal(400, "This is not a GraphQL request.")
    for definition in document.definitions if document else ():
        if isinstance(definition, OperationDefinitionNode) and definition.operation is OperationType.MUTATION:
            return WebRefusal(403, "This web interface is read-only.")
    return None


def _answer(refusal: WebRefusal, path: str) -> Response:
    ends = {"Connection": "close"}  # what a stranger has sent behind it is not even looked at
    if path == GRAPHQL:  # where Dagster's pages show what an error says
        errors: dict[str, Any] = {"data": None, "errors": [{"message": refusal.why}]}
        return JSONResponse(errors, refusal.status, ends)
    return PlainTextResponse(refusal.why + "\n", refusal.status, ends)


async def _body(receive: Receive) -> bytes | WebRefusal:
    try:
        async with asyncio.timeout(BODY_SECONDS):
            return await _whole_body(receive)
    except TimeoutError:
        return WebRefusal(408, f"The content did not arrive within {BODY_SECONDS:.0f} s.")


async def _whole_body(receive: Receive) -> bytes | WebRefusal:
    parts, size = [], 0
    while True:
        message = await receive()
        if message["type"] == "http.disconnect":
            return WebRefusal(400, "The request ended before its content.")
        parts.append(message.get("body", b""))
        size += len(parts[-1])
        if size > LARGEST_BODY:
            return WebRefusal(413, f"More than {LARGEST_BODY:,} bytes are not read.")
        if not message.get("more_body", False):
            return b"".join(parts)


def _again(body: bytes, receive: Receive) -> Callable[[], Awaitable[Message]]:
    """The content once more, for the app; then what comes after it."""
    left: list[Message] = [{"type": "http.request", "body": body, "more_body": False}]

    async def receive_again() -> Message:
        return left.pop() if left else await receive()

    return receive_again


def _with_headers(send: Send) -> Send:
    async def send_with_headers(message: Message) -> None:
        if message["type"] == "http.response.start":
            headers = MutableHeaders(scope=message)
            for name, value in _HEADERS.items():
                headers.setdefault(name, value)
        await send(message)

    return send_with_headers
