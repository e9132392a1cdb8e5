"""Canonical form, keys, size, JSON and restriction, on spaces that can be enumerated."""

import json
import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from search_spaces import Choice, SearchSpace, Slot, Stage, Staged, UserError, load_space
from search_spaces._elimination import count
from tests.strategies import encodings, everything, mini_space, spaces

POLICY = (("fp32", "int8"), (0, 0.25, 0.5))


def is_arch(name: str) -> bool:
    return name.rpartition(".")[2] not in ("precision", "sparsity")


@given(st.data())
def test_canonical_form_is_idempotent(data: st.DataObject) -> None:
    space = data.draw(spaces())
    canonical = space.canonical(data.draw(encodings(space)))
    assert space.canonical(canonical) == canonical


@given(st.data())
def test_canonical_form_builds_the_same_network(data: st.DataObject) -> None:
    space = data.draw(spaces())
    encoding = data.draw(encodings(space))
    assert space.slots(space.canonical(encoding)) == space.slots(encoding)


@given(st.data())
def test_canonical_form_is_the_first_of_all_encodings_of_the_network_it_could_be(
    data: st.DataObject,
) -> None:
    """Nothing active can be lowered without building another network."""
    space = data.draw(spaces())
    canonical = space.canonical(data.draw(encodings(space)))
    slots = space.slots(canonical)
    for column, index in enumerate(canonical):
        for lower in range(index):
            other = (*canonical[:column], lower, *canonical[column + 1 :])
            assert space.slots(other) != slots


@given(spaces(max_encodings=600))
def test_keys_and_candidates_and_networks_are_equal_together(space: SearchSpace) -> None:
    by_key: dict[str, set[tuple[Slot, ...]]] = {}
    candidates = set()
    for row in everything(space).tolist():
        candidate = space.candidate(row)
        by_key.setdefault(candidate.key, set()).add(space.slots(row))
        candidates.add(candidate)
    assert all(len(networks) == 1 for networks in by_key.values())
    assert len(by_key) == len(set().union(*by_key.values())) == len(candidates)


@given(spaces(max_encodings=600))
def test_size_is_the_number_of_distinct_networks(space: SearchSpace) -> None:
    assert space.size == len({space.slots(row) for row in everything(space).tolist()})


@given(spaces())
def test_size_is_the_number_of_canonical_encodings(space: SearchSpace) -> None:
    assert space.size == len(np.unique(space.canonical_many(everything(space)), axis=0))


def test_spaces_too_large_to_enumerate_are_counted_by_elimination() -> None:
    space = mini_space(operators=("mbconv", "window")).with_policy(("fp32", "int8"), (0, 0.5))
    # Narrow stages in which sparsity may change nothing are left out, so that counting is exact.
    space = space.restricted({"stage1.width": (16,), "stage2.depth": (1,)})
    wide = {c.name: (2,) for c in space.choices if c.name.endswith("expand_ratio")}
    space = space.restricted(wide)
    rows = everything(space)
    assert count(space._canonical_factors()) == len(np.unique(space.canonical_many(rows), axis=0))


@given(st.data())
def test_encoding_what_was_decoded_gives_it_back(data: st.DataObject) -> None:
    space = data.draw(spaces())
    candidate = space.candidate(data.draw(encodings(space)))
    assert space.encode({**candidate.arch, **candidate.policy}) == candidate.encoding
    assert space.candidate(candidate.encoding) == candidate


@given(st.data())
def test_a_space_is_the_same_after_json(data: st.DataObject) -> None:
    space = data.draw(spaces())
    again = SearchSpace.from_json(json.loads(json.dumps(space.to_json())))
    assert again == space
    encoding = data.draw(encodings(space))
    assert again.candidate(encoding).key == space.candidate(encoding).key
    assert again.slots(encoding) == space.slots(encoding)


@given(st.data())
def test_only_choices_that_matter_are_shown(data: st.DataObject) -> None:
    space = data.draw(spaces())
    candidate = space.candidate(data.draw(encodings(space)))
    shown = {**candidate.arch, **candidate.policy}
    for choice, index in zip(space.choices, candidate.encoding, strict=True):
        needed = all(shown.get(name) in allowed for name, allowed in choice.active_if)
        assert (choice.name in shown) == needed
        assert index == 0 or needed
    assert all(is_arch(name) for name in candidate.arch)
    assert not any(is_arch(name) for name in candidate.policy)


@given(st.data())
def test_a_restricted_space_builds_the_same_networks_with_the_same_keys(
    data: st.DataObject,
) -> None:
    space = mini_space()
    kept = {
        choice.name: data.draw(st.sets(st.sampled_from(choice.options), min_size=1))
        for choice in data.draw(st.lists(st.sampled_from(space.choices), max_size=6))
    }
    part = space.restricted(kept)
    encoding = data.draw(encodings(part))
    candidate = part.candidate(encoding)
    whole = space.candidate(space.encode(candidate.arch))
    assert whole.key == candidate.key
    assert space.slots(whole.encoding) == part.slots(encoding)


