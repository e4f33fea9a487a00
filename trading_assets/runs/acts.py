"""Who acts in a run: the operating system's user of its process, and by which door the run was launched.

A name never comes from a run's configuration or tags. The tag `trading_assets/launched_by` says only `web`,
for a launch that the web interface's guard let pass, or `no login`, for one through any other webserver. The
run coordinator writes it, in place of what a launch may have sent.
"""

from __future__ import annotations

from collections.abc import Mapping

from dagster import DagsterRun

LAUNCHED_TAG = "trading_assets/launched_by"
WEB, NO_LOGIN, NEITHER = "web", "no login", ""
SESSION = "trading_assets.web_session"  # in a request's ASGI scope, where only the guard can write


def launched_tags(run: DagsterRun, source: object) -> dict[str, str]:
    """The tag that says how the run was launched, where it needs one.

    source: the request that launched it; None where a process launched it, such as the daemon or a command
    """
    scope = getattr(source, "scope", None)
    by = NEITHER if scope is None else WEB if scope.get(SESSION) is True else NO_LOGIN
    return {LAUNCHED_TAG: by} if by or LAUNCHED_TAG in run.tags else {}


def author(tags: Mapping[str, str]) -> str:
    """Whose act the run is, as the journal keeps it: `ada`, `web:ada` or `no login:ada`."""
    from trading_assets.engine.operation.operator import (
        person,  # here: every process of Dagster imports this module
    )

    by = tags.get(LAUNCHED_TAG, NEITHER)
    return f"{by}:{person()}" if by in (WEB, NO_LOGIN) else person()
