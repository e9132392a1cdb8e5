"""Global attention with keys and values from a smaller map.

Source: Wang et al., Pyramid Vision Transformer (2021), section 3.3; declaration and departures in
search_spaces/operators/sra.py. Shapes: B batch, H W space, R reduction, N heads, D channels of a
head, C channels.
"""

from collections.abc import Mapping
from typing import ClassVar, final

from torch import Tensor, nn

from search_spaces import Signature
from supernets._elastic import Axes, Index
from supernets._heads import head_weights, inner_channels, stacked
from supernets._modules import NORM_EPS, linear_axes, norm_axes
from supernets.criteria._base import GroupWeights
from supernets.mixers._base import MIXERS, AbstractElasticMixer


class PlainSRA(nn.Module):
    """Norm, queries from the map, keys and values from the reduced map, attention."""

    def __init__(self, signature: Signature) -> None:
        super().__init__()
        pick, shape = signature.pick, signature.shape
        self.size, self.width = shape.size, shape.width
        self.ratio = pick.number("sr_ratio")
        self.heads, self.head_dim = signature.kept.number("heads"), pick.number("head_dim")
        inner = self.heads * self.head_dim
        self.norm = nn.LayerNorm(shape.width, eps=NORM_EPS)
        self.q = nn.Linear(shape.width, inner)
        self.kv = nn.Linear(shape.width, 2 * inner)
        self.project = nn.Linear(inner, shape.width)
        if self.ratio > 1:
            self.reduce = nn.Conv2d(shape.width, shape.width, self.ratio, self.ratio)
            self.reduce_norm = nn.LayerNorm(shape.width, eps=NORM_EPS)

    def forward(self, x_BHWC: Tensor) -> Tensor:
        """The shape that came in, without shortcut."""
        (height, width), inner = self.size, self.heads * self.head_dim
        tokens = height * width
        keys = tokens // self.ratio**2
        x_BHWC = self.norm(x_BHWC)
        q = self.q(x_BHWC.reshape(-1, tokens, self.width))
        q = q.reshape(-1, tokens, self.heads, self.head_dim).transpose(1, 2)
        kv = self.kv(self._reduced(x_BHWC).reshape(-1, keys, self.width))
        kv = kv.reshape(-1, keys, 2, self.heads, self.head_dim).permute(2, 0, 3, 1, 4)
        weights = ((q * self.head_dim**-0.5) @ kv[0].transpose(-2, -1)).softmax(-1)
        mixed = (weights @ kv[1]).transpose(1, 2).reshape(-1, tokens, inner)
        return self.project(mixed).reshape(-1, height, width, self.width)

    def _reduced(self, x_BHWC: Tensor) -> Tensor:
        """(B, H / R, W / R, C)."""
        if self.ratio == 1:
            return x_BHWC
        x_BCHW = self.reduce(x_BHWC.permute(0, 3, 1, 2))
        reduced: Tensor = self.reduce_norm(x_BCHW.permute(0, 2, 3, 1))
        return reduced


@final
@MIXERS.register
class ElasticSRA(AbstractElasticMixer):
    """Elastic width, heads and reduction; whole heads can be pruned."""

    has_shortcut: ClassVar[bool] = True
    plain: ClassVar[type[nn.Module]] = PlainSRA
    prunable: ClassVar[tuple[str, ...]] = ("heads",)
    axes: ClassVar[Axes] = {
        **norm_axes("norm", "width"),
        "reduce.weight": ("reduced", "reduced", "kernel_reduce", "kernel_reduce"),
        "reduce.bias": ("reduced",),
        **norm_axes("reduce_norm", "reduced"),
        **linear_axes("q", "inner", "width"),
        **linear_axes("kv", "kv", "width"),
        **linear_axes("project", "width", "inner"),
    }
    without_gradient: ClassVar[Mapping[str, tuple[int, int]]] = {"kv.bias": (0, 2)}

    def sizes(self, signature: Signature) -> dict[str, Index]:
        """Rows of queries, keys and values, and columns of the projection, follow the heads."""
        assert isinstance(self.full, PlainSRA)
        heads = self.kept("heads", signature.pick.number("num_heads"), signature)
        return sra_sizes(heads, signature, self.full)

    def group_weights(self) -> dict[str, GroupWeights]:
        """Each head's rows of the values and columns of the projection."""
        assert isinstance(self.full, PlainSRA)
        return {"heads": sra_weights(self.full)}


def sra_sizes(heads: Index, signature: Signature, full: PlainSRA) -> dict[str, Index]:
    """How much a member with these heads uses of each role."""
    width, ratio = signature.shape.width, signature.pick.number("sr_ratio")
    inner = inner_channels(heads, full.head_dim, full.q.weight.device)
    return {
        "width": width,
        "inner": inner,
        "kv": stacked(inner, 2, full.heads * full.head_dim),
        "reduced": width if ratio > 1 else 0,
        "kernel_reduce": ratio if ratio > 1 else 0,
    }


def sra_weights(full: PlainSRA) -> GroupWeights:
    """What heads are ranked by."""
    values = full.kv.weight[full.heads * full.head_dim :]
    return head_weights(values, full.project.weight, full.heads)
