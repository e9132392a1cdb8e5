"""Data whose labels are masks: folders of the user's own, and scenes of digits."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from nas.data import DataSet, load_data
from nas.data._digits import source_digits
from nas.data.digit_scenes import CLASSES, NUM_TRAIN_IMAGES, draw_scenes
from nas.prepare.inputs import describe_data
from search_spaces import IGNORED, UserError
from tests.own_data import picture, write_masks

Load = Callable[..., DataSet]


@pytest.fixture
def load(tmp_path: Path) -> Load:
    def found(folder: Path, **asked: object) -> DataSet:
        return load_data(str(folder), cache=tmp_path / "cache", **asked)  # type: ignore[arg-type]

    return found


def test_images_and_masks_of_one_name_belong_together(tmp_path: Path, load: Load) -> None:
    data = load(write_masks(tmp_path / "in", 20), task="segmentation")
    assert (data.task, data.classes, data.num_outputs) == ("segmentation", ("0", "1", "2"), 3)
    assert (len(data.train), len(data.search), len(data.test)) == (15, 2, 3)
    assert data.train.labels_N.shape == (15, 1, 16, 16)
    assert (data.train.labels_N[:, :, :4, :4] == IGNORED).all()
    assert "3 classes of pixels, RGB at 16 px" in describe_data(data)
    blocks = data.search.labels_N.reshape(2, 4, 4, 4, 4).transpose(0, 1, 3, 2, 4).reshape(2, 16, 16)
    assert (blocks == blocks[..., :1]).all()  # nothing is between two classes
    loss, shown = data.guessing
    assert 0 < loss < np.log(3)
    assert 0 < shown < 0.5


def test_another_size_takes_the_nearest_number(tmp_path: Path, load: Load) -> None:
    root = write_masks(tmp_path / "in", 8, width=32)
    data = load(root, resolution="16x24")
    assert data.train.labels_N.shape[1:] == (1, 16, 24)
    assert set(np.unique(data.train.labels_N)) == {0, 1, 2, IGNORED}


@pytest.mark.parametrize(
    "places",
    [
        [("train/images", "train/masks"), ("val/images", "val/masks")],
        [("images/train", "masks/train"), ("images/val", "masks/val")],
        [(f"images/{word}", f"annotations/{word}") for word in ("training", "validation")],
        [(f"JPEGImages/{word}", f"SegmentationClass/{word}") for word in ("train", "val")],
    ],
)
def test_splits_lie_around_both_folders_or_inside_of_them(
    places: list[tuple[str, str]], tmp_path: Path, load: Load
) -> None:
    for names, count in zip(places, (9, 4), strict=True):
        write_masks(tmp_path / "in", count, names=names)
    data = load(tmp_path / "in")
    assert len(data.search) == 4
    assert len(data.train) + len(data.test) == 9


def test_what_is_left_out_is_said(tmp_path: Path, load: Load) -> None:
    root = write_masks(tmp_path / "in", 12)
    picture(99).save(root / "images" / "alone.jpg")
    Image.fromarray(np.full((16, 16), IGNORED, np.uint8)).save(root / "masks" / "003.png")
    (root / "classes.txt").write_text("sky\nroad\ncar\n", encoding="utf-8")
    data = load(root)
    assert data.classes == ("sky", "road", "car")
    assert "1 images without a mask were passed over" in data.note
    assert "1 image without a pixel of a class is left out" in data.note
    assert sum(map(len, (data.train, data.search, data.test))) == 11


def test_corrupt_images_are_named_or_left_out(tmp_path: Path, load: Load) -> None:
    root = write_masks(tmp_path / "in", 12)
    (root / "images" / "004.jpg").write_bytes(b"no image")
    (root / "masks" / "005.png").write_bytes(b"no mask")
    with pytest.raises(UserError, match=r"004\.jpg"):
        load(root)
    data = load(root, skip_corrupt=True)
    assert data.num_corrupt == 2
    assert "2 corrupt images are left out: " in describe_data(data)
    assert sum(map(len, (data.train, data.search, data.test))) == 10


def spoilt(root: Path, mask: np.ndarray, name: str = "001.png") -> Path:
    Image.fromarray(mask).save(root / "masks" / name)
    return root


@pytest.mark.parametrize(
    ("spoil", "message"),
    [
        (lambda r: spoilt(r, np.zeros((16, 16, 3), np.uint8)), "has colours .mode RGB., not"),
        (lambda r: spoilt(r, np.zeros((8, 16), np.uint8)), "is 8 x 16 .* and its image 16 x 16"),
        (lambda r: spoilt(r, np.full((16, 16), 300, np.uint16)), "numbers from 300 to 300"),
        (lambda r: (r / "classes.txt").write_text("sky\nroad\n"), "names 2 different classes"),
        (lambda r: (r / "images" / "001.png").touch(), "have one name"),
    ],
)
def test_masks_that_cannot_be_used_are_named(
    spoil: Callable[[Path], object], message: str, tmp_path: Path, load: Load
) -> None:
    root = write_masks(tmp_path / "in", 6)
    spoil(root)
    with pytest.raises(UserError, match=message):
        load(root)


def test_folders_that_cannot_be_used_are_named(tmp_path: Path, load: Load) -> None:
    with pytest.raises(UserError, match="There must be at least two classes"):
        load(write_masks(tmp_path / "one", 6, classes=1))
    with pytest.raises(UserError, match="train has 2 images with masks, and 3 are the least"):
        load(write_masks(tmp_path / "few", 2))
    root = write_masks(tmp_path / "apart", 4)
    for mask in (root / "masks").iterdir():
        mask.rename(mask.with_stem(f"{mask.stem}_mask"))
    with pytest.raises(UserError, match="no image has a mask of its name"):
        load(root)
    with pytest.raises(UserError, match="GB, and all must be held"):
        load(write_masks(tmp_path / "much", 6), held_gb=1e-6)


def test_a_task_of_masks_needs_data_that_has_them() -> None:
    with pytest.raises(UserError, match="labels for classification, and task 'segmentation' needs"):
        load_data("digits", task="segmentation")


def test_scenes_have_all_classes_and_every_pixel_is_of_one() -> None:
    data = load_data("digit-scenes")
    assert (data.classes, len(data.train)) == (CLASSES, NUM_TRAIN_IMAGES)
    counts = np.bincount(data.search.labels_N.ravel(), minlength=len(CLASSES))
    assert len(counts) == len(CLASSES)
    shares = counts / counts.sum()
    assert 0.6 < shares[0] < 0.95
    assert shares[1:].max() < 3 * shares[1:].min()


def test_digits_are_brighter_than_the_ground_and_their_sources_are_dealt_out() -> None:
    digits = source_digits()
    scenes = draw_scenes(digits, 200, np.random.default_rng(0))
    is_digit = scenes.labels_N > 0
    pixels = scenes.images_NCHW.astype(float)
    assert pixels[is_digit].mean() > 1.8 * pixels[~is_digit].mean()
    again = draw_scenes(digits, 200, np.random.default_rng(0))
    assert np.array_equal(scenes.labels_N, again.labels_N)
