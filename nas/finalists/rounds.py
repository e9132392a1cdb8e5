"""Finalists of a search with `--max-drop`: each round of training tells whom to train next.

What a candidate loses with shared weights says little of what it loses once it is trained further.
So in a first, short round as many candidates as there are cores are trained, from one that seems
too small to one that may do, and judged on the search split. What is left of their drops says what
to expect of all (`nas/finalists/recovery.py`). The last round trains as many again: those that make
the network that will be the fastest within the limit as fast as possible, in expectation. Who was
trained before goes on from there; the others keep what they have.

    finetune_plan_1.json       who is trained in a round (`nas/finalists/train.py`)
    finetunes/<key>/round1/    a training and what it was worth (`nas/finalists/judge.py`)
    recovery.json              what rounds showed, what is expected at the end, and who is measured

Files alone decide what is on the front.
"""

import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from nas.finalists.baseline import Baseline, baseline_of
from nas.finalists.entry import Entry
from nas.finalists.evidence import SHARES, Evidence
from nas.finalists.field import Field, field_of
from nas.finalists.finetuning import FOLDER, read_finetuned
from nas.finalists.judge import Judge, judging_scorer
from nas.finalists.recovery import Recovery, promising, straddling
from nas.finalists.round_folders import settle
from nas.finalists.shares import MOST_SLOWNESS
from nas.finalists.train import (
    LEAST_SHARE,
    FinalTraining,
    final_training,
    jobs_within,
    recipe_of,
    seconds_left,
)
from nas.prepare.reopen import Trained
from nas.problem.drop import DROP, limit_on_drop
from nas.problem.problem import Problem
from nas.problem.trial import Trial
from nas.standalone.beside import num_beside, shown_by, train_beside
from nas.standalone.train import NETWORK
from nas.system.files import read_json, understood
from nas.system.reporter import Reporter
from search_spaces import UserError

PLANS = ("finetune_plan_1.json", "finetune_plan_2.json")
RECOVERY = "recovery.json"

LEVELS = (0.2, 0.5)
"""How likely the boldest and the safest candidate of the first round are within the limit."""

USUAL_SLOWNESS = 1.5
"""Of two networks that are trained at a time, beside one: cores are often threads of one core."""

HOPELESS = 0.025
"""Who is less likely within the limit after its last round is not measured."""


def explored_problem(problem: Problem, baseline: Baseline) -> Problem:
    """The problem with a limit on drops of scores that leaves room for what training recovers."""
    guessed = Recovery.guessed(baseline.error)
    limits = (
        replace(limit, max=guessed.shared_limit(limit.max)) if limit.metric == DROP else limit
        for limit in problem.limits
    )
    return replace(problem, limits=tuple(limits))


def train_within_drop(trained: Trained, trials: Sequence[Trial], reporter: Reporter) -> None:
    """Train finalists further in rounds, if the plan has time for it."""
    run, finetune_s = trained.run, trained.phases.finetune_s
    field = field_of(trained.problem, trials, baseline_of(trained).gap)
    if not finetune_s or not field.trials:
        return
    with run.phase("finetune"):
        began = time.monotonic()
        evidence = Evidence(trained, field, judging_scorer(trained))
        rounds = Rounds(evidence, reporter)
        with ThreadPoolExecutor(1) as beside:
            slowness = rounds.train(0, SHARES[0] * finetune_s, meanwhile=beside)
        document = run.decided(RECOVERY, rounds.recovery)
        with understood(f"'{run.path / RECOVERY}'"):
            reporter.note(_in_words(trained, document))
            left_s = _left_s(trained, len(document["measured"]), time.monotonic() - began)
        rounds.train(1, left_s, slowness)
        rounds.settle()


