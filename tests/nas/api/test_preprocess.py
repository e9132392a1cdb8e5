"""`nas.preprocess` makes of original files what the cache has of them, bit by bit."""

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image, ImageOps

import nas
from nas.data import DataSet, load_data
from nas.front.facts import input_rule
from tests.own_data import picture

SIDE = 16
DEEP = np.linspace(0, 65535, 24 * 24).reshape(24, 24).astype(np.uint16)

Write = Callable[[Path, int], object]


def turned(stem: Path, seed: int) -> None:
    exif = Image.Exif()
    exif[0x0112] = 6
    picture(seed, 40, 24).save(stem.with_suffix(".jpg"), exif=exif)


def see_through(stem: Path, seed: int) -> None:
    image = picture(seed, 24)
    image.putalpha(picture(seed + 1, 24).convert("L"))
    image.save(stem.with_suffix(".png"))


def deep(stem: Path, seed: int) -> None:
    Image.fromarray(np.roll(DEEP, seed)).save(stem.with_suffix(".png"))


def dim(stem: Path, seed: int) -> None:
    Image.fromarray(np.roll(DEEP // 17, seed)).save(stem.with_suffix(".png"))


def real(stem: Path, seed: int) -> None:
    values = np.random.default_rng(seed).uniform(-3, 9, (20, 20)).astype(np.float32)
    Image.fromarray(values).save(stem.with_suffix(".tif"))


def faint(stem: Path, seed: int) -> None:
    values = np.random.default_rng(seed).uniform(0, 0.5, (20, 20)).astype(np.float32)
    Image.fromarray(values).save(stem.with_suffix(".tif"))


def palette(stem: Path, seed: int) -> None:
    image = picture(seed, SIDE).convert("P", palette=Image.Palette.ADAPTIVE)
    image.save(stem.with_suffix(".png"), transparency=1)


def odd(stem: Path, seed: int) -> None:
    picture(seed, 23, 17).save(stem.with_suffix(".png"))


def shallow(stem: Path, seed: int) -> None:
    picture(seed, 19).convert("L").save(stem.with_suffix(".png"))


def dots(stem: Path, seed: int) -> None:
    picture(seed, 20).convert("1").save(stem.with_suffix(".png"))


KINDS: Mapping[str, tuple[Write, ...]] = {
    "RGB": (turned, see_through, deep, palette, odd),
    "grey": (deep, shallow, dots),
    "grey of 12 bits": (dim, dim, dim, shallow),
    "grey floats": (real, real, real, faint),
}
"""The files of each class, by what they make a data set."""


@pytest.fixture(params=[(kind, size) for kind in KINDS for size in (SIDE, "12x21")])
def data_of(request: pytest.FixtureRequest, tmp_path: Path) -> tuple[DataSet, list[Path]]:
    """A data set of two classes, and its files."""
    kind, size = request.param
    for number, label in enumerate("ab"):
        (tmp_path / "data" / label).mkdir(parents=True)
        for place, write in enumerate(KINDS[kind]):
            write(tmp_path / "data" / label / f"{place}", 100 * number + 10 * place)
    data = load_data(str(tmp_path / "data"), resolution=size, cache=tmp_path / "cache")
    assert data.resolution == size
    assert (data.channels == 1) == kind.startswith("grey")
    assert bool(data.ranges) == (kind in ("grey of 12 bits", "grey floats"))
    return data, sorted((tmp_path / "data").glob("*/*"))


def card_of(data: DataSet) -> dict[str, Any]:
    names = ("run", "name", "key", "space", "data")
    empty = {"encoding": [], "arch": {}, "policy": {}, "classes": [], "files": {}}
    card = {"schema": 1, **dict.fromkeys(names, "x"), **empty, "macs": 1, "params": 1}
    return {**card, "input": input_rule(data)}


def test_files_become_what_the_cache_has(data_of: tuple[DataSet, list[Path]]) -> None:
    data, files = data_of
    card = card_of(data)
    splits = (data.train, data.search, data.test)
    cached_N = np.concatenate([data.normalised(split.images_NCHW) for split in splits])
    labels_N = np.concatenate([split.labels_N for split in splits])
    assert len(files) == len(cached_N)
    found = set()
    for file in files:
        x_NCHW = nas.preprocess(card, file)
        assert (x_NCHW.shape, x_NCHW.dtype) == ((1, data.channels, *data.sides), np.float32)
        with Image.open(file) as image:
            assert np.array_equal(nas.preprocess(card, image), x_NCHW)
            assert image.getpixel((0, 0)) is not None, "it is left open"
        (same,) = np.flatnonzero((cached_N == x_NCHW).all((1, 2, 3)))
        assert data.classes[labels_N[same]] == file.parent.name
        found.add(same)
    assert len(found) == len(files)


def test_numpy_and_pillow_alone_find_the_same_pixels(data_of: tuple[DataSet, list[Path]]) -> None:
    """By what docs/classify.py does between opening a photo and the network, word for word."""
    data, files = data_of
    rule = card_of(data)["input"]
    text = (Path(__file__).parents[3] / "docs" / "classify.py").read_text(encoding="utf-8")
    start, end = text.index("height, width = "), text.index("session = ")
    for file in files:
        with Image.open(file) as image:
            if image.mode == "F":  # which it does not read
                continue
        names = {"rule": rule, "photo": file, "Image": Image, "ImageOps": ImageOps, "np": np}
        exec(text[start:end], names)
        x_NCHW = names["x_HWC"].transpose(2, 0, 1)[None].astype(np.float32)  # type: ignore[attr-defined]
        np.testing.assert_allclose(x_NCHW, nas.preprocess(card_of(data), file), atol=1e-5)


def test_arrays_are_as_files_and_what_is_none_is_refused(tmp_path: Path, digits: DataSet) -> None:
    card = card_of(digits)
    deep(tmp_path / "deep", 0)
    expected = nas.preprocess(card, tmp_path / "deep.png")
    for array in (DEEP, DEEP[..., None], DEEP[None]):
        assert np.array_equal(nas.preprocess(card, array), expected)
    rgb_HWC = np.asarray(picture(0, 24))
    of_last, of_first = (nas.preprocess(card, a) for a in (rgb_HWC, rgb_HWC.transpose(2, 0, 1)))
    assert np.array_equal(of_last, of_first)
    refused: tuple[tuple[Any, str], ...] = (
        (DEEP / 65535, r"'image' is float64\. Images must be uint8 or uint16\. Convert fractions"),
        (DEEP[0], r"has shape \(1, 24\)"),
        ([1], "image is list"),
        (tmp_path / "absent.png", r"absent\.png' is gone"),
    )
    for image, message in refused:
        with pytest.raises(nas.UserError, match=message):
            nas.preprocess(card, image)
    card["input"]["ranges"] = {"float": [1]}
    with pytest.raises(nas.UserError, match=r"'input\.ranges': 'float' is \[1\], not two numbers"):
        nas.preprocess(card, DEEP)
    card["input"]["shape"][1] = 4
    with pytest.raises(nas.UserError, match=r"'input\.shape' is \['batch', 4, 16, 16\]"):
        nas.preprocess(card, DEEP)


def test_the_card_says_the_whole_rule(digits: DataSet) -> None:
    rule = input_rule(digits)["resize"]
    for word in ("EXIF", "257", "white", "luma", "centre square", "bilinear", "antialiases"):
        assert word in rule
    assert rule.endswith(f"to 16 x 16. Resizing of this data set's images: {digits.resize}")
