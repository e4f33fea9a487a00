"""Secrets taken out of text, however they are spelled: the one place for all that leaves a process.

A secret is known by its value (`keyring`, and what `hide` was told) or by how it stands in a text: after a
name such as `token=`, after `Bearer`, as the user and password of an address. A value is found as it is and
URL-encoded, quoted, JSON-escaped, as HTML, as hexadecimal, in base64 at any alignment, and split over
lines. An address of alerts is shown as its scheme and host.
"""

from __future__ import annotations

import base64
import html
import io
import logging
import math
import re
import traceback
from collections.abc import Callable, Iterable, Iterator, Mapping, Set
from functools import cache
from typing import Any, NamedTuple, TextIO
from urllib.parse import unquote, unquote_to_bytes, urlsplit

from trading_assets import keyring

REDACTED = "[redacted]"
SHORTEST = 4  # characters of a value that is looked for: a shorter one is part of any text
SHORTEST_SPELLED = 8  # letters and digits of one that is looked for in other spellings too
MOST_PRINTED = 20_000_000  # characters of what a run prints
DECODINGS = 3  # of an encoding within an encoding

_SECRET_WORD = r"secret|token|authoriz|passw|credential|api[-_]?key|key[-_]?id"
_SECRET_WORDS = (  # the same, in lower case
    *("secret", "token", "authoriz", "passw", "credential"),
    *("apikey", "api-key", "api_key", "keyid", "key-id", "key_id"),
)
_SECRET_NAME = re.compile(rf"{_SECRET_WORD}|(?<![a-z])keys?(?![a-z])", re.IGNORECASE)
_VALUE = r"""[^\s'",;&)}\]]"""  # a character of it
_AFTER_A_NAME = re.compile(
    rf"""((?:{_SECRET_WORD})[\w-]*['"]?\s*[:=]\s*['"]?)"""
    rf"(?!(?:(?:Bearer|Basic)\s+)?\[redacted\](?!{_VALUE}))"  # it is taken out already
    rf"(?:(?:Bearer|Basic)\s+)?(?:\[redacted\]|{_VALUE})+",
    re.IGNORECASE,
)
_BEARER = re.compile(r"\b(bearer\s+|basic\s+(?=[\w+/]*\d))[\w.~+/=-]{8,}", re.IGNORECASE)
_USER_AND_PASSWORD = re.compile(r"(?<=://)[^\s/?#'\"<>@]*:[^\s/?#'\"<>]*@")
_ESCAPED = re.compile(
    r"(?:%(?:25)*[0-9A-Fa-f]{2})+|(?:\\+u[0-9A-Fa-f]{4})+|(?:\\+x[0-9A-Fa-f]{2})+|\\+[bfnrtv]"
    r"|&(?:#\d{1,7}|#[xX][0-9A-Fa-f]{1,6}|[a-z]{2,5});"
)
_QUOTED_PRINTABLE = re.compile(r"(?:=[0-9A-F]{2})+")
_SIGNS = bytes(code for code in range(128) if not chr(code).isalnum())
_DRAWN = re.compile("[\xa0│┃▏]")  # what a terminal puts around a break
_CODED = frozenset("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/-_=")

_hidden: set[str] = set()


def hide(*secrets: str) -> None:
    """Keep these values too out of every later text of this process, wherever they came from."""
    _hidden.update(secret for secret in secrets if secret)


def forget() -> None:
    """Forget what `hide` was told."""
    _hidden.clear()


def is_secret_name(name: str) -> bool:
    """Whether what has this name is a secret, whatever it is."""
    return _SECRET_NAME.search(name) is not None


def clean(text: str) -> str:
    """The text without secrets."""
    secrets = _secrets()
    for secret in secrets:
        text = text.replace(secret.value, secret.shown)
    spans = list(_spelled(text, secrets)) if _has_spelled(text, secrets) else []
    for start, end, shown in sorted(spans, reverse=True):
        text = text[:start] + shown + text[end:]
    for pattern, place in _where_secrets_stand(text):
        text = pattern.sub(place, text)
    return text


