"""Models that crash or hang XGBoost are refused with a sentence, by a process that can be lost.

Each broken file is first loaded by XGBoost alone, in a process of its own: it is seen to be dangerous.
"""

from __future__ import annotations

import json
import os
import random
import shutil
import struct
import subprocess
import sys
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import xgboost

from trading_assets.errors import InvalidInput
from trading_assets.model import registry, vetting
from trading_assets.model.model_form import NotAModel, refuse_unsound
from trading_assets.model.registry import FEATURES, MANIFEST, MODEL, load, promote, save
from trading_assets.model.training import TrainedModel

BARE = """
import sys, numpy, xgboost
model = xgboost.Booster({"nthread": 1})
model.load_model(bytearray(sys.stdin.buffer.read()))
model.inplace_predict(numpy.random.default_rng(2).normal(size=(500, 3)), predict_type="margin")
"""
HANGS_SECONDS = 8.0


def bare(ubj: bytes) -> str:
    """What becomes of a process that loads the bytes and scores rows: fine, refused, crashed or hung."""
    try:
        ended = subprocess.run(
            [sys.executable, "-c", BARE], input=ubj, capture_output=True, timeout=HANGS_SECONDS, check=False
        ).returncode
    except subprocess.TimeoutExpired:
        return "hung"
    return "crashed" if ended < 0 else "refused" if ended else "fine"


def edited(ubj: bytes, edit: Callable[[dict[str, Any]], None]) -> bytes:
    """The model with its first tree changed, as a file that XGBoost takes."""
    model = xgboost.Booster()
    model.load_model(bytearray(ubj))
    saved = json.loads(model.save_raw("json"))
    edit(saved["learner"]["gradient_booster"]["model"]["trees"][0])
    again = xgboost.Booster()
    again.load_model(bytearray(json.dumps(saved).encode()))
    return bytes(again.save_raw("ubj"))


def circle(tree: dict[str, Any]) -> None:
    """Both children of the root lead back to it."""
    for side in ("left_children", "right_children"):
        for node in (tree["left_children"][0], tree["right_children"][0]):
            tree[side][node] = 0


def far_child(tree: dict[str, Any]) -> None:
    tree["left_children"][0] = 2_000_000_000


def far_feature(tree: dict[str, Any]) -> None:
    tree["split_indices"][0] = 2_000_000_000


def mutated(ubj: bytes, seed: int) -> bytes:
    """Some bytes changed, or cut out."""
    draw, data = random.Random(seed), bytearray(ubj)
    for _ in range(draw.choice([1, 2, 8])):
        at = draw.randrange(len(data))
        if draw.random() < 0.2:
            del data[at : at + draw.choice([1, 4, 100])]
        else:
            data[at] = draw.randrange(256)
    return bytes(data)


def registered(model: TrainedModel, ubj: bytes, models: Path) -> Path:
    """A version whose files are as its manifest says, made by somebody else: nothing is noted of it."""
    directory = save(TrainedModel(**{**_fields(model), "ubj": ubj}), models, created_at_ns=1)
    (directory / vetting.NOTE).unlink()
    return directory


def _fields(model: TrainedModel) -> dict[str, Any]:
    return {name: getattr(model, name) for name in model.__dataclass_fields__}


def features_of(model: TrainedModel) -> Any:
    """What is looked at of a feature set."""
    return SimpleNamespace(names=model.feature_names, identity=model.feature_identity)


@pytest.mark.slow
@pytest.mark.parametrize("edit", [circle, far_child, far_feature])
def test_a_tree_that_hangs_or_crashes_xgboost_is_refused_at_promotion_and_at_loading(
    synthetic_model: TrainedModel, tmp_path: Path, edit: Callable[[dict[str, Any]], None]
) -> None:
    ubj = edited(synthetic_model.ubj, edit)
    assert bare(ubj) in ("crashed", "hung")
    directory = registered(synthetic_model, ubj, tmp_path)
    with pytest.raises(InvalidInput, match=r"model.ubj: it is refused: "):
        promote(tmp_path, directory.name, "looks good", 1)
    assert not (tmp_path / "champion").is_symlink()
    with pytest.raises(InvalidInput, match=r"model.ubj: it is refused: "):
        load(directory / MODEL, directory / FEATURES, current=features_of(synthetic_model))
    assert not (directory / vetting.NOTE).exists()


MANY = """
import struct, sys, numpy, xgboost
rows = numpy.random.default_rng(2).normal(size=(5000, 3))
while head := sys.stdin.buffer.read(8):
    ubj = bytearray(sys.stdin.buffer.read(*struct.unpack("<q", head)))
    try:
        model = xgboost.Booster({"nthread": 1})
        model.load_model(ubj)
        model.inplace_predict(rows, predict_type="margin")
    except (xgboost.core.XGBoostError, ValueError):
        print("refused")
    else:
        print("scored")
"""


@pytest.mark.slow
def test_xgboost_survives_every_mutated_file_whose_form_is_sound(synthetic_model: TrainedModel) -> None:
    """One process for all of them: the first that crashed or hung would end it."""
    sound = list[bytes]()
    for seed in range(400):
        ubj = mutated(synthetic_model.ubj, seed)
        with suppress(NotAModel):
            refuse_unsound(ubj, 3)
            sound.append(ubj)
    assert 10 < len(sound) < 200
    ended = subprocess.run(
        [sys.executable, "-c", MANY],
        input=b"".join(struct.pack("<q", len(ubj)) + ubj for ubj in sound),
        capture_output=True,
        timeout=100,
        check=True,
    )
    output = ended.stdout.decode().split()
    assert len(output) == len(sound)
    assert "scored" in output


