"""What a signature's operator is: looked up by its name, whatever kind of slot it fills."""

from functools import cache, lru_cache

from search_spaces import _layers as layers
from search_spaces._choice import Options
from search_spaces._errors import UserError
from search_spaces._precision import FULL_PRECISION
from search_spaces._slot import Cost, Shape, Signature, Slot
from search_spaces.operators._base import OPERATORS, AbstractMixer, AbstractOperator
from search_spaces.traced.operator import FRAGMENT, FragmentOperator
from search_spaces.trunk._base import TRUNK


@cache
def declaration(name: str) -> AbstractOperator:
    """The torch-free declaration of what fills a slot.

    Raises:
        UserError: If nothing has this name, or two things.
    """
    if name == FRAGMENT:  # data of the user's, not a plug-in that a space may offer
        return FragmentOperator()
    if name in TRUNK and name in OPERATORS:
        raise UserError(
            f"'{name}' is an operator and a stem, downsampling or head. Give the plug-in's file "
            "another name."
        )
    operator = (TRUNK if name in TRUNK else OPERATORS).get(name)()
    assert isinstance(operator, AbstractOperator)
    return operator


def signature_cost(signature: Signature) -> Cost:
    """The closed-form cost of whatever fills a slot: the same in every format and pattern."""
    x = signature
    return _cost(declaration(x.operator), x.operator, x.shape, x.pick, x.kept, x.rank)


@lru_cache(maxsize=1 << 20)
def _cost(
    own: AbstractOperator, name: str, shape: Shape, pick: Options, kept: Options, rank: str
) -> Cost:
    return own.cost(Signature(name, shape, pick, kept, FULL_PRECISION, rank=rank))


def input_shape(signature: Signature) -> tuple[int, ...]:
    """Of what a slot reads of one image: (channels, height, width), or tokens and channels."""
    return declaration(signature.operator).input_shape(signature)


def slot_cost(slot: Slot) -> Cost:
    """The cost of what fills a slot, and of making one map of those that it reads.

    A sum of n maps takes n - 1 additions, maps side by side are one copy.
    """
    own, shape = signature_cost(slot.signature), slot.signature.shape
    if slot.num_inputs == 1:
        return own
    calls = slot.num_inputs - 1 if slot.join == "sum" else 1
    quantizers = calls if slot.join == "sum" else 0
    return own + layers.pointwise(
        shape.in_pixels, shape.in_width, calls=calls, quantizers=quantizers
    )


@cache
def is_mixer(operator: str) -> bool:
    """Whether what fills a slot mixes positions only, so that a channel part follows it."""
    return isinstance(declaration(operator), AbstractMixer)
