"""Values of more than eight bits: one black and one white for all images of a data set."""

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from nas.data import DataSet, identity, load_data
from nas.data._ranges import FLOAT, WHOLE, eight_bit, range_of, read_ranges
from nas.front.facts import input_rule
from nas.prepare.inputs import describe_data

SIDE = 16
RAMP = np.linspace(0, 1, SIDE * SIDE, dtype=np.float32).reshape(SIDE, SIDE)


@pytest.mark.parametrize(
    ("kind", "ends", "expected"),
    [
        (WHOLE, (0, 65535), None),
        (WHOLE, (7, 16384), None),
        (WHOLE, (7, 16383), (0, 16383)),
        (WHOLE, (7, 4096), (0, 4096)),
        (WHOLE, (7, 4095), (0, 4095)),
        (WHOLE, (7, 1000), (0, 1000)),
        (WHOLE, (0, 0), None),
        (FLOAT, (0, 0.5), (0, 1)),
        (FLOAT, (0, 1.5), (0, 255)),
        (FLOAT, (0, 256), (0, 256)),
        (FLOAT, (10, 300), (10, 300)),
        (FLOAT, (-1, 1), (-1, 1)),
        (FLOAT, (-2, -2), (-2, -1)),
    ],
)
def test_training_images_decide_what_is_black_and_white(
    kind: str, ends: tuple[float, float], expected: tuple[float, float] | None
) -> None:
    assert range_of(kind, *ends) == expected


def test_values_beyond_are_black_or_white() -> None:
    values = np.array([[-9, -3, 3, 9, 99]], np.float32)
    assert eight_bit(values, FLOAT, {FLOAT: (-3.0, 9.0)}).tolist() == [[0, 0, 128, 255, 255]]
    dark = np.array([[0, 500, 1000, 65535]], np.uint16)
    assert eight_bit(dark, WHOLE, {WHOLE: (0.0, 1000.0)}).tolist() == [[0, 128, 255, 255]]
    assert eight_bit(dark, WHOLE, {}).tolist() == [[0, 2, 4, 255]]
    with pytest.raises(ValueError, match="from nan to nan"):
        eight_bit(values * np.nan, FLOAT, {FLOAT: (-3.0, 9.0)})


@pytest.mark.parametrize(
    "document",
    [3, {"16-bit": 3}, {"16-bit": [1]}, {"float": [1, 1]}, {"float": ["0", 1]}, {"x": [0, 1]}],
)
def test_ranges_that_are_none_are_refused(document: object) -> None:
    with pytest.raises(ValueError, match="it is|is .*, not|known are"):
        read_ranges(document)


def written(root: Path, high: float, kind: type) -> Path:
    """Two classes whose training images reach `high`; one image of test goes beyond."""
    suffix = "tif" if kind is np.float32 else "png"
    for split, count in (("train", 4), ("val", 1), ("test", 1)):
        for label in "ab":
            folder = root / split / label
            folder.mkdir(parents=True)
            for number in range(count):
                beyond = 2 if (split, label) == ("test", "b") else 1
                values = np.roll(RAMP, 9 * number + (label == "b")) * high * beyond
                Image.fromarray(values.astype(kind)).save(folder / f"{number}.{suffix}")
    return root


def loaded(root: Path, cache: Path) -> DataSet:
    return load_data(str(root), cache=cache)


@pytest.mark.parametrize(
    ("high", "kind", "white", "said"),
    [
        (1000, np.uint16, 1000, "16-bit values of 10 bits from 0 to 1000 become 0 to 255"),
        (4095, np.uint16, 4095, "16-bit values of 12 bits from 0 to 4095 become 0 to 255"),
        (16000, np.uint16, 16000, "16-bit values of 14 bits from 0 to 16000 become 0 to 255"),
        (20000, np.uint16, 65535, ""),
        (1.0, np.float32, 1, "float values from 0 to 1 become 0 to 255"),
        (250.0, np.float32, 255, "float values from 0 to 255 become 0 to 255"),
        (300.0, np.float32, 300, "float values from 0 to 300 become 0 to 255"),
    ],
)
def test_a_data_set_has_one_rule_which_is_said_and_repeated(
    tmp_path: Path, high: float, kind: type, white: float, said: str
) -> None:
    root = written(tmp_path / "in", high, kind)
    data = loaded(root, tmp_path / "cache")
    assert dict(data.ranges) == ({said.partition(" ")[0]: (0, white)} if said else {})
    assert said in describe_data(data)
    (first,) = (root / "train" / "a").glob("0.*")
    values = np.asarray(Image.open(first))
    expected = np.rint(values * (255 / white)).astype(np.uint8)
    assert (data.train.images_NCHW == expected).all((1, 2, 3)).any()
    assert data.test.images_NCHW.max() == min(255, round(2 * high * 255 / white))
    rule = input_rule(data)
    assert rule.get("ranges", {}) == {name: list(pair) for name, pair in data.ranges.items()}
    assert ("rint(v / 257)" in rule["resize"]) == (WHOLE not in data.ranges)
    assert not said or f"become rint(255 * (v - 0) / {white:g})" in rule["resize"]


def test_arrays_are_scaled_as_files_are(tmp_path: Path) -> None:
    root = written(tmp_path / "in", 1000, np.uint16)
    of_files = loaded(root, tmp_path / "cache")
    arrays = {}
    for split in ("train", "val", "test"):
        files = sorted((root / split).rglob("*.png"))
        arrays[f"{split}_images"] = np.stack([np.asarray(Image.open(file)) for file in files])
        arrays[f"{split}_labels"] = np.array([int(file.parent.name == "b") for file in files])
    np.savez(tmp_path / "in.npz", **arrays)
    of_arrays = loaded(tmp_path / "in.npz", tmp_path / "cache")
    assert of_arrays.ranges == of_files.ranges == {WHOLE: (0, 1000)}
    assert np.array_equal(of_arrays.train.images_NCHW, of_files.train.images_NCHW)


def test_runs_of_earlier_versions_are_not_asked_for_ranges(tmp_path: Path) -> None:
    data = loaded(written(tmp_path / "in", 250.0, np.float32), tmp_path / "cache")
    facts = identity(data)
    assert facts["ranges"] == {FLOAT: [0, 255]}
    kept = {name: value for name, value in facts.items() if name != "ranges"}
    assert identity(data, kept) == kept
    assert identity(data, facts) == facts
