"""A requests session that merges nothing but headers into what it is asked to send.

requests brings seven kinds of settings of the session together for each request: cookies, passwords of the
netrc file, parameters, hooks and others that no broker's API has. It took longer than all else of a request,
and put a password of the machine's netrc file in place of the keys that the request bears. How requests leave
is `broker.alpaca.transport`.
"""

from __future__ import annotations

from typing import Any

import requests
from requests.hooks import default_hooks
from requests.structures import CaseInsensitiveDict


class PlainSession(requests.Session):
    """Method, address, parameters, body, and the session's headers under those of the request."""

    def prepare_request(self, request: requests.Request) -> requests.PreparedRequest:
        """As `Session.prepare_request`, of a request and session with none of the rest."""
        prepared = requests.PreparedRequest()
        prepared.prepare_method((request.method or "GET").upper())
        prepared.prepare_url(str(request.url), request.params)
        headers: CaseInsensitiveDict[Any] = CaseInsensitiveDict(self.headers)
        headers.update(request.headers or {})
        prepared.headers = headers
        prepared.prepare_body(request.data, request.files, request.json)
        prepared.hooks = default_hooks()
        return prepared
