"""`nas finetune`: one network of a finished run, trained further and added to its front."""

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from nas.finalists.entry import TWIN
from nas.finalists.finetuning import make_finetuning
from nas.finalists.growing import growing
from nas.finalists.recipe import Recipe
from nas.finalists.teacher import AND, MODEL, NAMED
from nas.front.finish import finish
from nas.front.members import TUNED, candidate_of, entry_of
from nas.prepare.phases import BROUGHT
from nas.prepare.reopen import Trained, reopened
from nas.problem.larger import with_options
from nas.run.directory import read_front
from nas.system.reporter import Reporter
from search_spaces import Candidate, UserError, has_grids, precision_of


def finetune(
    path: Path,
    key: str,
    recipe: Recipe,
    reporter: Reporter,
    *,
    plugins: Sequence[str | Path] = (),
    device: str = "",
    grow_to: str | Mapping[str, Any] = "",
    skip_corrupt: bool = False,
) -> dict[str, Any]:
    """Train a network further, export, measure and verify it, and choose the front anew.

    The whole front is timed again with it. The same call continues an interrupted one.

    Args:
        path: A finished run.
        key: Of a trial, a reference or a twin; its first characters are enough. Where it grows,
            also of one that was trained further.
        recipe: How.
        reporter: Told how far it is.
        plugins: Files that register what the recipe names; the run keeps them.
        device: Where; "" for the run's own if it is here, or else the CPU. A training that has
            begun stays where it began.
        grow_to: A larger network, which is trained from the function of that one: the key of
            another network, or its options by the names of choices, of which those that stay may be
            left out. "" for the network itself, from shared weights.
        skip_corrupt: Leave out images that cannot be read of those that the recipe adds, whatever
            the run does with its own.

    Returns:
        `key` of the new network, `on_front`, and `reason` if it is not on it.

    Raises:
        UserError: If the run, the key, the data or the teacher is not what it should be, or the
            larger network is none.
    """
    recipe = with_teacher(recipe)
    trained = reopened(path, reporter, plugins=plugins, device=device)
    if skip_corrupt:
        trained = replace(trained, config=replace(trained.config, skip_corrupt=True))
    smaller = None if grow_to == "" else entry_of(trained, key)
    candidate = larger_than(trained, smaller.candidate, grow_to) if smaller else named(trained, key)
    refuse_nothing_to_learn(candidate, recipe)
    reporter.phase("finetune", f"training {candidate.key} further")
    finetuning = make_finetuning(trained, recipe, reporter)
    if smaller:
        finetuning = growing(trained, finetuning, smaller, candidate)
    new = finetuning.key(candidate)
    with trained.run.phase("finetune"):
        finetuning(candidate)
    measure_again(trained, reporter)
    return place_of(new, read_front(path))


def measure_again(trained: Trained, reporter: Reporter) -> None:
    """Choose the front of a run anew, with what has been trained further; all are timed again."""
    trials = trained.run.trials(trained.problem.space)
    with trained.run.phase("finalists"):
        finish(trained, trials, reporter, times_again=True)


def place_of(key: str, front: Mapping[str, Any]) -> dict[str, Any]:
    """What front.json says of a network: `key`, `on_front`, and `reason` if it is not on it."""
    reasons = {row["key"]: row["reason"] for row in front["replaced"]}
    return {"key": key, "on_front": key in front["members"], "reason": reasons.get(key, "")}


def larger_than(
    trained: Trained, candidate: Candidate, grow_to: str | Mapping[str, Any]
) -> Candidate:
    """The candidate that another one is to grow to.

    Args:
        trained: The run.
        candidate: The smaller one.
        grow_to: Key of a network, or options; those that stay may be left out.

    Raises:
        UserError: If there is no such network, or a choice or an option is unknown.
    """
    if isinstance(grow_to, str):
        return entry_of(trained, grow_to).candidate
    options = dict(grow_to)
    if isinstance(options.get("arch"), Mapping):
        options = {**options["arch"], **(options.get("policy") or {})}
    space = trained.problem.space
    return candidate_of(space, with_options(space, candidate, options))


def with_teacher(recipe: Recipe) -> Recipe:
    """The recipe with absolute paths and digests of its teachers, where these are files."""
    names, digests = [], []
    for name in recipe.teacher.split(AND):
        file = Path(name) / MODEL if Path(name).is_dir() else Path(name)
        if name in NAMED or not file.is_file():
            names.append(name)
            continue
        names.append(str(file.resolve()))
        digests.append(hashlib.sha256(file.read_bytes()).hexdigest())
    return replace(recipe, teacher=AND.join(names), teacher_sha256=AND.join(digests))


def refuse_nothing_to_learn(candidate: Candidate, recipe: Recipe) -> None:
    """See that a quantization-aware share has grids to learn.

    Raises:
        UserError: If no format of the candidate has any.
    """
    if recipe.aware_share and not has_grids(candidate.policy):
        raise UserError(
            f"network '{candidate.key}' is in {precision_of(candidate.policy)}, without grids that "
            "could be learnt. Leave out --aware, or name a network with int8."
        )


def named(trained: Trained, key: str) -> Candidate:
    """The candidate of a run whose key begins like this.

    Raises:
        UserError: If there is none, or more than one, or the key is of a network trained further,
            or of one with the weights that it was brought with.
    """
    origin, is_tuned, _ = key.partition(TUNED)
    entry = entry_of(trained, origin)
    if entry.brought:
        raise UserError(
            f"network '{entry.key}' has the weights that it was brought with, and training begins "
            f"with those of the supernet. Name '{entry.candidate.key}', which is all of it, and "
            f"--teacher {BROUGHT} to learn from what was brought."
        )
    if is_tuned:
        made_of = entry.key.partition(TUNED)[0].removesuffix(TWIN)
        twin = TWIN if key.endswith(TWIN) else ""
        raise UserError(
            f"network '{key}' has been trained further already. Name what it was made of, "
            f"'{made_of}{twin}', and give more --epochs."
        )
    return entry.candidate
