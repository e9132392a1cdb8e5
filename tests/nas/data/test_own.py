"""A user's own images in every layout: what is read, how it is split, and what is refused."""

import os
import re
from collections.abc import Callable
from functools import partial
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from PIL import Image

from nas.data import DataSet, MissingDataError, identity, load_data
from nas.data._load import absolute_if_path, kind_of, label_of
from nas.data.cifar10 import CLASSES
from search_spaces import UserError
from tests.own_data import encoded, picture, write_classes, write_parquet

COUNTS = {"cat": 20, "dog": 40}
Damage = Callable[[Path], object]


@pytest.fixture
def load(tmp_path: Path) -> Callable[..., DataSet]:
    """`load_data` with a cache of its own."""

    def loaded(data: Path | str, **options: object) -> DataSet:
        return load_data(str(data), cache=tmp_path / "cache", **options)  # type: ignore[arg-type]

    return loaded


def images(data: DataSet) -> dict[bytes, str]:
    """The class of every image in train, search and test, by its pixels."""
    return {
        image.tobytes(): data.classes[label]
        for split in (data.train, data.search, data.test)
        for image, label in zip(split.images_NCHW, split.labels_N, strict=True)
    }


def sizes(data: DataSet) -> tuple[int, int, int]:
    return len(data.train), len(data.search), len(data.test)


def save_npz(path: Path, **arrays: object) -> Path:
    np.savez(path, **arrays)  # type: ignore[arg-type]
    return path


def noise(*shape: int, kind: type = np.uint8, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).integers(0, np.iinfo(kind).max, shape, kind)


def test_class_folders_are_dealt_out_in_their_shares(
    tmp_path: Path, load: Callable[..., DataSet]
) -> None:
    data = load(write_classes(tmp_path / "pets", COUNTS))
    assert (data.name, data.classes) == ("pets", ("cat", "dog"))
    assert np.bincount(data.search.labels_N).tolist() == [2, 4]
    assert np.bincount(data.test.labels_N).tolist() == [3, 6]
    assert np.bincount(data.train.labels_N).tolist() == [15, 30]
    assert data.note == "no test split: 9 images of train are held out for it"
    assert (data.can_flip, data.crop_padding, data.resize) == (True, 2, "none")
    expected = {
        np.asarray(Image.open(file)).transpose(2, 0, 1).tobytes(): file.parent.name
        for file in (tmp_path / "pets").rglob("*.png")
    }
    assert images(data) == expected


def test_split_folders_are_used_as_they_are(tmp_path: Path, load: Callable[..., DataSet]) -> None:
    for number, (split, counts) in enumerate(
        {"Train": {"a": 3, "b": 2}, "valid": {"b": 2, "a": 1}, "test": {"a": 2}}.items()
    ):
        write_classes(tmp_path / "in" / split, counts, seed=number)
    data = load(tmp_path / "in")
    assert sizes(data) == (5, 3, 2)
    assert np.bincount(data.search.labels_N).tolist() == [1, 2]
    assert data.note == "test has no image of 1 of 2 classes"


def test_classes_may_be_called_train_or_test(tmp_path: Path, load: Callable[..., DataSet]) -> None:
    data = load(write_classes(tmp_path / "vehicles", {"train": 4, "car": 4}))
    assert data.classes == ("car", "train")


def test_nested_folders_count_as_their_class_and_other_files_are_passed_over(
    tmp_path: Path, load: Callable[..., DataSet]
) -> None:
    root = write_classes(tmp_path / "in", {"a": 3, "b/deep/er": 5})
    (root / "a" / "readme.txt").touch()
    (root / "a" / ".hidden.png").touch()
    (root / "b" / "Thumbs").touch()
    data = load(root)
    assert data.classes == ("a", "b")
    assert sum(sizes(data)) == 8
    assert "2 files or folders were passed over (.txt, no suffix)" in data.note


def test_images_of_any_size_are_brought_to_one(
    tmp_path: Path, load: Callable[..., DataSet]
) -> None:
    root = write_classes(tmp_path / "in", {"a": 3, "b": 3}, width=40)
    picture(0, 50, 70).save(root / "a" / "wide.png")
    data = load(root)
    assert data.resolution == 32
    assert data.resize.startswith("centre square of the shorter side")
    assert "images of 2 sizes, 40 to 70 px wide or high, become 32 x 32 px: centre squ" in data.note
    assert load(root, resolution=20).train.images_NCHW.shape[1:] == (3, 20, 20)


