"""Networks of cells: what feeds what, published sizes, and what decides nothing."""

import itertools
from dataclasses import replace

import numpy as np
import pytest

from search_spaces import (
    Cells,
    Option,
    SearchSpace,
    Slot,
    UserError,
    from_nasbench201,
    load_space,
)

SMALL = Cells(
    resolution=16,
    channels=1,
    num_classes=10,
    topology="nasnet",
    nodes=3,
    operations=("identity", "conv-1"),
    widths=(8,),
    depths=(1, 2),
)


def slots_of(network: Cells, **options: Option) -> dict[str, Slot]:
    """By name, with the first option of what is not given; "__" stands for a dot."""
    space = SearchSpace.of_network("own", network)
    named = {name.replace("__", "."): option for name, option in options.items()}
    return {slot.name: slot for slot in space.slots(space.encode(named))}


def test_an_edge_reads_the_state_that_is_chosen() -> None:
    slots = slots_of(SMALL, depth=2, normal__node2__inputs="previous+node1")
    assert slots["stage2.cell2.node2.left"].inputs == ("stage2.cell1.out",)
    assert slots["stage2.cell2.node2.right"].inputs == ("stage2.cell2.node1",)
    assert slots["stage1.cell1.node2.left"].inputs == ("stem",)
    assert slots["stage2.cell2.node2"].inputs == (
        "stage2.cell2.node2.left",
        "stage2.cell2.node2.right",
    )


def test_before_the_first_cell_of_a_stage_stand_the_reduced_map_and_the_reduction_cell() -> None:
    slots = slots_of(SMALL, depth=1)
    assert slots["stage2.reduction.previous"].inputs is None, "it reads the cell before it"
    assert slots["stage2.reduction.before"].inputs == ("stem",)
    assert slots["stage2.cell1.node1.left"].inputs == ("stage2.reduction.previous",)
    assert slots["stage2.cell1.node1.right"].inputs == ("stage2.reduction.out",)
    assert slots["head"].inputs is None
    assert not any("cell2" in name for name in slots)
    deeper = slots_of(SMALL, depth=2)
    assert deeper["stage2.reduction.before"].inputs == ("stage1.cell1.out",)
    assert deeper["stage2.reduction.previous"].inputs is None


@pytest.mark.parametrize(
    ("topology", "read", "handed_on"),
    [
        ("nasnet", "before+previous", ("node1", "node2", "node3")),
        ("nasnet", "node1+node2", ("node3",)),
        ("nasnet", "previous+node2", ("node1", "node3")),
        ("darts", "node1+node2", ("node1", "node2", "node3")),
    ],
)
def test_a_cell_hands_on_nodes_that_none_of_it_reads_or_all_of_them(
    topology: str, read: str, handed_on: tuple[str, ...]
) -> None:
    network = replace(SMALL, topology=topology)
    slots = slots_of(network, normal__node3__inputs=read)
    expected = tuple(f"stage1.cell1.{node}.out" for node in handed_on)
    assert (slots["stage1.cell1.out"].inputs or expected) == expected
    assert [n for n in slots if n.startswith("stage1.cell1.node") and n.endswith("out")] == [
        *expected
    ]
    assert all(slots[name].signature.pick["kernel_size"] == 1 for name in expected)


def test_cells_of_a_type_have_the_same_operations_and_weights_of_their_own() -> None:
    slots = slots_of(SMALL, depth=2, normal__node1__left__operation="conv-1")
    filled = {n: s.signature.operator for n, s in slots.items() if n.endswith("node1.left")}
    assert {n: o for n, o in filled.items() if "cell" in n} == {
        f"stage{stage}.cell{cell}.node1.left": "conv" for stage in (1, 2) for cell in (1, 2)
    }
    assert filled["stage2.reduction.node1.left"] == "identity"


