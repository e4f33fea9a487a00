"""`make up` where the data directory takes nothing: one message, no traceback."""

from __future__ import annotations

import errno
import os
import sys

import pytest

from trading_assets import process_setup, up


def test_a_directory_that_takes_nothing_is_named_without_a_traceback(monkeypatch: pytest.MonkeyPatch) -> None:
    def refused(*_: object, **__: object) -> None:
        raise OSError(errno.EROFS, os.strerror(errno.EROFS), "/somewhere/var/.parts.json.1")

    monkeypatch.setattr(process_setup, "begin", lambda: None)
    monkeypatch.setattr(up, "up", refused)
    monkeypatch.setattr(sys, "argv", ["up"])
    with pytest.raises(SystemExit) as ended:
        up.main()
    assert ended.value.code == (
        "trading-assets: /somewhere/var/.parts.json.1: Read-only file system. "
        "Look for a full disk or missing permissions, then try again"
    )
