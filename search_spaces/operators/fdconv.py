"""FDConv's token mixer: kernels of several bands of frequencies, weighed by what the map shows.

Source: Chen et al., Frequency Dynamic Convolution for Dense Image Prediction (2025): one
budget of weights, divided by frequency into kernels; attention of the whole map, and a gain per
position and band (frequency band modulation). Departures: depthwise; the bands' maps are weighed
instead of their kernels, which is the same sum, because a batch has no one kernel and an exported
file no number of groups that follows it; for the same reason no element of a kernel is modulated
by the image (kernel spatial modulation). It costs a convolution per band.
"""

from typing import ClassVar, final

from search_spaces import _layers as layers
from search_spaces._choice import Options
from search_spaces._slot import Cost, Group, Shape, Signature
from search_spaces.operators._base import OPERATORS, AbstractMixer, Mixing, effective_kernel_size


@final
@OPERATORS.register
class FDConv(AbstractMixer):
    """Depthwise kernels of disjoint frequencies with gains per image and position."""

    mixing: ClassVar[tuple[Mixing, ...]] = ("convolution",)
    mixer_dims: ClassVar[tuple[str, ...]] = ("kernel_size", "num_bands")

    def mixer_normalise(self, pick: Options, shape: Shape) -> Options:
        """Kernels larger than the map reaches are one kernel, with no more bands than it has."""
        kernel_size = effective_kernel_size(pick.number("kernel_size"), shape.size)
        num_bands = min(pick.number("num_bands"), len(_radii(kernel_size)))
        return Options({"kernel_size": kernel_size, "num_bands": num_bands})

    def mixer_groups(self, pick: Options, shape: Shape) -> dict[str, Group]:
        """None: depthwise channels are the residual stream's."""
        return {}

    def mixer_cost(self, signature: Signature) -> Cost:
        """bands * width * (pixels * (kernel_size ** 2 + 1) + 1) multiply-adds.

        Parameters of the kernels are width * kernel_size ** 2 whatever the number of bands.
        """
        n, width = signature.shape.pixels, signature.shape.width
        bands, taps = signature.pick.number("num_bands"), signature.pick.number("kernel_size") ** 2
        kernels = layers.layer(
            n,
            bands * width * taps,
            bands * width,
            graph_bytes=layers.CONV_BYTES,
            is_depthwise=True,
        )
        gains = layers.layer(n, width * bands, bands, graph_bytes=layers.CONV_BYTES)
        return (
            kernels._replace(params=width * taps)
            + gains
            + layers.grouped(n, width, width * bands)
            + layers.plain_conv(1, width, bands, 1)
            + layers.pointwise(n, bands * width, calls=2)
            + layers.pointwise(n, width, calls=3, quantizers=1)
            + layers.pointwise(n, bands, calls=3)
            + layers.nodes(2)
        )


def band_of(kernel_size: int, num_bands: int) -> list[list[int]]:
    """The band of every frequency of a kernel, zero at its centre; later bands are higher."""
    radii = _radii(kernel_size)
    reach = range(-(kernel_size // 2), kernel_size // 2 + 1)
    return [[radii.index(y * y + x * x) * num_bands // len(radii) for x in reach] for y in reach]


def _radii(kernel_size: int) -> list[int]:
    """Distances of a kernel's frequencies from zero, squared."""
    reach = range(kernel_size // 2 + 1)
    return sorted({y * y + x * x for y in reach for x in reach})
