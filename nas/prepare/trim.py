"""What limits and the target leave of a space: which options are dropped, and which limits bind."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from nas.latency import LatencyModel, pays
from nas.prepare.inputs import COSTS, make_problem
from nas.prepare.phases import FEW_STEPS
from nas.prepare.reuse import donor_space
from nas.problem.budget import format_value, nearest_budget
from nas.problem.drop import DROP
from nas.problem.feasible import sample_within
from nas.problem.problem import KnownMetrics, Limit
from nas.run.config import Config
from nas.run.directory import SPACE, Run, read_begun_space, read_trained_space
from nas.system.files import read_json, understood, write_json
from nas.system.reporter import Reporter
from search_spaces import Choice, SearchSpace, UserError, is_policy

SHARE_SAMPLES = 10_000
TRIM_SLACK = 1.15
"""Latency predictions err, so options are trimmed only beyond this multiple of the limit."""

GIVEN_UP = "the supernet's training gave it up or was without it"


def run_space(
    run: Run,
    config: Config,
    space: SearchSpace,
    limits: list[Limit],
    model: LatencyModel,
    reporter: Reporter,
) -> SearchSpace:
    """The recorded space: without options that fit no network within the limits or gain nothing.

    Once the supernet is trained, also without those that training gave up. With a given supernet
    it has the architectures of that one instead, whatever the limits are.
    """
    path = run.path / pays.FILE
    if not (run.path / SPACE).exists():
        trimmed, dropped = _trimmed(config, space, limits, model)
        if dropped:
            text = "; ".join(f"{name} {options}" for name, options in dropped.items())
            why = GIVEN_UP if config.supernet else "no network within budget"
            run.event("plan", "message", text=f"trimmed, because {why}: {text}")
            if config.supernet:
                reporter.note(f"left out, because {why}: {text}")
        document = run.decided(pays.FILE, lambda: what_pays(run, config, space, limits, model))
        with understood(f"'{path}'"):
            trimmed = pays.paying(trimmed, document)
        write_json(run.path / SPACE, trimmed.to_json())
    if path.exists():
        with understood(f"'{path}'"):
            for line in pays.said_of(read_json(path), config.target):
                reporter.note(line)
    recorded = read_begun_space(run.path)
    fewer = len(space.choices) - len(recorded.choices)
    options = sum(space.cardinalities) - sum(recorded.cardinalities)
    if options and config.supernet:
        reporter.note(f"searching the architectures of supernet '{config.supernet}'")
    elif options:
        reporter.note(
            f"trimmed {options} options (and with them {fewer} choices) that fit no network within "
            "the budget or gain nothing; space.json has the rest"
        )
    return read_trained_space(run.path)


def what_pays(
    run: Run,
    config: Config,
    space: SearchSpace,
    limits: Sequence[Limit],
    model: LatencyModel,
) -> dict[str, Any]:
    """pays.json: what options of compression gain in networks within the limits.

    Nothing is left out where files are timed on further targets, whose latency is not predicted.
    """
    problem = make_problem(space, limits, model)
    rows_NC = sample_within(problem, pays.NETWORKS, np.random.default_rng([config.seed, 13]))
    metrics = dict.fromkeys([*COSTS, *(limit.metric for limit in problem.modelled_limits)])
    document = pays.tried(
        space, problem.model, rows_NC, list(metrics), drops=not config.other_targets
    )
    profile = run.path / "profile/profile.json"
    mixed = pays.mixed_error(read_json(profile)) if profile.exists() else {}
    return pays.with_words({**document, **mixed})


def _trimmed(
    config: Config, space: SearchSpace, limits: Sequence[Limit], model: LatencyModel
) -> tuple[SearchSpace, dict[str, list[Any]]]:
    """The space of a run, and what was dropped from it."""
    if config.supernet:
        found = donor_space(config, space)
        return found, _policy_lost(space, found)
    if config.model:
        return space, {}  # its largest member is the teacher of all others
    return trim(space, limits, model)


def _policy_lost(space: SearchSpace, part: SearchSpace) -> dict[str, list[Any]]:
    """Options about compression that a part of a space has not, by the choice's name."""
    lost = {}
    for choice in (choice for choice in part.choices if is_policy(choice.name)):
        options = [o for o in space.choice(choice.name).options if o not in choice.options]
        if options:
            lost[choice.name] = options
    return lost


