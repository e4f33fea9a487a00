"""Who may write where we keep things: what others may write is not used, a directory they may read is closed.

Somebody who may write into the data directory edits the journal; into `DAGSTER_HOME`, names a module that
every process of Dagster loads; into numba's cache, leaves machine code for us to run. The same holds for
every directory above, but for one whose entries only their owners may rename (the sticky bit of /tmp). What
its group may write passes where that group is this user alone, as useradd makes them.
"""

from __future__ import annotations

import grp
import os
import pwd
import stat
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from shlex import quote

from trading_assets.errors import InvalidInput

PRIVATE = 0o700


def private_directory(path: Path, what: str) -> Path:
    """The directory, made where it is missing, closed to everybody else. `what` names it in messages.

    Raises InvalidInput where it, or a directory above it, is somebody else's or others may write it.
    """
    try:
        path.mkdir(mode=PRIVATE, parents=True, exist_ok=True)
    except FileExistsError as error:
        raise InvalidInput("is no directory", where=f"{what} {path}", remedy="Give another path.") from error
    refuse_writable(path, what)
    if path.stat().st_uid == os.getuid() and path.stat().st_mode & 0o077:
        path.chmod(PRIVATE)
    return path


def refuse_writable(path: Path, what: str) -> None:
    """Raises InvalidInput where the file or directory, or a directory above it, is somebody else's or others
    may write it; the message names the path and the command that mends it."""
    fault = fault_of(path)
    if fault is not None:
        raise InvalidInput(fault[0], where=f"{what} {path}", remedy=fault[1])


def fault_of(path: Path) -> tuple[str, str] | None:
    """What is wrong with the owners and modes on the way to the path, and what to do; None: nothing.

    A symbolic link is followed: what counts is where it leads, and who may write on the way there.
    """
    for place in _on_the_way(path):
        status, named = place.stat(), quote(str(place))
        if status.st_uid not in _trusted():
            owner = _user(status.st_uid)
            return f"{place} belongs to {owner}", f"Use a path of your own, or: chown {os.getuid()} {named}"
        sticky = place.is_dir() and status.st_mode & stat.S_ISVTX
        shared = sticky and place != path.resolve()  # there, only their owners rename what is in it
        if status.st_mode & stat.S_IWOTH and not shared:
            return f"anybody may write {place}", f"Type: chmod go-w {named}"
        if status.st_mode & stat.S_IWGRP and not shared and not _is_mine_alone(status.st_gid):
            return f"the group {_group(status.st_gid)} may write {place}", f"Type: chmod go-w {named}"
    return None


def _on_the_way(path: Path) -> Iterator[Path]:
    """The path and the directories above it, of the path as given and of the one that it leads to."""
    seen: set[Path] = set()
    for way in (path.resolve(), path.absolute().parent.resolve() / path.name):
        for place in (way, *way.parents):
            if place not in seen:
                seen.add(place)
                yield place


@cache
def _trusted() -> frozenset[int]:
    """This user, root, and whose the sources are that run here: they decide what we do in any case."""
    return frozenset({os.getuid(), 0, Path(__file__).stat().st_uid})


def _is_mine_alone(group: int) -> bool:
    """Whether nobody else is in the group. One that cannot be looked up has members whom nobody knows."""
    try:
        me, members = pwd.getpwuid(os.getuid()), grp.getgrgid(group)
    except KeyError:
        return False
    if set(members.gr_mem) - {me.pw_name}:
        return False
    return not any(user.pw_gid == group and user.pw_uid != me.pw_uid for user in pwd.getpwall())


def _user(number: int) -> str:
    try:
        return pwd.getpwuid(number).pw_name
    except KeyError:
        return f"user {number}"


def _group(number: int) -> str:
    try:
        return grp.getgrgid(number).gr_name
    except KeyError:
        return str(number)
