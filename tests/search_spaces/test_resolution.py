"""One rule from resolution to maps and windows."""

import itertools

import pytest
from hypothesis import given
from hypothesis import strategies as st

from search_spaces import UserError
from search_spaces._resolution import pyramid, window_side, window_size

resolutions = st.integers(16, 256)


def test_the_last_map_is_4_to_8_pixels_for_every_resolution() -> None:
    for resolution in range(16, 257):
        assert 4 <= pyramid(resolution).sizes[-1] <= 8, resolution


def test_maps_halve_and_there_are_at_most_four() -> None:
    for resolution in range(16, 257):
        sizes = pyramid(resolution).sizes
        assert 1 <= len(sizes) <= 4
        assert all(b == -(-a // 2) for a, b in itertools.pairwise(sizes))


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
    assert (found.stem_stride, found.sizes) == (stride, sizes)


@pytest.mark.parametrize(
    ("resolution", "stride", "sizes"),
    [(32, 1, (32, 16, 8)), (32, 2, (16, 8, 4)), (28, 1, (28, 14, 7)), (224, 2, (112, 56, 28, 14))],
)
def test_another_stem_changes_the_maps_and_not_the_stages(
    resolution: int, stride: int, sizes: tuple[int, ...]
) -> None:
    found = pyramid(resolution, stride)
    assert (found.stem_stride, found.sizes) == (stride, sizes)
    assert len(sizes) == len(pyramid(resolution).sizes)


@pytest.mark.parametrize("resolution", [-1, 0, 15, 257, 1024])
def test_other_resolutions_are_refused_with_the_range(resolution: int) -> None:
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
