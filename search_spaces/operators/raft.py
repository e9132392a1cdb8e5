"""RaftMLP: token mixing by one MLP along columns and one along rows.

Source: Tatsunami and Taki, RaftMLP (2021), section 3.1. The map's sides are part of the weights, so
an operator trained at one resolution serves that resolution only. Departure: a raft is of
neighbouring channels, where the paper's are as far apart as there are rafts, so that a narrower
member, which has the first channels, has whole rafts.
"""

from typing import ClassVar, final

from search_spaces import _layers as layers
from search_spaces._choice import Options
from search_spaces._errors import CandidateError
from search_spaces._slot import Cost, Group, Shape, Signature
from search_spaces.operators._base import OPERATORS, AbstractMixer, Mixing

RAFT = 2
TOKEN_EXPANSION = 2


@final
@OPERATORS.register
class Raft(AbstractMixer):
    """Vertical then horizontal mixing of `RAFT` channels stacked along the axis."""

    mixing: ClassVar[tuple[Mixing, ...]] = ("mixer",)
    mixer_dims: ClassVar[tuple[str, ...]] = ()

    def mixer_normalise(self, pick: Options, shape: Shape) -> Options:
        """Adds the raft: how many channels are stacked."""
        if shape.width % RAFT:
            raise CandidateError(
                f"operator 'raft' stacks {RAFT} channels, and {shape.width} channels do not divide "
                f"by {RAFT}. Offer even widths."
            )
        return Options({"raft": RAFT})

    def mixer_groups(self, pick: Options, shape: Shape) -> dict[str, Group]:
        """None: token weights do not depend on channels."""
        return {}

    def mixer_cost(self, signature: Signature) -> Cost:
        """For either side 2 * pixels * width * expansion * raft * side multiply-adds."""
        n, width = signature.shape.pixels, signature.shape.width
        cost = layers.pointwise(n, width, calls=2)
        for side in signature.shape.size:
            length = signature.pick.number("raft") * side
            vectors = n * width // length
            cost += (
                layers.layer_norm(n, width)
                + layers.linear(vectors, length, TOKEN_EXPANSION * length)
                + layers.pointwise(n, TOKEN_EXPANSION * width)
                + layers.linear(vectors, TOKEN_EXPANSION * length, length)
                + layers.pointwise(n, width, calls=3, quantizers=2)
                + layers.nodes(5)
            )
        return cost
