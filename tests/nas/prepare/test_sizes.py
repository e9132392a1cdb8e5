"""What sizes.json says: limits, a restricted space, and a sentence."""

import math
from pathlib import Path

import pytest

from nas.prepare.inputs import prepare
from nas.prepare.sizes import FILE, Sizes, sentence, sizes_of
from nas.prepare.sizing import smallest_of
from nas.problem.problem import Limit
from nas.system.files import write_json
from search_spaces import SearchSpace, UserError, load_space, task_of
from tests.conftest import TOY

TASK = task_of("classification")

DOCUMENT = {
    "schema": 1,
    "offered": ["mbconv", "window"],
    "operators": ["mbconv"],
    "max_macs": 2e5,
    "widths": {"stage1.width": 8},
    "expected": 0.75,
    "is_less": True,
}

SIZES = Sizes(max_macs=2e5, operators=("mbconv",), widths={"stage1.width": 8}, expected=0.75)
"""What the document says."""


@pytest.fixture(scope="module")
def toy() -> SearchSpace:
    return prepare(TOY)[1]


def test_a_run_that_decided_nothing_leaves_nothing_out(tmp_path: Path, toy: SearchSpace) -> None:
    sizes = sizes_of(tmp_path)
    limits = [Limit("macs", 5.0), Limit("latency_ms", 1.0)]
    assert math.isnan(sizes.expected)
    assert sizes.limits(limits) == limits
    assert sizes.space(toy) == toy


def test_a_file_gives_the_limit_and_the_operators(tmp_path: Path, toy: SearchSpace) -> None:
    write_json(tmp_path / FILE, DOCUMENT)
    sizes = sizes_of(tmp_path)
    assert sizes == SIZES
    [limit] = sizes.limits([])
    assert (limit.metric, limit.max) == ("macs", 2e5)
    assert "planned" in limit.text
    space = sizes.space(toy)
    offered = [space.choices[column].options for column in space.columns("operator")]
    assert offered == [("mbconv",)] * len(toy.columns("operator"))
    assert space.choice("stage1.width").options == (8,)
    assert space.choice("stage2.width").options == toy.choice("stage2.width").options


def test_stages_that_offer_none_of_the_operators_keep_their_own() -> None:
    """In the example space attention begins in the second stage."""
    example = str(Path(__file__).parents[3] / "examples/my_space.py")
    space = load_space(example, resolution=32, channels=1, num_classes=10)
    found = Sizes(operators=("window",)).space(space)
    offered = [found.choices[column].options for column in found.columns("operator")]
    assert set(offered) == {("mbconv", "convnext"), ("window",)}
    assert found.slots(smallest_of(found, "window").encoding)


def test_what_is_null_in_a_file_is_no_limit(tmp_path: Path) -> None:
    write_json(tmp_path / FILE, DOCUMENT | {"max_macs": None, "expected": None})
    sizes = sizes_of(tmp_path)
    assert sizes.max_macs == math.inf
    assert math.isnan(sizes.expected)
    assert sizes.limits([]) == []


@pytest.mark.parametrize(
    "change",
    [{"max_macs": "many"}, {"operators": 3}, {"widths": {"stage1.width": "x"}}, {"expected": [1]}],
)
def test_a_damaged_file_is_refused(tmp_path: Path, change: dict[str, object]) -> None:
    write_json(tmp_path / FILE, DOCUMENT | change)
    with pytest.raises(UserError, match="sizes.json' is damaged"):
        sizes_of(tmp_path)


@pytest.mark.parametrize(("given", "expected"), [(1e5, [1e5]), (3e5, [3e5, 2e5])])
def test_a_users_smaller_limit_stays_the_only_one(given: float, expected: list[float]) -> None:
    users = Limit("macs", given, text="as asked")
    limits = Sizes(max_macs=2e5).limits([users, Limit("latency_ms", 1.0)])
    assert [limit.max for limit in limits if limit.metric == "macs"] == expected
    assert limits[:2] == [users, Limit("latency_ms", 1.0)]


def test_the_note_says_what_was_decided(toy: SearchSpace) -> None:
    text = sentence(DOCUMENT, toy, [], TASK.shown)
    assert text.startswith("sizes: networks up to 200 kMACs of ")
    assert "of mbconv (1 of 2 operators)" in text
    assert "expected with shared weights: 75%" in text
    assert text.endswith("; more --time offers more")
    everything = {**DOCUMENT, "operators": DOCUMENT["offered"], "max_macs": None, "expected": None}
    limits = [Limit("macs", 3e5, text="300kFLOPs")]
    text = sentence({**everything, "is_less": False}, toy, limits, TASK.shown)
    assert text.startswith("sizes: networks up to 300 kMACs, of mbconv")
    assert "(" not in text
    assert "expected" not in text
    assert "more" not in text
