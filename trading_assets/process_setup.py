"""What every process of ours does first: no secret in its environment, files for its user alone, no core
dump, nothing secret in a log record or a traceback; a part of the desk ends with the process that started it.

The command line, `make up`, the exchange and the forkserver `begin`. Dagster's own processes are met where
they first load something of ours: the instance (`begin_hosted`) and the definitions (`begin_code_server`).
A program that imports this package as a library is none of ours and is left as it is.
"""

from __future__ import annotations

import ctypes
import os
import resource
import sys
import threading
import traceback
from types import TracebackType

from trading_assets import keyring, parentage, redaction

PR_SET_DUMPABLE = 4


def begin() -> None:
    """In a process of ours, before anything is opened or parsed."""
    parentage.follow()
    _confine()
    keyring.take()
    _close_memory()


def begin_hosted() -> None:
    """In a process of Dagster's that opens our instance: its environment is what its code server gets."""
    parentage.follow()
    _confine()
    keyring.cover()
    _close_memory()


def begin_code_server() -> None:
    """In a process that loads the definitions, whatever started it."""
    _confine()
    keyring.take_beside_stock_runs()
    _close_memory()


def _confine() -> None:
    os.umask(0o077)
    _, hard = resource.getrlimit(resource.RLIMIT_CORE)
    resource.setrlimit(resource.RLIMIT_CORE, (0, hard))
    redaction.redact_log_records()
    if sys.excepthook is sys.__excepthook__:
        sys.excepthook = _tell
    if threading.excepthook is threading.__excepthook__:
        threading.excepthook = _tell_of_thread


def _close_memory() -> None:
    """Where the broker's keys are: no core dump through a pipe either, which knows no limit, and no look into
    /proc/PID by another process of the same user. Debuggers then need root."""
    if sys.platform == "linux" and keyring.holds_broker_keys():
        ctypes.CDLL(None).prctl(PR_SET_DUMPABLE, 0, 0, 0, 0)


def _tell(kind: type[BaseException], error: BaseException, trace: TracebackType | None) -> None:
    sys.stderr.write(redaction.clean("".join(traceback.format_exception(kind, error, trace))))


def _tell_of_thread(failure: threading.ExceptHookArgs) -> None:
    if failure.exc_value is not None and failure.exc_type is not SystemExit:
        name = failure.thread.name if failure.thread is not None else "a thread"
        sys.stderr.write(f"Exception in thread {name}:\n")
        _tell(failure.exc_type, failure.exc_value, failure.exc_traceback)
