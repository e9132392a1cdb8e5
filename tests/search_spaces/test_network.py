"""Staged networks: what a space file may get wrong, and where slots sit."""

import itertools
from dataclasses import dataclass, replace
from typing import Any, final

import pytest

from search_spaces import (
    Choice,
    Cost,
    SearchSpace,
    Signature,
    Stage,
    Staged,
    UserError,
    declaration,
    load_space,
)
from search_spaces.trunk import TRUNK, AbstractTrunk
from tests.strategies import mini_space

STAGE = Stage(
    widths=(8,),
    depths=(1, 2),
    operators=("mbconv",),
    options=(("kernel_size", (3,)), ("expand_ratio", (2,))),
)


def staged(*stages: Stage, resolution: int = 16) -> Staged:
    return Staged(resolution=resolution, channels=1, num_classes=10, stages=stages)


def test_a_wrong_number_of_stages_is_told_the_right_one() -> None:
    with pytest.raises(UserError, match=r"declares 1 stages. This resolution has 2"):
        staged(STAGE)


def test_an_unknown_operator_is_told_the_known_ones_and_the_place() -> None:
    wrong = replace(STAGE, operators=("mbconv", "rafft"))
    with pytest.raises(UserError, match=r"stage2 offers 'rafft'.*Did you mean 'raft'"):
        staged(STAGE, wrong)


def test_missing_options_are_named_with_the_operator_that_reads_them() -> None:
    wrong = replace(STAGE, operators=("mbconv", "window"))
    with pytest.raises(UserError, match=r"stage1 .*'window' but no options for num_heads"):
        staged(wrong, STAGE)


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        ({"widths": (0,)}, "stage2.width offers 0. Allowed: whole numbers from 1 to 16384"),
        ({"widths": (8, -8)}, "stage2.width offers -8. "),
        ({"widths": (8.5,)}, "stage2.width offers 8.5. "),
        ({"widths": (True,)}, "stage2.width offers True. "),
        ({"widths": (None,)}, "stage2.width offers None. "),
        ({"widths": ("wide",)}, "stage2.width offers 'wide'. "),
        ({"widths": None}, "stage2.width offers None. It must be a tuple of whole numbers"),
        ({"depths": (3_000,)}, "stage2.depth offers 3000. Allowed: whole numbers from 1 to 64"),
        ({"depths": ()}, r"stage2.depth offers \(\). "),
        ({"head_dim": 0}, "stage2.head_dim offers 0. "),
        ({"kernel_size": (3, 4)}, "stage2.kernel_size offers 4. Allowed: odd whole numbers from 1"),
        ({"expand_ratio": (0,)}, "stage2.expand_ratio offers 0. Allowed: whole numbers from 1"),
        ({"expand_ratio": (-2,)}, "stage2.expand_ratio offers -2. "),
        ({"own": (float("nan"),)}, "stage2.own offers nan. Allowed: finite numbers or words"),
    ],
)
def test_options_with_which_nothing_can_be_built_are_named_with_what_is_allowed(
    wrong: dict[str, Any], message: str
) -> None:
    fields = {name: value for name, value in wrong.items() if hasattr(STAGE, name)}
    options = dict(STAGE.options) | {n: v for n, v in wrong.items() if n not in fields}
    with pytest.raises(UserError, match=message):
        staged(STAGE, replace(STAGE, options=tuple(options.items()), **fields))


def test_networks_may_be_more_than_a_float_can_count() -> None:
    options = tuple(range(1000))
    space = SearchSpace("many", tuple(Choice(f"choice{i}", options) for i in range(110)))
    assert space.size == 1000**110


def test_a_resolution_without_a_pyramid_is_refused() -> None:
    with pytest.raises(UserError, match="outside 16-256 px"):
        load_space("toy", resolution=8, channels=1, num_classes=10)


def test_an_unknown_space_is_told_the_known_ones() -> None:
    with pytest.raises(UserError, match=r"unknown space 'hybird'.*Did you mean 'hybrid'"):
        load_space("hybird", resolution=32, channels=1, num_classes=10)


def test_slots_fit_onto_each_other() -> None:
    space = mini_space(resolution=32)
    slots = space.slots([i - 1 for i in space.cardinalities])
    assert slots[0].signature.shape.in_width == 1
    assert slots[-1].signature.shape.width == 10
    for before, after in itertools.pairwise(slots):
        assert before.signature.shape.size == after.signature.shape.in_size, after.name
        assert before.signature.shape.width == after.signature.shape.in_width, after.name


