"""The end of a search: finalists and references measured together, the front chosen and recorded.

Repeated after `nas finetune` with the new networks among the others. All are then timed again,
because latencies that are compared are measured together (docs/decisions/0012); those that replace
finalists over a measured limit, in a later call.
"""

import itertools
from collections.abc import Callable, Sequence

from nas.executors import make_timers
from nas.finalists.entry import Entry, inherited
from nas.finalists.finetuning import asked_for
from nas.finalists.order import finalist_order
from nas.finalists.rounds import finalists_within_drop
from nas.finalists.train import final_training
from nas.front.card import read_card
from nas.front.contest import Contest, choose_front
from nas.front.continuing import of_plan, rejoined
from nas.front.drop import paired_drops
from nas.front.folders import CARD, FRONT, settle
from nas.front.measure import Exporter
from nas.front.references import references
from nas.front.twins import write_twins
from nas.prepare.reopen import Trained
from nas.problem.drop import limit_on_drop
from nas.problem.trial import Trial
from nas.run.own_files import kept_model
from nas.system.files import write_json
from nas.system.hosts import host_of_timing, unlike
from nas.system.reporter import Reporter, Silent


def finish(
    trained: Trained,
    trials: Sequence[Trial],
    reporter: Reporter,
    *,
    times_again: bool = False,
) -> None:
    """Export, measure and verify finalists and reference networks; write front.json.

    Args:
        trained: The run.
        trials: All of the search.
        reporter: Told how far it is.
        times_again: As in `Exporter`.
    """
    run, config, problem, phases = trained.run, trained.config, trained.problem, trained.phases
    finalist: Callable[[Trial], Entry] = inherited
    queue: Sequence[Trial] = finalist_order(problem, trials)
    num_finalists = phases.finalists
    if phases.finetune_s and queue and limit_on_drop(problem.limits):
        queue, finalist = finalists_within_drop(trained, trials)
        num_finalists = len(queue)
    elif phases.finetune_s and queue:
        plan = final_training(trained, queue, Silent())
        finalist, queue = plan.finalist, plan.queue
    reporter.phase("finalists", "exporting, timing and verifying")
    exporter = Exporter(
        run,
        problem,
        trained.scorer,
        trained.data,
        make_timers(config),
        times_again,
    )
    others = [e for e in asked_for(run, problem.space) if times_again or exporter.has_card(e)]
    contest = Contest(
        queue=queue,
        num_finalists=num_finalists,
        finalist=finalist,
        others=others,
        references=references(
            problem, phases.random_references, config.seed, kept_model(run.path, config)
        ),
    )
    contest, exporter = rejoined(trained, contest, exporter)
    num_networks = len(contest.references) + len(contest.others) + num_finalists
    front = choose_front(exporter, contest, _counted(reporter, 2 * num_networks + 1))
    settle(run, front["members"], (row["key"] for row in front["references"]))
    write_twins(run, problem.space, front["members"])
    drops = paired_drops(run, front, trained.scorer.task.shown)
    write_json(run.path / "front.json", front | ({"drops": drops} if drops else {}) | of_plan(run))
    cards = [read_card(run.path / FRONT / key / CARD) for key in front["members"]]
    files = [file for card in cards for file in card["files"].values() if "latency" in file]
    if text := unlike("latencies", (host_of_timing(file["latency"]) for file in files)):
        run.event("finalists", "message", text=text)
        reporter.note(text)


def _counted(reporter: Reporter, of: int) -> Callable[[str], None]:
    """Each call is one of about `of` steps; replaced finalists can need a few more."""
    numbers = itertools.count(1)

    def progress(text: str) -> None:
        reporter.advance(min(next(numbers), of), of, text)

    return progress
