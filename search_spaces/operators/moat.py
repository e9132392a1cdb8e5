"""Mobile convolution and attention: an inverted residual in place of the transformer's MLP.

Source: Yang et al., MOAT (2022), section 3.2: MBConv, then attention, each with a shortcut.
Departures: downsampling is a slot of its own; attention is always in windows, without shift,
because the depthwise convolution crosses their borders; norm and activation as in `mbconv`.
Batch norm follows each of the three convolutions, so the projection has no bias of its own; in
the paper one precedes the block, too, and none follows the projection, which has a bias.
"""

from typing import ClassVar, final

from search_spaces import _layers as layers
from search_spaces._choice import Options
from search_spaces._resolution import window_size
from search_spaces._sides import written_sides
from search_spaces._slot import Cost, Group, Shape, Signature
from search_spaces.norms._base import NORM, normalised_norm
from search_spaces.operators._base import OPERATORS, Mixing, effective_kernel_size
from search_spaces.operators._normed import AbstractNormedBlock
from search_spaces.operators.mbconv import MBConv, expanded_group
from search_spaces.operators.window import Window


@final
@OPERATORS.register
class MOAT(AbstractNormedBlock):
    """`mbconv`, then window attention; no channel MLP."""

    mixing: ClassVar[tuple[Mixing, ...]] = ("convolution", "attention")
    dims: ClassVar[tuple[str, ...]] = ("kernel_size", "expand_ratio", "num_heads", NORM)

    def normalise(self, pick: Options, shape: Shape) -> Options:
        """Kernels larger than the map reaches are one kernel; adds the window's sides."""
        return Options(
            {
                "kernel_size": effective_kernel_size(pick.number("kernel_size"), shape.size),
                "expand_ratio": pick["expand_ratio"],
                "eca": 0,
                "num_heads": pick["num_heads"],
                "head_dim": shape.head_dim,
                "window_size": written_sides(window_size(shape.size)),
                "shift": 0,
                **normalised_norm(pick),
            }
        )

    def groups(self, pick: Options, shape: Shape) -> dict[str, Group]:
        """Expanded channels and whole heads."""
        heads = Group(pick.number("num_heads"), 1)
        return {"hidden": expanded_group(pick, shape), "heads": heads}

    def cost(self, signature: Signature) -> Cost:
        """The sum of its two halves and the second shortcut."""
        shape = signature.shape
        shortcut = layers.pointwise(shape.pixels, shape.width, quantizers=1)
        return MBConv().cost(signature) + Window().mixer_cost(signature) + shortcut
