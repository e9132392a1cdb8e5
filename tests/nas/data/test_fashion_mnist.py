"""Finding and reading Fashion-MNIST's files, and what is said when they are missing or damaged."""

import gzip
import os
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from nas.data import MissingDataError, fashion_mnist, load_data
from nas.data._files import find_folder
from nas.data._idx import read_idx
from nas.data.fashion_mnist import CLASSES, INSTALLED, TEST_FILES, TRAIN_FILES
from search_spaces import UserError

ALL_FILES = TRAIN_FILES + TEST_FILES


def write_idx(path: Path, array: np.ndarray) -> bytes:
    """Write a gzipped IDX file; returns what is in it before packing."""
    header = bytes([0, 0, 8, array.ndim]) + np.array(array.shape, ">u4").tobytes()
    content = header + array.astype(np.uint8).tobytes()
    path.write_bytes(gzip.compress(content, 1))
    return content


@pytest.fixture
def small(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder with all four files, of 200 and 100 images, as if they were the whole data set."""
    for count, files in ((200, TRAIN_FILES), (100, TEST_FILES)):
        rng = np.random.default_rng(count)
        write_idx(tmp_path / files[0], rng.integers(0, 256, (count, 28, 28)))
        write_idx(tmp_path / files[1], np.arange(count) % 10)
    monkeypatch.setattr(fashion_mnist, "NUM_TRAIN_FILE_IMAGES", 200)
    monkeypatch.setattr(fashion_mnist, "NUM_TEST_FILE_IMAGES", 100)
    monkeypatch.setattr(fashion_mnist, "NUM_SEARCH_IMAGES", 50)
    monkeypatch.setattr(fashion_mnist, "INSTALLED", tmp_path / "not-installed")
    monkeypatch.delenv("NAS_DATA", raising=False)
    return tmp_path


def test_files_are_found_in_the_given_folder_and_in_nas_data(
    small: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    given = load_data("fashion-mnist", data_dir=small)
    monkeypatch.setenv("NAS_DATA", str(small))
    found = load_data("fashion-mnist")
    assert np.array_equal(given.train.images_NCHW, found.train.images_NCHW)
    assert (len(found.train), len(found.search), len(found.test)) == (150, 50, 100)


def test_a_sub_folder_of_the_data_sets_name_comes_first(tmp_path: Path) -> None:
    (tmp_path / "mine").mkdir()
    for folder in (tmp_path, tmp_path / "mine"):
        (folder / "file").touch()
    folder = find_folder(
        "mine", ["file"], data_dir=tmp_path, installed=tmp_path, package="dataset-mine"
    )
    assert folder == tmp_path / "mine"


def test_search_is_held_out_equally_from_every_class(small: Path) -> None:
    data = load_data("fashion-mnist", data_dir=small)
    assert set(np.bincount(data.search.labels_N)) == {5}
    assert set(np.bincount(data.train.labels_N)) == {15}
    assert data.can_flip


def test_images_may_be_resized(small: Path) -> None:
    data = load_data("fashion-mnist", data_dir=small, resolution=56)
    assert data.test.images_NCHW.shape == (100, 1, 56, 56)
    assert data.resize == "Pillow bilinear on uint8, 28 x 28 to 56 x 56"


def test_missing_files_folders_and_the_remedy_are_all_named(
    small: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (small / TRAIN_FILES[1]).unlink()
    monkeypatch.setenv("NAS_DATA", str(small / "elsewhere"))
    with pytest.raises(MissingDataError) as caught:
        load_data("fashion-mnist", data_dir=small)
    message = str(caught.value)
    assert all(file in message for file in ALL_FILES)
    assert f"'{small}': all but {TRAIN_FILES[1]}" in message
    assert f"'{small / 'elsewhere'}': no such folder" in message
    assert f"'{small / 'not-installed'}': no such folder" in message
    assert "apt-get install dataset-fashion-mnist" in message
    assert "--data-dir" in message


@pytest.mark.parametrize(
    ("damage", "complaint"),
    [
        (lambda content: gzip.compress(content)[:-20], "cannot be unpacked"),
        (lambda content: b"<html>not found</html>", "cannot be unpacked"),
        (lambda content: gzip.compress(content)[:40] + b"\xff" * 40, "cannot be unpacked"),
        (lambda content: b"", "starts with nothing instead of 00000803"),
        (lambda content: gzip.compress(b"\x89PNG" + content), "starts with 89504e47 instead of"),
        (lambda content: gzip.compress(content[:9]), "ends inside its header"),
        (lambda content: gzip.compress(content[:-1]), "holds 11 bytes of values instead of 12"),
        (lambda content: gzip.compress(content + b"!"), "holds 13 bytes of values instead of 12"),
    ],
    ids=["cut", "html", "garbled", "empty", "magic", "header", "short", "long"],
)
def test_a_damaged_file_is_named_with_what_is_wrong(
    tmp_path: Path, damage: Callable[[bytes], bytes], complaint: str
) -> None:
    path = tmp_path / "images.gz"
    content = write_idx(path, np.arange(12).reshape(3, 2, 2))
    assert np.array_equal(read_idx(path, (3, 2, 2)), np.arange(12).reshape(3, 2, 2))
    path.write_bytes(damage(content))
    with pytest.raises(UserError, match=f"data file '{path}' {complaint}.*fresh copy"):
        read_idx(path, (3, 2, 2))


def test_a_file_of_another_shape_is_refused(tmp_path: Path) -> None:
    write_idx(tmp_path / "images.gz", np.zeros((3, 2, 2)))
    with pytest.raises(UserError, match="holds 3 x 2 x 2 values instead of 3 x 2 x 4"):
        read_idx(tmp_path / "images.gz", (3, 2, 4))


def test_mnist_under_the_same_file_names_is_refused(small: Path) -> None:
    labels_N = np.arange(200) % 10
    labels_N[0] = 1
    write_idx(small / TRAIN_FILES[1], labels_N)
    with pytest.raises(UserError, match=f"'{small / TRAIN_FILES[1]}' is not Fashion-MNIST's"):
        load_data("fashion-mnist", data_dir=small)


def test_the_published_files_give_the_published_statistics() -> None:
    if not (INSTALLED / TRAIN_FILES[0]).is_file() and os.environ.get("CI") != "true":
        pytest.skip(f"'{INSTALLED}' is absent: apt-get install dataset-fashion-mnist")
    data = load_data("fashion-mnist")
    assert (len(data.train), len(data.search), len(data.test)) == (55_000, 5_000, 10_000)
    assert data.mean[0] == pytest.approx(0.2860, abs=0.001)
    assert data.std[0] == pytest.approx(0.3530, abs=0.001)
    assert set(np.bincount(data.search.labels_N)) == {500}
    assert data.classes == CLASSES
    shirts_N, boots_N = (data.test.labels_N == CLASSES.index(x) for x in ("Shirt", "Ankle boot"))
    top_rows = data.test.images_NCHW[:, 0, :4]
    assert top_rows[shirts_N].mean() > 4 * top_rows[boots_N].mean()
