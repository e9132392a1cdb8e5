"""What the front can be narrowed down to."""

import re
from collections.abc import Callable
from pathlib import Path

from reports import filters, load_run

NewRun = Callable[..., Path]


def test_a_network_is_found_by_its_precision_and_every_operator() -> None:
    arch = {f"stage1.block{i}.operator": name for i, name in enumerate(("raft", "window", "raft"))}
    policy = {"stage1.precision": "fp32", "stage2.precision": "int8"}
    tags = ["precision:mixed", "operator:raft", "operator:window"]
    assert filters.tags(arch, policy) == tags


def test_there_is_a_button_for_all_that_occurs(new_run: NewRun) -> None:
    bar = filters.bar(load_run(new_run()))
    assert bar is not None
    assert re.findall('data-tag="([^"]+)"', bar) == [
        "precision:fp32",
        "precision:int8",
        "precision:mixed",
        "operator:convnext",
        "operator:mbconv",
        "operator:raft",
        "operator:window",
    ]


def test_what_all_networks_have_in_common_has_no_button(new_run: NewRun) -> None:
    bar = filters.bar(load_run(new_run(precision="int8")))
    assert bar is not None
    assert "precision:" not in bar
    assert filters.bar(load_run(new_run(trials=0, front=0))) is None
