"""Depthwise convolution with learnable spacings: few elements, whose places are learnt.

Source: Khalfaoui-Hassani et al., Dilated Convolution with Learnable Spacings (2023), with the
depthwise kernels of its ConvNeXt. Departures: the kernel's size and the number of elements are
elastic; places are bounded by tanh (`supernets/_merged.py`); they belong to the slot, take the rate
and weight decay of other depthwise weights, and are not rounded when deployed; the slot's channel
part follows, without layer scale, as in `convnext`.
"""

from typing import ClassVar, final

from search_spaces import _layers as layers
from search_spaces._choice import Options
from search_spaces._slot import Cost, Group, Shape, Signature
from search_spaces.operators._base import OPERATORS, AbstractMixer, Mixing, effective_kernel_size


@final
@OPERATORS.register
class DCLS(AbstractMixer):
    """Depthwise convolution whose kernel's elements have learnt places."""

    mixing: ClassVar[tuple[Mixing, ...]] = ("convolution",)
    mixer_dims: ClassVar[tuple[str, ...]] = ("kernel_size", "num_elements")

    def mixer_normalise(self, pick: Options, shape: Shape) -> Options:
        """Kernels larger than the map reaches are one kernel, with no more elements than taps."""
        kernel_size = effective_kernel_size(pick.number("kernel_size"), shape.size)
        num_elements = min(pick.number("num_elements"), kernel_size**2)
        return Options({"kernel_size": kernel_size, "num_elements": num_elements})

    def mixer_groups(self, pick: Options, shape: Shape) -> dict[str, Group]:
        """None: depthwise channels are the residual stream's."""
        return {}

    def mixer_cost(self, signature: Signature) -> Cost:
        """As deployed: pixels * width * kernel_size ** 2 multiply-adds; two copies of the map.

        Parameters are a weight and two coordinates per element, and a bias.
        """
        n, width, pick = signature.shape.pixels, signature.shape.width, signature.pick
        deployed = layers.depthwise(n, width, pick.number("kernel_size"), has_norm=False)
        params = width * (3 * pick.number("num_elements") + 1)
        return deployed._replace(params=params) + layers.pointwise(n, width, calls=2)
