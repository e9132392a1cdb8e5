"""The first candidates of a search: policies that an allocation gives for shares of the budget.

    sensitivity.jsonl   what single changes do to the network's outputs: a line each, and of some
                        changes together
    starts.json         the candidates

Measuring ends with a share of the time for scores (`sensitivity_share`); what it has not come to is
interpolated, if every sparsity was measured once.
"""

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np

from nas.allocations import ALLOCATIONS, Compressible
from nas.allocations._base import NO_ALLOCATION, AbstractAllocation
from nas.allocations._sensitivity import Change, Sensitivity
from nas.prepare.phases import UNINFORMED
from nas.prepare.reopen import Trained
from nas.problem.drop import limit_on_drop
from nas.problem.feasible import largest_member
from nas.problem.problem import Expectation, Limit, Problem
from nas.run.directory import Run
from nas.scoring.compressible import Probe, changes_to_measure, with_importance, with_weights
from nas.scoring.scorer import Scorer
from nas.system.files import append_line, read_lines, understood
from nas.system.reporter import Reporter
from search_spaces import Candidate, is_policy

SHARES = (1.0, 0.75, 0.5)
SHARES_WITHIN_DROP = (1.0, 0.6, 0.4, 0.25)
"""Of the budget, or of the network's own cost if that is less; where it is asked how far one can
go, they go further."""

UNLIMITED = "macs"
"""What shares are taken of where nothing is limited that is known beforehand."""

MOST_OF_TRIALS = 2
"""One trial in so many is a start at most."""

SCHEMA = 1
SENSITIVITY, STARTS = "sensitivity.jsonl", "starts.json"


def starts_of(trained: Trained, reporter: Reporter) -> list[Candidate]:
    """The candidates, recorded; none where no allocation is asked for.

    A search that began without any goes on without.
    """
    run, space = trained.run, trained.problem.space
    if trained.phases.allocation in ("", NO_ALLOCATION):
        return []
    if (run.path / "trials.jsonl").exists() and not (run.path / STARTS).exists():
        return []
    document = run.decided(STARTS, lambda: decided_starts(trained, reporter))
    with understood(f"'{run.path / STARTS}'"):
        return [space.candidate(row["encoding"]) for row in document["starts"]]


def expected_of(trained: Trained) -> Expectation | None:
    """What single changes let one expect of policies, for controllers; None if too few are known.

    None, too, where architectures are searched, as they were measured in one; a search that began
    without starts goes on without.
    """
    run, problem = trained.run, trained.problem
    if not problem.space.is_brought or not (run.path / STARTS).exists():
        return None
    base = largest_member(problem).encoding
    network = Compressible(problem=problem, base=base, columns=policy_columns(problem, base))
    changes = read_lines(run.path / SENSITIVITY, Change.from_json)
    if not changes or len(changes) < len(network.sparsities):
        return None
    return Sensitivity(problem.space, base, changes).summed(network.columns)


