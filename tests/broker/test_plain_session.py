"""What a plain session sends is what requests' own sends, without what a machine's files and a server's
cookies would add."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import requests
from hypothesis import given
from hypothesis import strategies as st

from trading_assets.broker.plain_session import PlainSession

URL = "http://127.0.0.1:8900/v2/orders"
words = st.text(st.characters(codec="utf-8", exclude_categories=["Cs"]), max_size=12)
values = st.one_of(words, st.integers(), st.booleans(), st.lists(words, max_size=3))
requests_made = st.fixed_dictionaries(
    {
        "method": st.sampled_from(["GET", "POST", "DELETE", "patch"]),
        "url": st.sampled_from([URL, f"{URL}?status=open", f"{URL}/a b%20c/ü"]),
        "headers": st.dictionaries(
            st.sampled_from(["APCA-API-KEY-ID", "accept-encoding", "User-Agent", "X-Other"]),
            st.text("abc 123", min_size=1, max_size=9).map(str.strip),
            max_size=3,
        ),
    },
    optional={
        "params": st.dictionaries(st.text("abc_", min_size=1, max_size=5), values, max_size=4),
        "json": st.dictionaries(words, values, max_size=4),
    },
)


@given(requests_made)
def test_it_sends_what_requests_would(made: dict[str, Any]) -> None:
    plain, stock = PlainSession(), requests.Session()
    stock.trust_env = False
    for session in (plain, stock):
        session.headers["Accept-Encoding"] = "gzip"
    sent, expected = (session.prepare_request(requests.Request(**made)) for session in (plain, stock))
    assert (sent.method, sent.url, sent.body) == (expected.method, expected.url, expected.body)
    assert {name.lower(): value for name, value in sent.headers.items()} == {
        name.lower(): value for name, value in expected.headers.items()
    }


def test_a_password_of_the_machine_takes_no_key_s_place(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    netrc = tmp_path / "netrc"
    netrc.write_text("machine 127.0.0.1 login somebody password else\n")
    netrc.chmod(0o600)
    monkeypatch.setenv("NETRC", str(netrc))
    made = requests.Request("GET", URL, headers={"Authorization": "Bearer ours"})
    assert requests.Session().prepare_request(made).headers["Authorization"] != "Bearer ours"
    assert PlainSession().prepare_request(made).headers["Authorization"] == "Bearer ours"


def test_a_server_s_cookie_is_not_sent_back() -> None:
    session = PlainSession()
    session.cookies.set("seen", "before", domain="127.0.0.1")
    assert "Cookie" not in session.prepare_request(requests.Request("GET", URL)).headers
