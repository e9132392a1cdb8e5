"""SpaRTAN's kernels of several dilations and waves of channels.

Declaration, source and departures in search_spaces/operators/spartan.py.
"""

from typing import ClassVar, final

import torch
from torch import Tensor, nn

from search_spaces import Signature
from search_spaces.operators.spartan import DILATIONS, branch_widths, kernel_sizes
from supernets._elastic import KERNEL, AbstractUnpruned, Axes, Index
from supernets._heads import stacked
from supernets._modules import NORM_EPS, linear_axes, norm_axes
from supernets.mixers._base import MIXERS, AbstractElasticMixer


class PlainSpaRTAN(nn.Module):
    """Norm, depthwise convolutions side by side, phases, projection of cosines and sines."""

    def __init__(self, signature: Signature) -> None:
        super().__init__()
        width = signature.shape.width
        self.width, self.branches = width, branch_widths(width)
        self.norm = nn.LayerNorm(width, eps=NORM_EPS)
        self.convs = nn.ModuleDict(
            {
                str(dilation): nn.Conv2d(
                    channels,
                    channels,
                    kernel_size,
                    padding=dilation * (kernel_size // 2),
                    dilation=dilation,
                    groups=channels,
                )
                for dilation, channels, kernel_size in zip(
                    DILATIONS, self.branches, kernel_sizes(signature.pick), strict=True
                )
            }
        )
        self.phase = nn.Linear(width, width)
        self.project = nn.Linear(2 * width, width)

    def forward(self, x_BHWC: Tensor) -> Tensor:
        """The shape that came in, without shortcut."""
        parts = self.norm(x_BHWC).permute(0, 3, 1, 2).split(self.branches, dim=1)
        seen = [conv(parts[place]) for place, conv in enumerate(self.convs.values())]
        amplitude = torch.cat(seen, dim=1).permute(0, 2, 3, 1)
        phase = self.phase(amplitude)
        waves = torch.cat((amplitude * phase.cos(), amplitude * phase.sin()), dim=-1)
        return self.project(waves)


@final
@MIXERS.register
class ElasticSpaRTAN(AbstractUnpruned, AbstractElasticMixer):
    """Elastic width and kernels; a narrower member has the first channels of every dilation.

    Which channels of the map these are differs from width to width, as in `inception`; phases and
    projection go by their place behind the convolutions.
    """

    has_shortcut: ClassVar[bool] = True
    plain: ClassVar[type[nn.Module]] = PlainSpaRTAN
    axes: ClassVar[Axes] = {
        **norm_axes("norm", "width"),
        **{
            f"convs.{dilation}.{tensor}": roles
            for dilation in DILATIONS
            for tensor, roles in {
                "weight": (
                    f"branch{dilation}",
                    None,
                    f"{KERNEL}{dilation}",
                    f"{KERNEL}{dilation}",
                ),
                "bias": (f"branch{dilation}",),
            }.items()
        },
        **linear_axes("phase", "width", "width"),
        **linear_axes("project", "width", "waves"),
    }

    def sizes(self, signature: Signature) -> dict[str, Index]:
        """The first channels, of cosines and of sines; the centres of the kernels."""
        assert isinstance(self.full, PlainSpaRTAN)
        width, full = signature.shape.width, self.full
        channels_C = torch.arange(width, device=full.project.weight.device)
        found: dict[str, Index] = {
            "width": width,
            "waves": stacked(channels_C, 2, full.width),
        }
        for dilation, channels, kernel_size in zip(
            DILATIONS, branch_widths(width), kernel_sizes(signature.pick), strict=True
        ):
            found |= {f"branch{dilation}": channels, f"{KERNEL}{dilation}": kernel_size}
        return found
