"""Tokens-to-token stem: overlapping patches become tokens, attention mixes them, and again.

Source: Yuan et al., Tokens-to-Token ViT: Training Vision Transformers from Scratch on ImageNet
(2021), section 3.1: soft splits of kernels 7, 3, 3 and strides 4, 2, 2; behind each but the last,
which a linear layer follows, a transformer layer with one head of 64 channels and an MLP without
expansion. Departures: a network here has stems of stride 1, 2 and 4, which have two soft splits of
kernel 3, so one layer of attention; its products are divided by the root of the tokens' channels
instead of the patches'; zeros pad a map to whole patches.
"""

from collections.abc import Iterator
from itertools import pairwise
from typing import ClassVar, NamedTuple, final

from search_spaces import _layers as layers
from search_spaces._sides import Sides
from search_spaces._slot import Cost, Signature
from search_spaces.operators._base import Mixing
from search_spaces.trunk._base import TRUNK, AbstractTrunk, Place

TOKEN_WIDTH = 64

SPLITS = {
    1: ((3, 1), (3, 1)),
    2: ((3, 2), (3, 1)),
    4: ((3, 2), (3, 2)),
    16: ((7, 4), (3, 2), (3, 2)),
}
"""Kernel and stride of every soft split, by the stem's stride; the last row is the paper's."""

SPLIT_CALLS = 2
"""Padding and putting side by side, besides a kernel for each row and each place of a patch."""

SLICE_NODES, SPLIT_NODES = 5, 30
"""In a file: of each of these kernels, with its bounds, and of all else."""


class Split(NamedTuple):
    """A soft split: every position takes the patch around it.

    Attributes:
        in_size: Height and width of the map that comes in.
        size: Of the map of patches.
        in_width: Channels that come in.
        kernel_size: Side of a patch.
        stride: Between patches.
    """

    in_size: Sides
    size: Sides
    in_width: int
    kernel_size: int
    stride: int

    @property
    def width(self) -> int:
        """Channels of a patch."""
        return self.kernel_size**2 * self.in_width

    @property
    def tokens(self) -> int:
        """How many patches."""
        return self.size[0] * self.size[1]


@final
@TRUNK.register
class TokensToToken(AbstractTrunk):
    """Soft splits with attention between them."""

    place: ClassVar[Place] = "stem"
    mixing: ClassVar[tuple[Mixing, ...]] = ("attention",)
    dims: ClassVar[tuple[str, ...]] = ("stride",)

    def cost(self, signature: Signature) -> Cost:
        """Attention over all tokens but those of the last split, which are projected."""
        cost = Cost(quantizers=1)
        for split, following in pairwise([*splits_of(signature), None]):
            assert split is not None
            cost += _split_cost(split)
            if following is None:
                cost += layers.linear(split.tokens, split.width, signature.shape.width)
                cost += layers.nodes(2)
            else:
                cost += _attention_cost(split.tokens, split.width)
        return cost


def splits_of(signature: Signature) -> Iterator[Split]:
    """The soft splits of a stem, in their order."""
    size, in_width = signature.shape.in_size, signature.shape.in_width
    for kernel_size, stride in SPLITS[signature.pick.number("stride")]:
        rows, columns = (-(-side // stride) for side in size)
        yield Split(size, (rows, columns), in_width, kernel_size, stride)
        size, in_width = (rows, columns), TOKEN_WIDTH


def _split_cost(split: Split) -> Cost:
    slices = split.kernel_size**2 + split.kernel_size
    copied = 4 * split.tokens * split.width
    own = Cost(elements=copied, calls=slices + SPLIT_CALLS, quantizers=1)
    return own + layers.nodes(SLICE_NODES * slices + SPLIT_NODES)


def _attention_cost(n: int, width: int) -> Cost:
    products = Cost(attention=2 * n * n * TOKEN_WIDTH, elements=2 * n * n, calls=3, quantizers=1)
    return (
        layers.layer_norm(n, width)
        + layers.unbiased(n, width, 3 * TOKEN_WIDTH)
        + products
        + layers.nodes(8)
        + layers.linear(n, TOKEN_WIDTH, TOKEN_WIDTH)
        + layers.layer_norm(n, TOKEN_WIDTH)
        + layers.linear(n, TOKEN_WIDTH, TOKEN_WIDTH)
        + layers.pointwise(n, TOKEN_WIDTH, quantizers=2)
        + layers.linear(n, TOKEN_WIDTH, TOKEN_WIDTH)
        + layers.pointwise(n, TOKEN_WIDTH, calls=4)
    )