def test_images_of_one_shape_keep_it_and_others_become_squares(
    tmp_path: Path, load: Callable[..., DataSet]
) -> None:
    labels = np.arange(12) % 2
    path = save_npz(tmp_path / "wide.npz", images=noise(12, 20, 28), labels=labels)
    data = load(path)
    assert (data.resolution, data.sides, data.resize, data.crop_padding) == (
        *("20x28", (20, 28), "none", 2),
    )
    assert identity(data)["resolution"] == "20x28"
    assert "become" not in data.note
    squares = load(path, resolution=16)
    assert squares.train.images_NCHW.shape[1:] == (1, 16, 16)
    assert "images of 20 x 28 px (height x width) become 16 x 16 px: centre squ" in squares.note
    large = load(save_npz(tmp_path / "large.npz", images=noise(12, 300, 400), labels=labels))
    assert large.resolution == "192x256"
    assert "become 192 x 256 px (height x width): Pillow bilinear on uint8, 300 x" in large.note


def test_images_of_several_shapes_become_squares_and_a_better_size_is_named(
    tmp_path: Path, load: Callable[..., DataSet]
) -> None:
    root = write_classes(tmp_path / "in", {"a": 3, "b": 3})
    for place in range(8):
        picture(place, 66 + place % 2, 48).save(root / "a" / f"wide{place}.png")
    data = load(root)
    assert data.resolution == 48
    assert "; --resolution 48x66 would keep more of most" in data.note
    asked = load(root, resolution="48x66")
    assert (asked.sides, "would keep" in asked.note) == ((48, 66), False)
    for place in range(8):
        picture(place, 48, 66).save(root / "b" / f"high{place}.png")
    assert "would keep" not in load(root).note, "as many lie as stand"


@pytest.mark.parametrize("place", ["", "data", "plain_text"])
def test_a_folder_of_parquet_files_has_splits_by_their_names(
    tmp_path: Path, load: Callable[..., DataSet], place: str
) -> None:
    folder = tmp_path / "hub" / place
    write_parquet(folder / "train-00000-of-00002.parquet", [0, 1, 1], seed=0)
    write_parquet(folder / "train-00001-of-00002.parquet", [1, 0], seed=1)
    write_parquet(folder / "validation-00000-of-00001.parquet", [0, 1], seed=2)
    write_parquet(folder / "test-00000-of-00001.parquet", [1], seed=3)
    (tmp_path / "hub" / "README.md").touch()
    data = load(tmp_path / "hub")
    assert sizes(data) == (5, 2, 1)
    assert (data.name, data.classes) == ("hub", ("cat", "dog"))
    expected = {np.asarray(picture(i)).transpose(2, 0, 1).tobytes() for i in (0, 1, 2, 1000, 1001)}
    assert {image.tobytes() for image in data.train.images_NCHW} == expected


def test_split_folders_may_hold_parquet_files(tmp_path: Path, load: Callable[..., DataSet]) -> None:
    write_parquet(tmp_path / "in" / "train" / "0000.parquet", [0, 1, 0, 1])
    write_parquet(tmp_path / "in" / "test" / "0000.parquet", [0, 1])
    assert sizes(load(tmp_path / "in")) == (2, 2, 2)


@pytest.mark.parametrize("labels", [["b", "a", "a", "b"] * 3, [1, 0, 0, 1] * 3])
def test_a_parquet_file_without_metadata_takes_words_or_numbers_as_classes(
    tmp_path: Path, load: Callable[..., DataSet], labels: list[object]
) -> None:
    path = write_parquet(tmp_path / "one.parquet", labels, names=None, columns=("img", "target"))
    data = load(path)
    assert data.classes == (("a", "b") if "a" in labels else ("0", "1"))
    pixels = [np.asarray(picture(i)).transpose(2, 0, 1).tobytes() for i in range(12)]
    assert images(data) == dict(zip(pixels, map(str, labels), strict=True))


