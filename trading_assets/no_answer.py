"""What a person reads of a request over HTTP without a usable answer: who was asked, and what happened there.

requests and urllib3 say it in their own words: a pool, an object in memory, a path, a number of retries. What
the missing answer means, whoever asked decides.
"""

from __future__ import annotations

from collections.abc import Iterator
from urllib.parse import urlsplit

import requests
from urllib3.exceptions import IncompleteRead, NameResolutionError
from urllib3.exceptions import TimeoutError as PoolTimeout

_ENDED = (ConnectionResetError, ConnectionAbortedError, BrokenPipeError, IncompleteRead)


def plain_words(error: Exception) -> str:
    """One sentence without its full stop; what is of none of the usual kinds, in its own words."""
    if type(error).__module__.startswith("trading_assets."):
        return str(error)
    causes, place = list(_causes(error)), _place(error)
    if isinstance(error, requests.exceptions.ProxyError):
        return f"the proxy on the way to {place} does not let through: {_innermost(causes)}"
    if isinstance(error, requests.exceptions.SSLError):
        return f"no trusted connection to {place}: {_innermost(causes)}"
    for cause in causes:
        if isinstance(cause, ConnectionRefusedError):
            return f"nothing listens at {place}"
        if isinstance(cause, NameResolutionError):
            return f"this machine cannot resolve the name of {place}"
    if isinstance(error, requests.ConnectTimeout):
        return f"no connection to {place} in time"
    if any(isinstance(cause, requests.Timeout | TimeoutError | PoolTimeout) for cause in causes):
        return f"no complete answer of {place} in time"
    if any(isinstance(cause, _ENDED) for cause in causes):
        return f"{place} has broken off the connection"
    return f"{type(error).__name__}: {error}"


def _place(error: Exception) -> str:
    """Scheme, host and port of what was asked: a path or a query may hold what is nobody's to read."""
    request = error.request if isinstance(error, requests.RequestException) else None
    if request is None or request.url is None:
        return "the server"
    address = urlsplit(request.url)
    return f"{address.scheme}://{address.netloc.rpartition('@')[2]}"


def _innermost(causes: list[BaseException]) -> str:
    """What the operating system or TLS says."""
    return next(
        (str(cause) for cause in reversed(causes) if type(cause).__module__ in ("builtins", "ssl")), ""
    )


def _causes(error: BaseException) -> Iterator[BaseException]:
    """The error, and what it wraps, outermost first. requests and urllib3 wrap in arguments as well."""
    seen: list[BaseException] = []
    waiting: list[object] = [error]
    while waiting:
        one = waiting.pop(0)
        if isinstance(one, BaseException) and not any(one is other for other in seen):
            seen.append(one)
            yield one
            waiting += [*one.args, getattr(one, "reason", None), one.__cause__, one.__context__]
