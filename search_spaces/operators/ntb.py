"""Next-ViT's transformer block: attention of most channels, a grouped convolution of the others.

Source: Li et al., Next-ViT: Next Generation Vision Transformer for Efficient Deployment in
Realistic Industrial Scenarios (2022), section 3.3. Three quarters of the channels attend, with keys
and values from a pooled map; what comes of it is mapped to the other channels, which then are
convolved as in `ncb`; its MLP follows. All norms are batch norms that become a part of a
convolution. Departures: the other channels keep what came in, to which the mapped ones are added,
and there is no convolution to three quarters before, so a block can start as the identity; narrow
maps leave up to a half to convolutions, if these fill a group with it; pooling is of squares of the
map, which divide it; keys and values have a batch norm of their own, which stands for those before
and behind pooling; as in `ncb` otherwise.
"""

from typing import ClassVar, final

from search_spaces import _layers as layers
from search_spaces._choice import Options
from search_spaces._slot import Cost, Group, Shape, Signature
from search_spaces.operators._attention import attended
from search_spaces.operators._base import OPERATORS, AbstractBlock, Mixing, hidden_group
from search_spaces.operators.ncb import mix_cost, mlp_cost
from search_spaces.operators.sra import dividing_ratio

CONVOLVED_SHARE = 4
"""One in so many channels is convolved."""


@final
@OPERATORS.register
class NTB(AbstractBlock):
    """Pooled attention and a grouped convolution on different channels, then an MLP.

    Groups have as many channels as heads of the stage.
    """

    mixing: ClassVar[tuple[Mixing, ...]] = ("convolution", "attention")
    dims: ClassVar[tuple[str, ...]] = ("expand_ratio", "sr_ratio")

    def normalise(self, pick: Options, shape: Shape) -> Options:
        """The reduction is lowered as in `sra`."""
        ratio = dividing_ratio(pick.number("sr_ratio"), shape.size)
        return Options({"expand_ratio": pick["expand_ratio"], "sr_ratio": ratio})

    def groups(self, pick: Options, shape: Shape) -> dict[str, Group]:
        """Hidden channels of the MLP, and whole heads, which are as many as fill the channels."""
        attended, _ = parts_of(shape)
        heads = max(1, attended // shape.head_dim)
        return {"hidden": hidden_group(pick, shape), "heads": Group(heads, 1)}

    def cost(self, signature: Signature) -> Cost:
        """Multiply-adds of `ncb`, with fewer channels convolved, and those of attention.

        These are attended * (pixels * (2 * inner + convolved) + 2 * keys * inner) and
        2 * pixels * keys * inner, with keys = pixels / ratio ** 2.
        """
        shape = signature.shape
        n, (attended, convolved) = shape.pixels, parts_of(shape)
        return (
            layers.pointwise(n, shape.width, calls=2, quantizers=3)
            + _attention(signature, attended)
            + layers.conv(n, attended, convolved, 1)
            + layers.pointwise(n, convolved, quantizers=1)
            + mix_cost(n, convolved, shape.head_dim)
            + mlp_cost(signature)
        )


def parts_of(shape: Shape) -> tuple[int, int]:
    """Channels that attend and channels that are convolved; neither is fewer of a wider map."""
    convolved = max(shape.width // CONVOLVED_SHARE, min(shape.head_dim, shape.width // 2))
    return shape.width - convolved, convolved


def _attention(signature: Signature, width: int) -> Cost:
    shape, heads = signature.shape, signature.kept.number("heads")
    ratio, n = signature.pick.number("sr_ratio"), shape.pixels
    inner, keys = heads * shape.head_dim, n // ratio**2
    pooled = layers.pointwise(keys, width, quantizers=1) if ratio > 1 else Cost()
    return (
        pooled
        + layers.normed_conv(n, width, inner)
        + layers.normed_conv(keys, width, 2 * inner)
        + attended(n, keys, heads, inner)
        + layers.pointwise(n, inner, calls=3, quantizers=1)
        + layers.nodes(5)
        + layers.plain_conv(n, inner, width, 1)
        + layers.pointwise(n, width, quantizers=1)
    )
