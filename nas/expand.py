"""`nas expand`: one network that grows while it is trained, with files of every size.

    finetunes/<key>/expansions.json   scores and sizes of the network and of what it could grow to

A network is trained. What it could expand to, a block more in a stage or a wider stage, is scored
(`supernets/expansion.py`); of those whose score is some times that of the network as it is, the one
that gains most of it per parameter is carried out without change of the function, and trained, and
so on. Every size is a network trained further like others (`nas/finetune.py`), with files, a card
and a place in the contest for the front.

Source: Appolinary et al., Self Expanding Convolutional Neural Networks (2024). Departures: every
size is trained for the same number of epochs, with a warm-up and a decay of its own; expansions are
those that the search space offers within the known limits, so blocks of any operator.
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from nas.finalists.entry import Entry
from nas.finalists.finetuning import FOLDER, Finetuning, make_finetuning
from nas.finalists.growing import growing, network_of
from nas.finalists.recipe import Recipe
from nas.finetune import measure_again, named, place_of, refuse_nothing_to_learn, with_teacher
from nas.prepare.reopen import Trained, reopened
from nas.problem.larger import expansions
from nas.run.directory import read_front
from nas.system.files import understood
from nas.system.reporter import Reporter
from search_spaces import Candidate, UserError
from supernets.expansion import expansion_score
from supernets.network import PlainNetwork
from supernets.steps import AloneBatches

SCORES = "expansions.json"
MOST_SIZES = 32


@dataclass(frozen=True, kw_only=True)
class Expanding:
    """When a network expands.

    Attributes:
        sizes: Networks in all, with the first one; fewer if no expansion is worth it.
        threshold: Times the score of a network that an expansion must have.
    """

    sizes: int = 3
    threshold: float = 1.0

    def __post_init__(self) -> None:
        if not 1 < self.sizes <= MOST_SIZES or not self.threshold >= 0:
            raise UserError(
                f"sizes is {self.sizes} and threshold {self.threshold:g}. A network expands in 2 "
                f"to {MOST_SIZES} sizes, where its score rises by a threshold of 0 or more."
            )


def expand(
    path: Path,
    key: str,
    recipe: Recipe,
    expanding: Expanding,
    reporter: Reporter,
    *,
    plugins: Sequence[str | Path] = (),
    device: str = "",
) -> dict[str, Any]:
    """Train a network, and larger ones that go on from it, and choose the front anew.

    The same call continues an interrupted one.

    Args:
        path: A finished run.
        key: Of the first network, as in `finetune`.
        recipe: How each size is trained.
        expanding: When it expands.
        reporter: Told how far it is.
        plugins: As in `finetune`, and so is
        device: where it is trained.

    Returns:
        `sizes`: of every network `key`, `parameters`, `expanded` (the choice of which it has more
        than the one before), `on_front`, and `reason` if it is not on it.

    Raises:
        UserError: If the run, the key or the data is not what it should be.
    """
    trained = reopened(path, reporter, plugins=plugins, device=device)
    candidate, recipe = named(trained, key), with_teacher(recipe)
    refuse_nothing_to_learn(candidate, recipe)
    reporter.phase("finetune", f"training {candidate.key} further, to {expanding.sizes} sizes")
    first = make_finetuning(trained, recipe, reporter)
    finetuning, entries, choices = first, list[Entry](), [""]
    with trained.run.phase("finetune"):
        while True:
            reporter.phase("finetune", f"training size {len(entries) + 1}, {candidate.key}")
            entries.append(finetuning(candidate))
            if len(entries) == expanding.sizes:
                break
            row = chosen(scored(trained, finetuning, entries[-1]), expanding.threshold)
            if row is None:
                reporter.note(f"no expansion of {entries[-1].key} is worth its parameters")
                break
            choices.append(row["choice"])
            candidate = trained.problem.space.candidate(row["encoding"])
            finetuning = growing(trained, first, entries[-1], candidate)
    measure_again(trained, reporter)
    front = read_front(path)
    return {
        "sizes": [
            {
                **place_of(entry.key, front),
                "parameters": _num_parameters(network_of(trained, entry)),
                "expanded": choice,
            }
            for entry, choice in zip(entries, choices, strict=True)
        ]
    }


def scored(trained: Trained, finetuning: Finetuning, entry: Entry) -> dict[str, Any]:
    """expansions.json of a network that has been trained; made now if there is none.

    Args:
        trained: The run.
        finetuning: Has trained it.
        entry: The network.
    """

    def measure() -> dict[str, Any]:
        plan = finetuning.job(entry.candidate).planned()
        batches = AloneBatches(plan, finetuning.teaching)

        def grow(candidate: Candidate) -> PlainNetwork:
            start = growing(trained, finetuning, entry, candidate).start
            assert start is not None
            return start

        scores = compared(
            network_of(trained, entry),
            expansions(trained.problem, entry.candidate),
            grow=grow,
            score=lambda network: expansion_score(network, finetuning.images, batches),
        )
        return {"schema": 1, **scores}

    document: dict[str, Any] = trained.run.decided(f"{FOLDER}/{entry.key}/{SCORES}", measure)
    return document


def compared(
    network: PlainNetwork,
    offered: Iterable[tuple[str, Sequence[Candidate]]],
    *,
    grow: Callable[[Candidate], PlainNetwork],
    score: Callable[[PlainNetwork], float],
) -> dict[str, Any]:
    """Scores and sizes as in expansions.json.

    Args:
        network: As it is.
        offered: Choices, and candidates that have more of each; the first one that can grow counts.
        grow: Makes a candidate's network of that one; raises UserError where it cannot.
        score: Of a network.
    """

    def facts(network: PlainNetwork) -> dict[str, Any]:
        return {"score": score(network), "parameters": _num_parameters(network)}

    rows = []
    for choice, candidates in offered:
        for candidate in candidates:
            try:
                larger = grow(candidate)
            except UserError:
                continue
            encoding = list(candidate.encoding)
            rows.append({"choice": choice, "encoding": encoding, **facts(larger)})
            break
    return {**facts(network), "expansions": rows}


def chosen(scores: Mapping[str, Any], threshold: float) -> Mapping[str, Any] | None:
    """The expansion that gains most per parameter, of those above a threshold; None if none is.

    Args:
        scores: As in expansions.json.
        threshold: Times the score of the network as it is.
    """
    with understood(SCORES):
        now, parameters = float(scores["score"]), int(scores["parameters"])
        least = max(now, threshold * max(now, 0.0))
        able = [row for row in scores["expansions"] if row["score"] > least]
        return max(
            able,
            key=lambda row: (row["score"] - now) / max(1, row["parameters"] - parameters),
            default=None,
        )


def _num_parameters(network: PlainNetwork) -> int:
    return sum(parameter.numel() for parameter in network.parameters())
