"""Slots that feed others: what stands in place of one that is left out."""

import pytest

from search_spaces import SearchSpace, SlotRule
from tests.streams import Streams


def inputs_of(space: SearchSpace, exists: int) -> dict[str, tuple[str, ...] | None]:
    options = {"width": 8, "right.exists": exists, "right.operator": "mbconv"}
    return {slot.name: slot.inputs for slot in space.slots(space.encode(options))}


@pytest.mark.parametrize(
    ("exists", "feeding"), [(1, ("left", "right", "stem")), (0, ("left", "stem", "stem"))]
)
def test_a_left_out_slot_hands_on_what_it_was_fed(exists: int, feeding: tuple[str, ...]) -> None:
    inputs = inputs_of(SearchSpace.of_network("streams", Streams()), exists)
    assert inputs["middle"] == feeding
    assert inputs["wide"] is None
    assert inputs["head"] == ("middle", "wide")
    assert inputs["left"] is None, "the stem is the slot before it"
    assert ("right" in inputs) == exists


class Behind:
    """As `Streams`, but `middle` reads the slot before it, which may be left out."""

    def __init__(self) -> None:
        self.inner = Streams()

    def __getattr__(self, name: str) -> object:
        return getattr(self.inner, name)

    def slot_rules(self) -> tuple[SlotRule, ...]:
        return tuple(
            SlotRule(rule.name, rule.shared, rule.own) if rule.name == "middle" else rule
            for rule in self.inner.slot_rules()
        )


def test_behind_a_left_out_slot_stands_what_fed_it_and_not_what_ran_last() -> None:
    space = SearchSpace("behind", Streams().arch_choices(), Behind())  # type: ignore[arg-type]
    assert inputs_of(space, 1)["middle"] is None
    assert inputs_of(space, 0)["middle"] == ("stem",)
