"""Choices and the readable options taken."""

import pickle

import pytest

from search_spaces import Choice, Options, UserError


@pytest.mark.parametrize("options", [(), (3, 3), ("a", "b", "a")])
def test_a_choice_offers_at_least_one_option_and_each_once(options: tuple[int, ...]) -> None:
    with pytest.raises(UserError, match=r"choice 'stage1.width' offers .* Remove the repeated"):
        Choice("stage1.width", options)


def test_options_are_a_mapping_that_can_be_a_key() -> None:
    options = Options({"a": 1, "b": "x"})
    assert dict(options) == {"a": 1, "b": "x"}
    assert options == Options((("a", 1), ("b", "x")))
    assert hash(options) == hash(Options((("a", 1), ("b", "x"))))
    assert options != Options({"a": 2, "b": "x"})


def test_options_survive_being_sent_to_another_process() -> None:
    options = Options({"a": 1, "b": "x", "c": 0.5})
    assert pickle.loads(pickle.dumps(options)) == options


def test_options_know_their_kind() -> None:
    options = Options({"a": 1, "b": "x"})
    assert (options.number("a"), options.text("b")) == (1, "x")
    with pytest.raises(AssertionError, match="b is 'x', not an integer"):
        options.number("b")
    with pytest.raises(AssertionError, match="a is 1, not a word"):
        options.text("a")


def test_the_text_that_keys_are_made_of_does_not_depend_on_order() -> None:
    assert (
        Options({"a": 1, "b": 2}).to_json()
        == Options({"b": 2, "a": 1}).to_json()
        == '{"a":1,"b":2}'
    )