def test_the_form_of_every_cut_file_is_refused(synthetic_model: TrainedModel) -> None:
    ubj = synthetic_model.ubj
    refuse_unsound(ubj, 3)
    for end in range(0, len(ubj), 97):
        with pytest.raises(NotAModel):
            refuse_unsound(ubj[:end], 3)
    with pytest.raises(NotAModel, match="bytes after its end"):
        refuse_unsound(ubj + b"Z", 3)
    for bomb in (
        b"[" * 100_000,
        b"{L" + b"\x7f" * 8,
        b"[$d#L" + b"\x00" * 3 + b"\xff" * 5,
        b"[#l\x7f\xff\xff\xff",
    ):
        with pytest.raises(NotAModel):
            refuse_unsound(bomb, 3)


@pytest.mark.slow
def test_what_a_child_lived_through_is_not_asked_again_and_a_copy_is(
    synthetic_model: TrainedModel, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    children = list[int]()
    really = vetting._why_not
    monkeypatch.setattr(vetting, "_why_not", lambda *given: children.append(1) or really(*given))
    current = features_of(synthetic_model)
    directory = save(synthetic_model, tmp_path / "models", created_at_ns=1)
    load(directory / MODEL, directory / FEATURES, current=current)
    assert children == []  # this program has just made it
    promote(tmp_path / "models", directory.name, "good", 1)
    promote(tmp_path / "models", directory.name, "good", 2)
    load(directory / MODEL, directory / FEATURES, current=current)
    assert children == [1]
    copy = tmp_path / "copy"
    shutil.copytree(directory, copy)  # its note as well
    load(copy / MODEL, copy / FEATURES, current=current)
    load(copy / MODEL, copy / FEATURES, current=current)
    assert children == [1, 1]


@pytest.mark.slow
def test_another_number_of_features_is_refused(synthetic_model: TrainedModel) -> None:
    assert vetting._why_not(synthetic_model.ubj, 3) is None
    assert vetting._why_not(synthetic_model.ubj, 4) == "it is no sound model of 4 features"
    assert bare(b"") == "crashed"
    assert vetting._why_not(b"", 3) == "it is no sound model of 3 features"


@pytest.mark.parametrize(
    ("body", "why"),
    [
        ("import os, signal; os.kill(os.getpid(), signal.SIGSEGV)", "ended by itself (signal 11)"),
        ("import time; time.sleep(60)", "was not done within"),
        ("raise SystemExit(1)", "ended by itself (exit status 1)"),
    ],
)
def test_a_child_that_is_lost_says_why(monkeypatch: pytest.MonkeyPatch, body: str, why: str) -> None:
    really = subprocess.run
    monkeypatch.setattr(vetting, "SECONDS", 1.5)
    monkeypatch.setattr(subprocess, "run", lambda _, **given: really([sys.executable, "-c", body], **given))
    began = time.monotonic()
    assert why in (vetting._why_not(b"x", 3) or "")
    assert time.monotonic() - began < 10


@pytest.mark.parametrize(
    ("work", "ends"),
    [("while True: pass", -9), ("bytearray(1 << 31)", 1), ("import os; os.write(os.open('x', 65), b'x')", 1)],
)
@pytest.mark.slow
def test_the_child_has_little_time_and_memory_and_writes_no_file(
    tmp_path: Path, work: str, ends: int
) -> None:
    code = f"from trading_assets.model import vetting; vetting.CPU_SECONDS = 1; vetting._limit()\n{work}"
    ended = subprocess.run([sys.executable, "-c", code], cwd=tmp_path, capture_output=True, check=False)
    assert ended.returncode == ends, ended.stderr


def test_the_child_knows_no_key(monkeypatch: pytest.MonkeyPatch) -> None:
    given = dict[str, Any]()
    monkeypatch.setenv("APCA_API_SECRET_KEY", "PKSECRET")
    monkeypatch.setenv("TRADING_ASSETS_EXCHANGE_TOKEN", "PKSECRET")

    def run(_: object, **named: Any) -> subprocess.CompletedProcess[bytes]:
        given.update(named)
        return subprocess.CompletedProcess([], 0)

    monkeypatch.setattr(subprocess, "run", run)
    vetting._why_not(b"x", 3)
    assert "PKSECRET" not in str(given["env"])


def test_a_note_of_another_file_or_a_damaged_one_is_none(
    synthetic_model: TrainedModel, tmp_path: Path
) -> None:
    directory = save(synthetic_model, tmp_path, created_at_ns=1)
    path, ubj = directory / MODEL, synthetic_model.ubj
    assert vetting._noted(path, ubj) == "training"
    assert vetting._noted(path, ubj + b"x") is None
    os.utime(path)  # the time of its change is another then
    assert vetting._noted(path, ubj) is None
    for text in ("", "[]", "{}", '{"by": 1}', "\x00"):
        (directory / vetting.NOTE).write_text(text)
        assert vetting._noted(path, ubj) is None
    assert json.loads((directory / MANIFEST).read_text())["version"] == directory.name
    assert registry.read_manifest(directory)
