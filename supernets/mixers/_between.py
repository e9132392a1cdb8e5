"""What stands between the passes of a slot that uses its weights several times.

Source: Shen et al., Sliced Recursive Transformer (2022); departures in
search_spaces/operators/_repeated.py.
"""

from collections.abc import Mapping
from typing import ClassVar, final

from torch import Tensor, nn

from search_spaces import Signature
from search_spaces.operators._repeated import MOST_REPEATS, num_passes, projection_width
from supernets._elastic import AbstractUnpruned, Axes, Index, inside
from supernets._modules import NORM_EPS, linear_axes, norm_axes


class Projection(nn.Module):
    """Layer norm, linear, GELU, linear; without shortcut."""

    def __init__(self, width: int) -> None:
        super().__init__()
        hidden = projection_width(width)
        self.norm = nn.LayerNorm(width, eps=NORM_EPS)
        self.reduce = nn.Linear(width, hidden)
        self.act = nn.GELU()
        self.project = nn.Linear(hidden, width)

    def forward(self, x_BHWC: Tensor) -> Tensor:
        """The shape that came in."""
        output: Tensor = self.project(self.act(self.reduce(self.norm(x_BHWC))))
        return output


class PlainBetween(nn.Module):
    """A projection in front of every pass but the first."""

    def __init__(self, signature: Signature) -> None:
        super().__init__()
        width, passes = signature.shape.width, num_passes(signature.pick)
        self.projections = nn.ModuleList(Projection(width) for _ in range(passes - 1))

    def forward(self, x_BHWC: Tensor, number: int) -> Tensor:
        """What the pass of this number, from 1, reads: the shape that came in."""
        return x_BHWC + self.projections[number - 1](x_BHWC)


def _projection_axes(number: int) -> Mapping[str, tuple[str | None, ...]]:
    width, hidden = f"width{number}", f"hidden{number}"
    return {
        **norm_axes("norm", width),
        **linear_axes("reduce", hidden, width),
        **linear_axes("project", width, hidden),
    }


@final
class ElasticBetween(AbstractUnpruned):
    """Elastic width and number of passes: fewer have the first projections."""

    plain: ClassVar[type[nn.Module]] = PlainBetween
    axes: ClassVar[Axes] = {
        name: roles
        for number in range(MOST_REPEATS - 1)
        for name, roles in inside(f"projections.{number}", _projection_axes(number)).items()
    }

    def sizes(self, signature: Signature) -> dict[str, Index]:
        """Of every projection its width and what is between its layers; 0 of one that is unused."""
        width, used = signature.shape.width, num_passes(signature.pick) - 1
        sizes: dict[str, Index] = {}
        for number in range(MOST_REPEATS - 1):
            sizes[f"width{number}"] = width if number < used else 0
            sizes[f"hidden{number}"] = projection_width(width) if number < used else 0
        return sizes
