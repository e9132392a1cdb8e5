"""Staged networks: stem, stages of blocks, downsampling between them, head.

    stem - block* - downsample - block* - downsample - block* ... - head

Networks that answer with images have one stage, whose maps have the size of the image. Their head
reads the image beside the last map, and so need not carry it through the blocks. It is in fp32 in
every format: on one grid with a map, whose values are larger, an image would lose its levels.

Slots are called "stem", "stage2.downsample", "stage2.block1" and "head".

A block has a choice of operator of its own, so the order of convolution and attention over the
stages is decided, too. Source of that: Dagli, Astroformer: More Data Might not be all you need for
Classification (2023). Departures: the order is searched; its attention is an operator like others.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache, cached_property
from typing import Any, NamedTuple, final

from search_spaces._choice import Choice, Option, integer
from search_spaces._clusters import TOKENS_PER_CLUSTER
from search_spaces._declarations import declaration
from search_spaces._errors import UserError
from search_spaces._precision import FULL_PRECISION
from search_spaces._resolution import Pyramid, pyramid, single_map
from search_spaces._sides import Resolution
from search_spaces._slot import Shape, Signature
from search_spaces.networks import _clustered as clustering
from search_spaces.networks._base import NETWORKS, AbstractNetwork, SlotRule
from search_spaces.networks._filled import filled
from search_spaces.networks._stage import (
    UNREAD,
    Stage,
    block_choices,
    block_signature,
    check_stage,
    own_names,
)
from search_spaces.networks._trunk_names import check_trunk
from search_spaces.trunk._base import TRUNK

STEM_STRIDE, STEM_STRIDES = "stem.stride", (1, 2, 4)
STEM, DOWNSAMPLE, HEAD = "stem", "downsample", "head"


class Where(NamedTuple):
    """What a slot's name says.

    Attributes:
        place: "stem", "downsample", "cluster", "rebuild", "head", or "block".
        stage: Number of the stage, from 1: of a stem the first, of a downsampling the one after
            it, of a head the last.
        block: Number of the block in its stage, from 1; 0 for what is no block.
    """

    place: str
    stage: int
    block: int = 0

    @staticmethod
    @cache
    def of(slot: str, num_stages: int) -> "Where":
        """The inverse of naming a slot."""
        if slot == STEM:
            return Where(STEM, 1)
        if slot == HEAD:
            return Where(HEAD, num_stages)
        stage, _, place = slot.partition(".")
        number = int(stage.removeprefix("stage"))
        if place in (DOWNSAMPLE, clustering.CLUSTER, clustering.REBUILD):
            return Where(place, number)
        return Where("block", number, int(place.removeprefix("block")))


@final
@NETWORKS.register
@dataclass(frozen=True, kw_only=True)
class Staged(AbstractNetwork):
    """A family of staged networks.

    Attributes:
        resolution: Height and width of the images in pixels, as they are written.
        channels: Channels of the images.
        num_classes: Outputs of the head.
        stages: One per map of the resolution's pyramid.
        stem_strides: Options for the stride of the stem; () for that of the resolution's pyramid.
        stems: Names of stems; several are a choice, "stem.operator".
        downsamples: Names of downsamplings; likewise, for each stage.
        heads: Names of heads; likewise.
        gives_images: Whether networks answer with images.
    """

    resolution: Resolution
    channels: int
    num_classes: int
    stages: tuple[Stage, ...]
    stem_strides: tuple[int, ...] = ()
    stems: tuple[str, ...] = (STEM,)
    downsamples: tuple[str, ...] = (DOWNSAMPLE,)
    heads: tuple[str, ...] = (HEAD,)
    gives_images: bool = False

    def __post_init__(self) -> None:
        wrong = [stride for stride in self.stem_strides if stride not in STEM_STRIDES]
        if wrong:
            raise UserError(
                f"a network offers a stem of stride {wrong[0]}. "
                f"Strides are {', '.join(map(str, STEM_STRIDES))}. Offer these."
            )
        if len(self.stages) != len(self.pyramid.sizes):
            raise UserError(
                f"a network for {self.resolution} px declares {len(self.stages)} stages. "
                f"This resolution has {len(self.pyramid.sizes)}. Declare as many."
            )
        for number, stage in enumerate(self.stages, start=1):
            check_stage(f"stage{number}", stage)
        for place, names in self._trunk.items():
            check_trunk(place, names)
        plain = [name for name in self.heads if not TRUNK.get(name).gives_images]
        if self.gives_images and plain:
            raise UserError(
                f"a network that answers with images offers head '{plain[0]}', which gives none. "
                "Offer subpixel."
            )

    @cached_property
    def pyramid(self) -> Pyramid:
        """The sizes of the maps behind the usual stem."""
        if self.gives_images:
            return single_map(self.resolution)
        return pyramid(self.resolution)

    def maps(self, options: Mapping[str, Option]) -> Pyramid:
        """The sizes of the maps behind the stem that the options choose."""
        if self.gives_images:
            return self.pyramid
        return pyramid(self.resolution, integer(options.get(STEM_STRIDE, 0)))

    def arch_choices(self) -> tuple[Choice, ...]:
        """The stem's stride; by stage width, depth, and the blocks' operators and dimensions.

        Of stems, downsamplings and heads where there are several.
        """
        choices = [Choice(STEM_STRIDE, self.stem_strides)] if self.stem_strides else []
        choices += self._trunk_choice(STEM)
        for number, stage in enumerate(self.stages, start=1):
            prefix = f"stage{number}"
            if number > 1:
                choices += self._trunk_choice(f"{prefix}.{DOWNSAMPLE}")
            choices.append(Choice(f"{prefix}.width", stage.widths))
            choices.append(Choice(f"{prefix}.depth", stage.depths))
            choices += clustering.cluster_choices(prefix, stage.tokens_per_cluster)
            for block in range(1, max(stage.depths) + 1):
                choices.extend(block_choices(f"{prefix}.block{block}", block, stage, prefix))
        return (*choices, *self._trunk_choice(HEAD))

    def policy_choices(
        self, precisions: tuple[str, ...], sparsities: tuple[float, ...]
    ) -> tuple[Choice, ...]:
        """One precision and one sparsity per stage."""
        choices: list[Choice] = []
        for number in range(1, len(self.stages) + 1):
            choices.append(Choice(f"stage{number}.precision", precisions))
            choices.append(Choice(f"stage{number}.sparsity", sparsities))
        return tuple(choices)

    def slot_rules(self) -> tuple[SlotRule, ...]:
        """Every slot there could be, in a row."""
        stem = (STEM_STRIDE,) if self.stem_strides else ()
        rules = [self._trunk_rule(STEM, (*stem, "stage1.width", "stage1.precision"))]
        for number, stage in enumerate(self.stages, start=1):
            prefix = f"stage{number}"
            if number > 1:
                widths = (f"stage{number - 1}.width", f"{prefix}.width")
                read = (*stem, *widths, f"{prefix}.precision")
                rules.append(self._trunk_rule(f"{prefix}.{DOWNSAMPLE}", read))
            of_stage = (f"{prefix}.{c}" for c in ("width", "depth", "precision", "sparsity"))
            shared = (*stem, *of_stage)
            blocks = []
            for block in range(1, max(stage.depths) + 1):
                slot = f"{prefix}.block{block}"
                blocks.append(SlotRule(slot, shared, own_names(slot, stage.dims)))
            rules += clustering.clustered_rules(
                blocks,
                prefix,
                shared=stem,
                before=rules[-1].name,
                offered=stage.tokens_per_cluster,
                after=stage.cluster_after,
            )
        if self.gives_images:
            feeds = ("", rules[-1].name)
            head = self._trunk_rule(HEAD, (f"{prefix}.width",))
            return (*rules, head._replace(inputs=feeds, join="concatenation"))
        rules.append(self._trunk_rule(HEAD, (*stem, f"{prefix}.width", f"{prefix}.precision")))
        return tuple(rules)

    def reads(self, operator: str) -> tuple[str, ...]:
        """Dimensions that decide about a block of this operator."""
        return declaration(operator).dims

    def signature(self, slot: str, options: Mapping[str, Option]) -> Signature | None:
        """What fills the slot, or None if the depth leaves it out."""
        place, number, block = Where.of(slot, len(self.stages))
        if place in self._trunk:
            return self._trunk_signature(slot, place, number, options)
        prefix, stage = f"stage{number}", self.stages[number - 1]
        depth, width = integer(options[f"{prefix}.depth"]), integer(options[f"{prefix}.width"])
        size = self.maps(options).sizes[number - 1]
        tokens = options.get(f"{prefix}.{TOKENS_PER_CLUSTER}", 1)
        if place != "block":
            is_there = depth > stage.cluster_after
            return clustering.cluster_signature(place, size, width, tokens) if is_there else None
        if block > depth:
            return None
        return block_signature(
            stage.dims,
            stage.head_dim,
            (block - 1) % 2,
            width,
            tuple(options.get(name, UNREAD) for name in own_names(slot, stage.dims)),
            options.get(f"{prefix}.sparsity", 0.0),
            options.get(f"{prefix}.precision", FULL_PRECISION),
            size if block <= stage.cluster_after else clustering.cluster_size(size, tokens),
        )

    def to_json(self) -> dict[str, Any]:
        """Everything `from_json` needs."""
        several = {f"{place}s": names for place, names in self._trunk.items() if names != (place,)}
        return {
            "resolution": self.resolution,
            "channels": self.channels,
            "num_classes": self.num_classes,
            "stages": [stage.to_json() for stage in self.stages],
            "stem_strides": self.stem_strides,
            **({"gives_images": True} if self.gives_images else {}),
            **several,
        }

    @classmethod
    def from_json(cls, document: Mapping[str, Any]) -> "Staged":
        """The inverse of `to_json`."""
        stages = tuple(map(Stage.from_json, document["stages"]))
        sizes = {name: document[name] for name in ("resolution", "channels", "num_classes")}
        strides = tuple(map(int, document.get("stem_strides", ())))
        places = (f"{place}s" for place in (STEM, DOWNSAMPLE, HEAD))
        trunk: dict[str, Any] = {n: tuple(document[n]) for n in places if n in document}
        gives_images = bool(document.get("gives_images", False))
        return cls(stages=stages, stem_strides=strides, gives_images=gives_images, **trunk, **sizes)

    @property
    def _trunk(self) -> dict[str, tuple[str, ...]]:
        return {STEM: self.stems, DOWNSAMPLE: self.downsamples, HEAD: self.heads}

    def _trunk_choice(self, slot: str) -> list[Choice]:
        names = self._trunk[Where.of(slot, len(self.stages)).place]
        return [Choice(f"{slot}.operator", names)] if len(names) > 1 else []

    def _trunk_rule(self, slot: str, shared: tuple[str, ...]) -> SlotRule:
        return SlotRule(slot, shared, tuple(choice.name for choice in self._trunk_choice(slot)))

    def _trunk_signature(
        self, slot: str, place: str, number: int, options: Mapping[str, Option]
    ) -> Signature:
        maps = self.maps(options)
        width = integer(options[f"stage{number}.width"])
        size = maps.sizes[number - 1]
        name = str(options.get(f"{slot}.operator", self._trunk[place][0]))
        if place == STEM:
            shape = Shape(self.sides, size, self.channels, width)
        elif place == HEAD:
            in_width = width + (self.channels if self.gives_images else 0)
            out_size = size if TRUNK.get(name).gives_images else (1, 1)
            shape = Shape(size, out_size, in_width, self.num_classes)
        else:
            in_width = integer(options[f"stage{number - 1}.width"])
            shape = Shape(maps.sizes[number - 2], size, in_width, width)
        known = {"stride": maps.stem_stride} if place == STEM else {}
        precision = str(options.get(f"stage{number}.precision", FULL_PRECISION))
        if place == HEAD and self.gives_images:
            precision = FULL_PRECISION
        return filled(name, shape, known, precision=precision)
