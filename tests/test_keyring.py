"""Secrets leave the environment of a process as it starts: its own look, the kernel's, and its children's."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from trading_assets import keyring
from trading_assets.config import Settings, keys
from trading_assets.environment import DAEMON, LISTENER, WEBSERVER, environment_of, refuse_secrets_in_a_file
from trading_assets.errors import InvalidInput
from trading_assets.exchange.credentials import control_token
from trading_assets.venues import BROKER_KEYS

PLANTED = "planted-in-a-test-0123456789"
EVERYTHING = {name: f"{PLANTED}-{name}" for name in keyring.SECRETS}
LOOK = """
import json, os, resource, subprocess, sys
from trading_assets import keyring, process_setup
getattr(process_setup, sys.argv[1])()
ask = [sys.executable, "-c", "import os, json; print(json.dumps(dict(os.environ)))"]
print(json.dumps({
    "environ": dict(os.environ),
    "kernel": open("/proc/self/environ", "rb").read().decode() if sys.platform == "linux" else "",
    "memory": keyring.known(),
    "child by os.environ": json.loads(subprocess.run(ask, env={**os.environ}, capture_output=True).stdout),
    "child by the C library": json.loads(subprocess.run(ask, capture_output=True).stdout),
    "core": resource.getrlimit(resource.RLIMIT_CORE)[0],
    "umask": os.umask(0),
}))
"""


def look(start: str) -> dict[str, dict[str, str]]:
    ended = subprocess.run(
        [sys.executable, "-c", LOOK, start],
        env={**os.environ, **EVERYTHING, "AFTER": "kept"},
        capture_output=True,
        text=True,
        check=True,
        umask=0o002,
    )
    document: dict[str, dict[str, str]] = json.loads(ended.stdout)
    return document


@pytest.mark.parametrize("start", ["begin", "begin_hosted", "begin_code_server"])
def test_a_process_keeps_them_in_memory_and_the_kernel_shows_none(start: str) -> None:
    result = look(start)
    assert result["memory"] == EVERYTHING
    assert PLANTED not in result["kernel"]
    if sys.platform == "linux":
        assert "AFTER=kept" in result["kernel"]
    assert result["core"] == 0
    assert result["umask"] == 0o077


def test_a_process_of_ours_hands_none_on() -> None:
    result = look("begin")
    for where in ("environ", "child by os.environ", "child by the C library"):
        assert not result[where].keys() & set(keyring.SECRETS), where


def test_a_code_server_reads_none_and_a_run_that_it_starts_itself_has_them() -> None:
    result = look("begin_code_server")
    assert not result["environ"].keys() & set(keyring.SECRETS)
    assert not result["child by os.environ"].keys() & set(keyring.SECRETS)
    assert EVERYTHING.items() <= result["child by the C library"].items()


def test_dagsters_daemon_gives_its_code_server_what_it_was_given() -> None:
    result = look("begin_hosted")
    assert EVERYTHING.items() <= result["child by os.environ"].items()
    assert EVERYTHING.items() <= result["child by the C library"].items()  # as `dagster dev` starts its parts


@pytest.mark.skipif(sys.platform != "linux", reason="PR_GET_DUMPABLE is Linux's")
@pytest.mark.parametrize(("variable", "dumpable"), [(BROKER_KEYS[1], "0"), (keyring.CONTROL_TOKEN, "1")])
def test_with_the_brokers_keys_no_other_process_of_the_user_reads_its_memory(
    variable: str, dumpable: str
) -> None:
    code = (
        "import ctypes; from trading_assets.process_setup import begin; "
        "begin(); print(ctypes.CDLL(None).prctl(3))"
    )
    ended = subprocess.run(
        [sys.executable, "-c", code], env=os.environ | {variable: PLANTED}, capture_output=True, text=True
    )
    assert ended.stdout.strip() == dumpable


def test_what_is_set_later_is_taken_too_and_counts() -> None:
    code = f"""
