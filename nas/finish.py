"""The end of a search: finalists and references measured together, the front chosen and recorded.

Repeated after `nas finetune` with the new networks among the others; all are then timed again, in
one call, because latencies that are compared are measured together (docs/decisions/0012).
"""

import itertools
from collections.abc import Callable, Sequence

from nas._files import write_json
from nas.entry import Entry
from nas.finalists import Exporter
from nas.front import Contest, choose_front, finalist_order, inherited
from nas.references import references
from nas.reporter import Reporter
from nas.trained import Trained
from nas.trial import Trial
from nas.tuner import Recipe, asked_for, make_tuner

Finalist = Callable[[Trial], Entry]


def tune_finalists(
    trained: Trained, trials: Sequence[Trial], finalist: Finalist, reporter: Reporter
) -> None:
    """Train the first finalists further, if the plan has time for it."""
    phases = trained.phases
    if not phases.finetune_s:
        return
    reporter.phase("finetune", f"training {phases.finalists} finalists further, each alone")
    with trained.run.phase("finetune"):
        for trial in finalist_order(trained.problem, trials)[: phases.finalists]:
            finalist(trial)


def finish(
    trained: Trained,
    trials: Sequence[Trial],
    finalist: Finalist,
    reporter: Reporter,
    *,
    session: str = "",
) -> None:
    """Export, measure and verify finalists and reference networks; write front.json.

    Args:
        trained: The run.
        trials: All of the search.
        finalist: What files are made of for a trial.
        reporter: Told how far it is.
        session: As in `Exporter`.
    """
    run, config, problem, phases = trained.run, trained.config, trained.problem, trained.phases
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


def finalist_maker(trained: Trained, reporter: Reporter) -> Finalist:
    """What makes a finalist of a trial: training it further, if this run's plan has time for it."""
    phases = trained.phases
    if not phases.finetune_s:
        return inherited
    recipe = Recipe(seconds=phases.finetune_s / phases.finalists)
    return make_tuner(trained, recipe, reporter).better


def _counted(reporter: Reporter, of: int) -> Callable[[str], None]:
    """Each call is one of about `of` steps; replaced finalists can need a few more."""
    numbers = itertools.count(1)

    def progress(text: str) -> None:
        reporter.advance(min(next(numbers), of), of, text)

    return progress
