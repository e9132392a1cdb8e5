"""Numbers and networks as people read them."""

import dataclasses

import pytest

from nas.run.config import Config
from reports import operators, text
from search_spaces import task_of


def test_a_stage_reads_as_one_line() -> None:
    arch = {
        "stage1.width": 32,
        "stage1.depth": 2,
        "stage1.block1.operator": "mbconv",
        "stage1.block1.kernel_size": 3,
        "stage1.block1.expand_ratio": 4,
        "stage1.block2.operator": "window",
        "stage1.block2.num_heads": 2,
        "stage1.block2.expand_ratio": 3,
        "stage1.block2.channel_part": "convglu",
    }
    policy = {"stage1.precision": "int8", "stage1.sparsity": 0.25}
    line = "stage1: width 32, depth 2, int8, sparsity .25: mbconv k3 e4 | window h2 e3 convglu"
    assert text.network(arch, policy) == (line,)
    (stage,) = text.stages(arch, policy)
    assert (stage.width, stage.removed) == (32, 0.25)
    assert text.operators(arch) == ["mbconv", "window"]


def test_choices_outside_of_stages_and_unknown_options_are_shown_too() -> None:
    arch = {"resolution": 64, "stem.width": 16, "stage1.block1.mixer": "raft"}
    arch["stage1.block1.gate"] = "on"
    assert text.network(arch, {"stage1.precision": "fp32"}) == (
        "network: resolution 64",
        "stem: width 16",
        "stage1: fp32: raft gate on",
    )


def test_policy_fields_are_listed_in_the_order_of_the_stages() -> None:
    arch = {"stage1.width": 8, "stage2.width": 16}
    policy = {"stage2.precision": "int8", "stage1.precision": "fp32", "stage2.sparsity": 0.5}
    assert text.per_stage(arch, policy, "precision") == "fp32 int8"
    assert text.per_stage(arch, policy, "sparsity") == ".5"
    assert text.per_stage(arch, {}, "precision") == "-"


@pytest.mark.parametrize(
    ("value", "shown"),
    [
        (0.8123, "0.812"),
        (0.00081249, "0.000812"),
        (12.345, "12.3"),
        (0.9996, "1.00"),
        (1234.0, "1230"),
        (0.0, "0.00"),
        (None, "-"),
    ],
)
def test_milliseconds_have_three_digits_and_no_exponent(value: float | None, shown: str) -> None:
    assert text.significant(value) == shown


@pytest.mark.parametrize(
    ("value", "shown"),
    [(7.25, "7.2 s"), (59.96, "1 min 0 s"), (95, "1 min 35 s"), (7320, "2 h 2 min")],
)
def test_durations_are_in_the_units_of_a_clock(value: float, shown: str) -> None:
    assert text.seconds(value) == shown


def test_sizes_are_decimal_and_counts_have_no_unit() -> None:
    assert (text.size(240_123), text.size(None)) == ("240 kB", "-")
    assert (text.count(12_345_678), text.count(73), text.count(None)) == ("12.3 M", "73", "-")
    assert (text.magnitude(4213), text.magnitude(41_300_000_000_000)) == ("4213", "4.1 x 10^13")
    assert text.magnitude(999_999_999) == "1.0 x 10^9"
    assert text.magnitude(10**400) == "1.0 x 10^400"


def test_fractions_are_shown_as_percent_and_sparsity_as_a_fraction() -> None:
    assert (text.percent_at_least(0.9997), text.percent_at_least(1.0)) == ("99.9", "100.0")
    assert (text.percent(0.6123), text.percent(None)) == ("61.2", "-")
    accuracy = task_of("classification").shown
    assert (text.score(0.6123, accuracy), text.score(None, accuracy)) == ("61.2", "-")
    shown = text.score_range((0.58, 0.641), accuracy), text.score_range(None, accuracy)
    assert shown == ("58.0–64.1", "")
    assert (text.sparsity(0.25), text.sparsity(0), text.sparsity("high")) == (".25", "0", "high")


def test_what_stands_for_something_else_is_said_in_words() -> None:
    said = dict(text.flat({"resolution": 0, "lag": -1, "supernet": "", "asked": {"trials": 0}}))
    words = ("the data's own", "the executor's own", "trained in this run")
    assert tuple(said.values()) == (*words, "as many as fit the time")
    assert text.flat({"resolution": 32, "seed": 0, "max_macs": 0.0}) == [
        ("resolution", "32"),
        ("seed", "0"),
        ("max_macs", "no limit"),
    ]
    assert text.flat({"lag": -1}, is_raw=True) == [("lag", "-1")]


def test_every_default_of_a_configuration_that_is_no_value_has_words() -> None:
    silent = {
        field.name
        for field in dataclasses.fields(Config)
        if text.setting(field.name, getattr(Config(), field.name)) in ("-", "-1", "0", "")
    }
    assert silent == {"seed"}


def test_cells_read_like_stages_with_the_edges_of_their_operations() -> None:
    arch = {
        "width": 8,
        "normal.node2.inputs": "before+node1",
        "normal.node1.left.operation": "sepconv-5",
        "normal.node2.right.operation": "maxpool",
    }
    assert text.network(arch, {"stage1.precision": "int8"}) == (
        "network: width 8",
        "normal: node2.inputs before+node1: sepconv-5 on node1.left | maxpool on node2.right",
        "stage1: int8",
    )
    assert text.operators(arch) == ["sepconv-5", "maxpool"]
    assert operators.family(text.operators(arch)) == "convolution"