@given(st.data())
def test_a_restricted_space_offers_exactly_what_is_left(data: st.DataObject) -> None:
    space = mini_space()
    kept = {
        choice.name: data.draw(st.sets(st.sampled_from(choice.options), min_size=1))
        for choice in data.draw(st.lists(st.sampled_from(space.choices), max_size=6))
    }
    part = space.restricted(kept)
    rows = space.canonical_many(space.sample(np.random.default_rng(0), 80))
    inside = 0
    for row in rows.tolist():
        candidate = space.candidate(row)
        fits = all(o in kept.get(name, (o,)) for name, o in candidate.arch.items())
        try:
            again = part.candidate(part.encode(candidate.arch))
        except ValueError:
            assert not fits
            continue
        assert (again.key == candidate.key) == fits
        inside += fits
    assert part.size <= space.size
    assert inside or kept


def test_choices_that_can_no_longer_matter_are_dropped() -> None:
    space = mini_space().restricted({"stage1.depth": (1,), "stage2.block1.operator": ("mbconv",)})
    names = [choice.name for choice in space.choices]
    assert not [name for name in names if name.startswith("stage1.block2")]
    assert "stage2.block1.num_heads" not in names
    assert "stage1.block1.num_heads" in names


def test_slots_survive_the_loss_of_dimensions_that_nothing_reads_any_more() -> None:
    space = mini_space()
    only = space.restricted(
        {c.name: ("raft",) for c in space.choices if c.name.endswith(".operator")}
    )
    assert not [c.name for c in only.choices if c.name.endswith(("kernel_size", "num_heads"))]
    assert [slot.name for slot in only.slots([n - 1 for n in only.cardinalities])] == [
        "stem", "stage1.block1", "stage1.block2",
        "stage2.downsample", "stage2.block1", "stage2.block2", "head",
    ]  # fmt: skip


def test_kernels_larger_than_the_map_reaches_are_one_kernel() -> None:
    stage = Stage(
        widths=(8,),
        depths=(1,),
        operators=("mbconv",),
        options=(("kernel_size", (3, 7, 9, 11)), ("expand_ratio", (2,))),
    )
    network = Staged(resolution=16, channels=1, num_classes=2, stages=(stage, stage))
    space = SearchSpace.of_network("own", network)
    keys = [
        space.candidate(space.encode({"stage2.block1.kernel_size": k, "stage2.width": 8})).key
        for k in (3, 7, 9, 11)
    ]
    assert keys[0] != keys[1] == keys[2] == keys[3]
    assert space.size == 4 * 2, "on the first map, of 8 px, all four kernels differ"


def test_sparsities_that_round_to_the_same_sizes_are_one_sparsity() -> None:
    space = mini_space(operators=("mbconv",)).with_policy(("fp32",), (0, 0.25, 0.5))
    narrow = {"stage1.width": 8, "stage1.block1.expand_ratio": 1, "stage1.depth": 1}
    keys = [
        space.candidate(space.encode({**narrow, "stage1.sparsity": s})).key for s in (0, 0.25, 0.5)
    ]
    assert keys[0] == keys[1] == keys[2], "without expansion nothing is pruned"
    wide = {**narrow, "stage1.block1.expand_ratio": 2}
    keys = [
        space.candidate(space.encode({**wide, "stage1.sparsity": s})).key for s in (0, 0.25, 0.5)
    ]
    assert keys[0] == keys[1] != keys[2], "16 hidden channels stay 16 or become 8"


def test_sparsity_counts_if_one_block_of_the_stage_feels_it() -> None:
    space = mini_space(operators=("mbconv",)).with_policy(("fp32",), (0, 0.5))
    base = {"stage1.width": 8, "stage1.depth": 2, "stage1.block1.expand_ratio": 1}
    for ratio, expected in ((1, 0), (2, 0.5)):
        options = {**base, "stage1.block2.expand_ratio": ratio, "stage1.sparsity": 0.5}
        assert space.candidate(space.encode(options)).policy["stage1.sparsity"] == expected


def test_a_policy_replaces_the_policy_before() -> None:
    space = mini_space().with_policy(*POLICY)
    again = space.with_policy(("int8",), (0,))
    assert [c.options for c in again.choices if c.name == "stage1.precision"] == [("int8",)]
    assert len(again.choices) == len(space.choices)


