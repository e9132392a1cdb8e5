"""Networks of columns: what feeds what, what the next column says of one, and what is refused."""

from typing import Any

import pytest
import torch
from torch import Tensor

from nas.testing._spaces import random_supernet
from search_spaces import Columns, SearchSpace, Slot, UserError
from supernets.network import PlainNetwork, join_name, module_name, walk
from tests.strategies import noise, slots_of

SIZES: dict[str, Any] = {"resolution": 32, "channels": 1, "num_classes": 10}
LEVELS = (1, 2, 3)
TOLERANCE = 1e-4


def network_of(**changes: Any) -> Columns:
    options: dict[str, Any] = {
        "columns": (1, 2, 3),
        "widths": (8,),
        "depths": (1, 2),
        "operations": ("basic", "convnext-5:expand_ratio=2"),
    }
    return Columns(**{**SIZES, **options, **changes})


def space_of(**changes: Any) -> SearchSpace:
    return SearchSpace.of_network("columns", network_of(**changes))


def feeds(slots: tuple[Slot, ...]) -> dict[str, tuple[str, ...]]:
    before = ("", *(slot.name for slot in slots))
    return {
        slot.name: (name,) if slot.inputs is None else slot.inputs
        for slot, name in zip(slots, before, strict=False)
    }


def test_a_level_reads_the_level_below_and_the_one_above_in_the_column_before() -> None:
    found = feeds(slots_of(space_of(), columns=3, depth=2))
    assert found["column2.level2.down"] == ("column2.level1.out",)
    assert found["column2.level2.up"] == ("column1.level3.block2",)
    assert found["column2.level2.block1"] == ("column2.level2.down", "column2.level2.up")
    assert found["column2.level2.gain"] == ("column1.level2.block2",)
    assert found["column3.level2.gain"] == ("column2.level2.out",)
    assert found["column2.level2.out"] == ("column2.level2.block2", "column2.level2.gain")
    assert found["column2.level1.block1"] == ("stem", "column2.level1.up")
    assert found["column3.level3.block1"] == ("column3.level3.down",)
    assert found["head"] == ("column3.level3.out",)


def test_in_place_of_a_block_that_is_left_out_stands_the_one_before() -> None:
    found = feeds(slots_of(space_of(), columns=2, depth=1))
    assert found["column2.level2.up"] == ("column1.level3.block1",)
    assert found["column2.level1.out"] == ("column2.level1.block1", "column2.level1.gain")
    assert found["head"] == ("column2.level3.out",)


def test_one_column_is_a_row() -> None:
    slots = slots_of(space_of(), columns=1)
    assert all(slot.inputs is None for slot in slots)
    assert not any("up" in slot.name or "gain" in slot.name for slot in slots)


def test_every_column_costs_as_much_as_the_one_before_it() -> None:
    space = space_of(columns=(2, 3, 4))
    assert space.costs is not None
    encodings = [
        space.encode(
            {"columns": n, "depth": 1, **{f"level{i}.block.operation": "basic" for i in LEVELS}}
        )
        for n in (2, 3, 4)
    ]
    two, three, four = (space.costs.of("macs", [list(each)])[0] for each in encodings)
    assert three - two == four - three > 0


def maps_of(network: PlainNetwork, images: Tensor) -> dict[str, Tensor]:
    """What every slot gives, by its name."""
    maps: dict[str, Tensor] = {}

    def fill(slot: Slot, x: Tensor) -> Tensor:
        maps[slot.name] = network.get_submodule(module_name(slot.name))(x)
        return maps[slot.name]

    walk(network.arch, images, fill)
    return maps


def end(column: int, level: int) -> str:
    return f"column{column}.level{level}.{'block2' if column == 1 else 'out'}"


def previous_column(
    network: PlainNetwork, column: int, own: dict[int, Tensor], stem: Tensor
) -> dict[int, Tensor]:
    """The maps of the column before one, by level, from its own: the highest level first."""
    modules = {slot.name: network.get_submodule(module_name(slot.name)) for slot in network.arch}
    found: dict[int, Tensor] = {}
    for level in reversed(LEVELS):
        prefix = f"column{column}.level{level}"
        x = stem if level == 1 else modules[f"{prefix}.down"](own[level - 1])
        if level < LEVELS[-1]:
            x = x + modules[f"{prefix}.up"](found[level + 1])
        added = modules[f"{prefix}.block2"](modules[f"{prefix}.block1"](x))
        factor = modules[f"{prefix}.gain"].get_parameter("factor").reshape(-1, 1, 1)
        found[level] = (own[level] - added) / factor
    return found


@torch.no_grad()
def test_the_maps_of_a_column_follow_from_those_of_the_next_one() -> None:
    space = space_of()
    supernet = random_supernet(space)
    for name, parameter in supernet.named_parameters():
        if name.endswith("factor"):
            parameter.abs_().add_(0.5)  # random factors may be near 0, which nothing rebuilds from
    network = supernet.extract(slots_of(space, columns=3, depth=2))
    maps = maps_of(network, noise(2, 1, 32, 32))
    for column in (3, 2):
        own = {level: maps[end(column, level)] for level in LEVELS}
        for level, found in previous_column(network, column, own, maps["stem"]).items():
            expected = maps[end(column - 1, level)]
            apart = float((found - expected).abs().max() / expected.abs().max())
            assert apart <= TOLERANCE


def test_columns_share_what_is_decided_and_no_weights() -> None:
    slots = slots_of(space_of(), columns=3)
    kinds = {slot.signature for slot in slots if slot.name.endswith("level2.block1")}
    assert len(kinds) == 1
    names = [module_name(slot.name) for slot in slots]
    assert len(set(names)) == len(names)
    assert join_name("column2.level1.out") == "column2_level1_out_join"


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"columns": (0,)}, "columns offers 0"),
        ({"operations": ()}, "offers no operation"),
        ({"operations": ("mbconv-3",)}, "operator 'mbconv' reads expand_ratio, which nothing says"),
        ({"operations": ("basic:order=3",)}, "operator 'basic' reads no order"),
        ({"operations": ("convnext-4:expand_ratio=2",)}, "kernel_size offers 4"),
        ({"operations": ("basic:channel_attention=sse",)}, "has no channel_attention 'sse'"),
    ],
)
def test_what_cannot_be_built_is_refused(changes: dict[str, Any], message: str) -> None:
    with pytest.raises(UserError, match=message):
        network_of(**changes)
