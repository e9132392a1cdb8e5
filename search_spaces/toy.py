"""A space small enough to train in seconds and to enumerate: for tests and first steps."""

from typing import final

from search_spaces._base import SPACES, AbstractSpace
from search_spaces._resolution import pyramid
from search_spaces._sides import Resolution
from search_spaces._space import SearchSpace
from search_spaces.networks._stage import Stage
from search_spaces.networks.staged import Staged


@final
@SPACES.register
class Toy(AbstractSpace):
    """One or two narrow blocks per stage, two operators."""

    def build(self, *, resolution: Resolution, channels: int, num_classes: int) -> SearchSpace:
        """Widths 8 and 16 times the stage's factor; `mbconv` or `window` in every block."""
        stages = tuple(
            Stage(
                widths=(8 * 2**i, 16 * 2**i),
                depths=(1, 2) if i == 0 else (1,),
                operators=("mbconv", "window"),
                options=(
                    ("kernel_size", (3, 5)),
                    ("expand_ratio", (2, 3)),
                    ("num_heads", (1, 2)),
                ),
                head_dim=8,
            )
            for i in range(len(pyramid(resolution).sizes))
        )
        network = Staged(
            resolution=resolution, channels=channels, num_classes=num_classes, stages=stages
        )
        return SearchSpace.of_network("toy", network)
