"""MetaMixer's pair of depthwise convolutions.

Source: Yun et al., MetaMixer Is All You Need (2024); declaration and departures in
search_spaces/operators/metamixer.py.
"""

from typing import ClassVar, final

from torch import Tensor, nn

from search_spaces import Signature
from supernets._elastic import KERNEL, AbstractUnpruned, Axes, Index
from supernets.mixers._base import MIXERS, AbstractElasticMixer


@final
class QueryKeyValue(nn.Module):
    """What attention, MLPs and FFNified attention have in common.

    Queries, which are the map, are compared with keys; what an activation makes of it are the
    coefficients by which values are added up.

    Args:
        keys: Compares: the map to one number per pair of a query and a key.
        activation: Makes coefficients of these.
        values: Adds up.
        are_of_the_map: Whether values are made of the map, which `values` then is given, too;
            weights are not.
    """

    def __init__(
        self,
        keys: nn.Module,
        activation: nn.Module,
        values: nn.Module,
        *,
        are_of_the_map: bool = False,
    ) -> None:
        super().__init__()
        self.keys, self.activation, self.values = keys, activation, values
        self.are_of_the_map = are_of_the_map

    def forward(self, x: Tensor) -> Tensor:
        """The shape that came in."""
        coefficients = self.activation(self.keys(x))
        output: Tensor = (
            self.values(coefficients, x) if self.are_of_the_map else self.values(coefficients)
        )
        return output


class PlainMetaMixer(nn.Module):
    """Keys and values are depthwise kernels, on a channels-last map."""

    def __init__(self, signature: Signature) -> None:
        super().__init__()
        width, kernel_size = signature.shape.width, signature.pick.number("kernel_size")
        keys, values = (
            nn.Conv2d(width, width, kernel_size, 1, kernel_size // 2, groups=width)
            for _ in range(2)
        )
        self.mix = QueryKeyValue(keys, nn.GELU(), values)

    def forward(self, x_BHWC: Tensor) -> Tensor:
        """The shape that came in."""
        return self.mix(x_BHWC.permute(0, 3, 1, 2)).permute(0, 2, 3, 1)


@final
@MIXERS.register
class ElasticMetaMixer(AbstractUnpruned, AbstractElasticMixer):
    """Elastic width and kernel, of keys and values alike."""

    has_shortcut: ClassVar[bool] = False
    plain: ClassVar[type[nn.Module]] = PlainMetaMixer
    axes: ClassVar[Axes] = {
        name: roles
        for conv in ("mix.keys", "mix.values")
        for name, roles in {
            f"{conv}.weight": ("width", None, KERNEL, KERNEL),
            f"{conv}.bias": ("width",),
        }.items()
    }

    def sizes(self, signature: Signature) -> dict[str, Index]:
        """The first channels, the centre of the kernels."""
        return {"width": signature.shape.width, KERNEL: signature.pick.number("kernel_size")}
