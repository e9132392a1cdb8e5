"""What every channel part keeps to behind a mixer: declared == counted == extracted == exported.

Operators' checks of signatures and families (`nas/testing/operators.py`), with this channel part.
"""

import itertools
from collections.abc import Callable, Iterator
from functools import partial

from nas.testing._by_name import by_name
from nas.testing._drawn import draw_family, draw_signature, seeded
from nas.testing._expect import require_implemented
from nas.testing._exported import require_shipped_as_simulated
from nas.testing._spaces import mini_space, random_supernet
from nas.testing.operators import OF_FAMILY, OF_SIGNATURE
from search_spaces import FORMATS, Signature
from supernets.channel_parts import ELASTIC_CHANNEL_PARTS

MIXER = "convnext"
DRAWS = 8
SIDE, STAGES = 32, 3
LEAST_SAME = 0.95


def check_it_is_declared_and_implemented(part: str) -> None:
    """It is declared and implemented under one name."""
    require_implemented("channel part", part, ELASTIC_CHANNEL_PARTS, "ELASTIC_CHANNEL_PARTS")


def check_it_runs_exported_and_stored_as_simulated(part: str) -> None:
    """A network with another format in each stage answers alike as module, file and checkpoint."""
    formats = FORMATS.names()
    space = mini_space((MIXER,), resolution=SIDE, channel_parts=(part,))
    space = space.with_policy(tuple(formats), (0.0, 0.5))
    largest = space.candidate([number - 1 for number in space.cardinalities])
    stages = zip(range(1, STAGES + 1), itertools.cycle(formats), strict=False)
    precisions = {f"stage{stage}.precision": name for stage, name in stages}
    slots = space.slots(space.encode({**largest.arch, **largest.policy, **precisions}))
    require_shipped_as_simulated(random_supernet(space), slots, least_same=LEAST_SAME)


def _signatures(part: str) -> Iterator[tuple[Signature]]:
    draw = partial(draw_signature, channel_part=part)
    return ((drawn,) for drawn in seeded(MIXER, draw, DRAWS))


def _families(part: str) -> Iterator[tuple[Signature, Signature]]:
    return seeded(MIXER, partial(draw_family, channel_part=part), DRAWS)


CHECKS: tuple[Callable[[str], None], ...] = (
    check_it_is_declared_and_implemented,
    *(by_name(check, _signatures) for check in OF_SIGNATURE),
    *(by_name(check, _families) for check in OF_FAMILY),
    check_it_runs_exported_and_stored_as_simulated,
)
