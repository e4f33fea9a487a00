"""The asset graph: what each asset reads, by a written list, and that reading holds nothing back."""

from __future__ import annotations

import dagster as dg
import pytest

from trading_assets.definitions import defs
from trading_assets.defs.desk.assets import CHAIN
from trading_assets.engine.ticks.steps import LIVE_ASSETS

GRAPH = defs.resolve_asset_graph()
READS: dict[str, set[str]] = {
    "broker_feed": set(),
    "broker_account": set(),
    "signal_inbox": set(),
    "imported_files": set(),
    "bundled_bars": set(),
    "bars": {"broker_feed"},
    "features": {"bars", "imported_files"},
    "signals": {"features", "champion_model", "signal_inbox"},
    "gated_orders": {"signals", "broker_feed", "broker_account"},
    "fills": {"gated_orders", "broker_account"},
    "reconciled_positions": {"fills", "broker_account"},
    "training_bars": {"bundled_bars"},
    "training_features": {"training_bars", "imported_files"},
    "model": {"training_features"},
    "champion_model": {"model"},
    "bar_history": {"bars", "training_bars", "imported_files"},
    "imported_bars": {"bar_history"},
    "replay/replay": {"bar_history", "champion_model", "imported_files", "bundled_bars"},
}
OUTSIDE = {name for name, reads in READS.items() if not reads} | {"champion_model", "bar_history"}


def named(keys: set[dg.AssetKey]) -> set[str]:
    return {key.to_user_string() for key in keys}


def test_each_asset_reads_what_the_list_says() -> None:
    reads = {
        key.to_user_string(): named(set(GRAPH.get(key).parent_keys)) for key in GRAPH.get_all_asset_keys()
    }
    assert reads == READS


def test_what_no_asset_makes_is_outside_of_dagster_and_nothing_launches_it() -> None:
    assert {node.key.to_user_string() for node in GRAPH.asset_nodes if node.is_external} == OUTSIDE
    assert not any(node.is_executable for node in GRAPH.asset_nodes if node.is_external)
    assert not any(node.automation_condition for node in GRAPH.asset_nodes)


@pytest.mark.parametrize("job", ["trading_tick", "train", "replay"])
def test_a_job_runs_its_own_assets_and_no_other(job: str) -> None:
    own = {
        "trading_tick": set(LIVE_ASSETS),
        "train": {"training_bars", "training_features", "model"},
        "replay": {"replay/replay"},
    }[job]
    resolved = defs.resolve_job_def(job)
    assert named(set(resolved.asset_layer.executable_asset_keys)) == own


def test_the_steps_of_a_tick_wait_for_one_another_in_their_order_and_for_nothing_else() -> None:
    job = defs.resolve_job_def("trading_tick")
    waits = {
        name: {
            upstream.node_name
            for outputs in job.dependency_structure.input_to_upstream_outputs_for_node(name).values()
            for upstream in outputs
        }
        for name in LIVE_ASSETS
    }
    order = [asset.key.to_user_string() for asset in CHAIN]
    assert waits == {name: set(order[max(place - 1, 0) : place]) for place, name in enumerate(order)}


def test_dagster_asks_no_person_for_what_a_launch_does_not_need() -> None:
    """Its interface warns of an asset upstream that was never materialized, before it launches: a desk that
    trades signals from outside has no model, and a replay of bundled bars no bars of ticks."""
    for job in ("trading_tick", "replay"):
        own = set(defs.resolve_job_def(job).asset_layer.executable_asset_keys)
        above = {key for one in own for key in GRAPH.get(one).parent_keys} - own
        assert above
        assert all(GRAPH.get(key).is_external for key in above)
