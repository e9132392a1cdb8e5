"""`nas finetune`: one network of a finished run, trained further and added to its front."""

from pathlib import Path
from typing import Any

from nas.finish import finish
from nas.references import references
from nas.reporter import Reporter
from nas.run import read_front
from nas.trained import Trained, reopened
from nas.tuner import Recipe, make_tuner
from search_spaces import Candidate, UserError


def finetune(path: Path, key: str, recipe: Recipe, reporter: Reporter) -> dict[str, Any]:
    """Train a network further, export, measure and verify it, and choose the front anew.

    The whole front is timed again with it. The same call continues an interrupted one.

    Args:
        path: A finished run.
        key: Of a trial or a reference; its first characters are enough.
        recipe: How.
        reporter: Told how far it is.

    Returns:
        `key` of the new network, `on_front`, and `reason` if it is not on it.

    Raises:
        UserError: If the run, the key, the data or the teacher is not what it should be.
    """
    trained = reopened(path, reporter)
    candidate = named(trained, key)
    tuner = make_tuner(trained, recipe, reporter)
    new = recipe.key(candidate)
    reporter.phase("finetune", f"training {candidate.key} further")
    with trained.run.phase("finetune"):
        tuner(candidate)
    trials = trained.run.trials(trained.problem.space)
    with trained.run.phase("finalists"):
        finish(trained, trials, reporter, session=new)
    front = read_front(path)
    reasons = {row["key"]: row["reason"] for row in front["replaced"]}
    return {"key": new, "on_front": new in front["members"], "reason": reasons.get(new, "")}


def named(trained: Trained, key: str) -> Candidate:
    """The candidate of a run whose key begins like this.

    Raises:
        UserError: If there is none, or more than one.
    """
    problem = trained.problem
    trials = trained.run.trials(problem.space)
    known = {trial.candidate.key: trial.candidate for trial in trials if trial.failure is None}
    beside = references(problem, trained.phases.random_references, trained.config.seed)
    known |= {entry.candidate.key: entry.candidate for entry in beside}
    wanted, is_tuned, _ = key.partition("-ft")
    found = [name for name in known if wanted and name.startswith(wanted)]
    if len(found) == 1 and not is_tuned:
        return known[found[0]]
    members = ", ".join(read_front(trained.run.path)["members"])
    if found and is_tuned:
        raise UserError(
            f"network '{key}' has been trained further already. Name what it was made of, "
            f"'{found[0]}', and give more --epochs."
        )
    fact = f"{len(found)} networks begin so" if found else "no network is called so"
    raise UserError(f"key '{key}': {fact} in run '{trained.run.path}'. On its front: {members}.")
