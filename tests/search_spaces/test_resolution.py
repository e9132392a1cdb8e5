"""One rule from resolution to maps and windows."""

import itertools

import pytest
from hypothesis import given
from hypothesis import strategies as st

from search_spaces import UserError, resolution_of, written_sides
from search_spaces._resolution import halved, pyramid, window_side, window_size

images = st.tuples(st.integers(16, 256), st.integers(16, 256))


def squares(sizes: tuple[tuple[int, int], ...]) -> tuple[int, ...]:
    assert all(height == width for height, width in sizes)
    return tuple(height for height, _ in sizes)


def test_the_last_map_is_4_to_8_pixels_for_every_resolution() -> None:
    for resolution in range(16, 257):
        assert 4 <= squares(pyramid(resolution).sizes)[-1] <= 8, resolution


def test_maps_halve_and_there_are_at_most_four() -> None:
    for resolution in range(16, 257):
        sizes = squares(pyramid(resolution).sizes)
        assert 1 <= len(sizes) <= 4
        assert all(b == -(-a // 2) for a, b in itertools.pairwise(sizes))


@given(images)
def test_the_shorter_side_decides_and_both_are_divided_alike(sides: tuple[int, int]) -> None:
    found, of_square = pyramid(written_sides(sides)), pyramid(min(sides))
    assert found.stem_stride == of_square.stem_stride
    assert [min(size) for size in found.sizes] == [*squares(of_square.sizes)]
    first = found.stem_stride.bit_length() - 1
    for i, size in enumerate(found.sizes):
        assert size == tuple(halved(side, times=first + i) for side in sides)


@given(images)
def test_a_size_has_one_way_to_be_written(sides: tuple[int, int]) -> None:
    height, width = sides
    assert resolution_of(f"{height}x{width}") == resolution_of([height, width])
    assert resolution_of(sides) == (height if height == width else f"{height}x{width}")
    assert resolution_of(str(height)) == resolution_of(height) == resolution_of((height, height))


WRONG = ("96x", "x96", "0x3", "96*128", "1e3", "-8", "96x128x3", "96 x 128", "10001", "9" * 99, "")


@pytest.mark.parametrize("size", [*WRONG, True, None, 9.0, (), (8,) * 3, "\u0663\u0662"])
def test_what_is_no_size_is_refused_with_what_is_one(size: object) -> None:
    with pytest.raises(UserError, match=r"is not a size in pixels. Allowed: .* such as 96x128"):
        resolution_of(size)


@pytest.mark.parametrize(
    ("resolution", "stride", "sizes"),
    [
        (16, 2, (8, 4)),
        (28, 2, (14, 7, 4)),
        (32, 2, (16, 8, 4)),
        (64, 2, (32, 16, 8, 4)),
        (95, 2, (48, 24, 12, 6)),
        (96, 4, (24, 12, 6)),
        (224, 4, (56, 28, 14, 7)),
    ],
)
def test_usual_resolutions_have_usual_maps(
    resolution: int, stride: int, sizes: tuple[int, ...]
) -> None:
    found = pyramid(resolution)
    assert (found.stem_stride, squares(found.sizes)) == (stride, sizes)


@pytest.mark.parametrize(
    ("resolution", "stride", "sizes"),
    [(32, 1, (32, 16, 8)), (32, 2, (16, 8, 4)), (28, 1, (28, 14, 7)), (224, 2, (112, 56, 28, 14))],
)
def test_another_stem_changes_the_maps_and_not_the_stages(
    resolution: int, stride: int, sizes: tuple[int, ...]
) -> None:
    found = pyramid(resolution, stride)
    assert (found.stem_stride, squares(found.sizes)) == (stride, sizes)
    assert len(sizes) == len(pyramid(resolution).sizes)


@pytest.mark.parametrize("resolution", [-1, 0, 15, 257, 1024, "8x32", "32x300"])
def test_other_resolutions_are_refused_with_the_range(resolution: int | str) -> None:
    with pytest.raises(UserError, match=rf"resolution {resolution} px is outside 16-256 px"):
        pyramid(resolution)


@given(st.integers(4, 64))
def test_windows_divide_the_map_if_any_of_4_to_8_does(side: int) -> None:
    window = window_side(side)
    assert window_size((side, 9)) == (window, 9)
    if side <= 9:
        assert window == side
    elif any(side % candidate == 0 for candidate in (4, 5, 6, 7, 8)):
        assert side % window == 0
        assert 4 <= window <= 8
    else:
        assert window == 7
