"""Segmentation's declaration: how masks are judged, what must be beaten, which networks."""

import numpy as np
import pytest

from search_spaces import (
    IGNORED,
    AbstractMaskTask,
    Option,
    UserError,
    load_space,
    task_of,
    wanted_task,
)
from search_spaces.networks.segmented import WIDTH

TASK = task_of("segmentation")
CLASSES = 3


def masks_of(*rows: list[int]) -> np.ndarray:
    """Masks of one row each."""
    return np.array(rows, np.uint8)[:, None, None]


def logits_of(masks: np.ndarray, sure: float = 50.0) -> np.ndarray:
    return sure * (masks == np.arange(CLASSES)[None, :, None, None]).astype(np.float32)


def test_an_image_has_the_mean_over_its_classes_of_intersection_over_union() -> None:
    labels = masks_of([0, 0, 0, 1], [2, 2, IGNORED, IGNORED])
    answers = masks_of([0, 0, 1, 1], [2, 0, 1, 1])
    losses_N, shown_N = TASK.judge(logits_of(answers), labels)
    # two of three, and one of two; one of two, and what is answered and not there has no term
    assert shown_N == pytest.approx([(2 / 3 + 1 / 2) / 2, 1 / 2])
    assert losses_N == pytest.approx([50 / 4, 50 / 2], rel=1e-5)


def test_of_pixels_together_every_class_that_is_answered_counts() -> None:
    assert isinstance(TASK, AbstractMaskTask)
    labels = masks_of([0, 0, 0, 1], [0, 0, IGNORED, IGNORED])
    answers = masks_of([0, 0, 1, 1], [0, 1, 1, 2])
    halves = [TASK.tally(logits_of(answers[i : i + 1]), labels[i : i + 1]) for i in range(2)]
    said = TASK.said_of(sum(halves, np.zeros((CLASSES, 3), int)))["pixels"]
    assert said["fraction"] == pytest.approx(4 / 6)
    assert said["iou"] == [pytest.approx(3 / 5), pytest.approx(1 / 3), None]
    assert said["mean_iou"] == pytest.approx((3 / 5 + 1 / 3) / 2)


def test_what_must_be_beaten_is_the_best_answer_that_is_the_same_everywhere() -> None:
    assert isinstance(TASK, AbstractMaskTask)
    labels = masks_of([0, 0, 0, 1], [0, 1, IGNORED, IGNORED])
    losses_N, shown_N = TASK.untaught_metrics(labels, labels)
    share = (3 / 4 + 1 / 2) / 2  # of class 0, in the mean image
    best = -share * np.log(share) - (1 - share) * np.log(1 - share)
    assert losses_N.mean() == pytest.approx(best)
    assert shown_N == pytest.approx([(3 / 4 + 0) / 2, (1 / 2 + 0) / 2])


def test_an_image_without_a_pixel_of_a_class_is_judged_as_nothing() -> None:
    found = TASK.judge(logits_of(masks_of([0, 1])), masks_of([IGNORED, IGNORED]))
    assert [values.tolist() for values in found] == [[0.0], [0.0]]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("segmentation:scale=2", "'segmentation' has no options. Write segmentation"),
        ("classification", "Tasks that can: super-resolution"),
        ("segmentatoin", "Did you mean 'segmentation'"),
    ],
)
def test_what_cannot_be_asked_of_labels_is_refused(text: str, message: str) -> None:
    with pytest.raises(UserError, match=message):
        wanted_task(text)
    assert isinstance(wanted_task("segmentation"), AbstractMaskTask)


def test_nothing_of_the_space_is_dilated_and_the_decoder_is_elastic() -> None:
    space = load_space("segment", resolution="40x48", channels=3, num_classes=5)
    assert set(space.operators) == {"basic", "mbconv"}
    assert space.network is not None
    assert space.network.output_shape == (5, 40, 48)
    costs = []
    for width in space.choice(WIDTH).options:
        smallest: dict[str, Option] = {c.name: c.options[0] for c in space.choices}
        slots = space.slots(space.encode({**smallest, WIDTH: width}))
        decoder = [slot for slot in slots if slot.name.startswith("decoder") or slot.name == "head"]
        assert {slot.signature.shape.in_width for slot in decoder[1::2]} == {width}
        costs.append(space.costs.of("macs", np.array([space.encode({**smallest, WIDTH: width})])))
    assert costs == sorted(costs)
    assert slots[-1].signature.shape.size == (40, 48)
