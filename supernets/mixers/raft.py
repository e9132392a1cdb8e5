"""RaftMLP: one MLP along columns, one along rows.

Source: Tatsunami and Taki, RaftMLP (2021), section 3.1; declaration in
search_spaces/operators/raft.py. Shapes: B batch, H W space, C channels, R channels of a raft,
G = C / R groups of channels.
"""

from typing import ClassVar, final

from torch import Tensor, nn

from search_spaces import Signature
from search_spaces._sides import Sides
from search_spaces.operators.raft import TOKEN_EXPANSION
from supernets._elastic import AbstractUnpruned, Axes, Index
from supernets._modules import NORM_EPS, linear_axes, norm_axes
from supernets.mixers._base import MIXERS, AbstractElasticMixer


class AxialMLP(nn.Module):
    """Norm, then an MLP over vectors of R channels times all positions along one axis."""

    def __init__(self, width: int, size: Sides, raft: int, *, is_vertical: bool) -> None:
        super().__init__()
        self.groups, self.raft, self.size = width // raft, raft, size
        self.mixed, self.other = size if is_vertical else size[::-1]
        # (B, H, W, G, R) with the mixed axis last; the two orders are each other's inverse.
        self.forth = (0, 2, 3, 4, 1) if is_vertical else (0, 1, 3, 4, 2)
        self.back = (0, 4, 1, 2, 3) if is_vertical else (0, 1, 4, 2, 3)
        self.norm = nn.LayerNorm(width, eps=NORM_EPS)
        length = raft * self.mixed
        self.expand = nn.Linear(length, TOKEN_EXPANSION * length)
        self.act = nn.GELU()
        self.project = nn.Linear(TOKEN_EXPANSION * length, length)

    def forward(self, x_BHWC: Tensor) -> Tensor:
        """The shape that came in, without shortcut."""
        (height, width), groups, raft = self.size, self.groups, self.raft
        x = self.norm(x_BHWC).reshape(-1, height, width, groups, raft).permute(self.forth)
        x = x.reshape(-1, self.other, groups, raft * self.mixed)
        x = self.project(self.act(self.expand(x)))
        x = x.reshape(-1, self.other, groups, raft, self.mixed).permute(self.back)
        return x.reshape(-1, height, width, groups * raft)


class PlainRaft(nn.Module):
    """Vertical mixing with a shortcut, then horizontal; the slot adds the last shortcut."""

    def __init__(self, signature: Signature) -> None:
        super().__init__()
        shape, raft = signature.shape, signature.pick.number("raft")
        self.vertical = AxialMLP(shape.width, shape.size, raft, is_vertical=True)
        self.horizontal = AxialMLP(shape.width, shape.size, raft, is_vertical=False)

    def forward(self, x_BHWC: Tensor) -> Tensor:
        """The sum of both mixings, without the shortcut around the whole."""
        vertical = self.vertical(x_BHWC)
        return vertical + self.horizontal(x_BHWC + vertical)


@final
@MIXERS.register
class ElasticRaft(AbstractUnpruned, AbstractElasticMixer):
    """Elastic width; token weights belong to the map's sides and are shared by all widths."""

    has_shortcut: ClassVar[bool] = True
    plain: ClassVar[type[nn.Module]] = PlainRaft
    is_sized: ClassVar[bool] = True
    axes: ClassVar[Axes] = {
        name: roles
        for axis in ("vertical", "horizontal")
        for name, roles in {
            **norm_axes(f"{axis}.norm", "width"),
            **linear_axes(f"{axis}.expand", None, None),
            **linear_axes(f"{axis}.project", None, None),
        }.items()
    }

    def sizes(self, signature: Signature) -> dict[str, Index]:
        """The first channels."""
        return {"width": signature.shape.width}
