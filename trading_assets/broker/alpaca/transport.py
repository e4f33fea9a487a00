"""How requests leave and how their failures are told apart. No endpoint and no payload here.

alpaca-py has no timeout, re-sends orders by itself on 429 and 504, and follows the proxy settings of
the environment even to loopback. `harden` takes all that from a client; `asked` turns what is left
into the typed errors of the port: for a read anything unusable is `Unreachable`, for a write it is
`OutcomeUnknown`. How long, large and deep an answer may be is `broker.bounded_answer`.
"""

from __future__ import annotations

import http.client
import json
import zlib
from collections.abc import Callable, Mapping
from typing import Any, NamedTuple, TypeVar
from urllib.parse import urlsplit

import requests
import urllib3
from alpaca.common.exceptions import APIError
from alpaca.common.rest import RESTClient
from requests.adapters import HTTPAdapter
from urllib3 import ProxyManager

from trading_assets.broker.bounded_answer import ENCODINGS, body_of, bound, check_depth, within
from trading_assets.broker.plain_session import PlainSession
from trading_assets.broker.port import (
    BrokerError,
    DuplicateClientOrderId,
    NotFound,
    OutcomeUnknown,
    RateLimited,
    Rejected,
    Unauthorized,
    Unreachable,
)
from trading_assets.broker.purpose import purpose_of
from trading_assets.broker.rate_budget import RateBudget
from trading_assets.config.settings import LOOPBACK_HOSTS
from trading_assets.no_answer import plain_words
from trading_assets.venues import KEY_VARIABLES

T = TypeVar("T")

_REFUSALS = (400, 401, 403, 404, 422)
_NO_USABLE_ANSWER = (
    requests.RequestException,
    urllib3.exceptions.HTTPError,
    http.client.HTTPException,
    OSError,
    ValueError,  # truncated JSON, and a payload that `broker.alpaca.parsing` refuses
    RecursionError,  # JSON that is deeper than Python reads
    zlib.error,
)


class Timeouts(NamedTuple):
    """Seconds to connect, between two reads of the socket, and for the whole answer."""

    connect_s: float = 3.05
    read_s: float = 10.0
    answer_s: float = 20.0


TIMEOUTS = Timeouts()


class BoundedAdapter(HTTPAdapter):
    """Requests that end in finite time, are sent once, are not redirected and keep to the rate limit.

    scope: the API whose limit they count for, one of `rate_budget.SCOPES`
    """

    def __init__(self, timeouts: Timeouts, budget: RateBudget | None = None, scope: str = "trading") -> None:
        self._timeouts = timeouts
        self._budget = budget
        self._scope = scope
        super().__init__(max_retries=0)

    def init_poolmanager(self, *arguments: Any, **named: Any) -> None:
        super().init_poolmanager(*arguments, **named)
        bound(self.poolmanager)

    def proxy_manager_for(self, proxy: str, **named: Any) -> ProxyManager:
        manager: ProxyManager = super().proxy_manager_for(proxy, **named)
        bound(manager)
        return manager

    def send(
        self,
        request: requests.PreparedRequest,
        stream: bool = False,
        timeout: float | tuple[float, float] | tuple[float, None] | None = None,
        verify: bool | str = True,
        cert: bytes | str | tuple[bytes | str, bytes | str] | None = None,
        proxies: Mapping[str, str] | None = None,
    ) -> requests.Response:
        """Send and read the whole answer. Raises requests.Timeout when a server trickles it too slowly, be it
        the headers or the body, AnswerOutOfBounds, and RateLimited, with nothing sent, when the rate limit
        has nothing left for what it is for."""
        if self._budget is not None:
            self._budget.take(self._scope, purpose_of(request.method or "GET"))
        timeout = timeout or (self._timeouts.connect_s, self._timeouts.read_s)
        with within(self._timeouts.answer_s):
            response = super().send(
                request, stream=True, timeout=timeout, verify=verify, cert=cert, proxies=proxies
            )
            if self._budget is not None:
                self._budget.learn(self._scope, response.status_code, response.headers)
            try:
                body = body_of(response)
            except BaseException:
                response.close()
                raise
        if response.status_code < 300:
            check_depth(body)
        response.headers.pop("Content-Encoding", None)  # the body is what it says no longer
        response._content = body  # noqa: SLF001 - what Response.content would have read
        if 300 <= response.status_code < 400:
            raise requests.TooManyRedirects(
                f"HTTP {response.status_code} to {response.headers.get('Location')}"
            )
        return response


def harden(
    client: RESTClient, timeouts: Timeouts, budget: RateBudget | None = None, scope: str = "trading"
) -> None:
    """Finite timeouts, one request for each call within the rate limit, and no proxy on the way to
    loopback."""
    session = client._session = PlainSession()  # noqa: SLF001 - alpaca-py has no setting for these
    adapter = BoundedAdapter(timeouts, budget, scope)
    session.mount("https://", adapter)
    session.mount("http://", adapter)
    session.headers["Accept-Encoding"] = ENCODINGS
    session.trust_env = not is_loopback(str(client._base_url))  # noqa: SLF001
    client._retry = 0  # noqa: SLF001


def is_loopback(url: str) -> bool:
    """Whether the URL's host is this machine."""
    return urlsplit(url).hostname in LOOPBACK_HOSTS


def answered(what: str, call: Callable[[], T], *, write: bool = False) -> T:
    """The result of one request, parsing included; `what` names it in errors.

    Raises Rejected and its kinds, RateLimited, and for everything else that is no usable answer
    OutcomeUnknown (write) or Unreachable (read).
    """
    try:
        return call()
    except APIError as error:
        raise _of_status(what, error, write=write) from error
    except _NO_USABLE_ANSWER as error:
        raise _unusable(f"{what}: {plain_words(error)}", write=write) from error


def _unusable(text: str, *, write: bool) -> BrokerError:
    return OutcomeUnknown(text) if write else Unreachable(text)


def _of_status(what: str, error: APIError, *, write: bool) -> BrokerError:
    status = error.status_code
    text = str(error)
    code, message = _code_and_message(text)
    if status == 429:
        headers = {} if error.response is None else error.response.headers
        return RateLimited(_seconds(headers.get("X-RateLimit-Reset")))
    if status not in _REFUSALS:
        return _unusable(f"{what}: HTTP {status}: {text[:200]}", write=write)
    if status == 422 and "client_order_id must be unique" in message:
        return DuplicateClientOrderId(status, code, message)
    if status == 401:
        return Unauthorized(status, code, message, variables=KEY_VARIABLES["alpaca"])
    return (NotFound if status == 404 else Rejected)(status, code, message)


def _code_and_message(text: str) -> tuple[int | None, str]:
    """Alpaca's error body, which may as well be HTML, a list, or without a code."""
    try:
        body = json.loads(text)
    except (ValueError, RecursionError):
        return None, text[:200]
    if not isinstance(body, dict):
        return None, text[:200]
    code = body.get("code")
    return code if type(code) is int else None, str(body.get("message", text[:200]))


def _seconds(value: str | None) -> float | None:
    try:
        return None if value is None else float(value)
    except ValueError:
        return None