def decided_starts(trained: Trained, reporter: Reporter) -> dict[str, Any]:
    """starts.json."""
    problem, data = trained.problem, trained.data
    name = trained.phases.allocation
    base = largest_member(problem).encoding
    network = Compressible(problem=problem, base=base, columns=policy_columns(problem, base))
    additivity: list[float] = []
    if "distortions" in ALLOCATIONS.get(name).needs:
        reporter.phase("search", "measuring what single changes do")
        probe = Probe(trained.scorer, data, base)
        sensitivity = measured(trained.run, network, probe, trained.phases.sensitivity_s, reporter)
        network = replace(network, distortions=sensitivity.distortions(network.columns))
        additivity = [total / change.distortion for change, total in sensitivity.joint()]
        if len(sensitivity.changes) < len(network.sparsities):
            reporter.note("too few to tell parts apart: in the first candidates all lose alike")
            name = UNINFORMED
    allocation = ALLOCATIONS.get(name)()
    network = informed(network, allocation.needs, trained.scorer)
    shares = {
        encoding: share
        for share in (SHARES_WITHIN_DROP if limit_on_drop(problem.limits) else SHARES)
        for part in at_share(network, share)
        if (encoding := _allocated(allocation, part)) is not None
    }
    most = max(1, trained.phases.trials // MOST_OF_TRIALS)
    starts = [{"encoding": list(encoding), "share": share} for encoding, share in shares.items()]
    if additivity:
        reporter.note(
            "changes alone add up to "
            + ", ".join(f"{ratio:.2f}" for ratio in additivity)
            + " times what they do together"
        )
    return {
        "schema": SCHEMA,
        "allocation": name,
        "sums_of_joint": [round(ratio, 4) for ratio in additivity],
        "starts": starts[:most],
    }


def _allocated(allocation: AbstractAllocation, part: Compressible) -> tuple[int, ...] | None:
    """As the allocation does; a network of which nothing is to be decided is as it is."""
    if not part.columns:
        return part.first_within(np.array([part.base]))
    return allocation.allocate(part)


def measured(
    run: Run, network: Compressible, probe: Probe, most_s: float, reporter: Reporter
) -> Sensitivity:
    """What changes do, as recorded; those that are missing are measured while there is time.

    How many there are in the end depends on the records alone.
    """
    space, path = network.problem.space, run.path / SENSITIVITY
    known = read_lines(path, Change.from_json)
    changes: list[Change] = []
    wanted = changes_to_measure(space, network.base, network.columns)
    for options in wanted:
        spent_s = sum(change.seconds for change in changes)
        if spent_s + spent_s / max(1, len(changes)) >= most_s:
            break
        if len(changes) < len(known):
            changes.append(known[len(changes)])
            continue
        changes.append(probe(options))
        append_line(path, changes[-1].to_json())
        reporter.advance(len(changes), len(wanted))
    if len(changes) < len(wanted):
        reporter.note(
            f"time for {len(changes)} of {len(wanted)} changes; what others do is interpolated"
        )
    with understood(f"'{path}'", "or delete it to measure again"):
        found = Sensitivity(space, network.base, changes)
        found.distortions(network.columns)
    return found


def informed(network: Compressible, needs: frozenset[str], scorer: Scorer) -> Compressible:
    """The network with what an allocation needs to know besides distortions."""
    if "importance" in needs:
        network = with_importance(network, scorer.supernet)
    return with_weights(network, scorer.supernet if "scores" in needs else None)


def policy_columns(problem: Problem, base: Sequence[int]) -> tuple[int, ...]:
    """Places of all choices about compression that are active in a network and have options."""
    space = problem.space
    is_active = space.is_active(np.array([base]))[0]
    return tuple(
        column
        for column, choice in enumerate(space.choices)
        if is_policy(choice.name) and len(choice.options) > 1 and is_active[column]
    )


def at_share(network: Compressible, share: float) -> list[Compressible]:
    """The network with that share of the budget, once in every format and pattern throughout.

    And once with formats to be decided, if they decide about anything that is limited.
    """
    problem, space = network.problem, network.problem.space
    base = np.array([network.base])
    bases = {
        tuple(space.in_precision(space.in_pattern(base, pattern), name)[0].tolist()): None
        for pattern in space.patterns
        for name in space.precisions
    }
    whole = np.array([network.base, *bases])
    limits = []
    for limit in problem.modelled_limits or (Limit(UNLIMITED, np.inf),):
        if limit.metric in problem.model.metrics:
            most = min(limit.max, float(problem.model.of(limit.metric, whole).max()))
            limits.append(replace(limit, max=share * most))
    part = replace(problem, limits=tuple(limits))
    sparsities = tuple(network.sparsities)
    found = [replace(network, problem=part, base=base, columns=sparsities) for base in bases]
    differs = any(np.ptp(part.model.of(limit.metric, whole)) > 0.0 for limit in limits)
    if differs and len(bases) > 1:
        found.append(replace(network, problem=part))
    return found
