"""Which options of a choice are one network: for rules 2 and 3 of the canonical form."""

import itertools
from collections.abc import Sequence

import numpy as np

from search_spaces._choice import Choice
from search_spaces._tables import SlotTable, SlotTables, is_policy


def canonicalise_own(slot: SlotTable, encodings_NC: np.ndarray) -> None:
    """Applies rule 2 to one slot, in place."""
    if slot.own:
        places_N = slot.canonical[slot.places(encodings_NC)]
        encodings_NC[:, slot.own] = slot.options_KO[places_N]


def shared_that_may_change_nothing(
    choices: Sequence[Choice], tables: SlotTables
) -> tuple[int, ...]:
    """Shared choices with two options between which, somewhere, no slot can tell.

    Choices about compression, and of those about the architecture the ones that stand alone: on
    which no other one depends, which depend on none, and which do not decide what feeds a slot.
    """
    bound = {name for choice in choices for name, _ in choice.active_if}
    bound |= {name for rule, _ in tables.rules for name in rule.routes}
    bound |= {choice.name for choice in choices if choice.active_if}
    found = []
    for index, choice in enumerate(choices):
        slots = [slot for slot in tables.slots if index in slot.columns]
        if not is_policy(choice.name):
            is_shared = bool(slots) and all(index in slot.shared for slot in slots)
            if choice.name in bound or not is_shared:
                continue
        if all(_may_collide(slot, index) for slot in slots):
            found.append(index)
    return tuple(found)


def _may_collide(slot: SlotTable, choice: int) -> bool:
    """Whether two options of a shared `choice` can leave the slot's signature as it is."""
    axis = slot.shared.index(choice)
    for rows in slot.rows():
        options = np.moveaxis(slot.ids[rows].reshape(*slot.shared_shape, -1), axis, 0)
        pairs = itertools.combinations(options, 2)
        if any(bool((one == other).any()) for one, other in pairs):
            return True
    return False
