"""Networks of a run by name: which entry a key is of, and which candidate readable options are."""

from collections.abc import Mapping
from typing import Any

import numpy as np

from nas.finalists.entry import AS_BROUGHT, TWIN, Entry
from nas.finalists.finetuning import FOLDER, asked_for, read_finetuned
from nas.front.references import references
from nas.front.twins import twin_of
from nas.prepare.reopen import Trained
from nas.run.directory import read_front
from nas.run.own_files import kept_model
from nas.standalone.train import NETWORK
from search_spaces import Candidate, SearchSpace, UserError

NAME = "member"
TUNED = "-ft"
SHOWN = 8
"""Keys that a message lists."""


def entry_of(trained: Trained, key: str) -> Entry:
    """The network of a run whose key begins like this.

    Of a candidate that was trained further, the key itself means shared weights, and a beginning of
    it the one that is on the front; its twin, if only that is.

    Args:
        trained: The run.
        key: Of a trial, a reference, one of these trained further, or the twin of any of them.

    Raises:
        UserError: If there is none, or more than one.
    """
    if key.endswith(TWIN):
        return _twin(trained, key)
    if key.endswith(AS_BROUGHT):
        return _brought(trained, key)
    wanted, is_tuned, _ = key.partition(TUNED)
    known = candidates(trained)
    found = [name for name in known if wanted and name.startswith(wanted)]
    if len(found) != 1:
        raise UserError(
            f"key '{key}': {_fact(found)} in run '{trained.run.path}'. {_hint(trained)}"
        )
    folders = trained.run.path / FOLDER
    tuned = sorted(path.parent.name for path in folders.glob(f"{found[0]}{TUNED}*/{NETWORK}"))
    meant = [found[0]]
    if is_tuned:
        meant = [name for name in tuned if name.startswith(key)]
    elif key != found[0]:
        own, front = (found[0], *tuned), members(trained)
        on_front = [name for name in own if name in front]
        meant = on_front or [f"{name}{TWIN}" for name in own if f"{name}{TWIN}" in front] or meant
    if len(meant) != 1:
        raise UserError(
            f"key '{key}': {_fact(meant)} in run '{trained.run.path}'. "
            f"Name one in full: {', '.join([found[0], *tuned])}."
        )
    if meant[0].endswith(TWIN):
        return _twin(trained, meant[0])
    if meant[0] in tuned:
        return read_finetuned(folders / meant[0], trained.problem.space)
    return Entry(known[found[0]], NAME)


def _brought(trained: Trained, key: str) -> Entry:
    """The network with the weights that it was brought with, whose key begins like this."""
    begins = key.removesuffix(AS_BROUGHT)
    found = [e for e in _references(trained) if e.brought and e.key.startswith(begins)]
    if not begins or len(found) != 1:
        fact = _fact([entry.key for entry in found])
        raise UserError(f"key '{key}': {fact} in run '{trained.run.path}'. {_hint(trained)}")
    return found[0]


def _references(trained: Trained) -> list[Entry]:
    config, phases = trained.config, trained.phases
    kept = kept_model(trained.run.path, config)
    return references(trained.problem, phases.random_references, config.seed, kept)


def _twin(trained: Trained, key: str) -> Entry:
    """The twin whose key begins like this, and ends as it should."""
    source = entry_of(trained, key.removesuffix(TWIN))
    if source.twin_of:
        return source
    found = twin_of(trained.problem.space, source)
    if found is None:
        raise UserError(
            f"key '{key}': network {source.key} has no twin, because it is not quantized or "
            f"because some stage must be. Name '{source.key}'."
        )
    return found


def candidates(trained: Trained) -> dict[str, Candidate]:
    """The candidates of trials that did not fail, of references and of `nas finetune`, by key."""
    problem = trained.problem
    trials = trained.run.trials(problem.space)
    known = {trial.candidate.key: trial.candidate for trial in trials if trial.failure is None}
    beside = [*_references(trained), *asked_for(trained.run, problem.space)]
    return known | {entry.candidate.key: entry.candidate for entry in beside}


def members(trained: Trained) -> list[str]:
    """Keys on the front of a run; none before there is one."""
    path = trained.run.path
    return list(read_front(path)["members"]) if (path / "front.json").exists() else []


def candidate_of(space: SearchSpace, document: Mapping[str, Any]) -> Candidate:
    """The candidate with these options.

    Args:
        space: Its choices are named.
        document: Options by the names of choices; or, like a card or a trial, with `arch` and
            `policy`, each of which is such a table. Inactive choices may be left out.

    Raises:
        UserError: If a choice or an option is unknown, or a choice that matters is missing.
    """
    options = dict(document)
    if isinstance(options.get("arch"), Mapping):
        options = {**options["arch"], **(options.get("policy") or {})}
    encoding = [0] * len(space.choices)
    for name, value in options.items():
        offered = space.choice(name).options
        if isinstance(value, bool) or value not in offered:
            shown = ", ".join(map(repr, offered))
            raise UserError(
                f"choice '{name}' is {value!r}, which space '{space.name}' of this run does not "
                f"offer. Options: {shown}."
            )
        encoding[space.index(name)] = offered.index(value)
    is_active_C = space.is_active(np.array([encoding]))[0]
    missing = [
        f"{choice.name} ({', '.join(map(repr, choice.options))})"
        for choice, is_active in zip(space.choices, is_active_C, strict=True)
        if is_active
        and choice.name not in options
        and all(name in options for name, _ in choice.active_if)
    ]
    if missing:
        raise UserError(
            f"the architecture leaves open: {'; '.join(missing)}. "
            "Give each of these choices one of its options."
        )
    return space.candidate(encoding)


def _fact(found: list[str]) -> str:
    if not found:
        return "no network is called so"
    return f"{len(found)} networks begin so ({', '.join(found[:SHOWN])})"


def _hint(trained: Trained) -> str:
    front = members(trained)
    if front:
        return f"On its front: {', '.join(front)}."
    known = list(candidates(trained))
    more = ", ..." if len(known) > SHOWN else ""
    return f"It has: {', '.join(known[:SHOWN])}{more}."
