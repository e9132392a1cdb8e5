"""scikit-learn's digits, alone and in pairs."""

import logging
from pathlib import Path

import numpy as np
import pytest

from nas.data import Split, digit_pairs, load_data
from nas.data._digits import source_digits, source_splits
from nas.data.digit_pairs import draw_pairs


def solid_digits(brightness_of: dict[int, int]) -> Split:
    """Ten source digits, each an 8 x 8 square of one brightness (0 if not named)."""
    images = np.zeros((10, 1, 8, 8), np.uint8)
    for digit, brightness in brightness_of.items():
        images[digit] = brightness
    return Split(images, np.arange(10, dtype=np.int64))


def test_source_digits_use_the_whole_range_and_are_dealt_out_once() -> None:
    everything = source_digits()
    assert (everything.images_NCHW.min(), everything.images_NCHW.max()) == (0, 255)
    dealt = [
        {image.tobytes() for image in split.images_NCHW}
        for split in source_splits(np.random.default_rng(0))
    ]
    assert [len(images) for images in dealt] == [1079, 359, 359]
    assert len(set.union(*dealt)) == len(everything) == 1797


def test_digits_are_32_pixels_unless_another_size_is_asked_for() -> None:
    assert load_data("digits").resolution == 32
    assert load_data("digits", resolution=8).resize == "none"
    larger = load_data("digits", resolution=48)
    assert (larger.resolution, larger.crop_padding) == (48, 3)
    assert larger.resize == "Pillow bilinear on uint8, 8 x 8 to 48 x 48"


def test_each_split_of_digit_pairs_is_drawn_from_source_digits_of_its_own(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    drawn_from: list[set[bytes]] = []
    nums_images: list[int] = []

    def spy(digits: Split, num_images: int, rng: np.random.Generator) -> Split:
        drawn_from.append({image.tobytes() for image in digits.images_NCHW})
        nums_images.append(num_images)
        return draw_pairs(digits, 600, rng)

    monkeypatch.setattr(digit_pairs, "draw_pairs", spy)
    data = load_data("digit-pairs")
    assert nums_images == [20_000, 2_000, 2_000]
    assert len(set.union(*drawn_from)) == sum(len(images) for images in drawn_from) == 1797
    assert (data.resolution, data.resize, data.can_flip) == (32, "none", False)
    assert (data.classes[0], data.classes[7], data.classes[99]) == ("00", "07", "99")


def test_all_pairs_are_equally_frequent() -> None:
    pairs = draw_pairs(solid_digits({}), 300, np.random.default_rng(0))
    assert set(np.bincount(pairs.labels_N, minlength=100)) == {3}
    assert set(np.bincount(pairs.take(100).labels_N, minlength=100)) == {1}


def test_the_left_digit_is_the_first_of_the_label() -> None:
    pairs = draw_pairs(solid_digits({9: 255}), 500, np.random.default_rng(0))
    halves = pairs.images_NCHW.reshape(-1, 32, 2, 16).mean(axis=(1, 3))
    one_nine_left = (pairs.labels_N // 10 == 9) & (pairs.labels_N % 10 != 9)
    one_nine_right = (pairs.labels_N // 10 != 9) & (pairs.labels_N % 10 == 9)
    assert (halves[one_nine_left, 0] > halves[one_nine_left, 1]).all()
    assert (halves[one_nine_right, 1] > halves[one_nine_right, 0]).all()


def test_both_digits_lie_wholly_inside_the_image_without_overlap(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(digit_pairs, "NOISE_STD", 0.0)
    monkeypatch.setattr(digit_pairs, "BACKGROUND", (0.0, 0.0))
    monkeypatch.setattr(digit_pairs, "INK", (0.5, 0.5))
    everywhere = solid_digits(dict.fromkeys(range(10), 255))
    pairs = draw_pairs(everywhere, 2_000, np.random.default_rng(0))
    assert set(np.unique(pairs.images_NCHW)) == {0, 128}
    ink_NHW = pairs.images_NCHW[:, 0] > 0
    areas_N = ink_NHW.sum(axis=(1, 2))
    possible = {a * a + b * b for a in range(11, 16) for b in range(11, 16)}
    assert set(areas_N) == possible
    heights_NW = ink_NHW.sum(axis=1)
    assert set(heights_NW[heights_NW > 0]) == set(range(11, 16))


def test_backgrounds_differ_and_the_noise_is_a_tenth() -> None:
    empty = draw_pairs(solid_digits({}), 300, np.random.default_rng(0)).images_NCHW / 255
    means_N = empty.mean(axis=(1, 2, 3))
    # NOTE: brighter than two deviations of the noise, where clipping at black hardly matters.
    (lightest,) = np.nonzero(means_N > 0.13)
    assert len(lightest) > 20
    assert empty[lightest].std(axis=(1, 2, 3)).mean() == pytest.approx(0.1, abs=0.01)
    assert np.ptp(means_N) == pytest.approx(0.11, abs=0.02)


def test_digits_of_one_class_differ_in_place_and_contrast(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(digit_pairs, "NOISE_STD", 0.0)
    monkeypatch.setattr(digit_pairs, "BACKGROUND", (0.0, 0.0))
    pairs = draw_pairs(solid_digits({1: 255}), 3_000, np.random.default_rng(0))
    ones_NHW = pairs.images_NCHW[pairs.labels_N == 10, 0]
    ink_N = ones_NHW.max(axis=(1, 2)) / 255
    assert len(ink_N) == 30
    assert 0.6 <= ink_N.min() + 0.01 < 0.65
    assert 0.8 < ink_N.max() <= 0.86
    tops_N = (ones_NHW.max(axis=2) > 0).argmax(axis=1)
    lefts_N = (ones_NHW.max(axis=1) > 0).argmax(axis=1)
    assert np.ptp(tops_N) >= 8
    assert np.ptp(lefts_N) >= 4


def test_a_data_folder_is_ignored_with_a_warning(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.WARNING):
        load_data("digits", data_dir=tmp_path)
    assert f"the data folder '{tmp_path}' is ignored" in caplog.text
