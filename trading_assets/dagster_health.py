"""What Dagster's webserver says of its daemon, code location and evaluations, over GraphQL on loopback.

For who starts the desk and for who watches it; neither runs in Dagster. What is done about it is theirs.
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, NamedTuple
from urllib.parse import urlsplit

import requests

from trading_assets.engine.book.alerts import of_evaluation
from trading_assets.engine.operation.asking import Trouble
from trading_assets.errors import TradingAssetsError
from trading_assets.log import get_logger
from trading_assets.market.clock import system_now_ns
from trading_assets.no_answer import plain_words
from trading_assets.web.link import link_of, token_of
from trading_assets.web.listener import listening_users

log = get_logger(__name__)

URL_VARIABLE = "TRADING_ASSETS_DAGSTER_URL"  # the webserver's origin, for the watchdog; `make up` sets it
TIMEOUT_SECONDS = (2.0, 20.0)
HEARTBEAT_SECONDS = 120.0  # a daemon gives one every 30 s
SILENCE_SECONDS = 180.0  # of a sensor that is on and asked every quarter of a minute or more often
BODY_CHARACTERS = 3_000

_QUERY = """{
  instance { daemonHealth { allDaemonStatuses { daemonType required healthy lastHeartbeatTime } } }
  workspaceOrError {
    ... on Workspace { locationEntries { name locationOrLoadError {
      ... on PythonError { message }
      ... on RepositoryLocation { repositories {
        sensors { name minIntervalSeconds sensorState { ...ticks } }
        schedules { name scheduleState { ...ticks } } } } } } }
    ... on PythonError { message }
  }
}
fragment ticks on InstigationState {
  status
  ticks(limit: 1) { timestamp }
  failed: ticks(limit: 1, statuses: [FAILURE]) { tickId timestamp error { message } }
}"""


class NoAnswer(TradingAssetsError):
    """The webserver did not answer, or not as Dagster does."""


class Location(NamedTuple):
    name: str
    error: str  # why it does not load, or empty
    loaded: bool


class Instigator(NamedTuple):
    """A sensor or schedule. Times are the machine's, epoch seconds."""

    name: str
    is_on: bool
    interval_s: float | None  # of a sensor: between two evaluations
    last_s: float | None  # its last evaluation
    failed_s: float | None  # its last one that failed
    failed_id: str
    failed_why: str


class Health(NamedTuple):
    """One answer. heartbeats: required daemon → its last sign of life, epoch seconds (0: none yet)."""

    heartbeats: Mapping[str, float]
    error: str  # why the workspace does not load, or empty
    locations: tuple[Location, ...]
    instigators: tuple[Instigator, ...]


class DagsterHealth:
    """A webserver that is asked again and again, with one connection.

    url:  its origin
    home: the instance's directory, where the link lies whose token is sent; without one none is
    """

    def __init__(self, url: str, home: Path | None = None) -> None:
        self._url, self._home = url, home
        self._session = requests.Session()
        self._session.trust_env = False  # loopback: no proxy of the environment is asked
        self._since_s = system_now_ns() / 1e9  # what failed before is told already, or nobody's

    def close(self) -> None:
        self._session.close()

    def ask(self) -> Health:
        """Raises NoAnswer. Another user's process at the port is sent nothing: the token would be theirs."""
        if (listening_users(urlsplit(self._url).port or 80) or frozenset()) - {os.getuid()}:
            raise NoAnswer(f"another user's process listens at {self._url}, where the webserver belongs")
        try:
            answer = self._session.post(
                f"{self._url}/graphql",
                json={"query": _QUERY},
                headers=self._authorization(),
                timeout=TIMEOUT_SECONDS,
            )
            return _health(answer.json()["data"])
        except (requests.RequestException, ValueError, KeyError, TypeError) as error:
            raise NoAnswer(
                f"Dagster's webserver at {self._url} does not answer: {plain_words(error)}"
            ) from error

    def _authorization(self) -> dict[str, str]:
        """Read again at each question: a webserver that was started anew may have a new token."""
        link = None if self._home is None else link_of(self._home)
        return {} if link is None else {"Authorization": f"Bearer {token_of(link)}"}

    def troubles(self) -> tuple[Trouble, ...]:
        """What is not right now, for the watchdog. That nobody answers is one trouble more."""
        try:
            health = self.ask()
        except NoAnswer as error:
            log.warning("dagster not asked", why=str(error))
            return (Trouble("dagster:webserver", "Dagster's webserver does not answer", str(error)),)
        return tuple(troubles(health, now_s=system_now_ns() / 1e9, since_s=self._since_s))


