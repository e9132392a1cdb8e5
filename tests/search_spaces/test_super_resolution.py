"""Super-resolution's declaration: what is seen, what is judged, what must be beaten."""

import numpy as np
import pytest
from PIL import Image

from search_spaces import UserError, asked_task, task_of
from search_spaces.tasks.super_resolution import upsampling

TASK = asked_task("super-resolution:scale=2")
LARGEST_DB = 10 * np.log10(12 * 255**2)
"""Of an answer that is the image, which is known to half a level."""


def images_of(number: int = 3, channels: int = 3, sides: tuple[int, int] = (12, 16)) -> np.ndarray:
    rng = np.random.default_rng(0)
    return rng.integers(0, 256, (number, channels, *sides)).astype(np.uint8)


def test_what_is_seen_is_the_mean_of_blocks() -> None:
    images = images_of(sides=(13, 17))
    seen, answers = TASK.question(images)
    assert np.array_equal(answers, images[:, :, :12, :16])
    block = answers[1, 2, 4:6, 6:8].astype(float).mean()
    assert seen[1, 2, 2, 3] == int(block + 0.5)


def test_psnr_is_of_the_mean_squared_error_of_what_can_be_shown() -> None:
    labels = images_of()
    outputs = labels.astype(np.float32) / 255
    losses_N, shown_N = TASK.judge(outputs, labels)
    assert losses_N == pytest.approx(0, abs=1e-6)
    assert shown_N == pytest.approx(LARGEST_DB)
    losses_N, shown_N = TASK.judge(outputs + 0.1, np.zeros_like(labels) + 100)
    squares_N = np.square(np.clip(outputs + 0.1, 0, 1) - 100 / 255).mean(axis=(1, 2, 3))
    assert shown_N == pytest.approx(-10 * np.log10(squares_N), rel=1e-5)
    assert losses_N == pytest.approx(np.abs(outputs + 0.1 - 100 / 255).mean(axis=(1, 2, 3)))


@pytest.mark.parametrize("scale", [2, 3, 4])
def test_upsampling_is_pillows_away_from_the_border(scale: int) -> None:
    plane = images_of(1, 1, (9, 11))[0, 0].astype(np.float32)
    found = upsampling(9, scale) @ plane @ upsampling(11, scale).T
    size = (11 * scale, 9 * scale)
    expected = np.asarray(Image.fromarray(plane).resize(size, Image.Resampling.BICUBIC))
    inner = slice(2 * scale, -2 * scale)
    np.testing.assert_allclose(found[inner, inner], expected[inner, inner], atol=1e-3)
    assert upsampling(9, scale).sum(1) == pytest.approx(1)


def test_a_record_has_what_must_be_beaten_and_by_how_much_it_is() -> None:
    seen, labels = TASK.question(images_of())
    untaught = TASK.untaught_metrics(seen, labels)
    shown_N = untaught[1] + np.array([1.0, 2.0, 3.0])
    record = TASK.beside(shown_N, untaught)
    assert record["untaught"]["deviation"] == pytest.approx(np.std([1, 2, 3]))
    means = untaught[0].mean(), untaught[1].mean()
    assert TASK.untaught_in(record, num_classes=0) == pytest.approx(means)
    assert TASK.untaught_in({}, num_classes=0) is None


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("super-resolution:scale=5", "scale 5. It can be 2, 3, 4"),
        ("super-resolution:size=2", "task 'super-resolution' has no option 'size'. Options: scale"),
        ("super-resolution:scale=2,scale=3", "'scale' is given twice"),
        ("super-resolution:scale=x", "'x'. It must be a whole number"),
        ("classification", "Tasks that can: super-resolution"),
        ("super-resolutoin", "Did you mean 'super-resolution'"),
    ],
)
def test_what_cannot_be_asked_is_refused(text: str, message: str) -> None:
    with pytest.raises(UserError, match=message):
        asked_task(text)


def test_the_scale_of_a_task_is_two_if_nothing_is_said() -> None:
    assert asked_task("super-resolution").scale == 2
    assert type(task_of("super-resolution")) is type(TASK)
