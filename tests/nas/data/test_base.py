"""Splits, their order, and what `load_data` refuses."""

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from nas.data import DATA, DataSet, Split, load_data
from nas.data._base import channel_statistics, stratified_order
from nas.data._decode import decode
from nas.data._resize import resize, resize_rule
from search_spaces import Resolution, Sides, UserError
from tests.own_data import picture


def numbered(labels: list[int]) -> Split:
    """Images of one pixel that is the number of the image."""
    images = np.arange(len(labels), dtype=np.uint8).reshape(-1, 1, 1, 1)
    return Split(images, np.array(labels, np.int64))


@given(
    counts=st.lists(st.integers(0, 30), min_size=1, max_size=6).filter(any),
    seed=st.integers(0, 99),
)
def test_every_prefix_has_each_class_in_its_share(counts: list[int], seed: int) -> None:
    labels_N = np.repeat(np.arange(len(counts)), counts)
    order_N = stratified_order(labels_N, np.random.default_rng(seed))
    assert sorted(order_N) == list(range(len(labels_N)))
    for n in range(1, len(labels_N) + 1):
        found = np.bincount(labels_N[order_N[:n]], minlength=len(counts))
        expected = n * np.array(counts) / sum(counts)
        assert np.abs(found - expected).max() <= 1 + len(counts) / 2


def test_whole_rounds_of_equal_classes_are_exactly_balanced() -> None:
    labels_N = np.tile(np.arange(7), 20)
    order_N = stratified_order(labels_N, np.random.default_rng(0))
    for rounds in range(1, 21):
        assert set(np.bincount(labels_N[order_N[: 7 * rounds]])) == {rounds}


def test_order_inside_a_class_is_random() -> None:
    order_N = stratified_order(np.zeros(50, int), np.random.default_rng(0))
    assert not np.array_equal(order_N, np.arange(50))


def test_stratified_keeps_each_image_with_its_label() -> None:
    split = numbered([0, 0, 0, 1, 1, 2])
    again = split.stratified(np.random.default_rng(3))
    for image, label in zip(again.images_NCHW.ravel(), again.labels_N, strict=True):
        assert split.labels_N[image] == label


def test_take_gives_the_first_images_and_at_most_all() -> None:
    split = numbered([2, 0, 1])
    assert split.take(2).images_NCHW.ravel().tolist() == [0, 1]
    assert split.take(2).labels_N.tolist() == [2, 0]
    assert len(split.take(10)) == 3


def test_statistics_are_per_channel_and_a_constant_channel_does_not_divide_by_zero() -> None:
    rng = np.random.default_rng(0)
    images = rng.integers(0, 256, (5_000, 2, 3, 3), np.uint8)
    images[:, 1] = 51
    mean, std = channel_statistics(images)
    assert mean == pytest.approx((images[:, 0].mean() / 255, 0.2), abs=1e-6)
    assert std == pytest.approx((images[:, 0].std() / 255, 1.0), abs=1e-6)


def test_normalised_is_the_rule_written_on_the_card() -> None:
    images = np.array([[[[0, 255]], [[51, 102]]]], np.uint8)
    empty = Split(images, np.zeros(1, np.int64))
    data = DataSet(
        name="two pixels",
        classes=("only",),
        mean=(0.5, 0.2),
        std=(0.25, 0.1),
        can_flip=False,
        crop_padding=0,
        resize="none",
        train=empty,
        search=empty,
        calibration=empty,
        test=empty,
    )
    np.testing.assert_allclose(data.normalised(images)[0, :, 0], [[-2, 2], [0, 2]], atol=1e-6)
    assert images.tolist() == [[[[0, 255]], [[51, 102]]]]


def test_resize_keeps_channels_apart_and_constants_constant() -> None:
    images = np.zeros((2, 3, 8, 8), np.uint8)
    images[:, 1] = 200
    images[1, 2] = 77
    resized = resize(images, 20)
    assert resized.shape == (2, 3, 20, 20)
    assert np.array_equal(resized, np.broadcast_to(images[:, :, :1, :1], resized.shape))


def test_resize_of_arrays_is_that_of_files() -> None:
    images_NHWC = np.stack([np.asarray(picture(seed, 23, 17)) for seed in range(2)])
    for resolution in (8, "12x20", "20x12", "17x9"):
        resized = resize(images_NHWC.transpose(0, 3, 1, 2), resolution)
        for image_HWC, found_CHW in zip(images_NHWC, resized, strict=True):
            assert np.array_equal(
                found_CHW, decode(image_HWC, "x", is_grey=False, resolution=resolution)
            )


def test_resize_to_the_own_size_is_declared_as_none_and_changes_nothing() -> None:
    images = np.arange(64, dtype=np.uint8).reshape(1, 1, 8, 8)
    assert resize(images, 8) is images
    assert resize_rule(8, 8) == "none"
    assert resize_rule(8, 32) == "Pillow bilinear on uint8, 8 x 8 to 32 x 32"


def test_an_unknown_data_set_is_refused_with_the_closest_name() -> None:
    with pytest.raises(UserError, match=r"unknown data set 'digit-pair'.*mean 'digit-pairs'"):
        load_data("digit-pair")


def test_the_three_built_in_data_sets_are_found_by_file_name() -> None:
    assert {"digit-pairs", "digits", "fashion-mnist"} <= set(DATA.names())


@pytest.mark.parametrize("resolution", [0, -32, "32x", (32, 0)])
def test_what_is_no_size_is_refused(resolution: Resolution | Sides) -> None:
    with pytest.raises(UserError, match="resolution .* is not a size in pixels"):
        load_data("digits", resolution=resolution)


def test_a_negative_seed_is_refused() -> None:
    with pytest.raises(UserError, match="seed -1 is negative"):
        load_data("digits", seed=-1)


def test_a_data_folder_that_does_not_exist_is_refused(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="absent' is not a folder that exists"):
        load_data("digits", data_dir=tmp_path / "absent")
