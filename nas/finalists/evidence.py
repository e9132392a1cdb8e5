"""What rounds of training have shown so far, and what is expected of candidates by that.

    brought_judged.json    what the network that was brought is worth, image by image

It is judged once, beside the first round.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from nas.finalists.baseline import as_brought, baseline_of
from nas.finalists.field import Field
from nas.finalists.finetuning import FOLDER
from nas.finalists.judge import JUDGED, judged_drop
from nas.finalists.recovery import Recovery, chance_within
from nas.finalists.round_folders import round_folder
from nas.finalists.train import recipe_of
from nas.prepare.reopen import Trained
from nas.problem.drop import NORMAL_95, Drop
from nas.scoring.scorer import Scorer
from nas.standalone.train import PLAN
from nas.system.files import read_json, understood

BROUGHT = "brought_judged.json"

SHARES = (0.3, 0.7)
"""Of the time for training finalists further, by round."""


@dataclass(frozen=True)
class Expected:
    """What candidates are expected to lose in the end, by place in the field.

    Attributes:
        mean_N: Drops.
        deviation_N: Their standard deviations.
        recovery: What trainings have taught.
    """

    mean_N: np.ndarray
    deviation_N: np.ndarray
    recovery: Recovery

    def chance(self, limit: float) -> np.ndarray:
        """Probability of holding the limit, (N,)."""
        return chance_within(self.mean_N, self.deviation_N, limit)

    def row(self, place: int) -> dict[str, Any]:
        """Of one candidate, as recovery.json has it."""
        mean, half = float(self.mean_N[place]), NORMAL_95 * float(self.deviation_N[place])
        return {"drop": mean, "interval": [mean - half, mean + half]}


@dataclass(frozen=True)
class Evidence:
    """Of one run; rounds are numbered from 0.

    Attributes:
        trained: The run.
        field: Who may be trained.
        scorer: Judges.
    """

    trained: Trained
    field: Field
    scorer: Scorer

    def judge_brought(self) -> np.ndarray:
        """The shown metric of each image of the network that was brought, (N,)."""
        run = self.trained.run

        def judged() -> dict[str, Any]:
            return {"schema": 1, "shown": self.scorer.shown(as_brought(self.trained)).tolist()}

        document = run.decided(BROUGHT, judged)
        with understood(f"'{run.path / BROUGHT}'"):
            return np.array(document["shown"], float)

    def expected(self, number: int) -> Expected:
        """At the end, of those that are trained from this round on."""
        field, known = self.field, self.known(number)
        keys = [trial.candidate.key for trial in field.trials]
        places = [keys.index(key) for key in known]
        baseline, images = baseline_of(self.trained), self._images(known)
        learnt = Recovery.guessed(baseline.error, baseline.gap)
        if known:
            first = [drops[0] for drops in known.values()]
            learnt = learnt.after(1.0, SHARES[0]).learnt(field.shared_N[places].tolist(), first)
        more = images * sum(SHARES[number:]) / SHARES[0]
        mean_N, deviation_N = learnt.after(images, more).expected(field.shared_N)
        for place, drops in zip(places, known.values(), strict=True):
            before = learnt.after(images, len(drops) * images)
            gain = before.share - learnt.after(images, len(drops) * images + more).share
            mean_N[place] = drops[-1].value - gain * max(0.0, float(field.shared_N[place]))
            deviation_N[place] = np.hypot(drops[-1].deviation, learnt.misfit)
        return Expected(mean_N, deviation_N, learnt)

    def known(self, number: int) -> dict[str, list[Drop]]:
        """Drops after each training in rounds before this one, by key of the candidate."""
        found: dict[str, list[Drop]] = {}
        if not number:
            return found
        brought_N, shown = self.judge_brought(), self.scorer.task.shown
        for trial in self.field.trials:
            key = trial.candidate.key
            drops = [judged_drop(self.judged(key, n), brought_N, shown) for n in range(number)]
            if known := [drop for drop in drops if drop is not None]:
                found[key] = known
        return found

    def _images(self, known: Iterable[str]) -> float:
        """Mean number of images of the first trainings; 0 without any."""
        images = []
        for key in known:
            folders = [self.judged(key, number).parent for number in range(len(SHARES))]
            plans = [folder / PLAN for folder in folders] + [folders[0].parent / PLAN]
            document = read_json(next(plan for plan in plans if plan.exists()))
            images.append(document["steps"] * document["batch_size"])
        return float(np.mean(images)) if images else 0.0

    def judged(self, key: str, number: int) -> Path:
        """What the training of a candidate in a round was worth."""
        recipe = recipe_of(self.trained.config)
        candidate = next(t.candidate for t in self.field.trials if t.candidate.key == key)
        folder = self.trained.run.path / FOLDER / recipe.key(candidate)
        return round_folder(folder, number + 1) / JUDGED
