"""Serve Dagster's web interface on loopback, behind the guard: `python -m trading_assets.web`.

`make up` starts it; a service of its own does as well. The instance is DAGSTER_HOME's, the definitions are
those of `workspace.yaml` in the working directory. What is refused is `guard`'s.
"""

from __future__ import annotations

import argparse
import asyncio
import os
import re
import socket
import sys
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager, suppress
from pathlib import Path

import dagster as dg
import uvicorn
from dagster._core.workspace.context import WorkspaceProcessContext
from dagster._core.workspace.load_target import WorkspaceFileTarget
from dagster._utils.log import configure_loggers
from dagster_webserver.app import create_app_from_workspace_process_context
from dagster_webserver.version import __version__
from starlette.applications import Starlette

from trading_assets import log, process_setup
from trading_assets.config import home_of
from trading_assets.errors import InvalidInput, TradingAssetsError
from trading_assets.patience import PatientProtocol, log_no_stranger
from trading_assets.web.guard import LARGEST_BODY, WebGuard
from trading_assets.web.link import link_file, made_link, page_of, token_of

HOST = "127.0.0.1"
PORT = 3000
LOG_VARIABLE = "TRADING_ASSETS_LOG"  # as in `definitions`, which the webserver has no need to import
POLL_MILLISECONDS = 2_000  # how often Dagster's pages ask for what is new
STATEMENT_MILLISECONDS, POOL_RECYCLE_SECONDS, POOL_OVERFLOW = 15_000, 3_600, 20  # the stock webserver's

_ORIGIN = re.compile(r"https?://[a-z0-9.-]+(:[0-9]{1,5})?")


@asynccontextmanager
async def _lifespan(_: Starlette) -> AsyncIterator[None]:
    with suppress(asyncio.CancelledError):  # how uvicorn ends it
        yield


def serve(home: Path, port: int, *, workspace: str, origins: Sequence[str] = (), read_only: bool) -> None:
    """Serve until SIGINT or SIGTERM. Raises InvalidInput for a port that is not free."""
    with _listening(port) as listening, dg.DagsterInstance.from_config(str(home)) as instance:
        instance.optimize_for_webserver(STATEMENT_MILLISECONDS, POOL_RECYCLE_SECONDS, POOL_OVERFLOW)
        target = WorkspaceFileTarget([workspace])
        with WorkspaceProcessContext(instance, target, version=__version__, read_only=read_only) as context:
            app = create_app_from_workspace_process_context(
                context, "", POLL_MILLISECONDS, lifespan=_lifespan
            )
            link = made_link(home, port, read_only=read_only)
            file = link_file(home, read_only=read_only)
            _say_where(link, file)
            guard = WebGuard(
                app,
                token=token_of(link) or "",
                port=port,
                where=str(file),
                origins=origins,
                read_only=read_only,
            )
            server_of(guard).run(sockets=[listening])


def server_of(guard: WebGuard) -> uvicorn.Server:
    """What takes the connections: a bounded number, each with its time for headers, content and reading."""
    log_no_stranger()
    return uvicorn.Server(
        uvicorn.Config(
            guard,
            http=PatientProtocol,
            ws_max_size=LARGEST_BODY,
            log_level="warning",
            access_log=False,  # the first visit's address has the token
            proxy_headers=False,
            server_header=False,
        )
    )


def _listening(port: int) -> socket.socket:
    """The port, ours before a link names it: a link to somebody else's server hands the token over."""
    try:
        return socket.create_server((HOST, port))
    except OSError as error:
        raise InvalidInput(
            f"port {port} is in use",
            where="the web interface",
            remedy="End what listens there (`make up`?), or choose another port with --port.",
        ) from error


def _say_where(link: str, file: Path) -> None:
    """The link on a terminal; into a file or a service's log only where it is kept."""
    shown = link if sys.stdout.isatty() else f"{page_of(link)}  (opened once by the link in {file})"
    sys.stdout.write(f"Dagster    {shown}\n")
    sys.stdout.flush()


def _home() -> Path:
    """The instance's directory. Raises InvalidInput without one."""
    home = home_of(os.environ)
    if home is None or not home.is_dir():
        raise InvalidInput(
            "it is not set" if home is None else f"there is no directory {home}",
            where="environment variable DAGSTER_HOME",
            remedy="Set it to the instance's directory, such as dagster_home of the project.",
        )
    return home.resolve()


def _workspace(text: str) -> str:
    if not Path(text).is_file():
        raise argparse.ArgumentTypeError(f"there is no {text} here; run it from the project's root")
    return text


def _port(text: str) -> int:
    if not (text.isdecimal() and 1 <= int(text) <= 65_535):
        raise argparse.ArgumentTypeError(f"expected 1 to 65535, got {text!r}")
    return int(text)


def _origin(text: str) -> str:
    if not _ORIGIN.fullmatch(text):
        raise argparse.ArgumentTypeError(f"expected an origin such as https://desk.example.org, got {text!r}")
    return text


def main() -> None:
    process_setup.begin()
    parser = argparse.ArgumentParser(
        prog="python -m trading_assets.web", description="Serve Dagster's web interface on loopback."
    )
    add = parser.add_argument
    add("--port", type=_port, default=PORT, help=f"on 127.0.0.1 ({PORT})")
    add("--workspace", type=_workspace, default="workspace.yaml", help="what Dagster loads (workspace.yaml)")
    add("--read-only", action="store_true", help="nothing can be launched or changed; a link of its own")
    add(
        "--origin",
        type=_origin,
        action="append",
        default=[],
        help="where a reverse proxy with a login serves it, such as https://desk.example.org",
    )
    given = parser.parse_args()
    configure_loggers()
    if os.environ.get(LOG_VARIABLE):
        log.configure(json_path=Path(os.environ[LOG_VARIABLE]), level="INFO", terminal_level="ERROR")
    try:
        serve(
            _home(),
            given.port,
            workspace=given.workspace,
            origins=given.origin,
            read_only=given.read_only,
        )
    except TradingAssetsError as error:
        sys.exit(f"trading-assets: {error}")


if __name__ == "__main__":
    main()