@pytest.mark.parametrize(
    ("arrays", "expected"),
    [
        ({"images": noise(12, 8, 10), "labels": np.arange(12) % 2}, (1, 8)),
        ({"images": noise(12, 8, 8, 3), "labels": np.arange(12)[:, None] % 2}, (3, 8)),
        ({"images": noise(12, 1, 8, 8), "labels": np.array(["x", "y"] * 6)}, (1, 8)),
        ({"x_train": noise(12, 4, 9, 9), "y_train": np.arange(12) % 2}, (3, 9)),
        ({"images": noise(12, 8, 8, 1, kind=np.uint16), "labels": np.arange(12) % 2}, (1, 8)),
        (
            {"images": np.asfortranarray(noise(12, 8, 8, 3)), "labels": np.arange(12) % 2},
            (3, 8),
        ),
    ],
    ids=["grey", "last", "first", "alpha", "sixteen", "fortran"],
)
def test_npz_files_of_every_shape_are_read(
    tmp_path: Path,
    load: Callable[..., DataSet],
    arrays: dict[str, np.ndarray],
    expected: tuple[int, int],
) -> None:
    data = load(save_npz(tmp_path / "some.npz", **arrays), resolution=expected[1])
    assert (data.channels, data.resolution) == expected
    assert sum(sizes(data)) == 12
    assert data.name == "some"


def test_npz_pixels_labels_and_names_are_kept_in_every_split(
    tmp_path: Path, load: Callable[..., DataSet]
) -> None:
    arrays = {name: noise(4, 8, 8, 3, seed=i) for i, name in enumerate(("train", "val", "test"))}
    path = save_npz(
        tmp_path / "a.npz",
        **{f"{name}_images": array for name, array in arrays.items()},
        **{f"{name}_labels": np.array([0, 1, 1, 0], np.uint8) for name in arrays},
        classes=np.array(["no", "yes"]),
    )
    data = load(path, resolution=8)
    assert data.classes == ("no", "yes")
    for name, split in (("train", data.train), ("val", data.search), ("test", data.test)):
        found = {image.tobytes(): label for image, label in zip(*split_of(split), strict=True)}
        kept = [image.transpose(2, 0, 1).tobytes() for image in arrays[name]]
        assert found == dict(zip(kept, [0, 1, 1, 0], strict=True))


def split_of(split: object) -> tuple[np.ndarray, np.ndarray]:
    return split.images_NCHW, split.labels_N  # type: ignore[attr-defined]


def test_a_large_npz_is_read_in_pieces(
    tmp_path: Path, load: Callable[..., DataSet], monkeypatch: pytest.MonkeyPatch
) -> None:
    from nas.data import npz

    path = save_npz(tmp_path / "a.npz", images=noise(50, 8, 8), labels=np.arange(50) % 2)
    whole = load(path)
    monkeypatch.setattr(npz, "BYTES_AT_ONCE", 200)
    pieces = load_data(str(path), cache=tmp_path / "other")
    assert np.array_equal(whole.train.images_NCHW, pieces.train.images_NCHW)


