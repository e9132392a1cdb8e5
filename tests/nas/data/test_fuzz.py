"""Whatever the bytes of a file, loading gives images or one message, never another exception."""

import gzip
import io
from collections.abc import Iterator
from functools import cache
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from nas.data import load_data
from nas.data._decode import decode, quietly, read_header
from nas.data._idx import read_idx
from search_spaces import UserError
from tests.own_data import encoded, picture, write_parquet

KINDS = ("PNG", "JPEG", "GIF", "BMP", "TIFF", "WEBP", "PPM", "TGA")
FEW = settings(max_examples=40, suppress_health_check=[HealthCheck.function_scoped_fixture])
MANY = settings(max_examples=150)


@cache
def sound(kind: str) -> bytes:
    return encoded(picture(0, 12), kind)


@cache
def sound_parquet(folder: Path) -> bytes:
    return write_parquet(folder / "sound.parquet", [0, 1] * 4).read_bytes()


@cache
def sound_npz() -> bytes:
    stream = io.BytesIO()
    images = np.random.default_rng(0).integers(0, 256, (8, 8, 8), np.uint8)
    np.savez_compressed(stream, images=images, labels=np.arange(8) % 2)
    return stream.getvalue()


@st.composite
def damages(draw: st.DrawFn) -> list[tuple[float, bytes]]:
    """Where (a fraction of the file) which bytes are put; a place of 1 or more cuts the file."""
    place = st.floats(0, 0.999) | st.floats(0, 0.1) | st.floats(0.9, 0.999)
    return draw(st.lists(st.tuples(place, st.binary(max_size=6)), min_size=1, max_size=4))


def damaged(content: bytes, damage: list[tuple[float, bytes]]) -> bytes:
    for place, put in damage:
        start = int(place * len(content))
        content = (
            content[:start] if not put else content[:start] + put + content[start + len(put) :]
        )
    return content


@pytest.fixture(autouse=True)
def without_warnings() -> Iterator[None]:
    with quietly():
        yield


def decoded(content: bytes) -> None:
    """Passes if there are pixels or a user's error."""
    try:
        header = read_header(content, "x")
        pixels = decode(content, "x", is_grey=header.is_grey, resolution=8)
    except UserError as error:
        assert str(error).startswith("data file 'x' cannot be read: ")
        assert "\n" not in str(error)
        assert " object at 0x" not in str(error)
    else:
        assert pixels.shape == (1 if header.is_grey else 3, 8, 8)
        assert pixels.dtype == np.uint8


@MANY
@given(kind=st.sampled_from(KINDS), damage=damages())
def test_a_damaged_image_is_pixels_or_a_message(
    kind: str, damage: list[tuple[float, bytes]]
) -> None:
    decoded(damaged(sound(kind), damage))


@MANY
@given(start=st.sampled_from([b"", *(sound(kind)[:12] for kind in KINDS)]), rest=st.binary())
@example(start=b"", rest=b"")
def test_random_bytes_are_pixels_or_a_message(start: bytes, rest: bytes) -> None:
    decoded(start + rest)


def loaded(path: Path, content: bytes) -> None:
    path.write_bytes(content)
    try:
        data = load_data(str(path), cache=path.parent / "cache")
    except UserError as error:
        assert path.name in str(error)
        assert str(error).count("\n") == 0
    else:
        assert len(data.train) + len(data.search) + len(data.test) > 0


@FEW
@given(damage=damages())
@example(damage=[(0.0, b"")])
def test_a_damaged_parquet_file_is_a_data_set_or_a_message(
    tmp_path: Path, damage: list[tuple[float, bytes]]
) -> None:
    loaded(tmp_path / "some.parquet", damaged(sound_parquet(tmp_path), damage))


@FEW
@given(damage=damages())
@example(damage=[(0.0, b"")])
def test_a_damaged_npz_file_is_a_data_set_or_a_message(
    tmp_path: Path, damage: list[tuple[float, bytes]]
) -> None:
    loaded(tmp_path / "some.npz", damaged(sound_npz(), damage))


@FEW
@given(damage=damages())
def test_a_damaged_idx_file_is_the_images_or_a_message(
    tmp_path: Path, damage: list[tuple[float, bytes]]
) -> None:
    images = np.random.default_rng(0).integers(0, 256, (4, 3, 3), np.uint8)
    header = bytes([0, 0, 8, 3]) + np.array(images.shape, ">u4").tobytes()
    content = gzip.compress(header + images.tobytes(), mtime=0)
    path = tmp_path / "some.gz"
    path.write_bytes(damaged(content, damage))
    try:
        assert np.array_equal(read_idx(path, (4, 3, 3)), images)
    except UserError as error:
        assert str(error).startswith(f"data file '{path}' ")


@FEW
@given(content=st.binary(max_size=300))
def test_random_files_are_messages(tmp_path: Path, content: bytes) -> None:
    for suffix in (".npz", ".parquet"):
        loaded(tmp_path / f"random{suffix}", content)