def troubles(health: Health, *, now_s: float, since_s: float) -> Iterator[Trouble]:
    """What of an answer people must know. since_s: evaluations that failed before are passed over."""
    silent = sorted(name for name, last in health.heartbeats.items() if now_s - last > HEARTBEAT_SECONDS)
    if silent:
        yield Trouble(
            "dagster:daemon",
            "Dagster's daemon gives no sign of life",
            f"Silent for more than {HEARTBEAT_SECONDS:.0f} s: {', '.join(silent)}. It died or hangs: no tick "
            "and no protection is requested. See logs/dagster-daemon.log; end it and start it again.",
        )
    for location in health.locations:
        if location.error:
            yield Trouble(
                f"dagster:location:{location.name}",
                f"The code location {location.name} does not load",
                location.error[:BODY_CHARACTERS],
                not_loaded=True,
            )
    if health.error:
        yield Trouble(
            "dagster:workspace",
            "The workspace does not load",
            health.error[:BODY_CHARACTERS],
            not_loaded=True,
        )
    for one in health.instigators:
        if one.failed_s is not None and one.failed_s >= since_s:
            yield Trouble(
                of_evaluation(one.name),
                f"An evaluation of {one.name} failed",
                one.failed_why[:BODY_CHARACTERS],
                occurrence=one.failed_id,
            )
    if silent:
        return  # no sensor can be evaluated then
    asleep = [one.name for one in health.instigators if _is_silent(one, now_s, since_s)]
    if asleep:
        yield Trouble(
            "dagster:silent",
            "Sensors are not evaluated",
            f"On, and not evaluated for more than {SILENCE_SECONDS:.0f} s: {', '.join(asleep)}. The daemon's "
            "code server does not load the definitions, or an evaluation hangs: see logs/dagster-daemon.log.",
        )


def _is_silent(one: Instigator, now_s: float, since_s: float) -> bool:
    if not one.is_on or one.interval_s is None:
        return False
    return now_s - max(one.last_s or 0.0, since_s) > max(SILENCE_SECONDS, 4 * one.interval_s)


def _health(data: Mapping[str, Any]) -> Health:
    workspace = data["workspaceOrError"]
    entries = workspace.get("locationEntries", [])
    loaded = [entry["locationOrLoadError"] or {} for entry in entries]
    return Health(
        heartbeats={
            status["daemonType"]: status["lastHeartbeatTime"] or 0.0
            for status in data["instance"]["daemonHealth"]["allDaemonStatuses"]
            if status["required"]
        },
        error=workspace.get("message", ""),
        locations=tuple(
            Location(entry["name"], location.get("message", ""), "repositories" in location)
            for entry, location in zip(entries, loaded, strict=True)
        ),
        instigators=tuple(
            _instigator(one, state)
            for location in loaded
            for repository in location.get("repositories", [])
            for kind, state in (("sensors", "sensorState"), ("schedules", "scheduleState"))
            for one in repository[kind]
        ),
    )


def _instigator(one: Mapping[str, Any], state: str) -> Instigator:
    last = next(iter(one[state]["ticks"]), None)
    failed = next(iter(one[state]["failed"]), None)
    return Instigator(
        name=one["name"],
        is_on=one[state]["status"] == "RUNNING",
        interval_s=one.get("minIntervalSeconds"),
        last_s=None if last is None else last["timestamp"],
        failed_s=None if failed is None else failed["timestamp"],
        failed_id="" if failed is None else str(failed["tickId"]),
        failed_why="" if failed is None else ((failed["error"] or {}).get("message") or "no error is stored"),
    )