def test_cifar_10_is_found_by_its_name(
    tmp_path: Path, load: Callable[..., DataSet], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("NAS_DATA", raising=False)
    with pytest.raises(MissingDataError, match="cifar10' is not on this machine.*--data-dir"):
        load("cifar10", data_dir=tmp_path)
    for split, count in (("train", 40), ("test", 20)):
        path = tmp_path / "cifar10" / f"{split}-00000-of-00001.parquet"
        labels = [i % 10 for i in range(count)]
        write_parquet(path, labels, names=CLASSES, columns=("img", "label"), seed=len(split))
    data = load("cifar10", data_dir=tmp_path)
    assert (data.name, data.classes, sizes(data)) == ("cifar10", CLASSES, (30, 10, 20))
    for path in (tmp_path / "cifar10").iterdir():
        write_parquet(path, [0, 1] * 5)
    with pytest.raises(UserError, match="is not CIFAR-10's: its 2 classes start with 'cat'"):
        load("cifar10", data_dir=tmp_path)


def test_the_seed_decides_what_is_held_out_and_nothing_else_does(
    tmp_path: Path, load: Callable[..., DataSet]
) -> None:
    root = write_classes(tmp_path / "in", {"a": 30, "b": 30})
    first, second = load(root, seed=1), load(root, seed=2)
    again = load_data(str(root), seed=1, cache=tmp_path / "elsewhere")
    assert np.array_equal(first.train.images_NCHW, again.train.images_NCHW)
    assert np.array_equal(first.train.labels_N, again.train.labels_N)
    assert images(first) == images(second)
    assert {i.tobytes() for i in first.test.images_NCHW} != {
        i.tobytes() for i in second.test.images_NCHW
    }


def test_what_is_held_out_is_limited_and_has_at_least_one_of_each_class() -> None:
    from nas.data._source import Index, deal

    labels_N = np.repeat(np.arange(3), [100_000, 20_000, 3])
    index = Index(classes=("a", "b", "c"), labels={"train": labels_N})
    rows = deal(index, 0)
    assert 4_990 <= len(rows["search"]) <= 5_010
    assert 9_990 <= len(rows["test"]) <= 10_010
    assert np.bincount(labels_N[rows["search"]])[2] == np.bincount(labels_N[rows["test"]])[2] == 1
    assert sorted(np.concatenate(list(rows.values()))) == list(range(len(labels_N)))


@pytest.mark.parametrize(
    ("damage", "message"),
    [
        (
            lambda p: (p / "cat" / "000.png").write_bytes(b""),
            "cat/000.png' cannot be read: it is empty",
        ),
        (lambda p: (p / "cat" / "x.jpg").write_text("<html>"), "cat/x.jpg' .*no image of a kind"),
        (lambda p: cut(p / "dog" / "001.png"), "dog/001.png' cannot be read"),
        (lambda p: (p / "cat" / "x.png").symlink_to("gone"), "cat/x.png' is gone, or a link to"),
        (lambda p: (p / "cat" / "x.png").symlink_to("x.png"), "cat/x.png' .*symbolic links"),
        (lambda p: (p / "cat" / "up").symlink_to(p), "is a link back to itself"),
        (lambda p: os.mkfifo(p / "cat" / "x.png"), "cat/x.png' .*no ordinary file"),
        (lambda p: (p / "bird").mkdir(), "bird' has no image. Add images"),
        (lambda p: write_classes(p, {"bird": 1}), "class 'bird' has 1. Each needs at least 3"),
        (lambda p: write_classes(p / "train", {"a": 2, "b": 2}), r"class 'a' has 2, 'b' has 2"),
    ],
)
def test_a_class_folder_that_cannot_be_used_is_named(
    tmp_path: Path, load: Callable[..., DataSet], damage: Damage, message: str
) -> None:
    root = write_classes(tmp_path / "in", {"cat": 3, "dog": 3})
    damage(root)
    with pytest.raises(UserError, match=message):
        load(root)


def cut(path: Path) -> None:
    content = path.read_bytes()
    path.write_bytes(content[: len(content) // 2])


@pytest.mark.parametrize(
    ("layout", "message"),
    [
        ({"only": 5}, "has one class, 'only'"),
        ({"images": 5}, "a folder 'masks' beside it"),
        ({"test/a": 2, "test/b": 2}, "has 'test' but no 'train' folder"),
        ({"train/a": 2, "train/b": 2, "test/c": 1}, "test has class 'c', which train does not"),
        ({"train/a": 2, "train/b": 2, "val/a": 1, "valid/a": 1}, "two folders for validation"),
        ({"train/a": 2, "train/b": 2, "test": 3}, "test' has no class folders"),
        ({"train/a": 2, "train/b": 2, "test/a": 0}, "test has no image"),
        ({"train/a": 1, "train/b": 4, "test/a": 1}, "class 'a' has 1. Each needs at least 2"),
    ],
)
def test_a_layout_that_cannot_be_used_is_named(
    tmp_path: Path, load: Callable[..., DataSet], layout: dict[str, int], message: str
) -> None:
    with pytest.raises(UserError, match=message):
        load(write_classes(tmp_path / "in", layout))


@pytest.mark.parametrize(
    ("files", "message"),
    [
        (["images/train/1.png", "labels/train/1.txt", "data.yaml"], "is for detection"),
        (["data.yaml", "valid/images/1.png", "valid/labels/1.txt"], "is for detection"),
        (["annotations/instances_val2017.json", "val2017/1.jpg"], "annotations' has records for"),
        (["JPEGImages/1.jpg", "Annotations/1.xml"], "'JPEGImages' beside 'Annotations'"),
        (["train/1.jpg", "train/_annotations.coco.json"], "has the boxes of object detection"),
    ],
)
def test_folders_of_other_tasks_are_recognised(
    tmp_path: Path, load: Callable[..., DataSet], files: list[str], message: str
) -> None:
    for name in files:
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).touch()
    with pytest.raises(UserError, match=f"{message}.*This is image classification: .*class folder"):
        load(tmp_path)


def test_images_beside_class_folders_are_counted_and_named(
    tmp_path: Path, load: Callable[..., DataSet]
) -> None:
    root = write_classes(tmp_path / "in" / "train", {"a": 5, "b": 5})
    for number in range(4):
        picture(number).save(root / f"{number}.png")
    note = load(root.parent).note
    assert "4 images beside class folders were passed over, as they have no class: " in note
    assert "'train/0.png', 'train/1.png', 'train/2.png', ..." in note
    assert "no class: '0.png', " in load(root).note


def test_damaged_images_are_named_together(tmp_path: Path, load: Callable[..., DataSet]) -> None:
    root = write_classes(tmp_path / "in", {"a": 20, "b": 5})
    cut(root / "b" / "001.png")
    cut(root / "b" / "003.png")
    with pytest.raises(
        UserError, match=r"2 images cannot .*b/001.png' \(.*b/003.png' \(.*--skip-corrupt\."
    ):
        load(root)
    for number in range(11):
        (root / "a" / f"{number:03d}.png").write_bytes(b"")
    with pytest.raises(
        UserError, match=r"'.*in': 13 images .*a/009.png' \(it is empty\) and 3 more"
    ):
        load(root)
    data = load(root, skip_corrupt=True)
    assert (data.num_corrupt, identity(data)["corrupt"], sum(sizes(data))) == (13, 13, 12)
    assert re.search(r"13 corrupt images are left out: '.*a/000.png' \(it is empty\), ", data.note)
    sound = [file for file in root.rglob("*.png") if decodes(file)]
    assert images(data) == {
        np.asarray(Image.open(file)).transpose(2, 0, 1).tobytes(): file.parent.name
        for file in sound
    }


def test_a_class_without_a_sound_image_is_refused_with_what_was_left_out(
    tmp_path: Path, load: Callable[..., DataSet]
) -> None:
    root = write_classes(tmp_path / "in", {"a": 3, "b": 5})
    for file in (root / "a").glob("*.png"):
        cut(file)
    with pytest.raises(
        UserError, match=r"class 'a' has 0\. .* Note: 3 corrupt images are left out: '.*000\.png"
    ):
        load(root, skip_corrupt=True)


def decodes(path: Path) -> bool:
    try:
        with Image.open(path) as image:
            image.load()
    except OSError:
        return False
    return True


def test_rows_that_are_corrupt_are_left_out_and_named_by_their_number(
    tmp_path: Path, load: Callable[..., DataSet]
) -> None:
    contents = [b"x", *(encoded(picture(i)) for i in range(9))]
    path = write_parquet(tmp_path / "one.parquet", [0, 1] * 5, images=contents)
    with pytest.raises(UserError, match=r"row 0' .*fresh copy.* Or leave it out with --skip-corr"):
        load(path)
    data = load(path, skip_corrupt=True)
    assert (data.num_corrupt, sum(sizes(data))) == (1, 9)
    assert "1 corrupt image is left out: '" in data.note
    with pytest.raises(UserError, match="row 0'"):
        load(path)
    sound = load(write_parquet(tmp_path / "two.parquet", [0, 1] * 5), skip_corrupt=True)
    assert (sound.num_corrupt, "corrupt" in identity(sound)) == (0, False)


@pytest.mark.parametrize(
    ("write", "message"),
    [
        (lambda p: p.write_bytes(b""), "one.parquet' cannot be read"),
        (lambda p: p.write_bytes(b"PAR1 not really PAR1"), "one.parquet' cannot be read"),
        (partial(write_parquet, labels=[]), "one.parquet' has no rows"),
        (
            partial(write_parquet, labels=[0, 1, 2] * 3),
            r"label 2 of image 2 is outside 0 to 1, as 3",
        ),
        (partial(write_parquet, labels=[0, -1] * 3), r"label -1 of image 1 is outside 0 to 1"),
        (partial(write_parquet, labels=[0, 1 << 60] * 3, names=None), "1152921504606846976 of im"),
        (partial(write_parquet, labels=[0.0, 1.0] * 3), "the labels are float64"),
        (
            partial(write_parquet, labels=[0.0, 1.0] * 3, names=None),
            "'label' is double, not labels",
        ),
        (
            partial(write_parquet, labels=[True, False] * 3, names=None),
            "'label' is bool, not label",
        ),
        (partial(write_parquet, labels=[True, False] * 3), "the labels are true or false"),
        (partial(write_parquet, labels=[1, 2, 3] * 3, names=None), "from 1 to 3. .*subtract 1 "),
        (partial(write_parquet, labels=[0, None] * 3), "row 1: column 'label' has no label"),
        (partial(write_parquet, labels=[[0], [1]] * 3, names=None), "'label' is list"),
        (partial(write_parquet, labels=[0, 1], images=[b"", b""]), "class 'cat' has 1, 'dog'"),
        (partial(write_parquet, labels=[0, 1] * 3, images=[None] * 6), "row 0: there are no bytes"),
        (partial(write_parquet, labels=[0, 1] * 3, images=[b"x"] * 6), "row 0' .*no image of a"),
        (
            partial(write_parquet, labels=["a", "c", "b"] * 3, names=("a", "b")),
            "'c' is none of the",
        ),
        (partial(write_parquet, labels=[0, 2] * 3, names=("a", "b", "c")), "class 'b' has 0"),
        (partial(write_parquet, labels=[0, 1] * 3, names=("a", "a")), "two classes called 'a'"),
        (lambda p: pq.write_table(pa.table({"label": [0, 1] * 3}), p), "may be the images"),
    ],
)
def test_a_parquet_file_that_cannot_be_used_is_named(
    tmp_path: Path, load: Callable[..., DataSet], write: Damage, message: str
) -> None:
    write(tmp_path / "one.parquet")
    with pytest.raises(UserError, match=message) as caught:
        load(tmp_path / "one.parquet")
    assert "one.parquet" in str(caught.value)


def test_parquet_files_that_do_not_belong_together_are_refused(
    tmp_path: Path, load: Callable[..., DataSet]
) -> None:
    write_parquet(tmp_path / "a" / "test-0.parquet", [0, 1])
    with pytest.raises(UserError, match=r"has no file for train, only test-0.parquet"):
        load(tmp_path / "a")
    write_parquet(tmp_path / "a" / "train-0.parquet", [0, 1] * 3, names=("x", "y"))
    with pytest.raises(UserError, match="test-0.parquet' has other class names than"):
        load(tmp_path / "a")
    write_parquet(tmp_path / "b" / "train-0.parquet", [0, 1] * 3)
    with pytest.raises(UserError, match="has Parquet files in 2 folders: a, b"):
        load(tmp_path)


@pytest.mark.parametrize(
    ("arrays", "message"),
    [
        ({}, "has nothing, not 'images' and 'labels'"),
        ({"pixels": noise(4, 8, 8)}, "has 'pixels', not 'images' and 'labels'.*numpy.savez"),
        ({"images": noise(6, 8, 8), "labels": np.arange(5)}, "6 images and 'labels' 5 labels"),
        ({"images": noise(6, 64), "labels": np.arange(6)}, r"shape \(6, 64\). Images must be"),
        ({"images": noise(6, 8, 8, 2), "labels": np.arange(6)}, r"shape \(6, 8, 8, 2\)"),
        ({"images": np.ones((6, 8, 8)), "labels": np.arange(6)}, r"is float64.*\* 255"),
        ({"images": noise(6, 8, 8), "labels": np.arange(6.0)}, "the labels are float64"),
        ({"images": noise(6, 8, 8).astype(int), "labels": np.arange(6)}, r"images.astype\('uint8'"),
        ({"images": noise(6, 8, 8) * 1.0, "labels": np.arange(6)}, r"images.round\(\).astype\('ui"),
        ({"images": np.full((6, 8, 8), 999), "labels": np.arange(6)}, r"999. .*astype\('uint16'"),
        ({"images": -np.ones((6, 8, 8)), "labels": np.arange(6)}, "-1 to -1. Bring them to 0-255"),
        ({"images": noise(6, 8, 8), "labels": np.arange(1, 7)}, "from 1 to 6. .*subtract 1 from"),
        ({"images": noise(6, 8, 8), "labels": np.arange(6) > 2}, "the labels are true or false"),
        (
            {"x_train": noise(4, 8, 8), "y_train": np.array(["7", "cat"] * 2)}
            | {"x_test": noise(2, 8, 8), "y_test": np.array([3, 3])},
            "words as labels, such as '7', and .*'y_test'.* has numbers, such as 3",
        ),
        ({"images": noise(6, 8, 8), "labels": np.eye(6)[:, :2].astype(int)}, r"shape \(6, 2\)"),
        ({"images": noise(6, 8, 8), "labels": [0, 1, -1] * 2}, "label -1 of image 2"),
        (
            {"images": noise(6, 8, 8), "labels": [0, 1, 2] * 2, "classes": ["a", "b"]},
            "label 2 of image 2 is outside 0 to 1",
        ),
        ({"images": noise(6, 8, 8), "labels": np.array([0, "a", None] * 2)}, "Python objects"),
        ({"images": noise(0, 8, 8), "labels": np.zeros(0, int)}, "train has no image"),
    ],
)
def test_an_npz_file_that_cannot_be_used_is_named(
    tmp_path: Path, load: Callable[..., DataSet], arrays: dict[str, object], message: str
) -> None:
    path = save_npz(tmp_path / "one.npz", **arrays)
    with pytest.raises(UserError, match=message) as caught:
        load(path)
    assert "one.npz" in str(caught.value)


@pytest.mark.parametrize(
    ("data", "message"),
    [
        ("digit-pair", "unknown data set 'digit-pair', and no file .* mean 'digit-pairs'.*path"),
        ("", "unknown data set ''"),
        ("a\0b", "unknown data set"),
        ("{tmp}/absent", "there is no such file or folder. Allowed: a folder of class folders"),
        ("absent.npz", "there is no such file or folder"),
        ("{tmp}/text.txt", "is a file of no kind that is known. Allowed"),
        ("{tmp}/flat", "holds 2 files and no folder: 'a.png', 'b.png'. Allowed"),
        ("{tmp}/empty", "the folder is empty. Allowed"),
        ("{tmp}/arrays", "holds 'a.npz'. Name the file itself"),
        ("image-folder", "needs a folder. Give its path"),
        ("parquet", "needs a file or folder"),
        ("npz", "needs a file"),
    ],
)
def test_what_is_no_data_is_refused_with_what_is_allowed(
    tmp_path: Path, load: Callable[..., DataSet], data: str, message: str
) -> None:
    for name in ("flat/a.png", "flat/b.png", "arrays/a.npz", "text.txt"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).touch()
    (tmp_path / "empty").mkdir()
    with pytest.raises(UserError, match=message):
        load(data.replace("{tmp}", str(tmp_path)))


def test_a_path_may_not_have_a_data_folder_too(
    tmp_path: Path, load: Callable[..., DataSet]
) -> None:
    root = write_classes(tmp_path / "in", {"a": 3, "b": 3})
    with pytest.raises(UserError, match="Leave out --data-dir"):
        load(root, data_dir=tmp_path)
    named = load("image-folder", data_dir=root)
    assert np.array_equal(named.train.images_NCHW, load(root).train.images_NCHW)


def test_a_name_wins_over_a_folder_of_that_name_and_a_path_does_not(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    write_classes(tmp_path / "digits", {"a": 1})
    assert absolute_if_path("digits") == "digits"
    assert absolute_if_path("./digits") == str(tmp_path / "digits")
    assert absolute_if_path("absent") == "absent"
    assert kind_of(tmp_path / "digits") == "image-folder"


def test_any_path_gives_a_label_for_file_names() -> None:
    assert label_of("digit-pairs") == "digit-pairs"
    assert label_of("/a b/Meine Bilder (2)/") == "Meine-Bilder-2"
    assert label_of("/data/train-0.parquet") == "train-0"
    assert label_of("/") == label_of("/.") == label_of("/äö") == "data"