def finalists_within_drop(
    trained: Trained, trials: Sequence[Trial]
) -> tuple[list[Trial], Callable[[Trial], Entry]]:
    """Who is measured, all of them trained further, and with which weights.

    Raises:
        UserError: If that was not decided.
    """
    run, space = trained.run, trained.problem.space
    field = field_of(trained.problem, trials)
    by_key = {trial.candidate.key: trial for trial in field.trials}
    if by_key and not (run.path / RECOVERY).exists():
        raise UserError(
            f"run '{run.path}' has no {RECOVERY}: its finalists were chosen by another version of "
            "this program. Use that one, or search again with another --out."
        )

    recipe = recipe_of(trained.config)

    def folder(trial: Trial) -> Path:
        return run.path / FOLDER / recipe.key(trial.candidate)

    if not by_key:
        return [], lambda trial: read_finetuned(folder(trial), space)
    with understood(f"'{run.path / RECOVERY}'"):
        measured = [by_key[key] for key in read_json(run.path / RECOVERY)["measured"]]
    queue = [trial for trial in measured if (folder(trial) / NETWORK).exists()]
    return queue, lambda trial: read_finetuned(folder(trial), space)


@dataclass(frozen=True)
class Rounds:
    """The rounds of one run; numbers begin with 0.

    Attributes:
        evidence: What they have shown so far, of whom.
        reporter: Told how far it is.
    """

    evidence: Evidence
    reporter: Reporter

    @property
    def trained(self) -> Trained:
        """The run."""
        return self.evidence.trained

    @property
    def field(self) -> Field:
        """Who may be trained."""
        return self.evidence.field

    @property
    def limit(self) -> float:
        """The largest drop."""
        limit = limit_on_drop(self.trained.problem.limits)
        assert limit is not None
        return limit.max

    def train(
        self,
        number: int,
        seconds: float,
        slowness: float = 0.0,
        *,
        meanwhile: ThreadPoolExecutor | None = None,
    ) -> float:
        """Decides who is trained in this round, trains them, and judges all but the last.

        Args:
            number: Of the round.
            seconds: For it.
            slowness: By this factor trainings take longer than tests of their speed say, which are
                made while other cores are idle; 0 for what is usual.
            meanwhile: Judges the network that was brought, once speeds are known.

        Returns:
            That factor, as it was in this round, with what else it takes; 0 if all was done before.
        """
        began, which = time.monotonic(), f"round {number + 1} of {len(SHARES)}"
        self.reporter.phase("finetune", f"training candidates alone, {which}")
        plan = self._plan(number)
        first = plan.queue[: len(plan.step_s)]
        size = num_beside(len(first))
        left_s = max(LEAST_SHARE * seconds, seconds - (time.monotonic() - began))
        left_s /= slowness or (USUAL_SLOWNESS if size > 1 else 1.0)
        judged = meanwhile.submit(self.evidence.judge_brought) if meanwhile else None
        is_last, finetuning = number == len(SHARES) - 1, plan.finetuning
        is_new = not all(finetuning.is_over(trial.candidate) for trial in first)
        judges = {finetuning.key(trial.candidate): self._judge(trial, number) for trial in first}
        jobs = (
            job if is_last else replace(job, after=judges[job.name])
            for job in jobs_within(first, plan, left_s)
        )
        started = time.monotonic()
        progress = shown_by(self.reporter, list(judges))
        train_beside(jobs, processes=size, on_progress=progress)
        taken = (time.monotonic() - started) / left_s
        if judged:
            judged.result()
        for trial in first:
            job = finetuning.job(trial.candidate)
            if not is_last and job.is_finished:  # killed before it was judged
                judges[job.name].read_back(job)
        return min(MOST_SLOWNESS, max(1.0, taken)) if is_new else 0.0

    def _judge(self, trial: Trial, number: int) -> Judge:
        """Of a training in a round."""
        file = self.evidence.judged(trial.candidate.key, number)
        return Judge(self.evidence.scorer, trial.candidate, file)

    def settle(self) -> None:
        """Who was not in the last round keeps what earlier ones gave."""
        recipe = recipe_of(self.trained.config)
        for trial in self.field.trials:
            settle(self.trained.run.path / FOLDER / recipe.key(trial.candidate))

    def recovery(self) -> dict[str, Any]:
        """recovery.json, before the last round."""
        last, known = len(SHARES) - 1, self.evidence.known(len(SHARES) - 1)
        keys = [trial.candidate.key for trial in self.field.trials]
        expected, plan = self.evidence.expected(last), self._plan(last)
        finalists = [trial.candidate.key for trial in plan.queue[: len(plan.step_s)]]
        rows = {key: expected.row(keys.index(key)) for key in finalists}
        for key in [key for key in known if key not in rows]:
            drop = known[key][-1]
            if drop.chance_within(self.limit) >= HOPELESS:
                rows[key] = {"drop": drop.value, "interval": list(drop.interval)}
        return {
            "schema": 1,
            "images": self.evidence.scorer.num_images,
            "trained": [
                {"key": key, "shared": float(self.field.shared_N[keys.index(key)])}
                | {"drops": [drop.value for drop in drops], "interval": drops[-1].interval}
                for key, drops in known.items()
            ],
            "offset": expected.recovery.line[0],
            "share": expected.recovery.share,
            "finalists": finalists,
            "expected": rows,
            "measured": list(rows),
        }

    def _plan(self, number: int) -> FinalTraining:
        """Who is trained in a round and how, as decided when this run first came to it."""
        phases, file = self.trained.phases, PLANS[number]
        size = num_beside(phases.finalists)
        short = replace(phases, finalists=size, finetune_s=SHARES[number] * phases.finetune_s)
        ranked = self._ranked(number, size)
        plan = final_training(replace(self.trained, phases=short), ranked, self.reporter, file=file)
        is_last = number == len(SHARES) - 1
        finetuning = replace(plan.finetuning, round=0 if is_last else number + 1)
        return replace(plan, finetuning=finetuning)

    def _ranked(self, number: int, size: int) -> list[Trial]:
        """Candidates in the order in which they deserve to be trained in a round."""
        chance_N, field = self.evidence.expected(number).chance(self.limit), self.field
        if number:
            picked = promising(field.costs_N, chance_N, field.brought_cost, size)
        else:
            levels = np.linspace(*LEVELS, size).tolist() if size > 1 else [sum(LEVELS) / 2]
            picked = straddling(field.costs_N, chance_N, levels)
        likely = np.argsort(-chance_N, kind="stable").tolist()
        return [self.field.trials[place] for place in dict.fromkeys([*picked, *likely])]


