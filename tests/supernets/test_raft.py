"""Which positions a RaftMLP mixes."""

import pytest
import torch

from search_spaces import Options, Shape
from supernets.mixers.raft import AxialMLP, PlainRaft
from supernets.network import plain_module
from tests.strategies import noise, randomise_, signature

SIZE, WIDTH = (6, 5), 8
PIXEL = (2, 4)


def reached(module: torch.nn.Module, *, channels_first: bool = False) -> torch.Tensor:
    """Which positions of the output change when one pixel of the input does: (H, W)."""
    x = noise(1, *SIZE, WIDTH)
    changed = x.clone()
    changed[0, PIXEL[0], PIXEL[1]] = noise(WIDTH, seed=5)
    with torch.no_grad():
        if channels_first:
            difference = module(x.permute(0, 3, 1, 2)) - module(changed.permute(0, 3, 1, 2))
            return difference.abs().amax((0, 1)) > 1e-6
        return (module(x) - module(changed)).abs().amax((0, 3)) > 1e-6


@pytest.mark.parametrize("is_vertical", [True, False])
def test_one_axis_mixes_one_column_or_one_row(is_vertical: bool) -> None:
    module = AxialMLP(WIDTH, SIZE, 2, is_vertical=is_vertical)
    randomise_(module, seed=0)
    expected = torch.zeros(SIZE, dtype=torch.bool)
    if is_vertical:
        expected[:, PIXEL[1]] = True
    else:
        expected[PIXEL[0]] = True
    assert torch.equal(reached(module), expected)


def test_column_then_row_reach_the_whole_map_after_one_block() -> None:
    spec = signature("raft", Options({"expand_ratio": 2}), Shape(SIZE, SIZE, WIDTH, WIDTH))
    mixer, block = PlainRaft(spec), plain_module(spec)
    randomise_(mixer, seed=0)
    randomise_(block, seed=0)
    assert reached(mixer).all()
    assert reached(block, channels_first=True).all()


def test_channels_mix_within_their_raft_only() -> None:
    """Behind the norm, which sees all channels, groups of two channels stay apart."""
    module = AxialMLP(WIDTH, SIZE, 2, is_vertical=True)
    randomise_(module, seed=0)
    module.norm = torch.nn.Identity()
    x = noise(1, *SIZE, WIDTH)
    changed = x.clone()
    changed[..., 4] += 1
    with torch.no_grad():
        difference = (module(x) - module(changed)).abs().amax((0, 1, 2))
    assert (difference > 1e-6).tolist() == [False] * 4 + [True] * 2 + [False] * 2


def test_rows_and_columns_mirror_each_other() -> None:
    vertical = AxialMLP(WIDTH, SIZE, 2, is_vertical=True)
    horizontal = AxialMLP(WIDTH, SIZE[::-1], 2, is_vertical=False)
    randomise_(vertical, seed=0)
    horizontal.load_state_dict(vertical.state_dict())
    x = noise(1, *SIZE, WIDTH)
    with torch.no_grad():
        torch.testing.assert_close(vertical(x), horizontal(x.transpose(1, 2)).transpose(1, 2))
