"""Which positions see which, by block, and how many pairs a kernel of tiles computes for it."""

import pytest

from search_spaces._blocked import BlockedSide, neighbourhoods, shifted_tiles, tiled_speedup, tiles

LENGTHS = (4, 7, 11, 12, 16)
NEIGHBOURHOODS = [
    (length, keys, dilation, stride)
    for length in LENGTHS
    for keys in (3, 4, 5, 7)
    for dilation in (1, 2, 3)
    for stride in (1, 2, 3, 7)
    if keys * dilation <= length and stride <= keys
]
SIDES = [
    *(neighbourhoods(*each) for each in NEIGHBOURHOODS),
    *(tiles(length, part) for length, part in ((12, 4), (11, 7), (9, 9))),
    *(tiles(length, part, halo) for length, part, halo in ((12, 4, 3), (11, 7, 4), (16, 8, 1))),
    *(shifted_tiles(length, part, 3) for length, part in ((12, 4), (11, 7), (16, 8))),
]


def nearest(position: int, length: int, keys: int, dilation: int) -> list[int]:
    """As the paper has it: of the positions of one residue class the ones that are nearest."""
    own = range(position % dilation, length, dilation)
    return sorted(sorted(own, key=lambda key: abs(key - position))[:keys])


@pytest.mark.parametrize(("length", "keys", "dilation", "stride"), NEIGHBOURHOODS)
def test_positions_of_a_group_see_the_keys_nearest_to_its_middle(
    length: int, keys: int, dilation: int, stride: int
) -> None:
    side = neighbourhoods(length, keys, dilation, stride)
    assert not side.has_hidden
    for position in range(length):
        own = list(range(position % dilation, length, dilation))
        first = own.index(position) // stride * stride
        middle = own[min(first + stride // 2, len(own) - 1)]
        found = list(side.seen(position))
        assert len(found) == keys
        assert position in found
        if keys % 2:  # an even window has one position more on the left
            assert found == nearest(middle, length, keys, dilation)


@pytest.mark.parametrize("side", SIDES, ids=lambda side: f"{side.length}-{side.num_keys}")
def test_every_position_is_asked_for_once_and_every_offset_occurs(side: BlockedSide) -> None:
    assert [side.query_index[place] for place in side.answer_index] == list(range(side.length))
    used = {
        side.offset_index[place // side.num_queries][
            place % side.num_queries * side.num_keys + number
        ]
        for place in side.answer_index
        for number in range(side.num_keys)
    }
    assert used - {side.num_offsets} == set(range(side.num_offsets))


def test_windows_side_by_side_need_no_looking_up() -> None:
    for side in (tiles(12, 4), neighbourhoods(12, 4, 1, 4)):
        assert side.query_index == side.key_index == side.answer_index == tuple(range(12))
        assert side.is_uniform


@pytest.mark.parametrize("tile", [1, 2, 3, 4, 8])
def test_tiles_never_compute_fewer_pairs_than_there_are(tile: int) -> None:
    for rows in SIDES:
        pairs = sum(len(rows.seen(position)) for position in range(rows.length))
        ratio = rows.length**2 / pairs
        bound = tiled_speedup(rows, rows, (tile, tile), (tile, tile))
        assert bound <= ratio**2 + 1e-9
        if tile == 1:
            assert bound == pytest.approx(ratio**2)


def test_tiles_that_are_windows_compute_nothing_else() -> None:
    side = tiles(16, 4)
    assert tiled_speedup(side, side, (4, 4), (4, 4)) == 16
    assert tiled_speedup(side, side, (4, 4), (2, 1)) == 16
    sliding, strided = neighbourhoods(16, 4), neighbourhoods(16, 4, 1, 4)
    assert tiled_speedup(strided, strided, (4, 4), (4, 4)) == 16
    assert tiled_speedup(sliding, sliding, (4, 4), (4, 4)) < 3


def test_dilated_sides_are_tiled_by_themselves() -> None:
    dilated, alone = neighbourhoods(16, 3, 2), neighbourhoods(8, 3)
    of_one = tiled_speedup(alone, alone, (2, 2), (2, 2))
    assert tiled_speedup(dilated, dilated, (2, 2), (2, 2)) == pytest.approx(4 * of_one)
