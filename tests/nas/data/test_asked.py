"""Any data set may be asked for its images at a larger size."""

from dataclasses import replace

import numpy as np
import pytest
import torch

from nas.data import identity, load_data
from nas.data._asked import asked
from nas.prepare.inputs import describe_data
from nas.prepare.plan import training_images
from search_spaces import UserError, asked_task

TASK = "super-resolution"


def test_networks_see_small_images_and_answer_with_those_of_the_data() -> None:
    own, data = load_data("digits"), load_data("digits", task=TASK)
    assert (data.task, data.classes, data.sides) == (TASK, (), (16, 16))
    assert (data.mean, data.std, data.crop_padding, data.can_flip) == ((0.0,), (1.0,), 0, True)
    for split in ("train", "search", "calibration", "test"):
        assert np.array_equal(getattr(data, split).labels_N, getattr(own, split).images_NCHW)
    assert data.num_outputs == 4
    assert load_data("digits", task=f"{TASK}:scale=4").num_outputs == 16
    assert "super-resolution to 32 px, grey at 16 px" in describe_data(data)


def test_the_resolution_is_what_networks_see() -> None:
    seen: list[object] = []
    data = load_data(
        "digits", task=f"{TASK}:scale=3", resolution=16, accept=lambda *told: seen.append(told)
    )
    assert data.resolution == 16
    assert data.train.labels_N.shape[2:] == (48, 48)
    assert seen in ([], [(16, 1, 9)])


def test_what_must_be_beaten_is_upsampling() -> None:
    data = load_data("digits", task=TASK)
    loss, shown = data.guessing
    losses_N, shown_N = data.untaught["search"]
    assert (loss, shown) == (losses_N.mean(), shown_N.mean())
    assert len(data.untaught["test"][0]) == len(data.test)
    assert 10 < shown < 60


def test_other_images_have_another_identity() -> None:
    data = load_data("digits", task=TASK)
    labels = np.array(data.search.labels_N)
    labels[0, 0, 0, 0] ^= 1
    other = replace(data, search=replace(data.search, labels_N=labels))
    assert identity(data) != identity(other)
    assert identity(data)["task"] == TASK


def test_images_are_mirrored_with_what_is_to_be_answered() -> None:
    images = training_images(load_data("digits", task=TASK))
    batch, labels = images.batch(0, 32, 0)
    assert isinstance(labels, torch.Tensor)
    means = torch.nn.functional.avg_pool2d(labels.float(), 2) / 255
    assert (batch - means).abs().max() <= 0.51 / 255
    plain = replace(images, can_flip=False).batch(0, 32, 0)[0]
    is_mirrored = (batch != plain).flatten(1).any(1)
    assert 0 < is_mirrored.sum() < 32


def test_images_that_are_decoded_while_training_runs_are_refused() -> None:
    data = load_data("digits")

    class Streamed(list[int]):
        dtype, ndim = np.dtype(np.uint8), 4

    streamed = Streamed(range(len(data.train)))
    train = replace(data.train, images_NCHW=streamed)  # type: ignore[arg-type]
    with pytest.raises(UserError, match="Raise held_gb"):
        asked(replace(data, train=train), asked_task(TASK), TASK)
