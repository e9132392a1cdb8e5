"""Images without labels: found whatever their folders are called, and as those with labels are."""

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from nas.data import DataSet
from nas.data._unlabelled import image_files, read_unlabelled
from search_spaces import UserError


def write(folder: Path, name: str, mode: str = "L", value: int = 7) -> None:
    path = folder / name
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.new(mode, (20, 16), value if mode == "L" else (value,) * 3).save(path)


def read(folder: Path, like: DataSet, *, skip: bool = False, held_gb: float = 1.0) -> np.ndarray:
    return read_unlabelled(
        folder, like, held_gb=held_gb, skip_corrupt=skip, progress=lambda done, of, text: None
    )


def test_images_are_found_at_any_depth_and_brought_to_the_size_of_the_others(
    tmp_path: Path, digits: DataSet
) -> None:
    write(tmp_path, "b.png", value=2)
    write(tmp_path, "a/deep/er/c.png", "RGB", value=1)
    (tmp_path / "notes.txt").write_text("no image")
    write(tmp_path, ".hidden.png")
    found = read(tmp_path, digits)
    assert found.dtype == np.uint8
    assert found.shape == (2, digits.channels, *digits.sides)
    assert found.max(axis=(1, 2, 3)).tolist() == [1, 2], "sorted by path"


def test_an_image_that_cannot_be_read_is_named_or_left_out(tmp_path: Path, digits: DataSet) -> None:
    write(tmp_path, "a.png")
    (tmp_path / "b.png").write_bytes(b"nothing")
    with pytest.raises(UserError, match=r"b\.png' cannot be read"):
        read(tmp_path, digits)
    assert len(read(tmp_path, digits, skip=True)) == 1


@pytest.mark.parametrize(("make", "message"), [(True, "has no image"), (False, "is not a folder")])
def test_a_folder_without_images_is_refused(tmp_path: Path, make: bool, message: str) -> None:
    folder = tmp_path / "images"
    if make:
        folder.mkdir()
    with pytest.raises(UserError, match=message):
        image_files(folder)


def test_more_images_than_memory_may_hold_are_refused(tmp_path: Path, digits: DataSet) -> None:
    write(tmp_path, "a.png")
    with pytest.raises(UserError, match=r"all must be held in memory"):
        read(tmp_path, digits, held_gb=1e-9)
