from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import pytest

from trading_assets.errors import InvalidInput
from trading_assets.market.feeds import IEX, WHOLE_MARKET
from trading_assets.model.registry import LoadedModel, champion, load, promote, read_manifest, save
from trading_assets.model.training import TrainedModel

AT = 1_325_600_000_000_000_000


@dataclass(frozen=True)
class Features:
    names: tuple[str, ...] = ("alpha", "beta", "gamma")
    lookback: int = 1
    identity: str = "synthetic-1"


def loaded(directory: Path, current: Features = Features()) -> LoadedModel:
    return load(directory / "model.ubj", directory / "features.json", current=current)


@pytest.fixture
def directory(synthetic_model: TrainedModel, tmp_path: Path) -> Path:
    return save(synthetic_model, tmp_path / "models", created_at_ns=AT)


def test_what_was_saved_is_loaded(synthetic_model: TrainedModel, directory: Path) -> None:
    import xgboost

    model = loaded(directory)
    assert model.version == directory.name
    assert model.feature_names == synthetic_model.feature_names
    assert model.quantiles.tolist() == list(synthetic_model.quantiles)
    assert model.manifest["created_at_ns"] == AT
    assert model.manifest["figures"]["rank_ic"] == synthetic_model.figures.rank_ic
    assert model.manifest["training_data"]["rows"] == synthetic_model.training_data.rows
    assert (directory / "model.ubj").read_bytes() == synthetic_model.ubj
    X = np.random.default_rng(0).normal(size=(50, 3))
    original = xgboost.Booster()
    original.load_model(bytearray(synthetic_model.ubj))
    assert np.array_equal(model.score(X), original.inplace_predict(X, predict_type="margin"))


def test_a_row_scores_and_signals_alone_what_it_does_in_a_batch(directory: Path) -> None:
    model = loaded(directory)
    X = np.random.default_rng(1).normal(size=(1000, 3))
    scores = model.score(X)
    alone = np.array([model.score(X[row : row + 1])[0] for row in range(len(X))])
    assert scores.dtype == np.float64
    assert np.array_equal(scores, alone)
    assert model.signal(scores).tolist() == [model.signal(score[None])[0] for score in alone]
    assert len(np.unique(scores)) > 100


def test_a_signal_rises_with_its_score_and_uses_the_whole_range(directory: Path) -> None:
    model = loaded(directory)
    scores = np.sort(model.score(np.random.default_rng(2).normal(size=(2000, 3))))
    signal = model.signal(scores)
    assert (np.diff(signal) >= 0).all()
    assert signal.min() < -0.8
    assert signal.max() > 0.8
    assert np.abs(signal).max() <= 1.0


def test_a_row_with_a_feature_that_is_not_finite_has_neither_score_nor_signal(directory: Path) -> None:
    model = loaded(directory)
    X = np.array([[0.1, 0.2, 0.3], [np.nan, 0.2, 0.3], [0.1, np.inf, 0.3]])
    scores = model.score(X)
    assert scores[0] == model.score(X[:1])[0]
    assert np.isnan(scores[1:]).all()
    assert np.isnan(model.signal(scores)).tolist() == [False, True, True]
    assert model.score(np.empty((0, 3))).shape == (0,)


def test_the_same_model_has_the_same_version_whenever_it_is_saved(
    synthetic_model: TrainedModel, directory: Path
) -> None:
    assert save(synthetic_model, directory.parent, created_at_ns=AT + 1) == directory
    assert read_manifest(directory)["created_at_ns"] == AT
    assert [entry.name for entry in directory.parent.iterdir()] == [directory.name]


def test_whatever_decides_a_signal_is_in_the_version(synthetic_model: TrainedModel, directory: Path) -> None:
    other = replace(synthetic_model, quantiles=(*synthetic_model.quantiles[:-1], 99.0))
    assert save(other, directory.parent, created_at_ns=AT) != directory


