"""Models on disk: one directory for each version, and a link to the champion.

This module writes, verifies, loads and promotes models; `model.training` fits them. There is no pickle: the
model is in XGBoost's own UBJ format, the rest is JSON.

    models/
      3f9c0b1d2e4a5768/     the version: a hash of the manifest, and through it of every file
        model.ubj           what `model_path` points at
        features.json       what `features_path` points at: the ordered names and their identity
        manifest.json       hashes, training data, parameters, figures, quantiles of the scores
        vetted.json         that the model's file was loaded in a process of its own, and lived
      champion              link to the version in force; model_path and features_path go through it
      promotions.jsonl      every promotion with its reason, append-only
"""

from __future__ import annotations

import hashlib
import json
import math
import os
import tempfile
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from trading_assets.errors import InvalidInput
from trading_assets.features.daily import DAILY, FeatureSet
from trading_assets.model import scoring_library, vetting
from trading_assets.model.signal import signals
from trading_assets.model.training import TrainedModel
from trading_assets.reasons import stated

if TYPE_CHECKING:
    import xgboost

FORMAT = 1
MODEL, FEATURES, MANIFEST = "model.ubj", "features.json", "manifest.json"
CHAMPION, PROMOTIONS = "champion", "promotions.jsonl"
_NOT_CONTENT = ("version", "created_at_ns")


@dataclass(frozen=True, slots=True)
class LoadedModel:
    """A verified model, ready to score. It uses one thread, so that it is safe in a forked run."""

    version: str
    feature_names: tuple[str, ...]
    quantiles: NDArray[np.float64]  # of the out-of-fold scores, ascending
    manifest: Mapping[str, Any]
    booster: xgboost.Booster

    def score(self, X: NDArray[np.float64]) -> NDArray[np.float64]:
        """Log-odds that a row's label is positive, float64[n] for float64[n, k] in `feature_names`' order.

        A row with a feature that is not finite scores NaN: the learner would guess where training
        had no such row. A row's score does not depend on the rows beside it, bit for bit; scores
        are margins because a sum of leaves is the same everywhere and a vectorised exp is not.
        """
        scores = np.full(len(X), np.nan)
        usable = np.isfinite(X).all(axis=1)
        if usable.any():
            scores[usable] = self.booster.inplace_predict(X[usable], predict_type="margin")
        return scores

    def signal(self, scores: NDArray[np.float64]) -> NDArray[np.float64]:
        """Signals in [−1, 1], float64[n]: the rank of each score among the out-of-fold scores. NaN: no
        signal."""
        return signals(scores, self.quantiles)


def save(model: TrainedModel, models_dir: Path, *, created_at_ns: int) -> Path:
    """Write a model and return its directory, `models_dir`/<version>.

    All or nothing: it writes and flushes the files beside their place, then renames them into it. The
    version is a hash of the content, so a model that is there already stays as it is.
    """
    features = _json({"format": FORMAT, "names": model.feature_names, "identity": model.feature_identity})
    content: dict[str, Any] = {
        "format": FORMAT,
        "files": {MODEL: _sha256(model.ubj), FEATURES: _sha256(features)},
        "features": {"names": model.feature_names, "identity": model.feature_identity},
        "training_data": asdict(model.training_data),
        "parameters": asdict(model.parameters),
        "figures": _without_nan(asdict(model.figures)),
        "quantiles": model.quantiles,
        "xgboost_version": model.xgboost_version,
    }
    version = _version(content)
    directory = models_dir / version
    if directory.exists():
        read_manifest(directory)
        return directory
    manifest = _json({**content, "version": version, "created_at_ns": created_at_ns})
    models_dir.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=models_dir, prefix=".saving-") as scratch:
        staged = Path(scratch) / version
        staged.mkdir()
        for name, data in ((MODEL, model.ubj), (FEATURES, features), (MANIFEST, manifest)):
            with (staged / name).open("wb") as file:
                file.write(data)
                file.flush()
                os.fsync(file.fileno())
        _sync(staged)
        staged.rename(directory)
        _sync(models_dir)
    vetting.note_trained(directory / MODEL, model.ubj)
    return directory


def load(model_path: Path, features_path: Path, *, current: FeatureSet = DAILY) -> LoadedModel:
    """Load a model whose files are what its manifest says and whose features are the current ones.

    model_path:    its model.ubj, links followed; the manifest is looked for beside it
    features_path: its features.json

    A child process first loads a file that was not loaded here before (`vetting`).

    Raises InvalidInput, naming the file, when one is missing, unreadable, not what was saved or not safe to
    load, and when the features that the model was trained on differ from `current` in name, order or meaning.
    """
    model_path = model_path.resolve()
    manifest = _verified_manifest(model_path.parent / MANIFEST)
    ubj = _verified(model_path, manifest["files"][MODEL])
    _verified(features_path, manifest["files"][FEATURES])
    names = tuple(manifest["features"]["names"])
    _require_same_features(names, manifest["features"]["identity"], current, features_path)
    vetting.vet(model_path, ubj, len(names))
    xgboost = scoring_library.xgboost()
    booster = xgboost.Booster()
    try:
        booster.load_model(bytearray(ubj))
    except xgboost.core.XGBoostError as error:
        raise InvalidInput(
            f"XGBoost {xgboost.__version__} cannot read it (written by {manifest['xgboost_version']})",
            where=str(model_path),
            remedy="Train the model again with the installed version.",
        ) from error
    booster.set_param({"nthread": 1})
    return LoadedModel(
        version=manifest["version"],
        feature_names=names,
        quantiles=np.array(manifest["quantiles"], dtype=np.float64),
        manifest=manifest,
        booster=booster,
    )