import os
from trading_assets import keyring
keyring.take()
os.environ["{BROKER_KEYS[1]}"] = "of a .env file"
keyring.take()
print("{BROKER_KEYS[1]}" in os.environ, keyring.ENVIRON["{BROKER_KEYS[1]}"])
"""
    ended = subprocess.run([sys.executable, "-c", code], env=os.environ | EVERYTHING, capture_output=True)
    assert ended.stdout.decode() == "False of a .env file\n", ended.stderr.decode()


def test_an_uncaught_error_is_told_without_them() -> None:
    code = f"""
from trading_assets import keyring, process_setup
process_setup.begin()
import threading
def fail():
    raise ValueError(keyring.ENVIRON["{BROKER_KEYS[1]}"])
thread = threading.Thread(target=fail); thread.start(); thread.join()
fail()
"""
    ended = subprocess.run(
        [sys.executable, "-c", code], env=os.environ | EVERYTHING, capture_output=True, text=True
    )
    assert ended.stderr.count("ValueError: [redacted]") == 2
    assert PLANTED not in ended.stderr


def test_each_part_of_the_desk_is_given_what_it_needs(monkeypatch: pytest.MonkeyPatch) -> None:
    others = {"PATH": "/bin", "LC_ALL": "C", "AWS_SECRET_ACCESS_KEY": "x", "DAGSTER_CLOUD_API_TOKEN": "x"}
    others |= {"DAGSTER_HOME": "/d", "HTTPS_PROXY": "http://me:pa55@proxy", "KILL_SWITCH": "1", "MINE": "x"}
    environ = {**others, **EVERYTHING}
    assert environment_of(WEBSERVER, environ) == {
        "PATH": "/bin",
        "LC_ALL": "C",
        "DAGSTER_HOME": "/d",
        "KILL_SWITCH": "1",
    }
    assert environment_of(DAEMON, environ) == environ
    assert environment_of(LISTENER, environ).keys() == environ.keys() - {keyring.CONTROL_TOKEN}


def test_make_up_refuses_a_file_that_would_hand_a_key_to_the_webserver(tmp_path: Path) -> None:
    refuse_secrets_in_a_file(tmp_path)
    (tmp_path / ".env").write_text("MINE=1\n# APCA_API_KEY_ID=x\n")
    refuse_secrets_in_a_file(tmp_path)
    (tmp_path / ".env").write_text(f"MINE=1\n export {BROKER_KEYS[1]} = '{PLANTED}'\n")
    with pytest.raises(InvalidInput) as refused:
        refuse_secrets_in_a_file(tmp_path)
    assert str(refused.value) == (
        f"{tmp_path}/.env: sets APCA_API_SECRET_KEY, which Dagster's webserver would read too. "
        "Take it out of the file, and export it in the shell that you type `make up` in."
    )


@pytest.mark.parametrize("value", ["a b", "a\nb", "ab\n", "\tab", "a\x00b", "a\u200bb"])
def test_a_key_with_a_blank_or_a_line_break_is_refused_in_one_sentence_and_not_shown(value: str) -> None:
    environ = {BROKER_KEYS[0]: "PK0123456789", BROKER_KEYS[1]: value}
    with pytest.raises(InvalidInput) as refused:
        keys(Settings(venue="alpaca"), environ)
    assert str(refused.value) == (
        "environment: APCA_API_SECRET_KEY holds a blank, a line break or a character that cannot be printed. "
        "Export it again as it was issued, in one line and without quotes around it."
    )


def test_so_is_the_exchanges_token(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(keyring.CONTROL_TOKEN, "two words")
    with pytest.raises(InvalidInput, match=f"{keyring.CONTROL_TOKEN} holds a blank"):
        control_token()


def test_the_environment_as_it_is_read_says_nothing_of_its_values(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(BROKER_KEYS[1], PLANTED)
    assert PLANTED not in repr(keyring.ENVIRON)
    assert keyring.ENVIRON[BROKER_KEYS[1]] == PLANTED
    assert len(keyring.ENVIRON) == len(list(keyring.ENVIRON))
