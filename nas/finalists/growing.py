"""Training a larger network that begins with the function of a smaller one."""

from dataclasses import replace

from compress.sparse import sparsify_
from nas.finalists.entry import Entry, trained_network
from nas.finalists.finetuning import Finetuning
from nas.prepare.reopen import Trained
from search_spaces import Candidate, UserError
from supernets.calibrate import recalibrated
from supernets.growth import grown
from supernets.network import PlainNetwork


def network_of(trained: Trained, entry: Entry) -> PlainNetwork:
    """The network of an entry before compression, in evaluation mode, with statistics of its own.

    Args:
        trained: The run.
        entry: With shared weights, or trained further.
    """
    space, scorer = trained.problem.space, trained.scorer
    network, learnt = trained_network(space, entry)
    if network is None:
        network = scorer.extracted(space.slots(entry.candidate.encoding))
    if learnt is None:
        recalibrated(network, scorer.calibration)
    return network


def growing(
    trained: Trained, finetuning: Finetuning, entry: Entry, larger: Candidate
) -> Finetuning:
    """What trains a larger candidate from the function of an entry's network.

    Of a candidate whose weights have a pattern, the function is what the pattern leaves of it.

    Args:
        trained: The run.
        finetuning: How, but for where it begins.
        entry: The smaller network.
        larger: What it is to be.

    Raises:
        UserError: If it is not larger, or cannot compute the same.
    """
    if larger.key == entry.candidate.key:
        raise UserError(
            f"--grow-to names network '{larger.key}', which is the one that is to grow. Name a "
            "larger one, or options of which it has more, or leave it out."
        )
    slots = trained.problem.space.slots(larger.encoding)
    start = grown(network_of(trained, entry), slots, seed=finetuning.plan.seed)
    sparsify_(start, slots, trained.scorer.calibration)
    recipe = replace(finetuning.recipe, grown_from=entry.key)
    return replace(finetuning, recipe=recipe, start=start)
