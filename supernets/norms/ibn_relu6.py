"""Instance norm beside batch norm; source and departures in search_spaces/norms/ibn_relu6.py.

Shapes: B batch, C channels, H W space.
"""

from typing import final

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from supernets._merged import AbstractMerged
from supernets.norms._base import NORM_LAYERS, AbstractNormLayers
from supernets.norms._statistics import AbstractBatchStatistics


class SplitNorm(nn.Module):
    """What is deployed: the two norms, each with its own channels.

    Args:
        half: Channels of the first one.
        width: Of both.
        eps: Of both.
    """

    def __init__(self, half: int, width: int, eps: float) -> None:
        super().__init__()
        self.sizes = [half, width - half]
        self.by_image = nn.InstanceNorm2d(half, eps, affine=True)
        self.by_batch = nn.BatchNorm2d(width - half, eps)

    def forward(self, x_BCHW: Tensor) -> Tensor:
        """The shape that came in."""
        parts = x_BCHW.split(self.sizes, dim=1)
        return torch.cat((self.by_image(parts[0]), self.by_batch(parts[1])), 1)


@final
class InstanceBatchNorm(AbstractBatchStatistics, AbstractMerged):
    """Instance norm of the first half of the channels, batch norm of the others.

    Every channel has all that a batch norm has, so that members take theirs: a channel that wide
    members have in the first half, narrow ones may have in the second. The running statistics of
    the first half are measured and not read.
    """

    def forward(self, x_BCHW: Tensor) -> Tensor:
        """The shape that came in."""
        half, eps = self.num_features // 2, self.eps
        first, second = x_BCHW.split([half, self.num_features - half], dim=1)
        first = F.instance_norm(first, weight=self.weight[:half], bias=self.bias[:half], eps=eps)
        weight_C, bias_C = self.weight[half:], self.bias[half:]
        if self.reads_batch(x_BCHW):
            second = F.batch_norm(second, None, None, weight_C, bias_C, True, 0.0, eps)
        else:
            mean_C, variance_C = self.get_buffer("running_mean"), self.get_buffer("running_var")
            known = mean_C[half:], variance_C[half:]
            second = F.batch_norm(second, *known, weight_C, bias_C, False, 0.0, eps)
        return torch.cat((first, second), 1)

    @torch.no_grad()
    def merged(self) -> nn.Module:
        """The two norms with copies of their halves."""
        half = self.num_features // 2
        with torch.device("meta"):
            found = SplitNorm(half, self.num_features, self.eps)
        state = self.state_dict()
        parts = {f"by_image.{name}": state[name][:half].clone() for name in ("weight", "bias")}
        names = ("weight", "bias", "running_mean", "running_var")
        parts |= {f"by_batch.{name}": state[name][half:].clone() for name in names}
        parts["by_batch.num_batches_tracked"] = state["num_batches_tracked"].clone()
        found.load_state_dict(parts, assign=True)
        return found


@final
@NORM_LAYERS.register
class InstanceBatchNormReLU6Layers(AbstractNormLayers):
    """Instance and batch norm, and ReLU6."""

    def norm(self, width: int) -> nn.Module:
        """Both norms."""
        return InstanceBatchNorm(width)

    def act(self) -> nn.Module:
        """See `AbstractNormLayers.act`."""
        return nn.ReLU6()
