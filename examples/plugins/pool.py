"""An operator: PoolFormer's token mixer, a local average less its centre.

Source: Yu et al., MetaFormer Is Actually What You Need for Vision (2022), section 3.2. Departures:
the window is elastic; layer norm, whose bias would cancel out, instead of group norm.
"""

from typing import ClassVar, final

from torch import Tensor, nn

from search_spaces import Cost, Group, Options, Shape, Signature, operators
from supernets import mixers


@final
@operators.OPERATORS.register
class Pool(operators.AbstractMixer):
    """Average pooling; `kernel_size` is its window."""

    mixing: ClassVar = ("convolution",)
    mixer_dims: ClassVar = ("kernel_size",)

    def mixer_normalise(self, pick: Options, shape: Shape) -> Options:
        window = min(pick.number("kernel_size"), 2 * max(shape.size) - 1)  # more reaches no further
        return Options({"kernel_size": window})

    def mixer_groups(self, pick: Options, shape: Shape) -> dict[str, Group]:
        return {}  # its channels are those of the slot

    def mixer_cost(self, signature: Signature) -> Cost:
        n, width = signature.shape.pixels, signature.shape.width
        params = Cost(params=width, vectors=width)
        return params + Cost(elements=6 * n * width, calls=6, graph_bytes=200)


class PlainPool(nn.Module):
    def __init__(self, signature: Signature) -> None:
        super().__init__()
        window = signature.pick.number("kernel_size")
        self.norm = nn.LayerNorm(signature.shape.width, bias=False)
        self.pool = nn.AvgPool2d(window, 1, window // 2, count_include_pad=False)

    def forward(self, x_BHWC: Tensor) -> Tensor:
        x_BCHW = self.norm(x_BHWC).permute(0, 3, 1, 2)
        return (self.pool(x_BCHW) - x_BCHW).permute(0, 2, 3, 1)


@final
@mixers.MIXERS.register
class ElasticPool(mixers.AbstractElasticMixer):
    has_shortcut: ClassVar = True
    plain: ClassVar = PlainPool
    axes: ClassVar = {"norm.weight": ("width",)}

    def sizes(self, signature: Signature) -> dict[str, mixers.Index]:
        return {"width": signature.shape.width}

    def group_weights(self) -> dict:
        return {}
