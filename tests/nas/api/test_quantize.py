"""`nas.quantize`: a network in, int8 files out, with images or without."""

from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime
import pytest
import torch

import nas
from supernets.calibrate import recalibrated
from tests.compress.bring.models import ConvNeXt, ResNet
from tests.strategies import noise

SIDE = 16


def resnet() -> torch.nn.Module:
    torch.manual_seed(0)
    return recalibrated(ResNet(1, width=8, channels=1), [noise(64, 1, SIDE, SIDE)])


@pytest.mark.parametrize("has_images", [False, True])
@torch.no_grad()
def test_files_answer_as_the_network_and_as_each_other(has_images: bool, tmp_path: Path) -> None:
    network = resnet()
    images = noise(32, 1, SIDE, SIDE, seed=1).numpy() if has_images else None
    found = nas.quantize(network, tmp_path / "made", channels=1, resolution=SIDE, images=images)
    assert found.is_distilled == (not has_images)
    assert found.same_answer >= 0.8, "with weights that were never trained"
    fresh = noise(64, 1, SIDE, SIDE, seed=2)
    session = onnxruntime.InferenceSession(found.onnx)
    answered = session.run(None, {"images": fresh.numpy()})[0]
    loaded = nas.load(found.checkpoint)(fresh).numpy()
    assert (answered.argmax(1) == loaded.argmax(1)).mean() >= 0.95
    assert np.corrcoef(answered.ravel(), network(fresh).numpy().ravel())[0, 1] > 0.99
    assert {path.name for path in (tmp_path / "made").iterdir()} == {
        "model.onnx",
        "model.safetensors",
    }


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        (
            {"images": np.zeros((2, 3, SIDE, SIDE), np.float32)},
            r"shape \(2, 3, 16, 16\). They must",
        ),
        ({"images": np.zeros((0, 1, SIDE, SIDE), np.float32)}, "at least one"),
        (
            {"images": np.zeros((2, 1, SIDE, SIDE), np.uint8)},
            "images are uint8. They must be finite",
        ),
        ({"calibration": "max"}, "unknown calibration 'max'"),
    ],
)
def test_what_cannot_be_used_is_refused_and_nothing_is_written(
    settings: dict[str, Any], message: str, tmp_path: Path
) -> None:
    with pytest.raises(nas.UserError, match=message):
        nas.quantize(resnet(), tmp_path / "made", channels=1, resolution=SIDE, **settings)
    assert not (tmp_path / "made").exists()


def test_without_batch_norm_images_must_be_given(tmp_path: Path) -> None:
    with pytest.raises(nas.UserError, match="Give images of its kind"):
        nas.quantize(ConvNeXt(1), tmp_path, channels=1, resolution=SIDE)
