"""What every channel attention keeps to in blocks: declared == counted == extracted == exported.

Operators' checks of signatures and families (`nas/testing/operators.py`), with this attention.
"""

from collections.abc import Callable, Iterator
from functools import partial

from nas.testing._by_name import by_name
from nas.testing._drawn import draw_family, draw_signature, seeded
from nas.testing._expect import require_implemented
from nas.testing._exported import require_shipped_as_simulated
from nas.testing._spaces import random_supernet, small_space
from nas.testing.operators import OF_FAMILY, OF_SIGNATURE
from search_spaces import Option, SearchSpace, Signature, Stage
from search_spaces.channel_attentions._base import CHANNEL_ATTENTION
from supernets.channel_attentions import CHANNEL_ATTENTION_LAYERS

OPERATORS = ("basic", "mbconv")
"""Blocks that may choose a channel attention."""

DRAWS, SIDE = 3, 32
LEAST_SAME = 0.95


def check_it_is_declared_and_implemented(attention: str) -> None:
    """Declaration and implementation have one name."""
    registry = "CHANNEL_ATTENTION_LAYERS"
    require_implemented("channel attention", attention, CHANNEL_ATTENTION_LAYERS, registry)


def check_networks_with_it_are_shipped_as_simulated(attention: str) -> None:
    """A pruned network with it, in fp32 and as integers, answers alike as module and as file."""
    space = space_with((attention,)).with_policy(("fp32", "int8"), (0.0, 0.5))
    largest: dict[str, Option] = {choice.name: choice.options[-1] for choice in space.choices}
    operators: dict[str, Option] = {
        f"stage{number}.block1.operator": name
        for number, name in enumerate(("mbconv", "mbconv", "basic"), 1)
    }
    slots = space.slots(space.encode({**largest, **operators, "stage1.precision": "fp32"}))
    require_shipped_as_simulated(random_supernet(space), slots, least_same=LEAST_SAME)


def space_with(attentions: tuple[str, ...]) -> SearchSpace:
    """Blocks with these channel attentions in three narrow stages, for grey images of 32 px."""
    stage = Stage(
        widths=(8, 16),
        depths=(1,),
        operators=OPERATORS,
        options=(
            ("kernel_size", (3,)),
            ("expand_ratio", (1, 2)),
            (CHANNEL_ATTENTION, attentions),
        ),
    )
    return small_space("attentions", SIDE, (stage, stage, stage))


def _signatures(attention: str) -> Iterator[tuple[Signature]]:
    draw = partial(draw_signature, channel_attention=attention)
    return ((drawn,) for name in OPERATORS for drawn in seeded(name, draw, DRAWS))


def _families(attention: str) -> Iterator[tuple[Signature, Signature]]:
    draw = partial(draw_family, channel_attention=attention)
    return (drawn for name in OPERATORS for drawn in seeded(name, draw, DRAWS))


CHECKS: tuple[Callable[[str], None], ...] = (
    check_it_is_declared_and_implemented,
    *(by_name(check, _signatures) for check in OF_SIGNATURE),
    *(by_name(check, _families) for check in OF_FAMILY),
    check_networks_with_it_are_shipped_as_simulated,
)
