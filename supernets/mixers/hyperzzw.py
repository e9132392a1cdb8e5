"""Terminator's HyperZ.Z.W operator.

Source: Zhang, HyperZ.Z.W (2024); declaration and departures in
search_spaces/operators/hyperzzw.py.
"""

from typing import ClassVar, final

import torch
from torch import Tensor, nn

from search_spaces import Signature
from search_spaces.operators.hyperzzw import BRANCHES, HIDDEN, local_sizes
from supernets._elastic import AbstractUnpruned, Axes, Index
from supernets._heads import stacked
from supernets._hyper import HyperContextKernel, HyperDepthwise, in_context
from supernets._modules import NORM_EPS, linear_axes, norm_axes
from supernets.mixers._base import MIXERS, AbstractElasticMixer


class PlainHyperZZW(nn.Module):
    """Norm, gated channels, a global and two local branches, GELU, bottleneck."""

    def __init__(self, signature: Signature) -> None:
        super().__init__()
        width, size = signature.shape.width, signature.shape.size
        large, small = local_sizes(signature.pick.number("kernel_size"))
        self.width = width
        self.norm = nn.LayerNorm(width, eps=NORM_EPS)
        self.gate = nn.Parameter(torch.ones(width))
        self.values = nn.Linear(width, width)
        self.context = HyperContextKernel(width, size, HIDDEN)
        self.large = HyperDepthwise(width, large, HIDDEN)
        self.small = HyperDepthwise(width, small, HIDDEN)
        self.act = nn.GELU()
        self.project = nn.Linear(BRANCHES * width, width)

    def forward(self, x_BHWC: Tensor) -> Tensor:
        """The shape that came in, without shortcut."""
        x_BHWC = self.norm(x_BHWC)
        x_BCHW, values_BCHW = (y.permute(0, 3, 1, 2) for y in (x_BHWC, self.values(x_BHWC)))
        means_BC11 = x_BCHW.mean((2, 3), keepdim=True)
        score_BC11 = self.gate.reshape(-1, 1, 1) * means_BC11 * means_BC11
        gated_BCHW = x_BCHW * torch.sigmoid(score_BC11)
        branches = (
            in_context(x_BCHW, values_BCHW, self.context()),
            self.large(gated_BCHW),
            self.small(gated_BCHW),
            gated_BCHW,
        )
        return self.project(self.act(torch.cat(branches, 1)).permute(0, 2, 3, 1))


@final
@MIXERS.register
class ElasticHyperZZW(AbstractUnpruned, AbstractElasticMixer):
    """Elastic width; the same slow networks make kernels of all sizes, and for all maps."""

    has_shortcut: ClassVar[bool] = True
    plain: ClassVar[type[nn.Module]] = PlainHyperZZW
    axes: ClassVar[Axes] = {
        **norm_axes("norm", "width"),
        "gate": ("width",),
        **linear_axes("values", "width", "width"),
        **{
            f"{branch}.slow.{tensor}": roles
            for branch in ("context", "large", "small")
            for tensor, roles in {
                "frequencies": (None, None, None),
                "phases": (None, None),
                "mix": (None, None),
                "mix_bias": (None,),
                "out": ("width", None),
            }.items()
        },
        "large.bias": ("width",),
        "small.bias": ("width",),
        **linear_axes("project", "width", "branches"),
    }

    def sizes(self, signature: Signature) -> dict[str, Index]:
        """The first channels of every branch."""
        assert isinstance(self.full, PlainHyperZZW)
        width = signature.shape.width
        channels = torch.arange(width, device=self.full.project.weight.device)
        return {"width": width, "branches": stacked(channels, BRANCHES, self.full.width)}
