"""The contract of a kind of network.

A network says which choices there are, which slots there could be and what feeds each, and what
signature a slot has for the options taken. It holds numbers only, so it can be stored as JSON and
sent to another process; everything after it knows slots and signatures alone.
"""

from abc import ABC, abstractmethod
from collections.abc import Mapping
from typing import Any, ClassVar, NamedTuple, Protocol, Self

from search_spaces._choice import Choice, Option
from search_spaces._registry import Registry
from search_spaces._sides import Resolution, Sides, read_sides
from search_spaces._slot import Join, Signature
from search_spaces.tasks._base import Answers
from search_spaces.trunk.subpixel import scale_of


class Inputs(Protocol):
    """Names the slots that feed one, for the options taken of the choices of its rule."""

    def __call__(self, options: Mapping[str, Option]) -> tuple[str, ...]: ...


class SlotRule(NamedTuple):
    """A slot: which choices decide about it, and what feeds it.

    Attributes:
        name: Dotted, such as "stage2.block1".
        shared: Choices that it shares with other slots.
        own: Its own choices, the operator's first; () if nothing is its own.
        inputs: Slots whose outputs it reads, all of them before it; "" is the image, and None the
            slot before. In place of one that is left out stands what feeds it, so a slot with
            several inputs is never left out. If choices decide, what names them for the options
            taken; then it names no slot that is left out, and may itself be left out.
        join: How several inputs become one.
        routes: Choices that decide about `inputs` alone, and not about how many there are.
    """

    name: str
    shared: tuple[str, ...]
    own: tuple[str, ...]
    inputs: tuple[str, ...] | Inputs | None = None
    join: Join = "sum"
    routes: tuple[str, ...] = ()


class AbstractNetwork(ABC):
    """A family of networks; subclasses are frozen dataclasses, their file's name is their kind."""

    resolution: Resolution
    """Height and width of the images in pixels, as they are written: 96, or "96x128"."""

    channels: int
    """Of the images."""

    num_classes: int
    """Outputs; at each position of an image where networks answer with images or masks."""

    gives_images: bool = False
    """Whether networks answer with images instead of a number per output."""

    gives_masks: ClassVar[bool] = False
    """Whether they answer with a number per output at every pixel of the image."""

    is_brought: ClassVar[bool] = False
    """Whether the largest member is a network that has learnt already. It has option 0 of every
    choice, and is trained with the others whether it is within the limits or not."""

    @property
    def sides(self) -> Sides:
        """Height and width of the images, pixels."""
        return read_sides(self.resolution)

    @property
    def answers(self) -> Answers:
        """What networks answer with."""
        if self.gives_masks:
            return "masks"
        return "images" if self.gives_images else "classes"

    @property
    def output_shape(self) -> tuple[int, ...]:
        """Of the answer to one image."""
        if self.gives_masks:
            return self.num_classes, *self.sides
        if not self.gives_images:
            return (self.num_classes,)
        scale, channels = scale_of(self.num_classes)
        height, width = self.sides
        return channels, scale * height, scale * width

    @abstractmethod
    def arch_choices(self) -> tuple[Choice, ...]:
        """What may be decided about the architecture; a choice comes after those it depends on."""

    @abstractmethod
    def policy_choices(
        self, precisions: tuple[str, ...], sparsities: tuple[float, ...]
    ) -> tuple[Choice, ...]:
        """What may be decided about compression."""

    @abstractmethod
    def slot_rules(self) -> tuple[SlotRule, ...]:
        """Every slot there could be, each after those that feed it; the last one gives logits."""

    @abstractmethod
    def reads(self, operator: str) -> tuple[str, ...]:
        """Dimensions, such as "kernel_size", that decide about a slot of this operator."""

    @abstractmethod
    def signature(self, slot: str, options: Mapping[str, Option]) -> Signature | None:
        """What fills the slot, or None if it is left out.

        Args:
            slot: Name of one of `slot_rules`.
            options: At least the options of that rule's choices; policy choices and dimensions that
                the slot's operator does not read may be missing.
        """

    def shared_groups(self) -> Mapping[tuple[str, str], str]:
        """By slot and prunable group of its operator, what the group is called in the network.

        Groups of one name lose the same members. Those that are not named are their slot's own.
        """
        return {}

    @abstractmethod
    def to_json(self) -> dict[str, Any]:
        """Everything `from_json` needs."""

    @classmethod
    @abstractmethod
    def from_json(cls, document: Mapping[str, Any]) -> Self:
        """The inverse of `to_json`."""


NETWORKS = Registry("search_spaces.networks", "kind of network", AbstractNetwork)
DEFAULT_KIND = "staged"


def network_to_json(network: AbstractNetwork) -> dict[str, Any]:
    """The network's numbers, and its kind unless it is the usual one."""
    kind = type(network).__module__.rpartition(".")[2]
    return ({} if kind == DEFAULT_KIND else {"kind": kind}) | network.to_json()


def network_from_json(document: Mapping[str, Any]) -> AbstractNetwork:
    """The inverse of `network_to_json`.

    Raises:
        UserError: If there is no such kind.
    """
    network = NETWORKS.get(document.get("kind", DEFAULT_KIND)).from_json(document)
    assert isinstance(network, AbstractNetwork)
    return network
