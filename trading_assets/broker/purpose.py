"""What a request to the broker is for. It decides how much of the rate limit the request may use.

Whoever asks says so around its calls (`with asking_for(Purpose.PROTECT): …`, or `for_purpose` on a function);
what nobody has named is a tick's. How much each may use is `broker.rate_budget`'s table.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from enum import IntEnum
from functools import wraps
from typing import ParamSpec, TypeVar

P = ParamSpec("P")
T = TypeVar("T")


class Purpose(IntEnum):
    """Of requests, the most important first. Values are places in the shared file: append only."""

    PROTECT = 0  # protect, flatten and kill; every cancel, whoever asks for it
    ORDER = 1  # orders that are sent outside of these
    TICK = 2  # what a tick reads, and whoever does not say
    FOLLOW = 3  # looking again and again at what has been sent
    LOOK = 4  # the listener, reports and whoever only looks on
    HISTORY = 5  # the further pages of a list that is long


_purpose: ContextVar[Purpose] = ContextVar("purpose", default=Purpose.TICK)


@contextmanager
def asking_for(purpose: Purpose) -> Iterator[None]:
    """What is asked in this block, in this thread, is for `purpose`."""
    token = _purpose.set(purpose)
    try:
        yield
    finally:
        _purpose.reset(token)


def for_purpose(purpose: Purpose) -> Callable[[Callable[P, T]], Callable[P, T]]:
    """The same for all that a function asks."""

    def of(act: Callable[P, T]) -> Callable[P, T]:
        @wraps(act)
        def asking(*arguments: P.args, **named: P.kwargs) -> T:
            with asking_for(purpose):
                return act(*arguments, **named)

        return asking

    return of


def purpose_of(method: str) -> Purpose:
    """Of a request that leaves now, by its HTTP method: a cancel only ever makes the book smaller."""
    purpose = _purpose.get()
    if method == "DELETE":
        return Purpose.PROTECT
    return purpose if method == "GET" else min(purpose, Purpose.ORDER)
