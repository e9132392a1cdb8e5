"""Positions along a side of a map, for weights that depend on where two of them are.

What depends on pairs of positions is made of learnt or stored numbers first and of differences
last: a file then has a number per position and a few nodes, which a runtime computes once, when it
loads the file, and no table of pairs.
"""

import torch
from torch import Tensor


def positions(side: int) -> Tensor:
    """0, 1, ... along a side, one row: (1, 1, side).

    Real on the meta device, too, because they are no part of a state.
    """
    with torch.device("cpu"):
        return torch.arange(side, dtype=torch.float32).reshape(1, 1, -1)
