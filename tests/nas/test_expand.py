"""Networks of a run that grow: to a named one, and by themselves."""

import json
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from nas.cli import app as cli
from nas.cli import codes
from nas.expand import Expanding, chosen, expand
from nas.finalists.finetuning import make_finetuning
from nas.finalists.growing import growing, network_of
from nas.finalists.recipe import Recipe
from nas.finetune import finetune
from nas.front.card import read_card
from nas.front.members import entry_of
from nas.prepare.reopen import reopened
from nas.problem.larger import expansions, with_options
from nas.problem.problem import Objective, Problem
from nas.run.directory import read_space
from nas.system.reporter import Silent
from search_spaces import SearchSpace, UserError
from tests.strategies import noise, uniform

RECIPE = Recipe(epochs=0.5)

pytestmark = pytest.mark.usefixtures("two_timing_processes")


def by_size(run: Path) -> list[str]:
    """Keys of the networks that were scored, the smallest first."""
    rows = [json.loads(line) for line in (run / "trials.jsonl").read_text().splitlines()]
    return [row["key"] for row in sorted(rows, key=lambda row: row["predicted"]["macs"])]


def cards(run: Path) -> dict[str, dict[str, Any]]:
    return {p.parent.name: read_card(p) for p in run.glob("[fr]*/*/card.json")}


@pytest.mark.long
def test_one_training_leaves_networks_of_growing_size(own_run: Path) -> None:
    first = by_size(own_run)[0]
    expanding = Expanding(sizes=3, threshold=0.0)
    found = expand(own_run, first, RECIPE, expanding, Silent())["sizes"]
    assert len(found) == 3
    parameters = [row["parameters"] for row in found]
    assert parameters == sorted(set(parameters))
    assert found[0]["expanded"] == ""
    assert all(row["expanded"].endswith(("depth", "width")) for row in found[1:])
    made = cards(own_run)
    for before, after in pairwise(found):
        assert made[after["key"]]["finetuned"]["grown_from"] == before["key"]
        assert made[after["key"]]["params"] > made[before["key"]]["params"]
    assert "grown_from" not in made[found[0]["key"]]["finetuned"]
    assert expand(own_run, first, RECIPE, expanding, Silent())["sizes"] == found


def test_a_network_begins_with_the_function_of_the_smaller_one(own_run: Path) -> None:
    trained = reopened(own_run, Silent())
    entry = entry_of(trained, by_size(own_run)[0])
    finetuning = make_finetuning(trained, RECIPE, Silent())
    network, x = network_of(trained, entry), noise(4, 1, 16, 16)
    seen = 0
    for _, (larger, *_others) in expansions(trained.problem, entry.candidate):
        start = growing(trained, finetuning, entry, larger).start
        assert start is not None
        with torch.no_grad():
            torch.testing.assert_close(start(x), network(x), atol=1e-4, rtol=1e-4)
        seen += 1
    assert seen > 1
    assert finetuning.key(larger) != growing(trained, finetuning, entry, larger).key(larger)


@pytest.mark.parametrize(
    ("grow_to", "message"),
    [
        ("zzz", "no network is called so"),
        ({"stage1.depht": 2}, "has no choice 'stage1.depht'"),
        ({"stage1.width": 7}, "choice 'stage1.width' is 7, which space 'toy' of this run does not"),
        ({}, "is the one that is to grow"),
    ],
)
def test_what_it_cannot_grow_to_is_refused_before_anything_is_written(
    own_run: Path, grow_to: Any, message: str
) -> None:
    key = next(iter(cards(own_run))).partition("-")[0]
    before = sorted((own_run / "finetunes").rglob("*"))
    with pytest.raises(UserError, match=message):
        finetune(own_run, key, RECIPE, Silent(), grow_to=grow_to)
    assert sorted((own_run / "finetunes").rglob("*")) == before


def test_a_smaller_network_is_none_to_grow_to(
    own_run: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    small, *_, largest = by_size(own_run)
    space = read_space(own_run)
    before = sorted((own_run / "finetunes").rglob("*"))
    for grow_to in (small, json.dumps(dict(space.candidate(uniform(space, 0)).arch))):
        with pytest.raises(SystemExit) as ended:
            cli.main(["finetune", str(own_run), "--key", largest, "--grow-to", grow_to])
        assert ended.value.code == codes.WRONG_USE
        assert "larger network" in capsys.readouterr().err
    assert sorted((own_run / "finetunes").rglob("*")) == before


@pytest.mark.parametrize(("sizes", "threshold"), [(1, 1.0), (33, 1.0), (3, -1.0), (3, np.nan)])
def test_numbers_that_expand_nothing_are_refused(sizes: int, threshold: float) -> None:
    with pytest.raises(UserError, match="A network expands in 2 to 32 sizes"):
        Expanding(sizes=sizes, threshold=threshold)


def test_the_expansion_that_gains_most_per_parameter_is_chosen() -> None:
    def row(choice: str, score: float, parameters: int) -> dict[str, Any]:
        return {"choice": choice, "encoding": [], "score": score, "parameters": parameters}

    rows = [row("much", 30.0, 2000), row("little", 16.0, 1100), row("less", 9.0, 1010)]
    scores = {"score": 10.0, "parameters": 1000, "expansions": rows}
    for threshold, wanted in ((1.0, "little"), (1.7, "much"), (0.0, "little")):
        found = chosen(scores, threshold)
        assert found is not None
        assert found["choice"] == wanted
    assert chosen(scores, 3.0) is None
    assert chosen({**scores, "score": -1.0}, 5.0) is not None, "nothing is left to learn as it is"


def test_a_further_block_is_like_the_one_before_it(mini: SearchSpace) -> None:
    small = mini.candidate(uniform(mini, 0, operator="mbconv", kernel_size=5))
    options = with_options(mini, small, {"stage2.depth": 2})
    larger = mini.candidate(mini.encode(options))
    assert larger.arch["stage2.block2.operator"] == "mbconv"
    assert larger.arch["stage2.block2.kernel_size"] == 5
    assert {n: o for n, o in larger.arch.items() if n in small.arch} == {
        **small.arch, "stage2.depth": 2
    }  # fmt: skip


def test_a_network_expands_in_depth_and_width_within_limits(mini: SearchSpace) -> None:
    problem = Problem(space=mini, objectives=(Objective("accuracy", "maximize"),))
    smallest = mini.candidate(uniform(mini, 0))
    largest = mini.candidate(uniform(mini, -1))
    found = dict(expansions(problem, smallest))
    assert set(found) == {f"stage{i}.{dim}" for i in (1, 2) for dim in ("depth", "width")}
    assert all(len(larger) == 1 for larger in found.values())
    assert not dict(expansions(problem, largest))