def is_clean(text: str) -> bool:
    """Whether nothing in it looks like a secret. What JSON has escaped need not be undone for it."""
    secrets = _secrets()
    return not (
        any(secret.value in text for secret in secrets)
        or any(pattern.search(text) for pattern, _ in _where_secrets_stand(text))
        or _has_spelled(text, secrets)
    )


def _where_secrets_stand(text: str) -> Iterator[tuple[re.Pattern[str], str]]:
    """The patterns that can match, with what is put in: words are found faster than a pattern is tried."""
    lower = text.lower()
    if any(word in lower for word in _SECRET_WORDS):
        yield _AFTER_A_NAME, rf"\1{REDACTED}"
    if "bearer" in lower or "basic" in lower:
        yield _BEARER, rf"\1{REDACTED}"
    if "://" in text and "@" in text:
        yield _USER_AND_PASSWORD, f"{REDACTED}@"


def cleaned(value: Any, name: str = "") -> Any:
    """The value as plain JSON, with no secret in it; `name` is what it is called where it stands."""
    if value is None or isinstance(value, bool):
        return value
    if is_secret_name(name):
        return REDACTED
    if type(value) is int or (type(value) is float and math.isfinite(value)):
        text = str(value)
        return value if clean(text) == text else REDACTED
    if isinstance(value, Mapping):
        return {clean(str(key)): cleaned(item, str(key)) for key, item in value.items()}
    if isinstance(value, list | tuple | Set):
        return [cleaned(item) for item in value]
    return clean(str(value))


def cleaned_strings(value: Any) -> Any:
    """What JSON holds, with every text in it clean and nothing else touched, whatever it is called."""
    if isinstance(value, str):
        return clean(value)
    if isinstance(value, dict):
        return {key: cleaned_strings(item) for key, item in value.items()}
    if isinstance(value, list):
        return [cleaned_strings(item) for item in value]
    return value


def shown_address(url: str) -> str:
    """Scheme and host of an address, and nothing else of it. What is no host's name is a token."""
    scheme, separator, rest = url.partition("://")
    if not separator:
        return REDACTED
    host, port = _host_and_port(url)
    if not re.fullmatch(r"localhost|[\w-]+(?:\.[\w-]+)+|\[[0-9a-fA-F:.]+\]", host):
        return f"{scheme}://{REDACTED}" if rest else f"{scheme}://"
    return f"{scheme}://{host}{port}"


def redact_log_records() -> None:
    """Have the standard library make every log record of this process without secrets, whoever logs."""
    made = logging.getLogRecordFactory()
    if not isinstance(made, _CleanRecords):
        logging.setLogRecordFactory(_CleanRecords(made))


class _CleanRecords:
    """A factory of log records that takes the secrets out of what another one makes."""

    def __init__(self, made: Callable[..., logging.LogRecord]) -> None:
        self._made = made

    def __call__(self, *args: Any, **kwargs: Any) -> logging.LogRecord:
        record = self._made(*args, **kwargs)
        if isinstance(record.msg, str):
            _clean_record(record)
        return record


class CleanStream(io.TextIOBase):
    """A process's standard output or error: whole lines are written clean, and only so many."""

    def __init__(self, stream: TextIO, most_characters: int = MOST_PRINTED) -> None:
        self._stream = stream
        self._left = most_characters
        self._begun = ""  # a line that has not ended

    def write(self, text: str) -> int:
        lines, end, self._begun = (self._begun + text).rpartition("\n")
        self._pass_on(lines + end)
        return len(text)

    def flush(self) -> None:
        begun, self._begun = self._begun, ""
        self._pass_on(begun)
        self._stream.flush()

    def _pass_on(self, text: str) -> None:
        if not text or self._left < 0:
            return
        self._left -= len(text)
        self._stream.write(clean(text) if self._left >= 0 else "\nWhat else it prints is left out.\n")

    def fileno(self) -> int:
        return self._stream.fileno()

    def isatty(self) -> bool:
        return self._stream.isatty()

    def writable(self) -> bool:
        return True

    @property
    def encoding(self) -> str:  # type: ignore[override]
        return self._stream.encoding


