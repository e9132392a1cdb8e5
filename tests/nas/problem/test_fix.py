"""What `--fix` leaves of a space, and what it refuses."""

import pytest

from nas.problem.fix import fixed, refuse_pruned_only, refuse_without_brought
from nas.run.config import Config
from search_spaces import SearchSpace, UserError
from tests.small_brought import supernet
from tests.strategies import mini_space


@pytest.fixture
def space() -> SearchSpace:
    return mini_space(operators=("mbconv",)).with_policy(("fp32", "int8"), (0, 0.5))


def test_only_these_options_are_left_and_keys_stay(space: SearchSpace) -> None:
    part = fixed(space, ["stage*.sparsity=0.0", "stage1.width=8", "*.precision=int8"])
    for choice in part.choices:
        kind = choice.name.rpartition(".")[2]
        if kind in ("sparsity", "precision"):
            assert len(choice.options) == 1
        elif choice.name != "stage1.width":
            assert choice.options == space.choice(choice.name).options
    assert part.choice("stage1.width").options == (8,)
    one = part.candidate([0] * len(part.choices))
    assert space.candidate(space.encode({**one.arch, **one.policy})).key == one.key


def test_several_texts_hold_together_and_none_leaves_all(space: SearchSpace) -> None:
    assert fixed(space, ()) == space
    part = fixed(space, ["stage*.sparsity=0,0.5", "stage1.sparsity=0.5"])
    assert part.choice("stage1.sparsity").options == (0.5,)


@pytest.mark.parametrize(
    ("texts", "says"),
    [
        (["stage*.sparsty=0"], r"is called 'stage\*\.sparsty'.*Did you mean 'stage\*\.sparsity'"),
        (["stage*.precision=int4"], r"does not offer 'int4'.*Known: fp32, int8"),
        (["stage*.width=9"], r"does not offer '9'. Known: 8, 16, 32"),
        (["stage1.sparsity=0", "stage1.sparsity=0.5"], r"leaves no option of 'stage1.sparsity'"),
        (["stage1.width"], r"Write the choices and what"),
        (["stage1.width="], r"Write the choices and what"),
        (["=8"], r"Write the choices and what"),
    ],
)
def test_what_cannot_be_meant_is_refused(space: SearchSpace, texts: list[str], says: str) -> None:
    with pytest.raises(UserError, match=says):
        fixed(space, texts)


def test_training_needs_networks_that_are_not_pruned(space: SearchSpace) -> None:
    refuse_pruned_only(fixed(space, ["stage*.sparsity=0"]))
    with pytest.raises(UserError, match=r"'stage1.sparsity' 0.5.*--supernet RUN"):
        refuse_pruned_only(fixed(space, ["stage1.sparsity=0.5"]))


def test_a_text_without_options_is_refused() -> None:
    with pytest.raises(UserError, match="is not a name, an equals sign"):
        Config(fix=("stage1.width",))


def test_the_network_that_was_brought_stays_in_formats_as_asked() -> None:
    whole = supernet().space
    refuse_without_brought(fixed(whole, ["*.precision=int8", "layer1.0.depth=1"]), whole)
    with pytest.raises(UserError, match=r"leaves 'layer1.0.depth' 0, and the model has 1 there"):
        refuse_without_brought(fixed(whole, ["layer1.0.depth=0"]), whole)