def trim(
    space: SearchSpace, limits: Sequence[Limit], model: LatencyModel | None
) -> tuple[SearchSpace, dict[str, list[Any]]]:
    """The space without options that fit no network within the limits, and what was dropped.

    Without a model, latency leaves nothing out.

    Raises:
        UserError: If nothing is left.
    """
    assert space.costs is not None
    keep: dict[str, list[Any]] = {}
    dropped: dict[str, list[Any]] = {}
    for column, choice in enumerate(space.choices):
        fits = [_fits(space, column, i, limits, model) for i in range(len(choice.options))]
        if not any(fits):
            raise _nothing_fits(space, limits, model)
        if not all(fits):
            keep[choice.name] = _selected(choice, fits, True)
            dropped[choice.name] = _selected(choice, fits, False)
    return (space.restricted(keep) if keep else space), dropped


def _nothing_fits(
    space: SearchSpace, limits: Sequence[Limit], model: LatencyModel | None
) -> UserError:
    limit = next((limit for limit in limits if limit.metric == "latency_ms"), None)
    least = model.least({}) if model is not None else 0.0
    if limit is None or least <= limit.max:
        texts = ", ".join(limit.text for limit in limits)
        return UserError(
            f"no network of space '{space.name}' is within all limits together: {texts}. Raise one."
        )
    return UserError(
        f"budget '{limit.text}': no network of space '{space.name}' is predicted to take less than "
        f"{least:.3g} ms, by files that were measured. "
        f"Use '{nearest_budget(limit, minimum=least, maximum=least)}' or more, or a lower "
        "--resolution."
    )


def limit_rows(
    limits: list[Limit], space: SearchSpace, known: KnownMetrics, seed: int
) -> list[dict[str, Any]]:
    """What plan.json records of the limits: whether each binds and what it leaves of the space.

    Shares are of uniformly sampled candidates. Latency is predicted here; its limit holds for
    measured files all the same. Of what only measuring tells, nothing is known.
    """
    assert space.costs is not None
    sample = space.sample(np.random.default_rng([seed, 11]), SHARE_SAMPLES)
    rows = []
    for limit in limits:
        if limit.metric not in known.metrics:
            rows.append({"text": limit.text, "metric": limit.metric, "max": limit.max})
            continue
        values_N = known.of(limit.metric, sample)
        largest = float(values_N.max())
        if limit.metric in space.costs.metrics:
            largest = space.costs.maximum(limit.metric)[0]
        rows.append(
            {
                "text": limit.text,
                "metric": limit.metric,
                "max": limit.max,
                "largest": largest,
                "binds": largest > limit.max,
                "share": float((values_N <= limit.max).mean()),
            }
        )
    return rows


def announce(document: Mapping[str, Any], reporter: Reporter, *, is_trained: bool = False) -> None:
    """Say which limits bind and, unless the supernet is given, what the plan is."""
    for row in document["limits"]:
        if row["metric"] == DROP:
            reporter.note(
                f"{row['text']}: files that are that much worse than the network as it was brought "
                "are left out"
            )
            continue
        if "largest" not in row:
            reporter.note(f"budget {row['text']}: files that take longer there are replaced")
            continue
        largest = format_value(row["metric"], row["largest"])
        if row["binds"]:
            reporter.note(f"budget {row['text']} binds: {row['share']:.1%} of the space is within")
        else:
            reporter.note(f"budget {row['text']} does not bind: the largest network has {largest}")
    if is_trained:
        return
    steps, images = document["steps"], document["batch_size"] * document["shards"]
    reporter.note(
        f"plan: {steps} training steps of {images} images "
        f"({document['precision']}{', channels last' if document['channels_last'] else ''})"
    )
    if steps < FEW_STEPS:
        reporter.note(
            f"{steps} steps are few: networks will be poor. "
            "Raise --time, or lower --resolution or --budget"
        )


def _fits(
    space: SearchSpace,
    column: int,
    option: int,
    limits: Sequence[Limit],
    model: LatencyModel | None,
) -> bool:
    """Whether some network with this option is within every limit, each taken alone."""
    for limit in limits:
        assert space.costs is not None
        if limit.metric in space.costs.metrics:
            smallest = space.costs.minimum(limit.metric, {column: option})[0]
            if smallest > limit.max:
                return False
        elif (
            limit.metric == "latency_ms"
            and model is not None
            and model.least({column: option}) > TRIM_SLACK * limit.max
        ):
            return False
    return True


def _selected(choice: Choice, fits: list[bool], wanted: bool) -> list[Any]:
    return [o for o, fit_ in zip(choice.options, fits, strict=True) if fit_ is wanted]