def _clean_record(record: logging.LogRecord) -> None:
    try:
        message = record.getMessage()
    except (
        TypeError,
        ValueError,
        KeyError,
    ):  # arguments that do not fit: the handler would show them as they are
        message = f"{record.msg} {record.args}"
        record.msg, record.args = message, None
    if not is_clean(message):
        record.msg, record.args = clean(message), None
    if isinstance(record.exc_info, tuple) and record.exc_info[0] is not None:
        trace = "".join(traceback.format_exception(*record.exc_info))
        if not is_clean(trace):
            record.exc_text = clean(trace).rstrip("\n")  # which formatters take in place of their own


class _Secret(NamedTuple):
    """A value, what is shown in its place, and the letters and digits of each of its spellings."""

    value: str
    shown: str
    letters: tuple[
        bytes, ...
    ]  # more than one where what it holds looks like an escape; none: it is too short
    base64: tuple[bytes, ...]  # what is the same of it whatever stands around it, for each alignment
    hexadecimal: bytes


def _secrets() -> tuple[_Secret, ...]:
    known = keyring.known()
    addresses = known.pop(keyring.ALERT_URLS, "")
    return _described(frozenset(known.values()) | frozenset(_hidden), addresses)


@cache
def _described(values: frozenset[str], addresses: str) -> tuple[_Secret, ...]:
    """The longest first: one may be part of another."""
    shown = dict.fromkeys(values, REDACTED)
    for url in addresses.split():
        shown |= dict.fromkeys(_tokens_of(url), REDACTED)
        shown[url] = shown_address(url)
    looked_for = (value for value in shown if len(value) >= SHORTEST and value != shown[value])
    longest_first = sorted(looked_for, key=len, reverse=True)
    return tuple(_secret(value, shown[value]) for value in longest_first)


def _secret(value: str, shown: str) -> _Secret:
    content, letters = value.encode(), {_letters(read) for read in _readings(value)}
    cores = [_letters(core) for core in _base64_cores(content)]
    hexadecimal = content.hex().encode()
    return _Secret(
        value,
        shown,
        tuple(sorted((one for one in letters if len(one) >= SHORTEST_SPELLED), key=len, reverse=True)),
        tuple(core for core in cores if len(core) >= SHORTEST_SPELLED),
        hexadecimal if len(hexadecimal) >= 2 * SHORTEST_SPELLED else b"",
    )


