"""SpaRTAN's token mixer: kernels of several dilations, then channels added up like waves.

Source: SpaRTAN: Spatial Reinforcement Token-based Aggregation Network for Visual Recognition
(2025), whose formulas we do not know. Ours: half of the channels see a depthwise kernel, a quarter
each one with dilation 2 and 3. What they give is the amplitude x of a wave whose phase p a linear
layer reads from it, and x cos p and x sin p are projected, so that channels reinforce or cancel
each other. The slot's channel part follows and needs a smaller expansion for it.
"""

from typing import ClassVar, final

from search_spaces import _layers as layers
from search_spaces._choice import Options
from search_spaces._errors import CandidateError
from search_spaces._slot import Cost, Group, Shape, Signature
from search_spaces.operators._base import OPERATORS, AbstractMixer, Mixing, effective_kernel_size

DILATIONS = (1, 2, 3)


@final
@OPERATORS.register
class SpaRTAN(AbstractMixer):
    """Depthwise kernels of three dilations side by side, and waves of channels."""

    mixing: ClassVar[tuple[Mixing, ...]] = ("convolution",)
    mixer_dims: ClassVar[tuple[str, ...]] = ("kernel_size",)

    def mixer_normalise(self, pick: Options, shape: Shape) -> Options:
        """Kernels larger than the map reaches are one; of dilated ones its shorter side decides."""
        if shape.width < 4:
            raise CandidateError(
                f"operator 'spartan' splits channels into a half and two quarters, and there are "
                f"{shape.width}. Offer widths of 4 or more."
            )
        wanted, reach = pick.number("kernel_size"), min(shape.size) - 1
        dilated = {
            kernel_name(dilation): min(wanted, 2 * (reach // dilation) + 1)
            for dilation in DILATIONS[1:]
        }
        return Options({kernel_name(1): effective_kernel_size(wanted, shape.size), **dilated})

    def mixer_groups(self, pick: Options, shape: Shape) -> dict[str, Group]:
        """None: phases and projection belong to the residual stream's channels."""
        return {}

    def mixer_cost(self, signature: Signature) -> Cost:
        """pixels * (3 * width ** 2 + channels of every dilation * its kernel_size ** 2)."""
        n, width = signature.shape.pixels, signature.shape.width
        cost = (
            layers.layer_norm(n, width)
            + layers.linear(n, width, width)
            + layers.linear(n, 2 * width, width)
            + layers.pointwise(n, width, calls=9, quantizers=5)
            + layers.nodes(3)
        )
        for channels, kernel_size in zip(
            branch_widths(width), kernel_sizes(signature.pick), strict=True
        ):
            cost += layers.depthwise(n, channels, kernel_size, has_norm=False)
        return cost


def kernel_name(dilation: int) -> str:
    """Name of what a pick says of the kernel of this dilation."""
    return "kernel_size" if dilation == 1 else f"dilated{dilation}"


def kernel_sizes(pick: Options) -> list[int]:
    """Of every dilation."""
    return [pick.number(kernel_name(dilation)) for dilation in DILATIONS]


def branch_widths(width: int) -> list[int]:
    """Channels of every dilation: none has fewer of more channels."""
    others = width // 2
    return [width - others, others - others // 2, others // 2]
