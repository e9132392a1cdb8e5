"""UniFormer's global block: positions, then attention to all positions.

Source: Li et al., UniFormer: Unifying Convolution and Self-attention for Visual Recognition (2022),
the block with a global relation aggregator, which is multi-head attention; the block with a local
one is `unilocal`. Departures: the number of heads is elastic at a fixed head size, as in `window`;
batch norm behind the convolution that tells positions, so that a fresh block is the identity; the
slot's channel part follows.
"""

from typing import final

from search_spaces._choice import Options
from search_spaces._slot import Cost, Shape, Signature
from search_spaces.operators._attention import AbstractAttention
from search_spaces.operators._base import OPERATORS
from search_spaces.operators.sra import SRA
from search_spaces.operators.unilocal import position_cost


@final
@OPERATORS.register
class UniGlobal(AbstractAttention):
    """Depthwise convolution for positions, then multi-head attention."""

    def mixer_normalise(self, pick: Options, shape: Shape) -> Options:
        """Attention is that of `sra` without a reduction."""
        return SRA().mixer_normalise(Options({**pick, "sr_ratio": 1}), shape)

    def mixer_cost(self, signature: Signature) -> Cost:
        """9 * pixels * width multiply-adds and those of attention."""
        shape = signature.shape
        return position_cost(shape.pixels, shape.width) + SRA().mixer_cost(signature)
