"""A search space of one's own: copy, change, `nas space check my_space.py`, then

nas search --space my_space.py --data my_images/
"""

from search_spaces import AbstractSpace, SearchSpace, Stage, Staged, pyramid


class MySpace(AbstractSpace):
    """Convolutions in all stages, attention from the second one on."""

    def build(self, *, resolution: int | str, channels: int, num_classes: int) -> SearchSpace:
        """One stage per map that `pyramid` gives this resolution; widths double."""
        stages = []
        for i in range(len(pyramid(resolution).sizes)):
            operators = ("mbconv", "convnext") if i == 0 else ("mbconv", "convnext", "window")
            stages.append(
                Stage(
                    widths=(16 * 2**i, 32 * 2**i),
                    depths=(1, 2, 3),
                    operators=operators,
                    options=(
                        ("kernel_size", (3, 5)),
                        ("expand_ratio", (2, 4)),
                        *((("num_heads", (2 * i, 4 * i)),) if i else ()),
                    ),
                )
            )
        network = Staged(
            resolution=resolution,
            channels=channels,
            num_classes=num_classes,
            stages=tuple(stages),
        )
        return SearchSpace.of_network("my-space", network)
