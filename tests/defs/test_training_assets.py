"""The train job through a real Dagster run: bundled bars, a training set, a promoted model. No broker."""

from __future__ import annotations

from pathlib import Path

import dagster as dg
import pytest
import yaml

from trading_assets import config
from trading_assets.definitions import build_definitions
from trading_assets.model.registry import champion, load
from trading_assets.store.history import History

SHORT = {"first": "2000-03-01", "last": "2004-12-31"}


@pytest.mark.slow
def test_the_train_job_ends_with_a_champion_that_loads(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "config" / "execution.yaml"
    path.parent.mkdir()
    models = "var/models/champion"
    path.write_text(
        yaml.safe_dump(
            {
                "model": {"enabled": True},
                "model_path": f"{models}/model.ubj",
                "features_path": f"{models}/features.json",
                # nothing listens there: training reaches for no broker
                "embedded": {"url": "http://127.0.0.1:9", "control_url": "http://127.0.0.1:9"},
            }
        )
    )
    monkeypatch.setenv(config.CONFIG_VARIABLE, str(path))
    definitions = build_definitions()
    with dg.DagsterInstance.local_temp(str(tmp_path)) as instance:
        result = definitions.resolve_job_def("train").execute_in_process(
            instance=instance,
            run_config={
                "ops": {
                    "training_bars": {"config": SHORT},
                    "training_features": {"config": SHORT},
                    "model": {"config": {"promote_because": "the test trades it", "threads": 1}},
                }
            },
        )
        metadata = result.asset_materializations_for_node("model")[0].metadata
    assert result.success
    settings = config.load(path)
    assert settings.model_path is not None
    assert settings.features_path is not None
    model = load(settings.model_path, settings.features_path)
    assert model.version == champion(tmp_path / "var" / "models").name == metadata["version"].value
    assert "rank IC" in str(metadata["out_of_sample"].value)
    history = History(settings.data_dir / "history.duckdb")
    assert history.query("SELECT version FROM models")["version"].to_pylist() == [model.version]
    assert (
        history.query("SELECT max(session) AS last FROM bars")["last"].to_pylist()[0].isoformat()
        == SHORT["last"]
    )
