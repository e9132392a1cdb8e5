"""Cells as papers write them: read, written, and refused with what is wrong."""

import pytest

from search_spaces import (
    Options,
    UserError,
    from_darts,
    from_nasbench201,
    load_space,
    to_darts,
    to_nasbench201,
)

DARTS_V2 = {
    "normal": [
        ["sep_conv_3x3", 0], ["sep_conv_3x3", 1], ["sep_conv_3x3", 0], ["sep_conv_3x3", 1],
        ["sep_conv_3x3", 1], ["skip_connect", 0], ["skip_connect", 0], ["dil_conv_3x3", 2],
    ],
    "normal_concat": [2, 3, 4, 5],
    "reduce": [
        ["max_pool_3x3", 0], ["max_pool_3x3", 1], ["skip_connect", 2], ["max_pool_3x3", 1],
        ["max_pool_3x3", 0], ["skip_connect", 2], ["skip_connect", 2], ["max_pool_3x3", 1],
    ],
    "reduce_concat": [2, 3, 4, 5],
}  # fmt: skip


def test_a_string_of_nas_bench_201_comes_back() -> None:
    text = "|nor_conv_3x3~0|+|none~0|nor_conv_1x1~1|+|skip_connect~0|none~1|avg_pool_3x3~2|"
    found = from_nasbench201(text)
    assert found == {
        "normal.edges": "01+12+03+23",
        "normal.node1.from0.operation": "conv-3",
        "normal.node2.from1.operation": "conv-1",
        "normal.node3.from0.operation": "identity",
        "normal.node3.from2.operation": "avgpool",
    }
    assert to_nasbench201(found) == text
    space = load_space("nasbench201", resolution=32, channels=3, num_classes=10)
    assert space.candidate(space.encode(found)).arch == Options(found)


def test_edges_that_nobody_reads_become_none() -> None:
    text = "|nor_conv_3x3~0|+|skip_connect~0|none~1|+|skip_connect~0|none~1|none~2|"
    assert to_nasbench201(from_nasbench201(text)) == (
        "|none~0|+|none~0|none~1|+|skip_connect~0|none~1|none~2|"
    )


def test_the_published_cells_of_darts_come_back() -> None:
    found = from_darts(DARTS_V2)
    assert found["normal.node4.inputs"] == "before+node1"
    assert found["normal.node3.left.operation"] == "identity"
    assert found["reduction.node2.inputs"] == "previous+node1"
    assert from_darts(to_darts(found)) == found
    ordered = {  # of each node the earlier state first
        word: [
            edge
            for node in range(4)
            for edge in sorted(DARTS_V2[word][2 * node : 2 * node + 2], key=lambda e: e[1])
        ]
        for word in ("normal", "reduce")
    }
    assert to_darts(found) == ordered
    space = load_space("darts", resolution=32, channels=3, num_classes=10)
    taken = space.candidate(space.encode(found)).arch
    assert {name: taken[name] for name in found} == found


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "Node 1 is an operation of every state before it"),
        ("|nor_conv_3x3~0|+|none~0|", r"Node 2 .*\|OPERATION~0\|OPERATION~1\|. Write it so"),
        ("|nor_conv_3~0|", "'nor_conv_3', which has no name here.*Did you mean 'nor_conv_3x3'"),
        ("|none~0|", "hands nothing on: no way without 'none' leads from state 0 to state 1"),
    ],
)
def test_no_cell_of_nas_bench_201_is_refused(text: str, message: str) -> None:
    with pytest.raises(UserError, match=message):
        from_nasbench201(text)


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        ({"normal": []}, "'normal' is .*two for each node"),
        ({"normal": [["sep_conv_3x3", 0]]}, "'normal' is .*two for each node"),
        ({"normal": [["sep_conv_3x3", 0], ["sep_conv_3x3", "1"]]}, "'normal' is "),
        (
            {"normal": [["skip_connect", 0]] * 2, "normal_concat": [2]},
            r"node 2 of the normal cell reads states \[0, 0\]",
        ),
        ({"normal": [["a", 0], ["skip_connect", 1]], "normal_concat": [2]}, "operation 'a'"),
        ({"normal_concat": [4, 5]}, r"normal_concat is \[4, 5\].*hand on all nodes"),
    ],
)
def test_no_genotype_of_darts_is_refused(wrong: dict, message: str) -> None:
    with pytest.raises(UserError, match=message):
        from_darts({**DARTS_V2, **wrong})


def test_a_network_without_cells_has_no_genotype() -> None:
    with pytest.raises(UserError, match=r"no choice 'normal\.edges'"):
        to_nasbench201({"stage1.width": 8})
    with pytest.raises(UserError, match="no cells"):
        to_darts({"stage1.width": 8})
