"""ViG's gated linear attention.

Source: Liao et al., ViG (2024); declaration and departures in search_spaces/operators/vig.py.
Shapes: B batch, H W space, L tokens, N heads, K channels of a key, V channels of a value, C
channels.
"""

from typing import ClassVar, final

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from search_spaces import Signature
from search_spaces.operators.vig import DIRECTIONS, GATE_RANK, GATE_TEMPERATURE, KERNEL_SIZE
from supernets._elastic import Axes, Index
from supernets._heads import inner_channels, stacked
from supernets._modules import NORM_EPS, linear_axes, norm_axes
from supernets._scan import GatedLinearAttention
from supernets.criteria._base import GroupWeights
from supernets.mixers._base import MIXERS, AbstractElasticMixer


class PlainViG(nn.Module):
    """Norm, convolution, linear attention of both directions beside the values, projection."""

    def __init__(self, signature: Signature) -> None:
        super().__init__()
        shape, pick = signature.shape, signature.pick
        self.size, self.width, self.tokens = shape.size, shape.width, shape.pixels
        self.heads = signature.kept.number("heads")
        self.key_dim, self.head_dim = pick.number("key_dim"), pick.number("head_dim")
        self.keys, self.values = self.heads * self.key_dim, self.heads * self.head_dim
        self.norm = nn.LayerNorm(self.width, eps=NORM_EPS)
        self.conv = nn.Conv2d(
            self.width, self.width, KERNEL_SIZE, 1, KERNEL_SIZE // 2, groups=self.width
        )
        self.qkv = nn.Linear(self.width, 2 * self.keys + self.values)
        self.reduce = nn.Linear(self.width, GATE_RANK)
        self.decay = nn.Linear(GATE_RANK, DIRECTIONS * self.keys)
        self.gate = nn.Linear(self.width, self.values)
        self.attention = GatedLinearAttention(self.tokens, self.key_dim, self.head_dim)
        self.read_norm = nn.LayerNorm(self.head_dim, eps=NORM_EPS)
        self.local_norm = nn.LayerNorm(self.head_dim, eps=NORM_EPS)
        self.project = nn.Linear(self.values, self.width)

    def forward(self, x_BHWC: Tensor) -> Tensor:
        """The shape that came in, without shortcut."""
        local_BCHW = F.silu(self.conv(self.norm(x_BHWC).permute(0, 3, 1, 2)))
        local_BLC = local_BCHW.permute(0, 2, 3, 1).reshape(-1, self.tokens, self.width)
        q, k, v = self.qkv(local_BLC).split([self.keys, self.keys, self.values], -1)
        q = q * (self.key_dim**-0.5 / DIRECTIONS)
        logs = F.softplus(-self.decay(self.reduce(local_BLC))) * (-1 / GATE_TEMPERATURE)
        forward, backward = logs.split([self.keys, self.keys], -1)
        read = self.attention(
            self._sequences(q, q.flip(1), self.key_dim),
            self._sequences(k, k.flip(1), self.key_dim),
            self._sequences(v, v.flip(1), self.head_dim),
            self._sequences(forward, backward.flip(1), self.key_dim),
        )
        read = read.reshape(-1, DIRECTIONS, self.heads, self.tokens, self.head_dim)
        read_BNLV = read.select(1, 0) + read.select(1, 1).flip(2)
        return self._mixed(read_BNLV.transpose(1, 2), v, self.gate(local_BLC))

    def _sequences(self, forward: Tensor, backward: Tensor, channels: int) -> Tensor:
        """Heads of both directions side by side: (B * directions * N, L, channels)."""
        both = torch.stack((forward, backward), 1)
        both = both.reshape(-1, DIRECTIONS, self.tokens, self.heads, channels).transpose(2, 3)
        return both.reshape(-1, self.tokens, channels)

    def _mixed(self, read_BLNV: Tensor, v_BLD: Tensor, gate_BLD: Tensor) -> Tensor:
        """What is read, and the values, as the gate says, projected: (B, H, W, C)."""
        heads = -1, self.tokens, self.heads, self.head_dim
        local_BLNV = self.local_norm(v_BLD.reshape(*heads))
        gate_BLNV = torch.sigmoid(gate_BLD).reshape(*heads)
        mixed_BLNV = local_BLNV + gate_BLNV * (self.read_norm(read_BLNV) - local_BLNV)
        mixed = F.silu(mixed_BLNV).reshape(-1, *self.size, self.values)
        output: Tensor = self.project(mixed)
        return output


@final
@MIXERS.register
class ElasticViG(AbstractElasticMixer):
    """Elastic width and heads; whole heads can be pruned."""

    has_shortcut: ClassVar[bool] = True
    plain: ClassVar[type[nn.Module]] = PlainViG
    prunable: ClassVar[tuple[str, ...]] = ("heads",)
    axes: ClassVar[Axes] = {
        **norm_axes("norm", "width"),
        "conv.weight": ("width", None, None, None),
        "conv.bias": ("width",),
        **linear_axes("qkv", "qkv", "width"),
        **linear_axes("reduce", None, "width"),
        **linear_axes("decay", "decays", None),
        **linear_axes("gate", "values", "width"),
        **norm_axes("read_norm", "head"),
        **norm_axes("local_norm", "head"),
        **linear_axes("project", "width", "values"),
    }

    def sizes(self, signature: Signature) -> dict[str, Index]:
        """Rows of queries, keys, values, decays and gates follow the heads."""
        full = self.full
        assert isinstance(full, PlainViG)
        heads = self.kept("heads", signature.pick.number("num_heads"), signature)
        device = full.qkv.weight.device
        keys = inner_channels(heads, full.key_dim, device)
        values = inner_channels(heads, full.head_dim, device)
        return {
            "width": signature.shape.width,
            "qkv": torch.cat((stacked(keys, 2, full.keys), 2 * full.keys + values)),
            "decays": stacked(keys, DIRECTIONS, full.keys),
            "values": values,
            "head": full.head_dim,
        }

    def group_weights(self) -> dict[str, GroupWeights]:
        """Each head's rows of the values and columns of the projection."""
        full = self.full
        assert isinstance(full, PlainViG)
        values = full.qkv.weight[2 * full.keys :]
        read_by = full.project.weight.transpose(0, 1)
        return {"heads": GroupWeights(values, read_by, None, full.heads)}
