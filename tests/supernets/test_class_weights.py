"""Weights of classes: how they are made, what they multiply, and that a rare class is found."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import nn

from search_spaces import task_of
from supernets import train as training
from supernets.images import Images
from supernets.plan import BALANCED, TrainPlan
from supernets.steps import AloneBatches
from supernets.train import Progress, train

PLAN = TrainPlan(
    steps=100,
    batch_size=32,
    shards=1,
    optimizer="adamw",
    learning_rate=0.1,
    ema_decay=0.9,
    checkpoint_s=0,
)
RARE = 1


def images_of(num_common: int, num_rare: int, seed: int) -> Images:
    """Noise; images of the rare class are a little brighter."""
    rng = np.random.default_rng(seed)
    labels_N = rng.permutation(np.repeat([0, RARE], [num_common, num_rare]))
    pixels = rng.normal(110 + 8 * labels_N[:, None, None, None], 60, (len(labels_N), 1, 16, 16))
    return Images(
        images_NCHW=torch.from_numpy(pixels.clip(0, 255).astype(np.uint8)),
        labels_N=torch.from_numpy(labels_N),
        mean=(0.43,),
        std=(0.24,),
        can_flip=False,
        crop_padding=0,
    )


IMAGES = images_of(400, 24, seed=0)


def network() -> nn.Module:
    """Sees how bright an image is."""
    with torch.random.fork_rng():
        torch.manual_seed(0)
        return nn.Sequential(nn.AvgPool2d(4), nn.Flatten(), nn.Linear(16, 2))


def trained(plan: TrainPlan, folder: Path, images: Images = IMAGES, **options) -> nn.Module:
    folder.mkdir(exist_ok=True)
    found = network()
    train(found, images, plan, AloneBatches(plan), directory=folder, **options)
    return found


def test_balanced_weights_are_inverse_frequencies_with_a_mean_of_one() -> None:
    weights_K = IMAGES.balancing_K
    assert (weights_K[RARE] / weights_K[0]).item() == pytest.approx(400 / 24)
    assert weights_K[IMAGES.labels_N].mean().item() == pytest.approx(1.0)
    with_gap = replace(IMAGES, labels_N=2 * IMAGES.labels_N)
    assert with_gap.balancing_K[[0, 2]].tolist() == weights_K.tolist()


def test_balanced_weights_raise_the_recall_of_a_rare_class(tmp_path: Path) -> None:
    unseen = images_of(400, 200, seed=1)
    recalls = {}
    for name in ("none", BALANCED):
        found = trained(replace(PLAN, class_weights=name), tmp_path / name)
        with torch.no_grad():
            outputs = found(unseen.normalised(unseen.images_NCHW)).numpy()
        counts = task_of("classification").counts(
            unseen.labels_N.numpy(), outputs.argmax(axis=1), 2
        )
        right = counts["confusion"]["right"]
        recalls[name] = [right[0] / 400, right[RARE] / 200]
    assert recalls["none"][RARE] < 0.5
    assert recalls[BALANCED][RARE] > recalls["none"][RARE] + 0.3
    assert min(recalls[BALANCED]) > 0.7


def test_a_killed_training_with_weights_continues_to_the_very_same_network(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(training, "CHECKPOINT_SHARE", 1e12)
    plan = replace(PLAN, steps=6, class_weights=BALANCED)

    def kill(numbers: Progress) -> None:
        if numbers["step"] == 4:
            raise KeyboardInterrupt

    whole = trained(plan, tmp_path / "whole")
    with pytest.raises(KeyboardInterrupt):
        trained(plan, tmp_path / "parts", on_step=kill)
    parts = trained(plan, tmp_path / "parts")
    for one, other in zip(whole.parameters(), parts.parameters(), strict=True):
        assert torch.equal(one, other)
