"""Bottleneck with groups of constant size.

Sources: Jha et al., E2GC (2020); Xie et al., Aggregated Residual Transformations for Deep Neural
Networks (2017); declaration and departures in search_spaces/operators/e2gc.py.
"""

from typing import ClassVar, final

import torch
from torch import Tensor, nn

from search_spaces import Signature
from search_spaces.operators.e2gc import KERNEL_SIZE, hidden_channels
from search_spaces.operators.mbconv import has_shortcut
from supernets._elastic import Axes, Index
from supernets._heads import inner_channels
from supernets._modules import Add, ConvNorm, conv_norm_axes
from supernets.blocks._base import BLOCKS, AbstractElasticBlock
from supernets.blocks.mbconv import hidden_weights
from supernets.criteria._base import GroupWeights


class PlainE2GC(nn.Module):
    """Expansion, grouped convolution, projection without activation, shortcut."""

    def __init__(self, signature: Signature) -> None:
        super().__init__()
        shape, hidden = signature.shape, signature.kept.number("hidden")
        group_size = signature.pick.number("group_size")
        self.expand = ConvNorm(shape.in_width, hidden, 1)
        self.grouped = ConvNorm(hidden, hidden, KERNEL_SIZE, group_size=group_size)
        self.project = ConvNorm(hidden, shape.width, 1, has_act=False)
        self.add = Add() if has_shortcut(shape) else None

    def forward(self, x_BCHW: Tensor) -> Tensor:
        """(B, width, H, W)."""
        y_BCHW: Tensor = self.project(self.grouped(self.expand(x_BCHW)))
        return y_BCHW if self.add is None else self.add(x_BCHW, y_BCHW)


@final
@BLOCKS.register
class ElasticE2GC(AbstractElasticBlock):
    """Elastic width, expansion and size of groups; whole groups can be pruned."""

    plain: ClassVar[type[nn.Module]] = PlainE2GC
    prunable: ClassVar[tuple[str, ...]] = ("hidden",)
    axes: ClassVar[Axes] = {
        **conv_norm_axes("expand", "hidden", "in_width"),
        "grouped.conv.weight": ("hidden", "group", None, None),
        "grouped.norm": ("hidden",),
        **conv_norm_axes("project", "width", "hidden"),
    }

    def sizes(self, signature: Signature) -> dict[str, Index]:
        """The first hidden channels, less the pruned groups."""
        shape, pick = signature.shape, signature.pick
        return {
            "in_width": shape.in_width,
            "width": shape.width,
            "hidden": self._hidden(signature),
            "group": pick.number("group_size"),
        }

    def _hidden(self, signature: Signature) -> Index:
        """Channels of the groups whose importance is highest."""
        num_kept = signature.kept.number("hidden")
        group_size = signature.pick.number("group_size")
        size = hidden_channels(signature.pick, signature.shape.in_width)
        if num_kept == size:
            return size
        scores = self.get_buffer("importance_hidden")[:size].reshape(-1, group_size).sum(1)
        best = torch.argsort(scores, descending=True, stable=True)[: num_kept // group_size]
        return inner_channels(best.sort().values, group_size, scores.device)

    def group_weights(self) -> dict[str, GroupWeights]:
        """Each hidden channel's kernels, and what reads it in the projection."""
        return {"hidden": hidden_weights(self.full, "grouped")}