@pytest.mark.parametrize("name", ["model.ubj", "features.json"])
def test_a_tampered_file_is_refused_by_name(directory: Path, name: str) -> None:
    content = bytearray((directory / name).read_bytes())
    content[len(content) // 2] ^= 1
    (directory / name).write_bytes(content)
    with pytest.raises(InvalidInput, match=rf"{name}: its SHA-256 is"):
        loaded(directory)
    with pytest.raises(InvalidInput, match=rf"{name}: its SHA-256 is"):
        read_manifest(directory)


@pytest.mark.parametrize(
    ("key", "value"), [("quantiles", [0.0, 1.0]), ("xgboost_version", "9.9"), ("version", "0" * 16)]
)
def test_a_tampered_manifest_is_refused(directory: Path, key: str, value: object) -> None:
    path = directory / "manifest.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | {key: value}))
    with pytest.raises(InvalidInput, match="altered since it was saved"):
        loaded(directory)


@pytest.mark.parametrize("name", ["model.ubj", "features.json", "manifest.json"])
def test_a_missing_file_is_named(directory: Path, name: str) -> None:
    (directory / name).unlink()
    with pytest.raises(InvalidInput, match=rf"{name}: cannot be read: No such file"):
        loaded(directory)


@pytest.mark.parametrize("text", ["", "[]", "{}", '{"version": "x"', "\x00\x01"])
def test_a_manifest_that_is_none_is_refused(directory: Path, text: str) -> None:
    (directory / "manifest.json").write_text(text)
    with pytest.raises(InvalidInput, match=r"manifest.json: no model's manifest"):
        loaded(directory)


def test_a_manifest_of_another_format_is_refused(directory: Path) -> None:
    path = directory / "manifest.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | {"format": 2}))
    with pytest.raises(InvalidInput, match="format 2, this program reads format 1"):
        loaded(directory)


def test_the_features_file_of_another_model_is_refused(
    synthetic_model: TrainedModel, directory: Path, tmp_path: Path
) -> None:
    other = save(replace(synthetic_model, feature_identity="synthetic-2"), tmp_path, created_at_ns=AT)
    with pytest.raises(InvalidInput, match="Point model_path and features_path at one model's files"):
        load(directory / "model.ubj", other / "features.json", current=Features())


@pytest.mark.parametrize(
    ("current", "complaint"),
    [
        (Features(names=("alpha", "beta", "delta")), "model ['gamma'], only in this program ['delta']"),
        (Features(names=("alpha", "beta")), "only in the model ['gamma'], only in this program none"),
        (Features(names=("beta", "alpha", "gamma")), "the order of the features differs"),
        (Features(identity="synthetic-2"), "identity synthetic-1, in this program synthetic-2"),
    ],
)
def test_a_model_of_other_features_is_refused_with_the_difference(
    directory: Path, current: Features, complaint: str
) -> None:
    with pytest.raises(InvalidInput, match=re.escape(complaint)):
        loaded(directory, current)


def test_a_model_trained_on_other_features_than_this_programs_is_refused_by_default(directory: Path) -> None:
    with pytest.raises(InvalidInput, match=r"only in the model \['alpha', 'beta', 'gamma'\]"):
        load(directory / "model.ubj", directory / "features.json")


def test_bytes_that_xgboost_cannot_read_are_refused(synthetic_model: TrainedModel, tmp_path: Path) -> None:
    broken = save(replace(synthetic_model, ubj=synthetic_model.ubj[:500]), tmp_path, created_at_ns=AT)
    with pytest.raises(InvalidInput, match="cannot read it"):
        loaded(broken)


def test_an_interrupted_save_leaves_nothing_that_looks_like_a_model(
    synthetic_model: TrainedModel, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(_: int) -> None:
        raise OSError("disk full")

    monkeypatch.setattr(os, "fsync", fail)
    with pytest.raises(OSError, match="disk full"):
        save(synthetic_model, tmp_path, created_at_ns=AT)
    assert list(tmp_path.iterdir()) == []


def test_the_champion_is_what_was_promoted_last_and_paths_follow_it(
    synthetic_model: TrainedModel, directory: Path
) -> None:
    models = directory.parent
    with pytest.raises(InvalidInput, match="no model has been promoted"):
        champion(models)
    other = save(replace(synthetic_model, quantiles=(0.0, 1.0)), models, created_at_ns=AT)
    promote(models, directory.name, "the first", AT)
    assert champion(models) == directory.resolve()
    promote(models, other.name, "better", AT + 1)
    assert champion(models) == other.resolve()
    assert loaded(models / "champion").version == other.name
    records = [json.loads(line) for line in (models / "promotions.jsonl").read_text().splitlines()]
    assert records == [
        {"version": directory.name, "previous": None, "reason": "the first", "at_ns": AT},
        {"version": other.name, "previous": directory.name, "reason": "better", "at_ns": AT + 1},
    ]


def test_only_an_intact_version_is_promoted_and_only_with_a_reason(directory: Path) -> None:
    models = directory.parent
    with pytest.raises(InvalidInput, match="promotion: it needs a reason"):
        promote(models, directory.name, "  ", AT)
    with pytest.raises(InvalidInput, match="cannot be read"):
        promote(models, "0123456789abcdef", "because", AT)
    (directory / "model.ubj").write_bytes(b"other")
    with pytest.raises(InvalidInput, match="SHA-256"):
        promote(models, directory.name, "because", AT)
    assert not (models / "promotions.jsonl").exists()


def test_a_champion_whose_directory_is_gone_is_refused(directory: Path) -> None:
    promote(directory.parent, directory.name, "the first", AT)
    shutil.rmtree(directory)
    with pytest.raises(InvalidInput, match="the promoted one is gone"):
        champion(directory.parent)


def test_a_model_scores_without_scikit_learn_which_can_be_imported_all_the_same(directory: Path) -> None:
    check = (
        "import sys\n"
        "from trading_assets.model.scoring_library import xgboost\n"
        "booster = xgboost().Booster()\n"
        f"booster.load_model({str(directory / 'model.ubj')!r})\n"
        "assert booster.num_features() == 3\n"
        "assert 'sklearn' not in sys.modules\n"
        "from sklearn.metrics import roc_auc_score\n"
        "print(roc_auc_score([0, 1], [0.0, 1.0]))"
    )
    shown = subprocess.run([sys.executable, "-c", check], capture_output=True, text=True, check=False)
    assert shown.stdout == "1.0\n", shown.stderr


def test_the_model_layer_does_not_import_xgboost_or_scikit_learn_until_it_is_used() -> None:
    check = (
        "import sys, trading_assets.model.registry, trading_assets.model.training\n"
        "sys.exit(', '.join({'xgboost', 'sklearn', 'pandas'} & set(sys.modules)))"
    )
    assert subprocess.run([sys.executable, "-c", check], capture_output=True, text=True).stderr.strip() == ""


def test_a_model_keeps_whose_trades_it_learned_from_and_refuses_others(
    synthetic_model: TrainedModel, tmp_path: Path
) -> None:
    data = replace(synthetic_model.training_data, market=IEX)
    directory = save(replace(synthetic_model, training_data=data), tmp_path / "models", created_at_ns=AT)
    model = loaded(directory)
    assert model.market == IEX
    assert json.loads((directory / "features.json").read_text())["market"] == IEX
    model.refuse_other_market(IEX, "here")
    with pytest.raises(InvalidInput) as refused:
        model.refuse_other_market(WHOLE_MARKET, "daily bars of AAPL")
    assert str(refused.value).startswith(
        f"daily bars of AAPL: the model {model.version} learned from bars of iex, and these are of the whole "
    )
    assert "trading-assets download --feed sip" in str(refused.value)


@pytest.mark.parametrize(
    ("sources", "market"),
    [
        (["bundled", "alpaca:sip", "bundled, embedded:iex"], WHOLE_MARKET),
        (["alpaca:iex"], IEX),
        (["bundled, alpaca:iex"], "iex and the whole market"),
    ],
)
def test_of_an_earlier_releases_model_the_sources_tell_it(
    directory: Path, sources: list[str], market: str
) -> None:
    manifest = json.loads((directory / "manifest.json").read_text())
    del manifest["training_data"]["market"]
    manifest["training_data"]["sources"] = sources
    assert replace(loaded(directory), manifest=manifest).market == market
