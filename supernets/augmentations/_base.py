"""The contract of an augmentation, and the text that chooses some.

The text is such as "randaugment:magnitude=5+cutmix".

An augmentation is a frozen dataclass whose fields are its options. In the text augmentations are
joined by "+", and options follow the name as those of targets do. They are applied in the order of
the text, after shifts and flips and before normalisation; of several that mix images every batch
takes one, drawn with equal chances, and last.

Shapes: B batch, C channels, H W space.
"""

import dataclasses
import zlib
from abc import ABC, abstractmethod
from functools import cache
from typing import TYPE_CHECKING, Any, ClassVar, NamedTuple, get_type_hints

from search_spaces import Registry, UserError
from search_spaces._given import given_options
from supernets.device import moved

if TYPE_CHECKING:
    import numpy as np
    from torch import Tensor

STREAM = 4
"""Of generators, beside those of orders, shifts and members."""


class MixedLabels(NamedTuple):
    """Two labels of every image, and the share of the second one.

    Attributes:
        first_B: int64.
        second_B: int64.
        share_B: Of the second one, in [0, 1]; float32.
    """

    first_B: "Tensor"
    second_B: "Tensor"
    share_B: "Tensor"

    def of(self, which: Any) -> "MixedLabels":
        """Those of some images, as tensors are indexed."""
        return MixedLabels(*(tensor[which] for tensor in self))

    def on(self, device: str) -> "MixedLabels":
        """The same on a device."""
        return MixedLabels(*(moved(tensor, device) for tensor in self))


class Varied(NamedTuple):
    """A batch on its way to the network.

    Attributes:
        images_BCHW: float32 between 0 and 1; not to be changed in place.
        labels: int64 (B,); or mixed ones; or images, which no augmentation is given.
    """

    images_BCHW: "Tensor"
    labels: "Tensor | MixedLabels"


class AbstractAugmentation(ABC):
    """How images are varied: tensor operations on the device on which they lie.

    Attributes:
        mixes: Whether it mixes images, and so their labels.
    """

    mixes: ClassVar[bool] = False

    @abstractmethod
    def __call__(self, batch: Varied, rng: "np.random.Generator") -> Varied:
        """The batch varied; a pure function.

        Args:
            batch: Not mixed yet.
            rng: Belongs to this augmentation and this batch alone.
        """


AUGMENTATIONS = Registry("supernets.augmentations", "augmentation", AbstractAugmentation)


@cache
def chosen_augmentations(text: str) -> tuple[AbstractAugmentation, ...]:
    """The augmentations of a text; none of an empty one.

    Raises:
        UserError: If one is unknown or named twice, or an option is unknown, given twice, of
            another type or out of range.
    """
    parts = text.split("+") if text else []
    names = [part.partition(":")[0] for part in parts]
    if len(set(names)) < len(names):
        raise UserError(f"augment is '{text}'. Name each augmentation once.")
    return tuple(_chosen(part) for part in parts)


def varied(text: str, batch: Varied, *, seed: int, step: int) -> Varied:
    """A batch after the augmentations of a text.

    Args:
        text: As `chosen_augmentations` reads it.
        batch: Not mixed yet.
        seed: With the step and an augmentation's name it decides all that this one draws.
        step: Number of the batch.
    """
    import numpy as np

    chosen = chosen_augmentations(text)
    mixing = [augmentation for augmentation in chosen if augmentation.mixes]
    which = int(np.random.default_rng([seed, STREAM, step]).integers(len(mixing))) if mixing else 0
    for augmentation in (*(a for a in chosen if not a.mixes), *mixing[which : which + 1]):
        own = zlib.crc32(type(augmentation).__module__.encode())
        batch = augmentation(batch, np.random.default_rng([seed, STREAM, step, own]))
    return batch


def _chosen(text: str) -> AbstractAugmentation:
    name, colon, rest = text.partition(":")
    if "," in name or not name:
        raise UserError(
            f"augment has {text!r} where the name of an augmentation belongs. Write "
            "NAME:OPTION=VALUE, with + between several: randaugment:magnitude=5+cutmix."
        )
    cls = AUGMENTATIONS.get(name)
    kinds = get_type_hints(cls)
    own = {field.name: kinds[field.name] for field in dataclasses.fields(cls)}
    given = given_options(rest, f"augmentation '{name}'", own) if colon else {}
    augmentation: AbstractAugmentation = cls(**given)
    return augmentation