def test_a_network_of_nas_bench_201_is_as_large_as_published() -> None:
    """0.129306 M parameters and 15.65 M multiply-adds; a batch norm stands in each shortcut here,
    and a layer norm in place of the last batch norm."""
    cell = "|avg_pool_3x3~0|+|nor_conv_1x1~0|skip_connect~1|+|nor_conv_1x1~0|skip_connect~1|skip_connect~2|"
    space = load_space("nasbench201", resolution=32, channels=3, num_classes=10)
    assert space.costs is not None
    row = np.array([space.encode(from_nasbench201(cell))])
    assert space.costs.of("params", row)[0] == 129_306 + 2 * (32 + 64)
    assert space.costs.of("macs", row)[0] == 15_647_360


def test_nas_bench_201_without_edges_of_no_effect_is_counted() -> None:
    names = ("none", "skip_connect", "nor_conv_1x1", "nor_conv_3x3", "avg_pool_3x3")
    found, dead = set(), 0
    for a, b, c, d, e, f in itertools.product(names, repeat=6):
        try:
            options = from_nasbench201(f"|{a}~0|+|{b}~0|{c}~1|+|{d}~0|{e}~1|{f}~2|")
        except UserError:
            dead += 1
        else:
            found.add(tuple(options.items()))
    space = load_space("nasbench201", resolution=32, channels=3, num_classes=10)
    assert space.size == len(found)
    assert dead == sum(  # no way from 0 to 3: d is none, and a-e, b-f and a-c-f are cut
        4 ** (a + b + c + e + f)
        for a, b, c, e, f in itertools.product((0, 1), repeat=5)
        if not (a and e) and not (b and f) and not (a and c and f)
    )


@pytest.mark.parametrize("name", ["cells", "darts", "nasbench201"])
def test_one_cell_stands_on_images_of_any_size(name: str) -> None:
    cells = []
    for resolution in (28, 224):
        space = load_space(name, resolution=resolution, channels=3, num_classes=10)
        row = space.sample(np.random.default_rng(0), 1)[0]
        arch = space.candidate(row.tolist()).arch
        cells.append({n: o for n, o in arch.items() if n not in ("width", "depth")})
        assert space.slots(row)[-1].signature.shape.width == 10
    assert cells[0] == cells[1]


def test_kernels_that_reach_across_all_maps_of_a_cell_are_one_network() -> None:
    space = load_space("darts", resolution=16, channels=1, num_classes=10)
    keys = {
        space.candidate(space.encode({"reduction.node1.left.operation": f"dilconv-{side}"})).key
        for side in (3, 5)
    }
    assert len(keys) == 1, "the only reduced map has 4 px"


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        ({"topology": "nasnett"}, "has topology 'nasnett'.*Did you mean 'nasnet'"),
        ({"nodes": 9}, "topology 'nasnet' has 9 nodes. It can have 1 to 5"),
        ({"operations": ()}, "offers no operation"),
        ({"operations": ("sepcomv-3",)}, "unknown operator 'sepcomv'.*Did you mean 'sepconv'"),
        ({"operations": ("sepconv-4",)}, "kernel_size offers 4. Allowed: odd"),
        ({"operations": ("sepconv",)}, "operator 'sepconv' reads kernel_size, which nothing says"),
        ({"operations": ("identity-3",)}, "operator 'identity' reads no kernel size"),
        ({"operations": ("window",)}, "operator 'window' reads num_heads, which nothing says"),
        ({"depths": (0,)}, "depth offers 0"),
    ],
)
def test_cells_that_cannot_be_built_are_refused(wrong: dict, message: str) -> None:
    with pytest.raises(UserError, match=message):
        replace(SMALL, **wrong)


def test_a_stage_without_prunable_operations_offers_no_sparsity() -> None:
    names = {choice.name for choice in SMALL.policy_choices(("fp32",), (0.0, 0.5))}
    assert names == {"stage1.precision", "stage2.precision"}
    prunable = replace(SMALL, operations=("sepconv-3",))
    names = {choice.name for choice in prunable.policy_choices(("fp32",), (0.0, 0.5))}
    assert "stage2.sparsity" in names
