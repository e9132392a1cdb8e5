"""Networks that answer with masks: a staged network, and a decoder of the maps of all its stages.

    stem - block* ----- downsample - block* ----- downsample - block*
               |                          |                         |
            lateral                    lateral                   lateral
               |                          |                         |
      masks - (+) ------- upsample ----- (+) ------- upsample ------'

Every stage's last map goes through a 1x1 convolution to the decoder's width. From the last stage
back, what has come so far is upsampled by 2 and added. A 3x3 convolution and a classifier of
positions read the sum, and the logits are brought to the size of the image. Nothing is dilated, and
all that the decoder does besides convolutions are additions and upsampling, which quantizers,
pruners and compilers know.

Source: Mehta et al., Simple and Efficient Architectures for Semantic Segmentation (2022): an
encoder like ResNets' and a small multi-scale head. Departures: the encoder is any staged network,
with its own operators, widths and depths, instead of ResNets whose receptive field was enlarged by
hand; the decoder is the top-down path of Lin et al., Feature Pyramid Networks for Object Detection
(2017), whose width is elastic.

Slots are called as those of staged networks, and "decoder.lateral2", "decoder.up2" (from the second
stage's map to the first one's) and "head". What lies at a stage's map has its precision.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any, ClassVar, final

from search_spaces._choice import Choice, Option, integer
from search_spaces._dimensions import check_options
from search_spaces._precision import FULL_PRECISION
from search_spaces._sides import Resolution
from search_spaces._slot import Shape, Signature
from search_spaces.networks._base import NETWORKS, AbstractNetwork, SlotRule
from search_spaces.networks._filled import filled
from search_spaces.networks._stage import Stage
from search_spaces.networks.staged import DOWNSAMPLE, HEAD, STEM, STEM_STRIDE, Staged

WIDTH = "decoder.width"
LATERAL, UP, MASKS = "decoder.lateral", "decoder.up", "masks"


@final
@NETWORKS.register
@dataclass(frozen=True, kw_only=True)
class Segmented(AbstractNetwork):
    """A family of encoders with a decoder.

    Attributes:
        resolution: Height and width of the images in pixels, as they are written.
        channels: Channels of the images.
        num_classes: Of pixels.
        stages: Of the encoder, one per map of the resolution's pyramid.
        decoder_widths: Channels of the decoder's maps.
        stem_strides: As of `Staged`.
        stems: Likewise.
        downsamples: Likewise.
    """

    resolution: Resolution
    channels: int
    num_classes: int
    stages: tuple[Stage, ...]
    decoder_widths: tuple[int, ...]
    stem_strides: tuple[int, ...] = ()
    stems: tuple[str, ...] = (STEM,)
    downsamples: tuple[str, ...] = (DOWNSAMPLE,)
    gives_masks: ClassVar[bool] = True

    def __post_init__(self) -> None:
        check_options(WIDTH, self.decoder_widths)
        assert self.encoder.pyramid.sizes

    @cached_property
    def encoder(self) -> Staged:
        """The staged network, whose head is not used."""
        return Staged(
            resolution=self.resolution,
            channels=self.channels,
            num_classes=self.num_classes,
            stages=self.stages,
            stem_strides=self.stem_strides,
            stems=self.stems,
            downsamples=self.downsamples,
        )

    def arch_choices(self) -> tuple[Choice, ...]:
        """The encoder's, and the decoder's width."""
        return (*self.encoder.arch_choices(), Choice(WIDTH, self.decoder_widths))

    def policy_choices(
        self, precisions: tuple[str, ...], sparsities: tuple[float, ...]
    ) -> tuple[Choice, ...]:
        """One precision and one sparsity per stage."""
        return self.encoder.policy_choices(precisions, sparsities)

    def slot_rules(self) -> tuple[SlotRule, ...]:
        """The encoder's without its head, then the decoder's from the last stage back."""
        rules = list(self.encoder.slot_rules()[:-1])
        stem = (STEM_STRIDE,) if self.stem_strides else ()
        feeds: tuple[str, ...] = ()
        for number in range(len(self.stages), 0, -1):
            read = (*stem, WIDTH, f"stage{number}.precision")
            lateral, up = f"{LATERAL}{number}", f"{UP}{number}"
            of_stage = (*read, f"stage{number}.width")
            rules.append(SlotRule(lateral, of_stage, (), (self._last_of(number),)))
            feeds = (lateral, *feeds)
            if number > 1:
                rules.append(SlotRule(up, read, (), feeds))
                feeds = (up,)
        return (*rules, SlotRule(HEAD, read, (), feeds))

    def reads(self, operator: str) -> tuple[str, ...]:
        """As in the encoder."""
        return self.encoder.reads(operator)

    def signature(self, slot: str, options: Mapping[str, Option]) -> Signature | None:
        """What fills the slot, or None if the depth leaves it out."""
        name, number = _part(slot)
        if not name:
            return self.encoder.signature(slot, options)
        size = self.encoder.maps(options).sizes[number - 1]
        width = integer(options[WIDTH])
        precision = str(options.get(f"stage{number}.precision", FULL_PRECISION))
        if name == LATERAL:
            shape = Shape(size, size, integer(options[f"stage{number}.width"]), width)
            return filled("lateral", shape, {}, precision=precision)
        if name == UP:
            larger = self.encoder.maps(options).sizes[number - 2]
            return filled("upsample", Shape(size, larger, width, width), {}, precision=precision)
        shape = Shape(size, self.sides, width, self.num_classes)
        return filled(MASKS, shape, {}, precision=precision)

    def to_json(self) -> dict[str, Any]:
        """Everything `from_json` needs."""
        return self.encoder.to_json() | {"decoder_widths": self.decoder_widths}

    @classmethod
    def from_json(cls, document: Mapping[str, Any]) -> "Segmented":
        """The inverse of `to_json`."""
        encoder = Staged.from_json(document)
        return cls(
            resolution=encoder.resolution,
            channels=encoder.channels,
            num_classes=encoder.num_classes,
            stages=encoder.stages,
            decoder_widths=tuple(map(int, document["decoder_widths"])),
            stem_strides=encoder.stem_strides,
            stems=encoder.stems,
            downsamples=encoder.downsamples,
        )

    def _last_of(self, number: int) -> str:
        """The slot of a stage's last block, or of what stands there if the depth leaves it out."""
        return f"stage{number}.block{max(self.stages[number - 1].depths)}"


def _part(slot: str) -> tuple[str, int]:
    """What a slot of the decoder is, and the number of the stage at whose map it lies; "" of
    others.
    """
    if slot == HEAD:
        return HEAD, 1
    for name in (LATERAL, UP):
        if slot.startswith(name):
            return name, int(slot.removeprefix(name))
    return "", 0
