"""Tokens-to-token stem; source and departures in search_spaces/trunk/t2t.py.

Shapes: B batch, C channels, H W space, T tokens, D channels of a token.
"""

from typing import ClassVar, final

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from search_spaces import Signature
from search_spaces.trunk.t2t import SPLITS, TOKEN_WIDTH, Split, splits_of
from supernets._elastic import AbstractUnpruned, Axes, Index
from supernets._heads import attended
from supernets._modules import NORM_EPS, linear_axes
from supernets.blocks._base import AbstractElasticBlock
from supernets.trunk._base import TRUNK_BLOCKS


class SoftSplit(nn.Module):
    """The patch around every position: (B, C, H, W) to (B, T, D), the channels of a place together.

    By slices of rows and of columns: an exported network has no table of indices.
    """

    def __init__(self, split: Split) -> None:
        super().__init__()
        self.split = split
        before = (split.kernel_size - split.stride + 1) // 2
        below, right = (
            max(0, (side - 1) * split.stride + split.kernel_size - in_side - before)
            for side, in_side in zip(split.size, split.in_size, strict=True)
        )
        self.padding = (before, right, before, below)

    def forward(self, x_BCHW: Tensor) -> Tensor:
        """(B, T, D)."""
        x_BCHW = F.pad(x_BCHW, self.padding)
        (height, width), stride, places = self.split.size, self.split.stride, []
        for y in range(self.split.kernel_size):
            row_BCHW = x_BCHW[:, :, y : y + (height - 1) * stride + 1 : stride]
            for x in range(self.split.kernel_size):
                places.append(row_BCHW[:, :, :, x : x + (width - 1) * stride + 1 : stride])
        patches_BHWD = torch.cat(places, 1).permute(0, 2, 3, 1)
        return patches_BHWD.reshape(-1, self.split.tokens, self.split.width)


class TokenAttention(nn.Module):
    """A transformer layer with one head, whose shortcut around attention are the values."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.norm = nn.LayerNorm(width, eps=NORM_EPS)
        self.qkv = nn.Linear(width, 3 * TOKEN_WIDTH, bias=False)
        self.mix = nn.Linear(TOKEN_WIDTH, TOKEN_WIDTH)
        self.mlp_norm = nn.LayerNorm(TOKEN_WIDTH, eps=NORM_EPS)
        self.expand = nn.Linear(TOKEN_WIDTH, TOKEN_WIDTH)
        self.act = nn.GELU()
        self.reduce = nn.Linear(TOKEN_WIDTH, TOKEN_WIDTH)

    def forward(self, x_BTD: Tensor) -> Tensor:
        """(B, T, `TOKEN_WIDTH`)."""
        qkv_BTD = self.qkv(self.norm(x_BTD))
        q_BTD, k_BTD, v_BTD = (qkv_BTD.narrow(2, i * TOKEN_WIDTH, TOKEN_WIDTH) for i in range(3))
        y_BTD = v_BTD + self.mix(attended(q_BTD * TOKEN_WIDTH**-0.5, k_BTD, v_BTD))
        return y_BTD + self.reduce(self.act(self.expand(self.mlp_norm(y_BTD))))


class PlainTokensToToken(nn.Module):
    """Soft splits, attention between them, and a linear layer behind the last one."""

    def __init__(self, signature: Signature) -> None:
        super().__init__()
        splits = list(splits_of(signature))
        self.splits = nn.ModuleList(map(SoftSplit, splits))
        self.layers = nn.ModuleList(TokenAttention(split.width) for split in splits[:-1])
        self.embed = nn.Linear(splits[-1].width, signature.shape.width)
        self.sizes = [split.size for split in splits]
        self.width = signature.shape.width

    def forward(self, x_BCHW: Tensor) -> Tensor:
        """(B, width, H / stride, W / stride), rounded up."""
        for split, layer, size in zip(self.splits, self.layers, self.sizes, strict=False):
            x_BTD = layer(split(x_BCHW))
            x_BCHW = x_BTD.reshape(-1, *size, TOKEN_WIDTH).permute(0, 3, 1, 2)
        x_BTD = self.embed(self.splits[-1](x_BCHW))
        return x_BTD.reshape(-1, *self.sizes[-1], self.width).permute(0, 3, 1, 2)


def _layer_axes(name: str) -> Axes:
    """Of one `TokenAttention`, in which nothing is elastic."""
    linear = ("qkv", "mix", "expand", "reduce")
    axes: dict[str, tuple[str | None, ...]] = {}
    for each in linear:
        axes |= linear_axes(f"{name}.{each}", None, None)
    norms = (f"{name}.{each}.{tensor}" for each in ("norm", "mlp_norm") for tensor in NORM_STATE)
    return axes | dict.fromkeys(norms, (None,))


NORM_STATE = ("weight", "bias")
MOST_LAYERS = max(len(splits) for splits in SPLITS.values()) - 1


@final
@TRUNK_BLOCKS.register
class ElasticTokensToToken(AbstractUnpruned, AbstractElasticBlock):
    """Elastic output width, and stride: what it decides about has no weights."""

    plain: ClassVar[type[nn.Module]] = PlainTokensToToken
    axes: ClassVar[Axes] = {
        **{
            name: roles
            for number in range(MOST_LAYERS)
            for name, roles in _layer_axes(f"layers.{number}").items()
        },
        **linear_axes("embed", "width", None),
    }

    def sizes(self, signature: Signature) -> dict[str, Index]:
        """The output width."""
        return {"width": signature.shape.width}
