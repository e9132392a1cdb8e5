"""Networks that answer with larger images: for `--task super-resolution`.

All maps have the size of the image, so widths are a tenth of those of classifiers. Blocks are
convolutions; where `convformer` stands, its channel part may keep edges, as in its paper.
"""

from typing import final

from search_spaces._base import SPACES, AbstractSpace
from search_spaces._sides import Resolution
from search_spaces._space import SearchSpace
from search_spaces.networks._stage import Stage
from search_spaces.networks.staged import Staged


@final
@SPACES.register
class SuperResolution(AbstractSpace):
    """One stage of up to four blocks, `basic`, `mbconv`, `convnext` or `convformer`."""

    def build(self, *, resolution: Resolution, channels: int, num_classes: int) -> SearchSpace:
        """Widths 8-32; kernels up to 9 x 9, as the paper of `convformer` has them."""
        stage = Stage(
            widths=(8, 16, 24, 32),
            depths=(1, 2, 3, 4),
            operators=("basic", "mbconv", "convnext", "convformer"),
            options=(
                ("kernel_size", (3, 5, 7, 9)),
                ("expand_ratio", (2, 3)),
                ("channel_part", ("mlp", "edge")),
            ),
        )
        network = Staged(
            resolution=resolution,
            channels=channels,
            num_classes=num_classes,
            stages=(stage,),
            heads=("subpixel",),
            gives_images=True,
        )
        return SearchSpace.of_network("sr", network)
