"""A secret is taken out of a text however it is spelled there, and what is none of it stays."""

from __future__ import annotations

import base64
import html
import io
import json
import logging
import quopri
import sys
from collections.abc import Callable, Iterator
from urllib.parse import quote, quote_plus

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from trading_assets import keyring, redaction
from trading_assets.redaction import REDACTED, CleanStream, clean, cleaned, is_clean, shown_address

SECRET = "sEcr3t/Va+lue=0123456789"
# What Alpaca issues, and what people choose: printable, without blanks.
SECRETS = st.text(st.characters(min_codepoint=33, max_codepoint=126), min_size=16, max_size=44).filter(
    lambda text: sum(character.isalnum() for character in text) >= 12
)
SURROUNDINGS = st.text(st.characters(codec="utf-8", exclude_categories=["Cs"]), max_size=12)


@pytest.fixture(autouse=True)
def _forgotten() -> Iterator[None]:
    yield
    redaction.forget()


def within(text: str, secret: str) -> str:
    """The longest part of the secret that is in the text, of its letters and digits."""
    letters = "".join(character for character in secret if character.isalnum())
    result = (letters[at : at + n] for n in range(len(letters), 0, -1) for at in range(len(letters) - n + 1))
    return next((part for part in result if part in text), "")


SPELLINGS: dict[str, Callable[[str], str]] = {
    "as it is": str,
    "URL-encoded": lambda text: quote(text, safe=""),
    "URL-encoded but for slashes": quote,
    "in a form": quote_plus,
    "URL-encoded twice": lambda text: quote(quote(text, safe=""), safe=""),
    "every byte URL-encoded": lambda text: "".join(f"%{byte:02x}" for byte in text.encode()),
    "quoted": repr,
    "quoted as bytes": lambda text: repr(text.encode()),
    "quoted twice": lambda text: repr(repr(text)),
    "as JSON": json.dumps,
    "as JSON within JSON": lambda text: json.dumps(json.dumps({"x": text})),
    "every character JSON-escaped": lambda text: "".join(f"\\u{ord(one):04x}" for one in text),
    "as HTML": html.escape,
    "as HTML numbers": lambda text: "".join(f"&#{ord(one)};" for one in text),
    "quoted-printable": lambda text: quopri.encodestring(text.encode()).decode(),
    "in hexadecimal": lambda text: text.encode().hex(),
    "in capital hexadecimal": lambda text: text.encode().hex().upper(),
    "in hexadecimal with colons": lambda text: text.encode().hex(":"),
}


@pytest.mark.parametrize("spelled", SPELLINGS.values(), ids=SPELLINGS.keys())
@settings(max_examples=60)
@given(secret=SECRETS, before=SURROUNDINGS, after=SURROUNDINGS)
def test_no_spelling_shows_it(spelled: Callable[[str], str], secret: str, before: str, after: str) -> None:
    redaction.forget()
    redaction.hide(secret)
    text = f"{before} {spelled(secret)} {after}"
    cleaned = clean(text)
    assert REDACTED in cleaned
    assert not is_clean(text)
    assert secret not in cleaned
    assert spelled(secret) not in cleaned


@settings(max_examples=150)
@given(
    secret=SECRETS,
    before=st.binary(max_size=9),
    after=st.binary(max_size=9),
    encode=st.sampled_from([base64.b64encode, base64.urlsafe_b64encode, base64.encodebytes]),
)
def test_base64_shows_it_at_no_alignment(
    secret: str, before: bytes, after: bytes, encode: Callable[[bytes], bytes]
) -> None:
    redaction.forget()
    redaction.hide(secret)
    cleaned = clean(f"header {encode(before + secret.encode() + after).decode()} end")
    assert cleaned.startswith(f"header {REDACTED}")
    if encode is not base64.encodebytes:  # which goes on in another line
        assert cleaned == f"header {REDACTED} end"
    assert is_clean(cleaned)


@settings(max_examples=150)
@given(
    secret=SECRETS,
    at=st.integers(0, 100),
    again=st.integers(0, 100),
    with_=st.sampled_from(
        ["\n", "\r\n", "\n    ", '"\n    "', "'\n'", "\\\n", "=\n", "\\n", "\\\\n", "\n│ ", "%0A"]
    ),
)
def test_split_over_lines_it_is_found(secret: str, at: int, again: int, with_: str) -> None:
    redaction.forget()
    redaction.hide(secret)
    first, second = sorted((at % len(secret), again % len(secret)))
    cleaned = clean(f"a {with_.join((secret[:first], secret[first:second], secret[second:]))} b")
    assert REDACTED in cleaned
    assert len(within(cleaned, secret)) <= 3


