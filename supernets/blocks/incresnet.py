"""Inception-ResNet's scaled residual cell.

Source: Szegedy et al., Inception-v4, Inception-ResNet and the Impact of Residual Connections on
Learning (2017), section 3.3; declaration and departures in search_spaces/operators/incresnet.py.
"""

from typing import ClassVar, final

import torch
from torch import Tensor, nn

from search_spaces import Signature
from search_spaces.operators.incresnet import BRANCHES, KERNEL_SIZE, branch_width, scale_of
from supernets._elastic import Axes, Index
from supernets._heads import stacked
from supernets._merged import ScaledConv2d
from supernets._modules import Add, ConvNorm, conv_norm_axes
from supernets.blocks._base import BLOCKS, AbstractElasticBlock
from supernets.criteria._base import GroupWeights


class PlainIncResNet(nn.Module):
    """Branches, concatenation, projection, shortcut."""

    def __init__(self, signature: Signature) -> None:
        super().__init__()
        width, branch = signature.shape.width, signature.kept.number("branch")
        self.branches = nn.ModuleList(
            nn.Sequential(
                ConvNorm(width, branch, 1),
                *(ConvNorm(branch, branch, KERNEL_SIZE) for _ in range(number)),
            )
            for number in range(BRANCHES)
        )
        self.project = ScaledConv2d(BRANCHES * branch, width, scale=scale_of(signature.pick))
        self.add = Add()

    def forward(self, x_BCHW: Tensor) -> Tensor:
        """The shape that came in."""
        joined = torch.cat([branch(x_BCHW) for branch in self.branches], dim=1)
        return self.add(x_BCHW, self.project(joined))


@final
@BLOCKS.register
class ElasticIncResNet(AbstractElasticBlock):
    """Elastic width; channels of the branches can be pruned. All scales share weights."""

    plain: ClassVar[type[nn.Module]] = PlainIncResNet
    prunable: ClassVar[tuple[str, ...]] = ("branch",)
    axes: ClassVar[Axes] = {
        **{
            name: roles
            for branch in range(BRANCHES)
            for layer in range(1 + branch)
            for name, roles in conv_norm_axes(
                f"branches.{branch}.{layer}", "branch", "branch" if layer else "width"
            ).items()
        },
        "project.weight": ("width", "joined", None, None),
        "project.bias": ("width",),
    }

    def sizes(self, signature: Signature) -> dict[str, Index]:
        """Of all branches the same channels, less the pruned ones."""
        assert isinstance(self.full, PlainIncResNet)
        width, project = signature.shape.width, self.full.project
        branch = self.kept("branch", branch_width(width), signature)
        device = project.weight.device
        channels = torch.arange(branch, device=device) if isinstance(branch, int) else branch
        joined = stacked(channels, BRANCHES, project.in_channels // BRANCHES)
        return {"width": width, "branch": branch, "joined": joined}

    def group_weights(self) -> dict[str, GroupWeights]:
        """Each channel's kernels in all convolutions, and what reads it in the ones behind them."""
        assert isinstance(self.full, PlainIncResNet)
        layers = [layer for branch in self.full.branches for layer in branch.children()]
        kernels = [layer.get_parameter("conv.weight") for layer in layers]
        scales: list[Tensor] = [layer.get_parameter("norm.weight") for layer in layers]
        branch = len(kernels[0])
        inner = [kernel for kernel in kernels if kernel.shape[-1] > 1]
        readers = [kernel.transpose(0, 1).flatten(1) for kernel in inner]
        project = self.full.project.weight.flatten(1)
        readers += [part.transpose(0, 1) for part in project.split(branch, dim=1)]
        return {
            "branch": GroupWeights(
                torch.cat([kernel.flatten(1) for kernel in kernels], 1),
                torch.cat(readers, 1),
                torch.stack(scales, 1),
                branch,
            )
        }