def test_the_depth_says_how_many_blocks_there_are() -> None:
    space = SearchSpace.of_network("own", staged(STAGE, STAGE))
    one = [slot.name for slot in space.slots(space.encode({"stage1.depth": 1, "stage2.depth": 1}))]
    two = [slot.name for slot in space.slots(space.encode({"stage1.depth": 1, "stage2.depth": 2}))]
    assert one == ["stem", "stage1.block1", "stage2.downsample", "stage2.block1", "head"]
    assert two == [*one[:-1], "stage2.block2", "head"]


def test_every_second_window_is_shifted_where_there_are_several() -> None:
    space = mini_space(resolution=32, operators=("window",))
    slots = space.slots([n - 1 for n in space.cardinalities])
    shifts = {s.name: s.signature.pick["shift"] for s in slots if "block" in s.name}
    assert shifts == {
        "stage1.block1": 0, "stage1.block2": 4,
        "stage2.block1": 0, "stage2.block2": 0,
        "stage3.block1": 0, "stage3.block2": 0,
    }  # fmt: skip


def test_a_network_is_the_same_after_json() -> None:
    network = mini_space(resolution=32).network
    assert network is not None
    assert Staged.from_json(network.to_json()) == network


@pytest.mark.parametrize(("stride", "sizes"), [(2, (8, 4)), (1, (16, 8))])
def test_the_stem_decides_about_every_map(stride: int, sizes: tuple[int, ...]) -> None:
    network = replace(staged(STAGE, STAGE), stem_strides=(2, 1))
    space = SearchSpace.of_network("own", network)
    slots = space.slots(space.encode({"stem.stride": stride, "stage1.depth": 1, "stage2.depth": 1}))
    sides = [sizes[0]] * 2 + [sizes[1]] * 2 + [1]
    assert [slot.signature.shape.size for slot in slots] == [(side, side) for side in sides]
    assert slots[0].signature.shape.in_size == (16, 16)
    assert slots[0].signature.pick["stride"] == stride
    for before, after in itertools.pairwise(slots):
        assert before.signature.shape.size == after.signature.shape.in_size, after.name
    assert Staged.from_json(network.to_json()) == network


def test_an_impossible_stem_is_refused() -> None:
    with pytest.raises(UserError, match="stem of stride 3. Strides are 1, 2, 4"):
        replace(staged(STAGE, STAGE), stem_strides=(2, 3))


def test_what_cannot_stand_in_a_place_is_refused() -> None:
    with pytest.raises(UserError, match="offers 'head' as stem, which is a head. Offer a stem"):
        replace(staged(STAGE, STAGE), stems=("stem", "head"))
    with pytest.raises(UserError, match=r"unknown stem, downsampling or head 'mbconv'"):
        replace(staged(STAGE, STAGE), heads=("mbconv",))
    with pytest.raises(UserError, match="offers no downsample"):
        replace(staged(STAGE, STAGE), downsamples=())


@final
@dataclass(frozen=True)
class Odd(AbstractTrunk):
    """Reads what nothing decides."""

    place = "stem"
    dims = ("stride", "kernel_size")

    def cost(self, signature: Signature) -> Cost:
        return Cost()


def test_a_stem_that_reads_what_nothing_decides_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(TRUNK._classes, "odd", Odd)
    with pytest.raises(UserError, match="stem 'odd' reads kernel_size, which nothing decides"):
        replace(staged(STAGE, STAGE), stems=("stem", "odd"))


def test_a_name_of_two_things_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(TRUNK._classes, "raft", Odd)
    declaration.cache_clear()
    with pytest.raises(UserError, match="'raft' is an operator and a stem"):
        declaration("raft")
    monkeypatch.undo()
    declaration.cache_clear()


def test_stems_are_no_operators_of_blocks() -> None:
    network = replace(staged(STAGE, STAGE), stems=("stem", "patch"))
    assert SearchSpace.of_network("own", network).operators == ("mbconv",)


def test_several_stems_are_a_choice_and_one_is_none() -> None:
    network = replace(staged(STAGE, STAGE), stems=("stem", "patch"))
    space = SearchSpace.of_network("own", network)
    assert space.choice("stem.operator").options == ("stem", "patch")
    assert space.slots(space.encode({"stem.operator": "patch"}))[0].signature.operator == "patch"
    names = {choice.name for choice in staged(STAGE, STAGE).arch_choices()}
    assert not {"stem.operator", "stage2.downsample.operator", "head.operator"} & names
