"""The transformer's MLP; source in search_spaces/channel_parts/mlp.py."""

from typing import ClassVar, final

from torch import Tensor, nn

from search_spaces import Signature
from supernets._elastic import Axes
from supernets._modules import NORM_EPS, linear_axes, norm_axes
from supernets.channel_parts._base import ELASTIC_CHANNEL_PARTS, AbstractElasticExpansion


class PlainMLP(nn.Module):
    """Layer norm, linear, GELU, linear."""

    def __init__(self, signature: Signature) -> None:
        super().__init__()
        width, hidden = signature.shape.width, signature.kept.number("hidden")
        self.norm = nn.LayerNorm(width, eps=NORM_EPS)
        self.expand = nn.Linear(width, hidden)
        self.act = nn.GELU()
        self.project = nn.Linear(hidden, width)

    def forward(self, x_BHWC: Tensor) -> Tensor:
        """The shape that came in, without shortcut."""
        return self.project(self.act(self.expand(self.norm(x_BHWC))))


@final
@ELASTIC_CHANNEL_PARTS.register
class ElasticMLP(AbstractElasticExpansion):
    """Elastic width and expansion; hidden channels can be pruned."""

    plain: ClassVar[type[nn.Module]] = PlainMLP
    axes: ClassVar[Axes] = {
        **norm_axes("norm", "width"),
        **linear_axes("expand", "hidden", "width"),
        **linear_axes("project", "width", "hidden"),
    }