@settings(max_examples=150)
@given(text=SURROUNDINGS, secret=SECRETS)
def test_a_text_without_it_is_left_as_it_is_and_a_clean_one_stays_clean(text: str, secret: str) -> None:
    redaction.forget()
    redaction.hide(secret)
    if is_clean(text):
        assert clean(text) == text
    assert is_clean(clean(f"{text} {secret}"))


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("Authorization: Bearer abc.DEF-123_x", f"Authorization: {REDACTED}"),
        ("sent Bearer abcdef123456", f"sent Bearer {REDACTED}"),
        (
            "proxy http://me:pa55@proxy.local:3128 refused",
            f"proxy http://{REDACTED}@proxy.local:3128 refused",
        ),
        ("https://:pa55@host/x", f"https://{REDACTED}@host/x"),
        ("token=abc&x=1", f"token={REDACTED}&x=1"),
        ("http://127.0.0.1:3000/?token=abc", f"http://127.0.0.1:3000/?token={REDACTED}"),
        (f"token={REDACTED}-and-more of it", f"token={REDACTED} of it"),
        ('{"token": "Bearer abcdefgh"}', f'{{"token": "{REDACTED}"}}'),
        ("{'APCA-API-SECRET-KEY': 'abc'}", f"{{'APCA-API-SECRET-KEY': '{REDACTED}'}}"),
        ("see http://127.0.0.1:8765/v2/orders?limit=5", "see http://127.0.0.1:8765/v2/orders?limit=5"),
        ("the tick of 10:00 @ 5.5, AAPL: 3", "the tick of 10:00 @ 5.5, AAPL: 3"),
    ],
)
def test_what_stands_where_a_secret_stands_is_taken_out(text: str, shown: str) -> None:
    assert clean(text) == shown
    assert is_clean(text) == (text == shown)
    assert clean(shown) == shown  # again, as a log does with a line that was cleaned before
    assert is_clean(shown)


@pytest.mark.parametrize(
    ("url", "shown"),
    [
        ("mailto://me:pa55@mail.example.com?to=x@y.z", "mailto://mail.example.com"),
        ("json://127.0.0.1:9/hook-0123456789", "json://127.0.0.1:9"),
        ("tgram://123456789:AAbbCCdd/12345", f"tgram://{REDACTED}"),
        ("slack://TokenA/TokenB/TokenC", f"slack://{REDACTED}"),
        ("jsons://[::1]:80/x", "jsons://[::1]:80"),
        ("no address", REDACTED),
    ],
)
def test_an_address_of_alerts_is_its_scheme_and_host(url: str, shown: str) -> None:
    assert shown_address(url) == shown


def test_the_parts_of_an_address_that_let_somebody_in_are_taken_out_alone_too(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    address = "json://me:pa55word@127.0.0.1:9/hook-0123456789abcdef"
    monkeypatch.setenv(keyring.ALERT_URLS, address)
    cleaned = clean(f"no answer of {address}: POST http://127.0.0.1:9/hook-0123456789abcdef as pa55word")
    assert cleaned == f"no answer of json://127.0.0.1:9: POST http://127.0.0.1:9/{REDACTED} as {REDACTED}"


def test_an_address_that_holds_no_secret_makes_no_text_unclean(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(keyring.ALERT_URLS, "json://127.0.0.1:9")
    assert is_clean("not taken by json://127.0.0.1:9")


def test_a_secret_among_numbers_and_in_keys_is_found() -> None:
    redaction.hide("123456789012")
    assert cleaned({"a": [123456789012, {"123456789012": 1.5}], "token": "x", "b": None}) == {
        "a": [REDACTED, {REDACTED: 1.5}],
        "token": REDACTED,
        "b": None,
    }


def test_every_log_record_of_the_process_is_made_clean(caplog: pytest.LogCaptureFixture) -> None:
    redaction.hide(SECRET)
    before = logging.getLogRecordFactory()
    redaction.redact_log_records()
    redaction.redact_log_records()
    try:
        library = logging.getLogger("somebody.elses.library")
        library.error("no answer with %s", SECRET)
        try:
            raise ValueError(f"with {quote(SECRET, safe='')}")
        except ValueError:
            library.exception("failed")
        library.warning("%d arguments that do not fit", "x", SECRET)
    finally:
        logging.setLogRecordFactory(before)
    output = io.StringIO()
    handler = logging.StreamHandler(output)
    for record in caplog.records[:2]:
        handler.handle(record)
    assert caplog.records[2].getMessage() == f"%d arguments that do not fit ('x', '{REDACTED}')"
    assert f"no answer with {REDACTED}" in output.getvalue()
    assert f"ValueError: with {REDACTED}" in output.getvalue()
    assert "Traceback" in output.getvalue()
    assert is_clean(output.getvalue())


def test_a_stream_writes_whole_lines_clean_and_no_more_than_it_may() -> None:
    redaction.hide(SECRET)
    under = io.StringIO()
    stream = CleanStream(under, most_characters=100)
    print("first", SECRET[:10], end="", file=stream)
    print(SECRET[10:], file=stream)
    stream.flush()
    assert under.getvalue() == f"first {REDACTED}\n"
    print("x" * 200, file=stream)
    print("more", file=stream)
    stream.flush()
    assert under.getvalue() == f"first {REDACTED}\n\nWhat else it prints is left out.\n"
    assert CleanStream(sys.__stdout__).fileno() == 1
