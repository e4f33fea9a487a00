"""The replay's limits as asset checks: a few, without partitions, that name the failing sessions.

What each session measured against each limit is in the replay's own history; a check reads it there
for the replay that was materialized last. In a run over a range a check has one verdict.
"""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import dagster as dg

from trading_assets.defs.replay.assets import BOOK, HISTORY, replay
from trading_assets.engine.replay.limit_groups import DESCRIPTION, WARNINGS, Group
from trading_assets.runs.decorators import checks
from trading_assets.runs.presentation import table
from trading_assets.runs.resources import read_settings
from trading_assets.store.history import History

SHOWN = 50  # failures in the table

_RESULTS = """
SELECT session, "check", detail, passed FROM checks WHERE book = ? AND asset = 'replay'
ORDER BY session, "check"
"""


@checks(
    "check_replay",
    [
        dg.AssetCheckSpec(group.value, asset=replay.key, description=description)
        for group, description in DESCRIPTION.items()
    ],
)
def check_replay(context: dg.AssetCheckExecutionContext) -> Iterator[dg.AssetCheckResult]:
    """Every limit of every session of the last replay. Raises dagster.Failure when there is none."""
    book, path = _last_replay(context.instance)
    lines = History(path).query(_RESULTS, [book]).to_pylist()
    wanted = {key.name for key in context.selected_asset_check_keys}
    for group in Group:
        if group.value in wanted:
            of_group = [line for line in lines if line["check"].partition(".")[0] == group.value]
            yield _result(group, book, of_group)


def _result(group: Group, book: str, lines: list[dict[str, Any]]) -> dg.AssetCheckResult:
    failed = [line for line in lines if not line["passed"]]
    failing = list(dict.fromkeys(line["session"].isoformat() for line in failed))
    sessions = len({line["session"] for line in lines})
    return dg.AssetCheckResult(
        asset_key=replay.key,
        check_name=group.value,
        passed=bool(lines) and not failed,
        severity=dg.AssetCheckSeverity.WARN if group in WARNINGS else dg.AssetCheckSeverity.ERROR,
        description=f"{book}: {len(failing)} of {sessions} sessions failed",
        metadata={
            BOOK: book,
            "sessions": sessions,
            "failing": len(failing),
            "failing_sessions": dg.MetadataValue.json(failing),
            "failures": table(
                [
                    {
                        "session": line["session"],
                        "limit": line["check"].partition(".")[2],
                        "found": line["detail"],
                    }
                    for line in failed[:SHOWN]
                ]
            ),
        },
    )


def _last_replay(instance: dg.DagsterInstance) -> tuple[str, Path]:
    event = instance.get_latest_materialization_event(replay.key)
    if event is None or event.asset_materialization is None:
        raise dg.Failure(description="Nothing has been replayed yet.", allow_retries=False)
    metadata = event.asset_materialization.metadata
    history, data_dir = Path(str(metadata[HISTORY].value)), Path(read_settings().data_dir)
    if not history.resolve().is_relative_to(data_dir.resolve()):  # whoever reported it names any database
        raise dg.Failure(
            description="The last replay's history is said to lie outside of the data directory "
            f"{data_dir}, and is not opened. Replay the range again.",
            allow_retries=False,
        )
    return str(metadata[BOOK].value), history
