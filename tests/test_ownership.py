"""What others may write is refused with its path and the command; what they may read is closed."""

from __future__ import annotations

import grp
import os
import pwd
import warnings
from pathlib import Path

import pytest

from trading_assets import ownership
from trading_assets.config import Settings
from trading_assets.core.compiled import cache_directory
from trading_assets.dagster_instance import fallback
from trading_assets.engine.operation.directories import close_places
from trading_assets.errors import InvalidInput
from trading_assets.ownership import private_directory, refuse_writable

as_root = pytest.mark.skipif(os.getuid() != 0, reason="only root gives a directory to somebody else")
STRANGER = 54_321


def mode(path: Path) -> int:
    return path.stat().st_mode & 0o777


def test_a_directory_is_made_private_and_one_that_others_may_read_is_closed(tmp_path: Path) -> None:
    made = private_directory(tmp_path / "a" / "b", "data_dir")
    assert mode(made) == 0o700
    made.chmod(0o755)
    assert mode(private_directory(made, "data_dir")) == 0o700


def test_what_anybody_may_write_is_refused_with_the_command_that_mends_it(tmp_path: Path) -> None:
    open_to_all = tmp_path / "open"
    open_to_all.mkdir()
    open_to_all.chmod(0o777)
    with pytest.raises(InvalidInput) as refused:
        private_directory(open_to_all, "data_dir")
    assert str(refused.value) == (
        f"data_dir {open_to_all}: anybody may write {open_to_all}. Type: chmod go-w {open_to_all}"
    )
    assert mode(open_to_all) == 0o777  # what was put there meanwhile is for a person to look at


def test_the_command_can_be_typed_where_the_path_has_a_blank(tmp_path: Path) -> None:
    open_to_all = tmp_path / "my desk"
    open_to_all.mkdir()
    open_to_all.chmod(0o777)
    with pytest.raises(InvalidInput, match=f"Type: chmod go-w '{open_to_all}'"):
        private_directory(open_to_all, "data_dir")


def test_a_directory_above_that_anybody_may_write_is_refused_and_a_sticky_one_is_not(tmp_path: Path) -> None:
    above = tmp_path / "above"
    (above / "var").mkdir(parents=True)
    above.chmod(0o777)
    with pytest.raises(InvalidInput, match=f"anybody may write {above}. Type: chmod go-w {above}"):
        private_directory(above / "var", "data_dir")
    above.chmod(0o1777)
    private_directory(above / "var", "data_dir")
    with pytest.raises(InvalidInput, match=f"anybody may write {above}"):
        private_directory(above, "data_dir")


def test_a_link_counts_as_what_it_leads_to_and_as_what_may_replace_it(tmp_path: Path) -> None:
    mine, open_to_all = tmp_path / "mine", tmp_path / "open"
    mine.mkdir()
    open_to_all.mkdir()
    (open_to_all / "link").symlink_to(mine)
    private_directory(open_to_all / "link", "data_dir")
    open_to_all.chmod(0o777)
    with pytest.raises(InvalidInput, match=f"anybody may write {open_to_all}"):
        private_directory(open_to_all / "link", "data_dir")


def test_a_group_of_this_user_alone_may_write_and_one_with_others_may_not(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As umask 002 leaves a fresh clone on the distributions that give each user a group."""
    cloned = tmp_path / "cloned"
    cloned.mkdir()
    cloned.chmod(0o775)
    me = pwd.getpwuid(os.getuid())
    group = grp.getgrgid(cloned.stat().st_gid)

    def members(*names: str) -> None:
        of_the_group = grp.struct_group((group.gr_name, "x", group.gr_gid, list(names)))
        monkeypatch.setattr(grp, "getgrgid", lambda _number: of_the_group)

    monkeypatch.setattr(pwd, "getpwall", lambda: [me])
    members(me.pw_name)
    assert mode(private_directory(cloned, "DAGSTER_HOME")) == 0o700
    cloned.chmod(0o775)
    members(me.pw_name, "somebody")
    with pytest.raises(InvalidInput, match=f"the group {group.gr_name} may write {cloned}"):
        private_directory(cloned, "DAGSTER_HOME")
    members()
    other = pwd.struct_passwd(("other", "x", STRANGER, group.gr_gid, "", "/", "/bin/sh"))
    monkeypatch.setattr(pwd, "getpwall", lambda: [me, other])
    with pytest.raises(InvalidInput, match="may write"):
        private_directory(cloned, "DAGSTER_HOME")


@as_root
def test_what_is_somebody_elses_is_refused(tmp_path: Path) -> None:
    theirs = tmp_path / "theirs"
    (theirs / "var").mkdir(parents=True)
    os.chown(theirs, STRANGER, -1)
    with pytest.raises(InvalidInput, match=f"{theirs} belongs to user {STRANGER}"):
        private_directory(theirs / "var", "data_dir")


def test_the_desks_directories_are_looked_at_as_it_starts(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    home = tmp_path / "dagster_home"
    home.mkdir()
    (home / "dagster.yaml").touch()
    settings = Settings(data_dir=tmp_path / "var")
    home.chmod(0o755)
    assert close_places(settings, home) == []
    monkeypatch.setattr(ownership, "_is_mine_alone", lambda _group: True)
    home.chmod(0o775)
    message = f"DAGSTER_HOME {home} is closed to other users now; its mode was 775"
    assert close_places(settings, home) == [message]
    assert [mode(path) for path in (tmp_path / "var", tmp_path / "var" / "inbox", home)] == [0o700] * 3
    (tmp_path / "var" / "inbox").chmod(0o722)
    with pytest.raises(InvalidInput, match=r"the inbox .*: anybody may write .*inbox. Type: chmod go-w"):
        close_places(settings, home)
    (tmp_path / "var" / "inbox").chmod(0o700)
    (home / "dagster.yaml").chmod(0o666)
    with pytest.raises(InvalidInput, match=r"anybody may write .*dagster.yaml"):
        close_places(settings, home)


def test_an_instance_that_anybody_may_write_does_not_open(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv(fallback.FORKED, raising=False)
    monkeypatch.delenv(fallback.UP, raising=False)
    tmp_path.chmod(0o777)
    with pytest.raises(InvalidInput, match="DAGSTER_HOME"):
        fallback.EventLogStorage.from_config_value(None, {"dagster_home": str(tmp_path)})


@pytest.mark.parametrize("place", ["cache", "above"])
def test_a_cache_of_compiled_code_that_anybody_may_write_is_not_executed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, place: str
) -> None:
    cache = tmp_path / "above" / "cache"
    sources = tmp_path / "kernels"
    sources.mkdir()
    monkeypatch.setenv("NUMBA_CACHE_DIR", str(cache))
    directory = cache_directory.__wrapped__(sources)
    assert directory is not None
    opened = directory if place == "cache" else cache.parent
    opened.chmod(0o777)
    with pytest.warns(RuntimeWarning, match=f"anybody may write {opened}. Type: chmod go-w {opened}"):
        assert cache_directory.__wrapped__(sources) is None
    opened.chmod(0o755)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert cache_directory.__wrapped__(sources) == directory


def test_a_file_that_anybody_may_write_is_refused(tmp_path: Path) -> None:
    file = tmp_path / "dagster.yaml"
    file.touch(mode=0o600)
    refuse_writable(file, "DAGSTER_HOME")
    file.chmod(0o602)
    with pytest.raises(InvalidInput, match="chmod go-w"):
        refuse_writable(file, "DAGSTER_HOME")
