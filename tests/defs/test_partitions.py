"""The replay's session partitions against the calendar, at chosen moments of 2012; the live assets', as
sessions come."""

from __future__ import annotations

from datetime import UTC, date, datetime
from zoneinfo import ZoneInfo

import dagster as dg
import pytest
from dagster import PartitionsDefinition
from dagster._core.definitions.partitions.context import partition_loading_context

from trading_assets.defs.desk.assets import CHAIN
from trading_assets.engine.ticks.steps import LIVE_ASSETS
from trading_assets.market.sessions import Sessions
from trading_assets.runs.partitions import FIRST_SESSION, LIVE_SESSIONS, SESSIONS, come_to, session_partitions
from trading_assets.runs.resources import current_session

NEW_YORK = ZoneInfo("America/New_York")


def at(text: str) -> datetime:
    return datetime.fromisoformat(text).replace(tzinfo=NEW_YORK)


def keys(moment: datetime) -> list[str]:
    return list(SESSIONS.get_partition_keys(current_time=moment))


def test_the_keys_of_2012_are_exactly_the_sessions() -> None:
    of_2012 = [key for key in keys(at("2013-01-05T12:00")) if key.startswith("2012")]
    assert of_2012 == [day.isoformat() for day in Sessions().between(date(2012, 1, 1), date(2012, 12, 31))]
    assert len(of_2012) == 250


@pytest.mark.parametrize("half_day", ["2012-07-03", "2012-11-23", "2012-12-24"])
def test_a_half_day_is_a_session(half_day: str) -> None:
    assert half_day in keys(at("2013-01-05T12:00"))


@pytest.mark.parametrize("closed", ["2012-10-29", "2012-10-30", "2012-04-06", "2012-07-04", "2012-07-07"])
def test_a_closure_is_no_session(closed: str) -> None:
    assert closed not in keys(at("2013-01-05T12:00"))


@pytest.mark.parametrize("moment", ["2012-07-03T00:01", "2012-07-03T09:30", "2012-07-03T23:59"])
def test_a_session_has_its_partition_all_day(moment: str) -> None:
    assert keys(at(moment))[-1] == "2012-07-03"


def test_a_friday_has_its_partition_on_friday() -> None:
    assert keys(at("2012-07-06T10:00"))[-1] == "2012-07-06"


def test_on_a_holiday_the_last_partition_is_the_next_session_and_the_calendar_refuses_it() -> None:
    moment = at("2012-07-04T10:00")
    assert keys(moment)[-1] == "2012-07-05"
    now_ns = int(moment.timestamp()) * 10**9
    with pytest.raises(dg.Failure, match="2012-07-04 is not an XNYS session"):
        current_session(Sessions(), now_ns, "2012-07-05")


def test_the_live_key_is_the_calendars_whatever_day_dagster_ends_with() -> None:
    now_ns = int(at("2012-07-03T10:00").timestamp()) * 10**9
    assert current_session(Sessions(), now_ns, None) == date(2012, 7, 3)
    with pytest.raises(dg.Failure, match="current session 2012-07-03"):
        current_session(Sessions(), now_ns, "2012-07-02")


def test_a_partitions_day_ends_at_new_yorks_midnight_through_a_change_of_clocks() -> None:
    window = SESSIONS.time_window_for_partition_key("2012-11-02")
    assert window.start.astimezone(UTC).hour == 4
    after = SESSIONS.time_window_for_partition_key("2012-11-05")
    assert after.start.astimezone(UTC).hour == 5


def test_known_closures_of_the_future_have_no_partition() -> None:
    def offered(definition: PartitionsDefinition, moment: datetime) -> list[str]:
        with partition_loading_context(moment):
            return list(definition.get_partition_keys(current_time=moment))

    known = session_partitions(Sessions(), date(2012, 12, 31))
    unknown = session_partitions(Sessions(), date(2012, 12, 1))
    assert "2012-12-25" not in offered(known, at("2013-01-02T12:00"))
    assert "2012-12-25" in offered(unknown, at("2013-01-02T12:00"))


def test_the_first_partition_is_the_first_bundled_session() -> None:
    assert SESSIONS.get_first_partition_key() == FIRST_SESSION.isoformat()


def live_keys(instance: dg.DagsterInstance) -> list[str]:
    return list(LIVE_SESSIONS.get_partition_keys(dynamic_partitions_store=instance))


def test_the_last_live_partition_is_the_session_that_was_come_to_last() -> None:
    with dg.DagsterInstance.ephemeral() as instance:
        for session in ("2012-07-03", "2012-07-03", "2012-07-05", "2012-07-05"):
            come_to(instance, session)
        assert live_keys(instance) == ["2012-07-03", "2012-07-05"]
        come_to(instance, "2012-07-03")  # an exchange that was begun anew
        assert live_keys(instance) == ["2012-07-05", "2012-07-03"]


def test_what_was_materialized_before_there_were_live_partitions_keeps_its_status() -> None:
    @dg.asset(name="bars", partitions_def=SESSIONS)
    def before() -> None:
        pass

    @dg.asset(name="bars", partitions_def=LIVE_SESSIONS)
    def now() -> None:
        pass

    with dg.DagsterInstance.ephemeral() as instance:
        for session in ("2012-07-05", "2012-07-02", "2012-07-03"):
            dg.materialize([before], instance=instance, partition_key=session)
        come_to(instance, "2012-07-06")
        assert live_keys(instance) == ["2012-07-02", "2012-07-03", "2012-07-05", "2012-07-06"]
        dg.materialize([now], instance=instance, partition_key="2012-07-06")
        come_to(instance, "2012-07-03")
        assert live_keys(instance)[-1] == "2012-07-03"
        result = instance.get_status_by_partition(dg.AssetKey("bars"), live_keys(instance), LIVE_SESSIONS)
        assert {str(status) for status in (result or {}).values()} == {"AssetPartitionStatus.MATERIALIZED"}
        assert len(result or {}) == 4


def test_the_live_assets_have_the_live_partitions_and_take_a_range_as_one_run() -> None:
    assert [asset.key.to_user_string() for asset in CHAIN] == list(LIVE_ASSETS)
    for asset in CHAIN:
        assert asset.partitions_def is LIVE_SESSIONS
        assert asset.backfill_policy == dg.BackfillPolicy.single_run()
