"""UniRepLKNet's token mixer: a large depthwise kernel that small dilated ones beside it train.

Source: Ding et al., UniRepLKNet: A Universal Perception Large-Kernel ConvNet (2024), the dilated
re-parameterised block and its branches. Departures: the kernel is elastic, a smaller one having the
centres of the branches that it shares with a larger one; the slot's channel part follows instead of
squeeze and excitation and a channel MLP with response normalisation; sizes without a row in the
table have the branches of the next smaller one.
"""

from typing import ClassVar, final

from search_spaces import _layers as layers
from search_spaces._choice import Options
from search_spaces._slot import Cost, Group, Shape, Signature
from search_spaces.operators._base import OPERATORS, AbstractMixer, Mixing, effective_kernel_size

BRANCHES: dict[int, dict[int, int]] = {
    1: {},
    5: {1: 3, 2: 3},
    7: {1: 5, 2: 3, 3: 3},
    9: {1: 5, 2: 5, 3: 3, 4: 3},
    11: {1: 5, 2: 5, 3: 3, 4: 3, 5: 3},
    13: {1: 5, 2: 7, 3: 3, 4: 3, 5: 3},
    15: {1: 5, 2: 7, 3: 3, 5: 3, 7: 3},
    17: {1: 5, 2: 9, 4: 3, 5: 3, 7: 3},
}
"""By the size of the large kernel, from which on: sizes of kernels by their dilations."""

DILATIONS = (1, 2, 3, 4, 5, 7)


@final
@OPERATORS.register
class UniRepLK(AbstractMixer):
    """Large depthwise convolution beside dilated small ones, deployed as one convolution."""

    mixing: ClassVar[tuple[Mixing, ...]] = ("convolution",)
    mixer_dims: ClassVar[tuple[str, ...]] = ("kernel_size",)

    def mixer_normalise(self, pick: Options, shape: Shape) -> Options:
        """Kernels larger than the map reaches are one kernel; adds the branches' kernel sizes."""
        kernel_size = effective_kernel_size(pick.number("kernel_size"), shape.size)
        row = max(size for size in BRANCHES if size <= kernel_size)
        branches = {branch_name(dilation): size for dilation, size in BRANCHES[row].items()}
        return Options({"kernel_size": kernel_size, **branches})

    def mixer_groups(self, pick: Options, shape: Shape) -> dict[str, Group]:
        """None: depthwise channels are the residual stream's."""
        return {}

    def mixer_cost(self, signature: Signature) -> Cost:
        """As deployed: pixels * width * kernel_size ** 2 multiply-adds; two copies of the map.

        Parameters are those of all branches, of which each has a batch norm.
        """
        n, width = signature.shape.pixels, signature.shape.width
        kernel_size = signature.pick.number("kernel_size")
        branches = dilated_branches(signature.pick).values()
        beside = sum(size**2 for size in branches) + 2 * (1 + len(branches)) - 1
        return (
            layers.depthwise(n, width, kernel_size, has_norm=False)
            + Cost(params=beside * width)
            + layers.pointwise(n, width, calls=2)
        )


def branch_name(dilation: int) -> str:
    """Name of the branch of this dilation, and of what a pick says of it."""
    return f"dilated{dilation}"


def dilated_branches(pick: Options) -> dict[int, int]:
    """Kernel sizes of the branches beside the large kernel, by their dilations."""
    found = {dilation: branch_name(dilation) for dilation in DILATIONS}
    return {dilation: pick.number(name) for dilation, name in found.items() if name in pick}
