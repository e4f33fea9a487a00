"""Long questions and long answers: symbols in as many requests as URLs are long enough for, answers page by
page, and where a look at either ends.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import nullcontext
from typing import Any
from urllib.parse import quote as url_quote

from trading_assets.broker.alpaca.fields import Malformed
from trading_assets.broker.alpaca.transport import answered
from trading_assets.broker.port import RateLimited, Unreachable
from trading_assets.broker.purpose import Purpose, asking_for

PAGES_A_LOOK = 10  # of a list of orders or activities; what is longer takes several looks
PAGES_OF_ITS_CALLER = 3  # those beyond are history, and have the share of requests that is for it
MOST_PAGES = 1_000  # of one answer of the data API, or of the open orders: more has no end
SYMBOLS_LENGTH = 4_000  # of a URL, where common servers take 8 000 of the whole


def read_on(what: str, page: Callable[[], bool], *, most: int | None = PAGES_A_LOOK) -> bool:
    """Ask for pages until one is the last, or as many as one look reads; whether it was the last.

    most: None reads them all, for its caller's purpose, and raises Unreachable where MOST_PAGES have no end.
    Beyond a few of its caller's the pages are history: where that has had its share of the rate limit, the
    look ends. Raises what `transport.answered` raises.
    """
    number = 0
    while True:
        number += 1
        history = most is not None and number > PAGES_OF_ITS_CALLER
        try:
            with asking_for(Purpose.HISTORY) if history else nullcontext():
                last = answered(what, page)
        except RateLimited:
            if not history:
                raise
            return False
        if last or number == most:
            return last
        if number == MOST_PAGES:
            raise Unreachable(f"{what}: no end after {MOST_PAGES} pages")


def in_urls(symbols: Sequence[str]) -> Iterator[tuple[str, ...]]:
    """The symbols in as few parts as fit into a URL each."""
    part: list[str] = []
    length = 0
    for symbol in symbols:
        more = len(url_quote(symbol, safe="")) + len("%2C")
        if part and length + more > SYMBOLS_LENGTH:
            yield tuple(part)
            part, length = [], 0
        part.append(symbol)
        length += more
    if part:
        yield tuple(part)


def parts_of_refused(symbols: Sequence[str], refusal: str) -> tuple[list[str], list[str]]:
    """A refused list in two: what the refusal names apart from the others, else its halves."""
    words = set(re.findall(r"[A-Za-z0-9./_-]*[A-Za-z0-9]", refusal))
    named = [symbol for symbol in symbols if symbol in words]
    if 0 < len(named) < len(symbols):
        return [symbol for symbol in symbols if symbol not in words], named
    half = len(symbols) // 2
    return list(symbols[:half]), list(symbols[half:])


def data_pages(fetch: Callable[[dict[str, str]], Any]) -> Iterator[Mapping[str, Any]]:
    """Every page of a data answer. Raises Malformed when a page token comes a second time, and when there is
    no end after MOST_PAGES."""
    seen: set[str] = set()
    token: dict[str, str] = {}
    for _ in range(MOST_PAGES):
        page = as_object(fetch(token))
        yield page
        following = str(page.get("next_page_token") or "")
        if not following:
            return
        if following in seen:
            raise Malformed(f"next_page_token {following} came twice")
        seen.add(following)
        token = {"page_token": following}
    raise Malformed(f"no end after {MOST_PAGES} pages")


def as_object(answer: Any) -> Mapping[str, Any]:
    if not isinstance(answer, Mapping):
        raise Malformed(f"expected an object, got {str(answer)[:300]}")
    return answer