def _left_s(trained: Trained, num_measured: int, spent_s: float) -> float:
    """Seconds for the last round: what the run has left, whatever was planned wrongly so far."""
    run, config, phases = trained.run, trained.config, trained.phases
    planned_s = SHARES[-1] * phases.finetune_s
    others = phases.random_references + len(config.precision)
    measuring_s = float(read_json(run.path / "search_plan.json").get("finalists_s", 0.0))
    measuring_s *= (num_measured + others) / (phases.finalists + others)
    most_s = planned_s / LEAST_SHARE
    return seconds_left(trained, planned_s, spent_s + measuring_s, most_s=most_s)


def _in_words(trained: Trained, document: dict[str, Any]) -> str:
    """What the first round has shown, and who is trained on: a sentence."""
    shown = trained.scorer.task.shown

    def text(drop: float) -> str:
        return f"{shown.factor * drop:.2f}"

    went = (" -> ".join(map(text, [row["shared"], *row["drops"]])) for row in document["trained"])
    hopes = (f"{key} ({text(document['expected'][key]['drop'])})" for key in document["finalists"])
    return (
        f"drops with shared weights and after a short training, "
        f"{'points' if shown.is_share else shown.unit}: {', '.join(went)}; "
        f"trained on, with the drop that is expected: {', '.join(hopes)}"
    )
