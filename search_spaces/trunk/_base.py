"""The contract of what stands between the blocks of a network: stems, downsamplings, heads."""

from typing import ClassVar, Literal

from search_spaces._choice import Options
from search_spaces._registry import Registry
from search_spaces._slot import Group, Shape
from search_spaces.operators._base import AbstractOperator, Mixing

Place = Literal["stem", "downsample", "upsample", "head", "lateral", "masks", "cluster", "rebuild"]


class AbstractTrunk(AbstractOperator):
    """Takes its place in every network of a space; only its widths are elastic."""

    place: ClassVar[Place]
    """Where it may stand. A stem may read "stride" and leaves the map that it says, a downsampling
    halves the map, an upsampling doubles it to a size that would be halved to it, a head makes
    logits of it. Of a decoder are laterals, which keep the map, and masks, logits at every
    pixel. What makes clusters and what undoes them stand around some blocks of a stage."""

    gives_images: ClassVar[bool] = False
    """Whether a head gives as many maps as images have channels, of the last map's size or larger,
    instead of logits. `shape.size` is then that of the last map, and `shape.width` the outputs at
    each of its positions."""

    mixing: ClassVar[tuple[Mixing, ...]] = ("convolution",)
    dims: ClassVar[tuple[str, ...]] = ()

    def normalise(self, pick: Options, shape: Shape) -> Options:
        """Everything that is picked matters."""
        return pick

    def groups(self, pick: Options, shape: Shape) -> dict[str, Group]:
        """Nothing can be pruned."""
        return {}


TRUNK = Registry("search_spaces.trunk", "stem, downsampling or head", AbstractTrunk)