def test_without_a_policy_everything_is_fp32_and_dense() -> None:
    space = mini_space()
    bare = space.slots([0] * len(space.choices))
    with_policy = space.with_policy(("fp32",), (0,))
    assert with_policy.slots([0] * len(with_policy.choices)) == bare
    assert {slot.signature.precision for slot in bare} == {"fp32"}


def test_unknown_choices_are_told_the_closest() -> None:
    space = mini_space()
    assert space.choice("stage1.width").options == (8, 16)
    with pytest.raises(UserError, match=r"no choice 'stage1.widht'.*Did you mean 'stage1.width'"):
        space.index("stage1.widht")


@pytest.mark.parametrize("wrong", ["short", "too large", "negative"])
def test_encodings_that_do_not_fit_are_refused(wrong: str) -> None:
    space = mini_space()
    encoding = [0] * len(space.choices)
    if wrong == "short":
        encoding.pop()
    else:
        encoding[3] = -1 if wrong == "negative" else 99
    with pytest.raises(UserError, match=r"does not fit space 'mini'. It has \d+ choices with"):
        space.candidate(encoding)


def test_a_table_of_numbers_has_no_network_and_no_costs() -> None:
    space = SearchSpace(
        "table",
        (
            Choice("depth", (1, 2)),
            Choice("op", ("a", "b", "c"), (("depth", (2,)),)),
        ),
    )
    assert space.costs is None
    assert space.size == 4
    assert space.canonical((0, 2)) == (0, 0)
    assert SearchSpace.from_json(space.to_json()) == space


def test_samples_are_uniform_over_options() -> None:
    space = mini_space()
    rows = space.sample(np.random.default_rng(0), 4000)
    assert rows.shape == (4000, len(space.choices))
    for column, number in enumerate(space.cardinalities):
        counts = np.bincount(rows[:, column], minlength=number)
        # Binomial: 4.5 sigma, 21 choices of up to 4 options: false alarms below 1 in 1000; seeded.
        assert abs(counts - 4000 / number).max() < 4.5 * (4000 / number) ** 0.5


@given(st.data())
def test_policies_leave_the_readable_architecture_alone(data: st.DataObject) -> None:
    space = mini_space()
    encoding = data.draw(encodings(space))
    wider = space.with_policy(*POLICY)
    arch = wider.candidate((*encoding, *[0] * (len(wider.choices) - len(encoding)))).arch
    assert arch == space.candidate(encoding).arch


def test_large_spaces_are_counted_exactly() -> None:
    space = load_space("hybrid", resolution=32, channels=1, num_classes=100)
    # Per block: 3 kernels * 3 ratios for convnext, * 2 (channel attention) for mbconv, * 3 heads for
    # moat; 3 ratios for inception and raft, * 3 heads for window and sra, * 2 reductions at 16 px;
    # basic has nothing to pick. Times four widths, and two strides of the stem for all of it.
    same = 1 + 9 + 18 + 27 + 3 + 3 + 9
    stages = [4 * (b + b**2 + b**3) for b in (same + 2 * 9, same + 9, same + 9)]
    assert space.size == 2 * math.prod(stages)


def test_one_format_throughout_where_every_stage_offers_it_and_the_first_where_not() -> None:
    space = load_space("toy", resolution=16, channels=1, num_classes=10)
    space = space.with_policy(("fp32", "int8"), (0,))
    first, second = (space.choices[i].name for i in space.columns("precision"))
    rows = space.sample(np.random.default_rng(0), 20)
    before = rows.copy()
    for name in ("fp32", "int8"):
        found = space.in_precision(rows, name)
        policies = [space.candidate(row).policy for row in found.tolist()]
        assert {p[first] for p in policies} == {p[second] for p in policies} == {name}
    assert (rows == before).all()
    trimmed = space.restricted({second: ("int8",)})
    assert trimmed.precisions == ("fp32", "int8")
    policy = trimmed.candidate(trimmed.in_precision(rows * 0, "fp32")[0].tolist()).policy
    assert (policy[first], policy[second]) == ("fp32", "int8")


def test_a_choice_below_an_inactive_one_is_inactive_and_counted_so() -> None:
    """`inner` names the first option of `outer`, which an inactive `outer` seems to have."""
    space = SearchSpace(
        "nested",
        (
            Choice("depth", (1, 2)),
            Choice("outer", ("x", "y"), (("depth", (2,)),)),
            Choice("inner", (3, 5), (("outer", ("x",)),)),
        ),
    )
    everything = np.indices(space.cardinalities).reshape(3, -1).T
    assert space.size == len(np.unique(space.canonical_many(everything), axis=0)) == 4
    assert space.canonical((0, 1, 1)) == (0, 0, 0)
    assert space.is_active(np.array([[0, 0, 0], [1, 0, 0]])).tolist() == [
        [True, False, False],
        [True, True, True],
    ]