def _base64_cores(content: bytes) -> Iterator[str]:
    for before in range(3):
        text = base64.b64encode(bytes(before) + content).decode()
        yield text[(before * 8 + 5) // 6 : (before + len(content)) * 8 // 6]


def _letters(text: str) -> bytes:
    """What quoting, line breaks and the alphabets of base64 leave as it is, in UTF-8."""
    plain = text if text.isascii() else _DRAWN.sub("", text)
    return plain.encode(errors="replace").translate(None, _SIGNS)


def _has_spelled(text: str, secrets: tuple[_Secret, ...]) -> bool:
    return any(_is_in(read, secrets) for read in _readings(text)) if secrets else False


def _is_in(read: str, secrets: tuple[_Secret, ...]) -> bool:
    letters = _letters(read)
    lower = letters.lower()
    for secret in secrets:
        if secret.hexadecimal and secret.hexadecimal in lower:
            return True
        for spelled in (*secret.letters, *secret.base64):
            if spelled in letters:
                return True
    return False


def _readings(text: str) -> Iterator[str]:
    """The text, and with each encoding undone that it may have."""
    yield text
    if "=" in text and _QUOTED_PRINTABLE.search(text):
        yield _QUOTED_PRINTABLE.sub(_unescaped, text)
    for _ in range(DECODINGS):
        if not (("%" in text or "\\" in text or "&" in text) and _ESCAPED.search(text)):
            return
        text = _ESCAPED.sub(_unescaped, text)
        yield text


def _spelled(text: str, secrets: tuple[_Secret, ...]) -> Iterator[tuple[int, int, str]]:
    """Start, end and what is shown instead of every spelled secret; none overlaps another."""
    taken: list[tuple[int, int, str]] = []
    for read in _read_with_places(text):
        within = [(_letters(one), place) for place, one in enumerate(read.text)]
        letters = b"".join(of_one for of_one, _ in within)
        kept = [place for of_one, place in within for _ in of_one]  # a place for each byte
        lower = letters.lower()
        for secret in secrets:
            wanted = [(lower, secret.hexadecimal, True)]
            wanted += [(letters, spelled, False) for spelled in secret.letters]
            wanted += [(letters, core, True) for core in secret.base64]
            for place_in, needle, coded in wanted:
                at = place_in.find(needle) if needle else -1
                while at >= 0:
                    start, end = read.starts[kept[at]], read.ends[kept[at + len(needle) - 1]]
                    while coded and start > 0 and text[start - 1] in _CODED:
                        start -= 1
                    while coded and end < len(text) and text[end] in _CODED:
                        end += 1
                    taken.append((start, end, secret.shown))
                    at = place_in.find(needle, at + 1)
    return _merged(taken)


def _merged(spans: list[tuple[int, int, str]]) -> Iterator[tuple[int, int, str]]:
    reached: tuple[int, int, str] | None = None
    for start, end, shown in sorted(spans):
        if reached is None or start >= reached[1]:
            if reached is not None:
                yield reached
            reached = (start, end, shown)
        elif end > reached[1]:
            reached = (reached[0], end, reached[2] if reached[2] == shown else REDACTED)
    if reached is not None:
        yield reached


class _Read(NamedTuple):
    """A text as it reads when an encoding is undone, and where each of its characters stood."""

    text: str
    starts: list[int]
    ends: list[int]


def _read_with_places(text: str) -> Iterator[_Read]:
    plain = _Read(text, list(range(len(text))), list(range(1, len(text) + 1)))
    yield plain
    yield _undone(plain, _QUOTED_PRINTABLE)
    for _ in range(DECODINGS):
        plain = _undone(plain, _ESCAPED)
        yield plain


def _undone(read: _Read, escaped: re.Pattern[str]) -> _Read:
    text: list[str] = []
    starts: list[int] = []
    ends: list[int] = []
    done = 0
    for match in escaped.finditer(read.text):
        text += read.text[done : match.start()]
        starts += read.starts[done : match.start()]
        ends += read.ends[done : match.start()]
        plain = _unescaped(match)
        text += plain
        starts += [read.starts[match.start()]] * len(plain)
        ends += [read.ends[match.end() - 1]] * len(plain)
        done = match.end()
    return _Read("".join([*text, read.text[done:]]), starts + read.starts[done:], ends + read.ends[done:])


def _unescaped(match: re.Match[str]) -> str:
    """What a run of escapes stands for."""
    text = match[0]
    if text[0] == "%":
        return unquote_to_bytes(re.sub("%(?:25)+", "%", text)).decode(errors="replace")
    if text[0] == "=":
        return bytes.fromhex(text.replace("=", "")).decode(errors="replace")
    if text[0] == "&":
        return html.unescape(text)
    kind = text.lstrip("\\")[0]
    if kind == "u":
        units = bytes.fromhex(re.sub(r"\\+u", "", text))
        return units.decode("utf-16-be", errors="replace")
    if kind == "x":
        content = bytes.fromhex(re.sub(r"\\+x", "", text))
        try:
            return content.decode()
        except UnicodeDecodeError:
            return content.decode("latin-1")
    return " "


def _tokens_of(url: str) -> Iterable[str]:
    """The parts of an address of alerts that let somebody in, for when a library names them by themselves."""
    split = urlsplit(url)
    netloc = split.netloc.rpartition("@")
    yield from (part for part in netloc[0].split(":")[1:] if part)
    parts = [*split.path.split("/"), *re.split(r"[&=]", split.query)]
    if _host_and_port(url)[0].count(".") == 0:
        parts.append(netloc[2])
    for part in parts:
        if len(part) >= 20 or (len(part) >= 8 and any(character.isdigit() for character in part)):
            yield part
            yield unquote(part)


def _host_and_port(url: str) -> tuple[str, str]:
    _, _, place = re.split(r"[/?#]", url.partition("://")[2], maxsplit=1)[0].rpartition("@")
    match = re.fullmatch(r"(.*?)((?::\d+)?)", place)
    assert match is not None  # anything matches
    return match[1], match[2]
