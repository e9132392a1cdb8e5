"""InceptionNeXt's token mixer: most channels pass, three small groups see a square and two bands.

Source: Yu et al., InceptionNeXt (2023), section 3.2. Departures: the slot's channel part
follows instead of batch norm and a convolutional MLP; no layer scale, as in `convnext`; bands are
no longer than the map's longer side reaches.
"""

from typing import ClassVar, final

from search_spaces import _layers as layers
from search_spaces._choice import Options
from search_spaces._errors import CandidateError
from search_spaces._slot import Cost, Group, Shape, Signature
from search_spaces.operators._base import OPERATORS, AbstractMixer, Mixing, effective_kernel_size

BRANCH_SHARE = 8
"""Each of the three branches has one in so many channels."""

SQUARE, BAND = 3, 11


@final
@OPERATORS.register
class Inception(AbstractMixer):
    """Identity, 3 x 3, 1 x 11 and 11 x 1 depthwise convolutions side by side."""

    mixing: ClassVar[tuple[Mixing, ...]] = ("convolution",)
    mixer_dims: ClassVar[tuple[str, ...]] = ()

    def mixer_normalise(self, pick: Options, shape: Shape) -> Options:
        """Adds the branches' channels and the length of the bands."""
        if shape.width < 4:
            raise CandidateError(
                f"operator 'inception' splits channels into four groups, and there are "
                f"{shape.width}. Offer widths of 4 or more."
            )
        return Options(
            {
                "branch": max(1, shape.width // BRANCH_SHARE),
                "band": effective_kernel_size(BAND, shape.size),
            }
        )

    def mixer_groups(self, pick: Options, shape: Shape) -> dict[str, Group]:
        """None: depthwise channels are the residual stream's."""
        return {}

    def mixer_cost(self, signature: Signature) -> Cost:
        """pixels * branch * (9 + 2 * band) multiply-adds; splitting and joining copy the map."""
        n, width, pick = signature.shape.pixels, signature.shape.width, signature.pick
        branch, band = pick.number("branch"), pick.number("band")
        return (
            layers.depthwise(n, branch, SQUARE, has_norm=False)
            + layers.depthwise(n, branch, band, has_norm=False, band=1)
            + layers.depthwise(n, branch, band, has_norm=False, band=1)
            + layers.pointwise(n, width, calls=4, quantizers=3)
            + layers.nodes(2)
        )
