"""The contract of an operator's declaration.

A *block* fills its slot alone. A *mixer* mixes positions only, and the slot's channel part, which
all mixers of the slot share, follows it.
"""

from abc import ABC, abstractmethod
from collections.abc import Mapping
from typing import ClassVar, Literal

from search_spaces import _layers as layers
from search_spaces._choice import Option, Options
from search_spaces._registry import Registry
from search_spaces._sides import Sides
from search_spaces._slot import HIDDEN_MULTIPLE, Cost, Group, Shape, Signature
from search_spaces.channel_parts._base import (
    CHANNEL_DIMS,
    CHANNEL_PART,
    CHANNEL_PARTS,
    DEFAULT_CHANNEL_PART,
    channel_part_of,
    channel_pick,
)
from search_spaces.operators._repeated import (
    REPEATS,
    between_cost,
    num_passes,
    repeated,
    repeats_pick,
)

Mixing = Literal["convolution", "attention", "mixer"]
"""How positions are mixed: by a convolution, by attention, or by an MLP over positions."""

SLOT_DIMS = (*CHANNEL_DIMS, REPEATS)
"""What decides about every mixer's slot besides the mixer: its channel part, and its passes."""


class AbstractOperator(ABC):
    """What may be decided about an operator, and what each decision costs."""

    mixing: ClassVar[tuple[Mixing, ...]]
    """How it mixes positions; an operator that does it twice names both."""

    dims: ClassVar[tuple[str, ...]]
    """The slot's choices that it reads, such as "kernel_size"."""

    defaults: ClassVar[Mapping[str, Option]] = {}
    """Those of `dims` that a stage need not offer, and what they are then."""

    words: ClassVar[Mapping[str, tuple[str, ...] | Registry]] = {}
    """Those of `dims` whose options are words, and which there are, or the registry that has them
    for names; all others are numbers. Weights have the same shapes whatever the word, except that
    every channel part, channel attention and norm has weights of its own."""

    @abstractmethod
    def normalise(self, pick: Options, shape: Shape) -> Options:
        """The pick as this shape sees it: equal results are equal computations.

        Args:
            pick: One option for each of `dims`.
            shape: Where the operator sits.

        Returns:
            The same names with options reduced to what they do here, and what follows from them.

        Raises:
            CandidateError: If the operator cannot stand here at all.
        """

    @abstractmethod
    def groups(self, pick: Options, shape: Shape) -> dict[str, Group]:
        """What sparsity may remove; `pick` is normalised."""

    @abstractmethod
    def cost(self, signature: Signature) -> Cost:
        """The whole slot's cost, for realised group sizes `signature.kept`."""

    def input_shape(self, signature: Signature) -> tuple[int, ...]:
        """Of what it reads of one image."""
        return (signature.shape.in_width, *signature.shape.in_size)


class AbstractBlock(AbstractOperator):
    """An operator that brings its own channel part."""


class AbstractMixer(AbstractOperator):
    """A token mixer: the slot's shared channel part follows it.

    A mixer says its own part of everything; the channel part's is added here.
    """

    mixer_dims: ClassVar[tuple[str, ...]]
    """Those of `dims` that decide about the mixer itself."""

    def __init_subclass__(cls) -> None:
        """Adds the slot's dimensions to the mixer's."""
        super().__init_subclass__()
        cls.dims = (*cls.mixer_dims, *SLOT_DIMS)
        cls.defaults = {**cls.defaults, CHANNEL_PART: DEFAULT_CHANNEL_PART, REPEATS: 1}
        cls.words = {**cls.words, CHANNEL_PART: CHANNEL_PARTS}

    @abstractmethod
    def mixer_normalise(self, pick: Options, shape: Shape) -> Options:
        """As `normalise`, of `mixer_dims` alone."""

    @abstractmethod
    def mixer_groups(self, pick: Options, shape: Shape) -> dict[str, Group]:
        """What sparsity may remove of the mixer itself."""

    @abstractmethod
    def mixer_cost(self, signature: Signature) -> Cost:
        """Cost without the channel part and its shortcut."""

    def normalise(self, pick: Options, shape: Shape) -> Options:
        """The mixer's pick and the channel part's, then what follows from them, and the passes."""
        own = self.mixer_normalise(pick, shape)
        picked = {dim: own[dim] for dim in self.mixer_dims}
        return Options({**picked, **channel_pick(pick, shape), **own, **repeats_pick(pick)})

    def groups(self, pick: Options, shape: Shape) -> dict[str, Group]:
        """The channel part's groups and the mixer's."""
        return {**channel_part_of(pick).groups(pick, shape), **self.mixer_groups(pick, shape)}

    def cost(self, signature: Signature) -> Cost:
        """Mixer, channel part, and the shortcut around it, whose sum is in fp32; all passes."""
        shape, passes = signature.shape, num_passes(signature.pick)
        shortcut = layers.pointwise(shape.pixels, shape.width, quantizers=1)
        channel_part = channel_part_of(signature.pick).cost(signature)
        one_pass = self.mixer_cost(signature) + channel_part + shortcut
        if passes == 1:
            return one_pass
        between = between_cost(shape.pixels, shape.width, passes)
        return repeated(one_pass, passes) + between


class AbstractKernelMixer(AbstractMixer):
    """A mixer of which only the size of its kernel is decided, and nothing can be pruned.

    Its channels are those of the residual stream.
    """

    mixing: ClassVar[tuple[Mixing, ...]] = ("convolution",)
    mixer_dims: ClassVar[tuple[str, ...]] = ("kernel_size",)

    def mixer_normalise(self, pick: Options, shape: Shape) -> Options:
        """Kernels larger than the map reaches are one kernel."""
        kernel_size = effective_kernel_size(pick.number("kernel_size"), shape.size)
        return Options({"kernel_size": kernel_size})

    def mixer_groups(self, pick: Options, shape: Shape) -> dict[str, Group]:
        """None."""
        return {}


OPERATORS = Registry("search_spaces.operators", "operator", AbstractBlock, AbstractMixer)


def hidden_group(pick: Options, shape: Shape) -> Group:
    """Hidden channels: width times expansion, kept in multiples of 8."""
    return Group(pick.number("expand_ratio") * shape.in_width, HIDDEN_MULTIPLE)


def effective_kernel_size(kernel_size: int, size: Sides) -> int:
    """The largest useful kernel on a map: beyond 2 * its longer side - 1 no tap is reached."""
    return min(kernel_size, 2 * max(size) - 1)