def read_manifest(directory: Path) -> Mapping[str, Any]:
    """The manifest of a model's directory, after every file was verified against it.

    Raises InvalidInput as `load` does; needs no XGBoost.
    """
    manifest = _verified_manifest(directory / MANIFEST)
    for name in (MODEL, FEATURES):
        _verified(directory / name, manifest["files"][name])
    return manifest


def champion(models_dir: Path) -> Path:
    """The directory of the version in force. Raises InvalidInput when none was promoted."""
    link = models_dir / CHAMPION
    if not link.exists():
        raise InvalidInput(
            "no model has been promoted, or the promoted one is gone",
            where=str(link),
            remedy="Train a model and promote its version.",
        )
    return link.resolve()


def promote(models_dir: Path, version: str, reason: str, at_ns: int) -> Path:
    """Make a saved version the champion: record the promotion, then replace the link.

    A child process loads the model first (`vetting`). Raises InvalidInput for a version that is not there,
    not intact or not safe to load, and for an empty reason.
    """
    reason = stated("promotion", reason)
    directory = models_dir / version
    manifest = read_manifest(directory)
    ubj = _verified(directory / MODEL, manifest["files"][MODEL])
    vetting.vet(directory / MODEL, ubj, len(manifest["features"]["names"]), written_here=False)
    link = models_dir / CHAMPION
    record = {
        "version": version,
        "previous": str(link.readlink()) if link.is_symlink() else None,
        "reason": reason,
        "at_ns": at_ns,
    }
    with (models_dir / PROMOTIONS).open("a", encoding="utf-8") as file:
        file.write(json.dumps(record) + "\n")
        file.flush()
        os.fsync(file.fileno())
    with tempfile.TemporaryDirectory(dir=models_dir, prefix=".promoting-") as scratch:
        staged = Path(scratch) / CHAMPION
        staged.symlink_to(version)
        staged.replace(link)
    _sync(models_dir)
    return directory


def _verified_manifest(path: Path) -> dict[str, Any]:
    remedy = "Restore the model's directory, or train and promote a model again."
    try:
        manifest = json.loads(_read(path))
        stated, form = manifest["version"], manifest["format"]
    except (ValueError, KeyError, TypeError) as error:
        # not its repr, which of some errors is the whole file
        why = f"{type(error).__name__}: {error}"
        raise InvalidInput(f"no model's manifest ({why})", where=str(path), remedy=remedy) from error
    if form != FORMAT:
        raise InvalidInput(
            f"format {form}, this program reads format {FORMAT}",
            where=str(path),
            remedy="Train the model again.",
        )
    content = {key: value for key, value in manifest.items() if key not in _NOT_CONTENT}
    if _version(content) != stated:
        raise InvalidInput(
            "altered since it was saved: its hash is not its version", where=str(path), remedy=remedy
        )
    return dict(manifest)


def _verified(path: Path, sha256: str) -> bytes:
    data = _read(path)
    if _sha256(data) != sha256:
        raise InvalidInput(
            f"its SHA-256 is {_sha256(data)[:16]}…, its model's manifest says {sha256[:16]}…",
            where=str(path),
            remedy="Point model_path and features_path at one model's files, as they were saved.",
        )
    return data


def _read(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError as error:
        raise InvalidInput(
            f"cannot be read: {error.strerror}",
            where=str(path),
            remedy="Check model_path and features_path, or train and promote a model.",
        ) from error


def _require_same_features(names: tuple[str, ...], identity: str, current: FeatureSet, path: Path) -> None:
    known = tuple(current.names)
    if names == known and identity == current.identity:
        return
    gone = [name for name in names if name not in known]
    new = [name for name in known if name not in names]
    if gone or new:
        what = f"features differ: only in the model {gone or 'none'}, only in this program {new or 'none'}"
    elif names != known:
        what = f"the order of the features differs: {list(names)}, in this program {list(known)}"
    else:
        what = f"the features' definition changed: identity {identity}, in this program {current.identity}"
    raise InvalidInput(what, where=str(path), remedy="Train a model on the features of this program.")


def _version(content: Mapping[str, Any]) -> str:
    return _sha256(_json(content))[:16]


def _json(value: Mapping[str, Any]) -> bytes:
    return json.dumps(value, sort_keys=True, indent=1, allow_nan=False).encode() + b"\n"


def _without_nan(value: Any) -> Any:
    """JSON has no NaN: what could not be measured is null."""
    if isinstance(value, dict):
        return {key: _without_nan(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_without_nan(item) for item in value]
    return None if isinstance(value, float) and math.isnan(value) else value


def _sha256(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()


def _sync(directory: Path) -> None:
    """Make renames in the directory durable."""
    descriptor = os.open(directory, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
