"""Convolution, attention and mixer blocks in one network: the default space.

Every block of every stage is an inverted residual, a ConvNeXt block, shifted-window attention or a
RaftMLP. Widths double from stage to stage. Two scales: narrow below 96 px, wide from there on.
"""

from typing import final

from search_spaces._base import SPACES, AbstractSpace
from search_spaces._network import Stage, Staged
from search_spaces._resolution import pyramid
from search_spaces._space import SearchSpace

SMALL_WIDTHS, SMALL_HEADS, SMALL_HEAD_DIM = (16, 24, 40), (1, 2, 3), 16
LARGE_WIDTHS, LARGE_HEADS, LARGE_HEAD_DIM = (48, 64, 96, 112), (1, 2, 3, 4), 32
DEPTHS, LONG_DEPTHS = (1, 2, 3), (2, 4, 6, 9)
LONG_STAGE = 2


@final
@SPACES.register
class Hybrid(AbstractSpace):
    """`mbconv`, `convnext`, `window` and `raft` in every block."""

    def build(self, *, resolution: int, channels: int, num_classes: int) -> SearchSpace:
        """Depths 1-3; from 96 px on the third of four stages has up to 9 blocks."""
        sizes = pyramid(resolution).sizes
        is_large = resolution >= 96
        widths, heads, head_dim = (
            (LARGE_WIDTHS, LARGE_HEADS, LARGE_HEAD_DIM)
            if is_large
            else (SMALL_WIDTHS, SMALL_HEADS, SMALL_HEAD_DIM)
        )
        stages = []
        for i in range(len(sizes)):
            is_long = is_large and i == LONG_STAGE and len(sizes) > LONG_STAGE + 1
            options = (
                ("kernel_size", (3, 5, 7)),
                ("expand_ratio", (2, 3, 4)),
                ("num_heads", tuple(count * 2**i for count in heads)),
            )
            stages.append(
                Stage(
                    widths=tuple(width * 2**i for width in widths),
                    depths=LONG_DEPTHS if is_long else DEPTHS,
                    operators=("mbconv", "convnext", "window", "raft"),
                    options=options,
                    head_dim=head_dim,
                )
            )
        network = Staged(
            resolution=resolution,
            channels=channels,
            num_classes=num_classes,
            stages=tuple(stages),
        )
        return SearchSpace.of_network("hybrid", network)
