"""Search spaces of NNI's: what each type offers, and what is refused. NNI itself is not needed, but is
asked where it is installed.
"""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from search_spaces import Choice, SearchSpace, UserError, from_nni, load_space, to_nni

NESTED = {
    "layer": {
        "_type": "choice",
        "_value": [
            {"_name": "conv", "kernel": {"_type": "choice", "_value": [3, 5]}},
            {
                "_name": "pool",
                "kind": {
                    "_type": "choice",
                    "_value": [
                        {"_name": "max", "size": {"_type": "randint", "_value": [2, 4]}},
                        {"_name": "mean"},
                    ],
                },
            },
            {"_name": "skip"},
        ],
    },
    "width": [16, 32],
}
TYPES = {
    "numbers": {"_type": "choice", "_value": [16, 0.5, 32]},
    "words": {"_type": "choice", "_value": ["relu", True, None, 3, [1, 2]]},
    "integers": {"_type": "randint", "_value": [2, 5]},
    "from_reals": {"_type": "randint", "_value": [1.5, 3.5]},
    "steps": {"_type": "quniform", "_value": [0.1, 0.5, 0.2]},
    "whole": {"_type": "quniform", "_value": [1, 9, 5]},
    "logarithmic": {"_type": "qloguniform", "_value": [1, 6, 2]},
}
OFFERED = {
    "numbers": (16, 0.5, 32),
    "words": ("relu", "true", "null", "3", "[1, 2]"),
    "integers": (2, 3, 4),
    "from_reals": (2, 3),
    "steps": (0.2, 0.4),
    "whole": (1, 5, 9),
    "logarithmic": (2, 4, 6),
}


def read(folder: Path, document: Any) -> SearchSpace:
    file = folder / "mnist.json"
    file.write_text(document if isinstance(document, str) else json.dumps(document))
    return from_nni(file)


def test_options_are_the_values_that_there_are(tmp_path: Path) -> None:
    space = read(tmp_path, TYPES)
    assert {choice.name: choice.options for choice in space.choices} == OFFERED
    assert (space.name, space.network) == ("mnist", None)


def test_what_is_in_an_option_matters_only_there(tmp_path: Path) -> None:
    space = read(tmp_path, NESTED)
    assert space.choices == (
        Choice("layer", ("conv", "pool", "skip")),
        Choice("layer.conv.kernel", (3, 5), (("layer", ("conv",)),)),
        Choice("layer.pool.kind", ("max", "mean"), (("layer", ("pool",)),)),
        Choice("layer.pool.kind.max.size", (2, 3), (("layer.pool.kind", ("max",)),)),
        Choice("width", (16, 32)),
    )
    assert space.size == (2 + (2 + 1) + 1) * 2


def test_a_space_of_ours_is_written_flat_and_read_back(tmp_path: Path) -> None:
    space = load_space("hybrid", resolution=32, channels=3, num_classes=10)
    space = space.with_policy(("fp32", "int8"), (0.0, 0.5))
    again = read(tmp_path, to_nni(space))
    assert again.choices == tuple(Choice(c.name, c.options) for c in space.choices)
    assert any(choice.active_if for choice in space.choices)


def test_what_nni_proposes_for_an_inactive_choice_is_the_same_network(tmp_path: Path) -> None:
    space = read(tmp_path, NESTED)
    proposed = [{"layer": "skip", "width": 32, "layer.conv.kernel": k} for k in (3, 5)]
    assert space.encode(proposed[0]) == space.encode(proposed[1]) == (2, 0, 0, 0, 1)


@pytest.mark.parametrize(
    ("document", "message"),
    [
        ('{"a": [1,', r"cannot be read: .*line 1.* It must be a JSON file\."),
        ("[1, 2]", r"it is \[1, 2\]. It must be an object with a choice by every name"),
        ("{}", r"it is \{\}. It must be an object"),
        ('{"_name": "x"}', "It must be an object with a choice by every name"),
        ('{"a": [1], "a": [2]}', r"\['a', 'a'\] has a name twice"),
        ('{"a": [NaN]}', "it has NaN, which is no number"),
        ('{"a": 3}', "'a' is 3. It must be an object with '_type' and a list '_value'"),
        ('{"a": {"_type": "choice"}}', "It must be an object with '_type' and a list"),
        ('{"a": []}', "choice 'a' offers .* at least one"),
        ('{"a": [1, 1.0]}', "choice 'a' offers .* distinct"),
        (
            '{"lr": {"_type": "uniform", "_value": [0, 1]}}',
            r"'lr' has the type 'uniform', which is none with a finite number of options. "
            r"Known: choice, qloguniform, quniform, randint. Did you mean 'quniform'\? List",
        ),
        ('{"a": {"_type": ["x"], "_value": []}}', "has the type"),
        ('{"a": {"_type": "randint", "_value": [1]}}', "It must be a list of 2 numbers"),
        ('{"a": {"_type": "randint", "_value": [1, true]}}', "It must be a list of 2 numbers"),
        ('{"a": {"_type": "randint", "_value": [0, 1e20]}}', "100000000000000000000 options. At most 10000"),
        ('{"a": {"_type": "randint", "_value": [5, 5]}}', "choice 'a' offers .* at least one"),
        ('{"a": {"_type": "quniform", "_value": [0, 1, 0]}}', "from 0 to 1 by 0. The step must"),
        ('{"a": {"_type": "quniform", "_value": [1, 1, 1]}}', "The step must be positive"),
        ('{"a": {"_type": "quniform", "_value": [0, 1e308, 1e-9]}}', "cannot be read"),
    ],
)  # fmt: skip
def test_what_is_wrong_is_said_with_its_place(tmp_path: Path, document: str, message: str) -> None:
    with pytest.raises(UserError, match=message) as error:
        read(tmp_path, document)
    assert str(error.value).startswith(f"NNI's search space '{tmp_path / 'mnist.json'}'")


def test_choices_that_nesting_gives_one_name_are_refused(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"has two choices 'layer\.conv\.kernel'. Rename one"):
        read(tmp_path, {**NESTED, "layer.conv.kernel": [1]})


def test_a_file_that_is_not_there_is_said(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="is not there. Give the path of a JSON file"):
        from_nni(tmp_path / "absent.json")
    with pytest.raises(UserError, match="cannot be read"):
        from_nni(tmp_path)


def test_nni_proposes_what_is_read_and_nothing_else(tmp_path: Path) -> None:
    tuner = pytest.importorskip("nni.algorithms.hpo.random_tuner")
    hpo = pytest.importorskip("nni.common.hpo_utils")
    document = {name: entry for name, entry in TYPES.items() if name != "words"}
    offered = hpo.format_search_space(document)
    rng = np.random.default_rng(0)
    drawn = [hpo.deformat_parameters(tuner.suggest(rng, offered), offered) for _ in range(300)]
    for choice in read(tmp_path, document).choices:
        assert {proposed[choice.name] for proposed in drawn} == set(choice.options)


def test_nni_reads_what_we_write() -> None:
    hpo = pytest.importorskip("nni.common.hpo_utils")
    space = load_space("hybrid", resolution=32, channels=3, num_classes=10)
    space = space.with_policy(("fp32", "int8"), (0.0, 0.5))
    offered = hpo.format_search_space(to_nni(space))
    assert [spec.size for spec in offered.values()] == list(space.cardinalities)
    first = hpo.deformat_parameters(dict.fromkeys(offered, 0), offered)
    assert space.encode(first) == space.canonical([0] * len(space.choices))
