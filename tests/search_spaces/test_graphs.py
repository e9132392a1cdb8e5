"""Slots that feed others: what stands in place of one that is left out."""

from pathlib import Path

import numpy as np
import pytest

from search_spaces import (
    AbstractNetwork,
    SearchSpace,
    SlotRule,
    UserError,
    format_of,
    load_plugins,
    signature_cost,
    slot_cost,
)
from search_spaces.networks import NETWORKS


@pytest.fixture
def streams(plugins: Path) -> AbstractNetwork:
    """A stem, two streams of which the right one may be left out, a sum, two maps side by side."""
    load_plugins([plugins / "streams.py"])
    network = NETWORKS.get("streams")(resolution=16, channels=1, num_classes=10)
    assert isinstance(network, AbstractNetwork)
    return network


def inputs_of(space: SearchSpace, exists: int) -> dict[str, tuple[str, ...] | None]:
    options = {"width": 8, "right.exists": exists, "right.operator": "mbconv"}
    return {slot.name: slot.inputs for slot in space.slots(space.encode(options))}


@pytest.mark.parametrize(
    ("exists", "feeding"), [(1, ("left", "right", "stem")), (0, ("left", "stem", "stem"))]
)
def test_a_left_out_slot_hands_on_what_it_was_fed(
    exists: int, feeding: tuple[str, ...], streams: AbstractNetwork
) -> None:
    inputs = inputs_of(SearchSpace.of_network("streams", streams), exists)
    assert inputs["middle"] == feeding
    assert inputs["head"] == ("middle", "left")
    assert inputs["left"] is None, "the stem is the slot before it"
    assert ("right" in inputs) == exists


@pytest.mark.parametrize("exists", [0, 1])
def test_joining_maps_takes_an_addition_per_further_map_or_one_copy(
    exists: int, streams: AbstractNetwork
) -> None:
    space = SearchSpace.of_network("streams", streams).with_policy(("int8",), (0,))
    row = space.encode({"width": 8, "right.exists": exists, "right.operator": "mbconv"})
    slots = space.slots(row)
    joins = {
        slot.name: (
            slot_cost(slot).calls - signature_cost(slot.signature).calls,
            slot_cost(slot).elements - signature_cost(slot.signature).elements,
        )
        for slot in slots
        if slot_cost(slot) != signature_cost(slot.signature)
    }
    assert joins == {"middle": (2, 2 * 8 * 8 * 8), "head": (1, 8 * 8 * 16)}
    assert space.costs is not None
    declared = sum(format_of("int8").size_bytes(slot_cost(slot)) for slot in slots)
    assert space.costs.of("size_bytes", np.array([row]))[0] == declared


class Behind:
    """As a network, but one slot, `middle`, reads others: the one before it if none is named."""

    def __init__(
        self, inner: AbstractNetwork, changed: str = "middle", inputs: tuple[str, ...] | None = None
    ) -> None:
        self.inner, self.changed, self.inputs = inner, changed, inputs

    def __getattr__(self, name: str) -> object:
        return getattr(self.inner, name)

    def slot_rules(self) -> tuple[SlotRule, ...]:
        return tuple(
            rule._replace(inputs=self.inputs) if rule.name == self.changed else rule
            for rule in self.inner.slot_rules()
        )


def test_a_slot_that_joins_others_cannot_be_left_out(streams: AbstractNetwork) -> None:
    network = Behind(streams, "right", ("stem", "left"))
    space = SearchSpace("behind", streams.arch_choices(), network)  # type: ignore[arg-type]
    with pytest.raises(UserError, match="leaves out slot 'right', which joins 2 others"):
        _ = space.tables


def test_behind_a_left_out_slot_stands_what_fed_it_and_not_what_ran_last(
    streams: AbstractNetwork,
) -> None:
    space = SearchSpace("behind", streams.arch_choices(), Behind(streams))  # type: ignore[arg-type]
    assert inputs_of(space, 1)["middle"] is None
    assert inputs_of(space, 0)["middle"] == ("stem",)
