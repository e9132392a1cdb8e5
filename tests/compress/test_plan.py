"""What a policy does to each slot, in words."""

import pytest

from compress import plan_compression
from search_spaces import SearchSpace
from tests.strategies import slots_of


def test_a_plan_reads_like_a_list_of_slots(mini: SearchSpace) -> None:
    slots = slots_of(
        mini, operator="window", precision="int8", sparsity=0.5, width=16, depth=1, num_heads=2
    )  # fmt: skip
    assert str(plan_compression(slots)).splitlines() == [
        "stem: stem int8",
        "stage1.block1: window int8, hidden 32 -> 16, heads 2 -> 1",
        "stage2.downsample: downsample int8",
        "stage2.block1: window int8, hidden 32 -> 16, heads 2 -> 1",
        "head: head int8",
    ]


@pytest.mark.parametrize("precision", ["fp32", "int8"])
def test_a_uniform_plan_has_that_precision(mini: SearchSpace, precision: str) -> None:
    plan = plan_compression(slots_of(mini, precision=precision))
    assert plan.precision == precision
    assert plan.is_quantized == (precision != "fp32")


def test_stem_and_head_follow_their_stages_and_the_plan_is_mixed(mini: SearchSpace) -> None:
    encoding = mini.encode(
        {"stage1.precision": "fp32", "stage2.precision": "int8", "stage1.width": 8}
        | {"stage1.depth": 1, "stage2.depth": 1, "stage2.width": 16}
    )
    plan = plan_compression(mini.slots(encoding))
    assert (plan.precision, plan.is_quantized) == ("mixed", True)
    assert {slot.slot: slot.precision for slot in plan.slots} == {
        "stem": "fp32",
        "stage1.block1": "fp32",
        "stage2.downsample": "int8",
        "stage2.block1": "int8",
        "head": "int8",
    }
