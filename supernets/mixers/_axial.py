"""What mixers have in common that are long convolutions of columns and of rows."""

from collections.abc import Callable, Mapping

from torch import Tensor, nn

from search_spaces import Signature
from supernets._elastic import Axes
from supernets._long_convolution import AxialLongConvolution


class PlainAxial(nn.Module):
    """Long convolutions of columns and of rows on a channels-last map.

    Args:
        signature: Of the slot.
        make_taps: Of a side of the map what makes its kernels' taps; asked for columns first.
    """

    def __init__(self, signature: Signature, make_taps: Callable[[int], nn.Module]) -> None:
        super().__init__()
        shape = signature.shape
        self.conv = AxialLongConvolution(shape.width, shape.size, make_taps)

    def forward(self, x_BHWC: Tensor) -> Tensor:
        """The shape that came in."""
        output: Tensor = self.conv(x_BHWC)
        return output


def axial_axes(of_taps: Callable[[str], Mapping[str, tuple[str | None, ...]]]) -> Axes:
    """Roles of the axes of a `PlainAxial`, from those of its taps' tensors along either axis."""
    return {
        f"conv.{axis}.{tensor}": roles
        for axis in ("vertical", "horizontal")
        for tensor, roles in {**of_taps(axis), "bias": ("width",)}.items()
    }
