"""The end of a search: finalists and references measured together, the front chosen and recorded.

Repeated after `nas finetune` with the new networks among the others; all are then timed again, in
one call, because latencies that are compared are measured together (docs/decisions/0012).
"""

import itertools
import time
from collections.abc import Callable, Sequence
from dataclasses import replace

from nas._files import understood, write_json
from nas.finalists import Exporter
from nas.front import Contest, choose_front, finalist_order, inherited
from nas.references import references
from nas.reporter import Part, Reporter
from nas.trained import Trained
from nas.trial import Trial
from nas.tuner import Recipe, Tuner, asked_for, make_tuner

MIN_STEPS = 10


def tune_finalists(trained: Trained, trials: Sequence[Trial], reporter: Reporter) -> None:
    """Train the first finalists further, if the plan has time for it.

    All are meant to get the same number of steps; as the speed of the machine changes, those that
    are left share the time that is left.
    """
    finetune_s, first = trained.phases.finetune_s, _first_finalists(trained, trials)
    if not finetune_s or not first:
        return
    reporter.phase("finetune", f"training {len(first)} finalists further, each alone")
    with trained.run.phase("finetune"):
        tuner, step_s = _own_tuner(trained, trials, reporter)
        ends_at = time.monotonic() + finetune_s
        for number, trial in enumerate(first):
            slowness = tuner.seconds_per_step(trial.candidate) / step_s[number]
            left_s = max(0.0, ends_at - time.monotonic())
            steps = max(MIN_STEPS, int(left_s / (slowness * sum(step_s[number:]))))
            part = Part(reporter, number, len(first))
            replace(tuner, reporter=part, steps=steps).better(trial)


def _own_tuner(
    trained: Trained, trials: Sequence[Trial], reporter: Reporter
) -> tuple[Tuner, list[float]]:
    """What trains finalists of a search further, and seconds per step of each of the first ones."""
    tuner = make_tuner(trained, Recipe(), reporter)
    document = trained.run.decided(
        "finetune_plan.json",
        lambda: {
            "schema": 1,
            "seconds_per_step": [
                tuner.seconds_per_step(trial.candidate)
                for trial in _first_finalists(trained, trials)
            ],
        },
    )
    with understood(f"'{trained.run.path}/finetune_plan.json'"):
        step_s = [max(1e-6, float(seconds)) for seconds in document["seconds_per_step"]]
    steps = int(trained.phases.finetune_s / max(1e-6, sum(step_s)))
    return replace(tuner, steps=max(MIN_STEPS, steps)), step_s


def _first_finalists(trained: Trained, trials: Sequence[Trial]) -> list[Trial]:
    return finalist_order(trained.problem, trials)[: trained.phases.finalists]


def finish(
    trained: Trained,
    trials: Sequence[Trial],
    reporter: Reporter,
    *,
    session: str = "",
) -> None:
    """Export, measure and verify finalists and reference networks; write front.json.

    Args:
        trained: The run.
        trials: All of the search.
        reporter: Told how far it is.
        session: As in `Exporter`.
    """
    run, config, problem, phases = trained.run, trained.config, trained.problem, trained.phases
    finalist = inherited
    if phases.finetune_s:
        finalist = _own_tuner(trained, trials, reporter)[0].better
    reporter.phase("finalists", "exporting, timing and verifying")
    contest = Contest(
        trials=trials,
        num_finalists=phases.finalists,
        finalist=finalist,
        others=asked_for(run, problem.space),
        references=references(problem, phases.random_references, config.seed),
    )
    exporter = Exporter(
        run, problem, trained.scorer, trained.data, config.target, config.timing_threads, session
    )
    num_networks = len(contest.references) + len(contest.others) + phases.finalists
    front = choose_front(exporter, contest, _counted(reporter, 2 * num_networks + 1))
    if not front["members"]:
        reporter.note("no candidate is within all limits once measured: raise the budget")
    exporter.settle(front["members"])
    write_json(run.path / "front.json", front)


def _counted(reporter: Reporter, of: int) -> Callable[[str], None]:
    """Each call is one of about `of` steps; replaced finalists can need a few more."""
    numbers = itertools.count(1)

    def progress(text: str) -> None:
        reporter.advance(min(next(numbers), of), of, text)

    return progress
