"""Log lines: one line an event, JSON in a file and readable on a terminal, secrets taken out.

Here is how a line is made and where it goes. What is worth a line is decided where it happens; what
must survive belongs in the journal, not in a log. Lines go to the handlers set by `configure` and to
no other: not to the root logger, so that Dagster's handlers do not print them a second time.
"""

from __future__ import annotations

import logging
import os
import sys
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, TextIO, cast

import structlog
from structlog.typing import EventDict, Processor

from trading_assets import log_files
from trading_assets.escapes import for_one_line, for_terminal
from trading_assets.market.clock import system_now_ns
from trading_assets.redaction import cleaned

ROOT = "trading_assets"
_now_ns: Callable[[], int] = system_now_ns


def get_logger(name: str) -> structlog.stdlib.BoundLogger:
    """A logger for a module: `log = get_logger(__name__)`, then `log.info("order sent", symbol=…)`.

    Usable at import, before `configure`: what is logged until then goes the way of any unconfigured
    standard-library logger (warnings to stderr).
    """
    name = name if name == ROOT or name.startswith(f"{ROOT}.") else f"{ROOT}.{name}"
    logger = structlog.wrap_logger(
        logging.getLogger(name),
        processors=[
            structlog.stdlib.filter_by_level,
            *_MAKING,
            structlog.stdlib.ProcessorFormatter.wrap_for_formatter,
        ],
        wrapper_class=structlog.stdlib.BoundLogger,
        cache_logger_on_first_use=True,
    )
    return cast("structlog.stdlib.BoundLogger", logger)


def configure(
    *,
    json_path: Path | None,
    level: str = "INFO",
    stream: TextIO | None = None,
    terminal_level: str | None = None,
    now_ns: Callable[[], int] | None = None,
) -> None:
    """Send lines to `json_path` (JSON, appended, private to the user) and to `stream` (default: stderr).

    terminal_level: what a line must reach to be shown on the stream too; default `level`
    now_ns: what stamps the lines; default the machine's clock. Calling it again replaces the
    handlers. Raises OSError when the file cannot be opened, ValueError for an unknown level.
    """
    global _now_ns
    terminal_level = level if terminal_level is None else terminal_level
    for wanted in (level, terminal_level):
        if wanted not in logging.getLevelNamesMapping():
            raise ValueError(f"{wanted!r} is no log level: {', '.join(logging.getLevelNamesMapping())}")
    handlers: list[logging.Handler] = []
    stream = sys.stderr if stream is None else stream
    terminal = logging.StreamHandler(stream)
    terminal.setLevel(terminal_level)
    terminal.setFormatter(_formatter(_on_one_line, _console(stream)))
    handlers.append(terminal)
    if json_path is not None:
        file = _JsonLines(json_path)
        file.setFormatter(_formatter(structlog.processors.JSONRenderer()))
        handlers.append(file)
    shutdown()
    root = logging.getLogger(ROOT)
    root.setLevel(level)
    root.propagate = False
    for handler in handlers:
        root.addHandler(handler)
    _now_ns = system_now_ns if now_ns is None else now_ns


def shutdown() -> None:
    """Flush and close what `configure` opened. Harmless when there is nothing to close."""
    global _now_ns
    root = logging.getLogger(ROOT)
    for handler in list(root.handlers):
        root.removeHandler(handler)
        handler.flush()
        handler.close()
    root.propagate = True
    root.setLevel(logging.NOTSET)
    _now_ns = system_now_ns


class _JsonLines(logging.Handler):
    """Appends each line with one write, so that lines of forked runs do not mix. The file is of bounded size.

    logging.config.dictConfig, which Dagster calls, closes every handler of the process; like the
    standard library's file handler this one opens its file again for the next line.
    """

    def __init__(self, path: Path) -> None:
        super().__init__()
        path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        self._path = path.absolute()
        self._reported = False  # that the file cannot be written
        self._file = self._open()

    def _open(self) -> int:
        return os.open(self._path, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o600)

    def emit(self, record: logging.LogRecord) -> None:
        """A line that cannot be written stops nobody; that the file cannot be is said on stderr, once."""
        try:
            if self._file < 0:
                self._file = self._open()
            self._follow()
            os.write(self._file, f"{self.format(record)}\n".encode())
            self._reported = False
        except OSError as error:
            if not self._reported:
                sys.stderr.write(f"no log in {self._path}: {error.strerror or error}\n")
            self._reported = True

    def _follow(self) -> None:
        """Put a file that is too large aside; open the new one where that was done, by whichever process."""
        held = os.fstat(self._file)
        if held.st_size > log_files.MOST_BYTES:
            log_files.put_aside(self._path, log_files.MOST_BYTES)
        try:
            named = self._path.stat()
        except FileNotFoundError:
            named = None
        if named is None or (named.st_dev, named.st_ino) != (held.st_dev, held.st_ino):
            os.close(self._file)
            self._file = -1
            self._file = self._open()

    def close(self) -> None:
        if self._file >= 0:
            os.close(self._file)
            self._file = -1
        super().close()


def _stamp(_logger: Any, _method: str, event: EventDict) -> EventDict:
    seconds, ns = divmod(_now_ns(), 1_000_000_000)
    event["time"] = f"{datetime.fromtimestamp(seconds, UTC):%Y-%m-%dT%H:%M:%S}.{ns // 1000:06d}Z"
    return event


def _redact(_logger: Any, _method: str, event: EventDict) -> EventDict:
    """Leave only plain JSON values, and no secret in any of them. Runs after tracebacks became text."""
    own = {key: event.pop(key) for key in ("_record", "_from_structlog") if key in event}
    return {**{key: cleaned(value, key) for key, value in event.items()}, **own}


def _on_one_line(_logger: Any, _method: str, event: EventDict) -> EventDict:
    """No value forges a second line on the terminal, or tells it what to do; only a traceback takes more than
    one line."""
    shown = {name: _shown(value) for name, value in event.items()}
    shown["event"] = for_one_line(str(event.get("event", "")))
    if isinstance(traceback := event.get("exception"), str):
        shown["exception"] = for_terminal(traceback)
    return shown


def _shown(value: Any) -> Any:
    if isinstance(value, str):
        return for_one_line(value)
    if isinstance(value, Mapping):
        return {for_one_line(str(name)): _shown(item) for name, item in value.items()}
    return [_shown(item) for item in value] if isinstance(value, list) else value


def _console(stream: TextIO) -> Processor:
    return structlog.dev.ConsoleRenderer(
        colors=stream.isatty(), timestamp_key="time", exception_formatter=structlog.dev.plain_traceback
    )


def _formatter(*rendering: Processor) -> logging.Formatter:
    return structlog.stdlib.ProcessorFormatter(
        foreign_pre_chain=[*_MAKING],
        processors=[structlog.stdlib.ProcessorFormatter.remove_processors_meta, *rendering],
    )


_MAKING: tuple[Processor, ...] = (
    structlog.contextvars.merge_contextvars,
    structlog.stdlib.add_log_level,
    structlog.stdlib.add_logger_name,
    structlog.stdlib.PositionalArgumentsFormatter(),
    structlog.processors.StackInfoRenderer(),
    structlog.processors.format_exc_info,
    _stamp,
    _redact,
)
