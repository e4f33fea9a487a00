"""`make up` where the data directory takes nothing: one message, no traceback."""

from __future__ import annotations

import errno
import os
import sys
from pathlib import Path

import pytest

from trading_assets import process_setup, roster, up


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


def test_a_desk_ends_on_a_directory_that_has_become_read_only(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refused(path: Path, **_: object) -> None:
        raise OSError(errno.EROFS, os.strerror(errno.EROFS), str(path))

    with roster.held(
        config_path=tmp_path / "mine.yaml",
        data_dir=tmp_path,
        dagster_home=tmp_path,
        since_ns=1,
        addresses={},
        outlives=(),
    ):
        monkeypatch.setattr(Path, "unlink", refused)
    roster.forget(tmp_path)
    assert (tmp_path / roster.ROSTER).exists()
