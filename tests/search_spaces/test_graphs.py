"""Slots that feed others: what stands in place of one that is left out."""

from pathlib import Path

import pytest

from search_spaces import AbstractNetwork, SearchSpace, SlotRule, load_plugins
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


class Behind:
    """As a network, but `middle` reads the slot before it, which may be left out."""

    def __init__(self, inner: AbstractNetwork) -> None:
        self.inner = inner

    def __getattr__(self, name: str) -> object:
        return getattr(self.inner, name)

    def slot_rules(self) -> tuple[SlotRule, ...]:
        return tuple(
            SlotRule(rule.name, rule.shared, rule.own) if rule.name == "middle" else rule
            for rule in self.inner.slot_rules()
        )


def test_behind_a_left_out_slot_stands_what_fed_it_and_not_what_ran_last(
    streams: AbstractNetwork,
) -> None:
    space = SearchSpace("behind", streams.arch_choices(), Behind(streams))  # type: ignore[arg-type]
    assert inputs_of(space, 1)["middle"] is None
    assert inputs_of(space, 0)["middle"] == ("stem",)
