"""Networks that may be guessing are no results.

One that guesses gives the best same answer for all images of this split: what that gets follows
from how many images there are of each class. Where labels are images or masks, networks must beat
what the task says that needs no learning.
"""

from collections.abc import Iterable, Mapping
from typing import Any

import numpy as np

from nas.data import DataSet
from nas.front.folders import DEPLOYED
from search_spaces import AbstractDenseTask, Confusion, Metric, task_in
from supernets.plan import BALANCED

LUCK, LUCK_OF_CLASSES = 1e-3, 1e-2
"""How often a network that guesses is taken for one that has learnt: by its metric, by classes.

A search split may have two images of a rare class: who finds both must be a result.
"""

LEAST_DEVIATION = 1e-9
"""Of a metric that is the same for all images."""

GUESSES = "may be guessing"
"""How the reason begins for which such a network is replaced."""

NO_BETTER = "may be no better than"
"""The same where labels are images or masks."""

RARE = 0.5
"""A class with less than this of an equal share of the training images is rare."""


def guesses(card: Mapping[str, Any]) -> str:
    """Why a network is no result, if its answers on the search split may be guesses; else "".

    Where answers are classes, a network is a result also if it surely tells one of them from the
    others: one that finds some of a rare class is, though calling nothing so may be right more
    often.
    """
    found, task = card["files"][DEPLOYED]["accuracy"]["search"], task_in(card)
    # Cards of earlier versions do not count labels.
    known = task.untaught_in(found, num_classes=len(card["classes"]))
    if known is None:
        return ""
    guessing, shown, confusion = known[1], task.shown, Confusion.of_record(found)
    if luck(found, shown, guessing) < LUCK:
        return ""
    if isinstance(task, AbstractDenseTask):
        fact = f"{shown.title} {shown.text(found[shown.name])}"
        return f"{NO_BETTER} {task.untaught}: {fact} against {shown.text(guessing)}"
    if confusion is not None and luck_of_classes(confusion) < LUCK_OF_CLASSES:
        return ""
    if shown.is_share:
        fact = f"{found['correct']} of {found['total']} right"
    else:
        fact = f"{shown.title} {shown.text(found[shown.name])}"
    return f"{GUESSES}: {fact}, one answer for all images gets {shown.text(guessing)}"


def luck(found: Mapping[str, Any], shown: Metric, guessing: float) -> float:
    """How probable it is that guessing is as good as this record of a split; one-sided.

    Where the record has the deviation of what the network gains on each image, that is looked at.
    """
    from scipy.stats import binom, norm  # takes longer to import than to use

    if shown.is_share:
        return float(binom.sf(found["correct"] - 1, found["total"], guessing))
    gain = shown.signed(guessing) - shown.signed(found[shown.name])
    deviation = found.get("untaught", found)["deviation"] or LEAST_DEVIATION
    return float(norm.sf(gain * found["total"] ** 0.5 / deviation))


def luck_of_classes(confusion: Confusion) -> float:
    """How probable it is that as many answers find some class by chance.

    Fisher's exact test of every class against the others, one-sided: right answers are
    hypergeometric if answers do not depend on the image, however often each is given. The smallest
    of the probabilities, times the number of tests (Bonferroni), because any of them would do; of
    two classes both tests are the same.
    """
    from scipy.stats import hypergeom

    least = np.array(confusion.right) - 1
    lucks = hypergeom.sf(least, sum(confusion.labels), confusion.labels, confusion.answers)
    num_tests = len(lucks) if len(lucks) > 2 else 1
    return float(min(1.0, lucks.min() * num_tests))


def remedy(reasons: Iterable[str], data: DataSet) -> str:
    """What to do about a front without members, as a sentence without its end.

    Args:
        reasons: Why networks are no members.
        data: Classes of its training images are counted.
    """
    if not any(reason.startswith((GUESSES, NO_BETTER)) for reason in reasons):
        return "Raise --time, or the budget"
    if data.train.labels_N.ndim > 1:
        return "Raise --time, or add images"
    labels = np.bincount(data.train.labels_N, minlength=data.num_classes)
    rarest = int(labels.argmin())
    if labels[rarest] >= RARE * labels.mean():
        return "Raise --time, or add images"
    name = f"'{data.classes[rarest]}' ({labels[rarest]} of {labels.sum()} training images)"
    return (
        f"Raise --time, add images of rare classes such as {name}, or give --set "
        f"class_weights={BALANCED}"
    )
