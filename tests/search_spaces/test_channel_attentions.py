"""Channel attention as a choice: none leaves no trace, others are words of the registry."""

import pytest

from nas.testing.channel_attentions import space_with
from search_spaces import UserError
from tests.strategies import uniform


def test_a_stage_that_offers_none_alone_has_the_slots_of_one_without_the_choice() -> None:
    space = space_with(("none", "se"))
    for operator in ("basic", "mbconv"):
        slots = space.slots(uniform(space, operator=operator, channel_attention="none"))
        assert not [slot for slot in slots if "channel_attention" in slot.signature.pick]
        chosen = space.slots(uniform(space, operator=operator, channel_attention="se"))
        of_block = [slot.signature for slot in chosen if slot.signature.operator == operator]
        assert {signature.pick["channel_attention"] for signature in of_block} == {"se"}


def test_an_attention_that_is_none_is_refused_with_those_that_are() -> None:
    has = r"channel_attention '?sse'?, which it does not have\. It has compact, eca, none, .*, se"
    with pytest.raises(UserError, match=has):
        space_with(("none", "sse"))
