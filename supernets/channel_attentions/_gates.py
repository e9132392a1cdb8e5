"""Gates of channels that the means of all of them decide.

Shapes: B batch, C channels, H W space.
"""

from torch import Tensor, nn

from supernets._elastic import Axes
from supernets._modules import GATES_END, linear_axes


class Means(nn.Module):
    """The mean of every channel: (B, C, H, W) to (B, C)."""

    def __init__(self) -> None:
        super().__init__()
        self.pool = nn.AdaptiveAvgPool2d(1)

    def forward(self, x_BCHW: Tensor) -> Tensor:
        """(B, C)."""
        return self.pool(x_BCHW).flatten(1)


class SqueezedGates(nn.Module):
    """Means, linear layer, activation, linear layer, sigmoid: (B, C, H, W) to (B, C, 1, 1)."""

    def __init__(self, channels: int, inner: int, act: type[nn.Module] = nn.SiLU) -> None:
        super().__init__()
        self.channels = channels
        self.means = Means()
        self.squeeze = nn.Linear(channels, inner)
        self.act = act()
        self.decide = nn.Linear(inner, channels)
        self.gate = nn.Sigmoid()

    def forward(self, x_BCHW: Tensor) -> Tensor:
        """A number in (0, 1) per channel."""
        inner_BI = self.act(self.squeeze(self.means(x_BCHW)))
        return self.gate(self.decide(inner_BI)).reshape(-1, self.channels, 1, 1)


def squeezed_axes(place: str, channels_role: str, inner_role: str) -> Axes:
    """Roles of the axes of `SqueezedGates` called `place`."""
    return {
        **linear_axes(f"{place}.squeeze", inner_role, channels_role),
        **linear_axes(f"{place}.{GATES_END}", channels_role, inner_role),
    }
