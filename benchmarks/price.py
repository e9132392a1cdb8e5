"""The price of weight sharing: two members against the same networks trained alone.

    python benchmarks/price.py RUN

The largest member (within the run's limits) and the smallest one, unpruned and in fp32, are trained
alone from fresh weights for as many steps as the supernet was. That is more than the supernet gave
to exactly these networks, as members take turns. Both are judged on the whole search and test
splits. Continues if interrupted (RUN/price).
"""

import argparse
from dataclasses import replace
from pathlib import Path

import numpy as np

from nas.prepare.plan import training_images
from nas.prepare.reopen import Trained, reopened
from nas.problem.feasible import largest_member
from nas.scoring.scorer import Scorer
from nas.standalone.train import alone_plan, fresh_network, trained_alone
from nas.system.progress import Lines
from search_spaces import Candidate


def main() -> None:
    """Prints a row per network."""
    from rich.console import Console

    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("run", type=Path)
    reporter = Lines(Console())
    trained = reopened(parser.parse_args().run, reporter)
    splits = {"search": trained.data.search, "test": trained.data.test}
    space = trained.problem.space
    assert space.costs is not None
    smallest = space.candidate(space.costs.minimum("macs")[1])
    steps = trained.train_plan.steps
    print(f"{steps} steps of {trained.train_plan.batch_size} images each")
    for name, candidate in (
        ("largest", largest_member(trained.problem)),
        ("smallest", plain(trained, smallest)),
    ):
        reporter.phase("price", f"training the {name} alone")
        network = fresh_network(space, candidate, trained.config.seed)
        trained_alone(
            network,
            training_images(trained.data),
            trained.run.folder(f"price/{candidate.key}"),
            lambda: alone_plan(trained.train_plan, steps=steps),
            on_step=lambda numbers, of: reporter.advance(int(numbers["step"]), of),
        )
        supernet = trained.scorer.supernet
        alone = trained.scorer.compressed(candidate, network).fp32
        shared = trained.scorer.compressed(candidate).fp32
        macs = space.costs.of("macs", np.array([candidate.encoding]))[0]
        for split, images in splits.items():
            judge = Scorer(supernet, replace(trained.data, search=images), len(images))
            found = {"shared": judge.quality(shared), "alone": judge.quality(alone)}
            text = ", ".join(
                f"{kind} {quality['accuracy']:.1%} (log-loss {quality['log_loss']:.4f})"
                for kind, quality in found.items()
            )
            print(f"{name}, {macs / 1e6:.1f} MMACs, {split}: {text}")


def plain(trained: Trained, candidate: Candidate) -> Candidate:
    """The candidate unpruned and in the first format."""
    space = trained.problem.space
    encoding = list(candidate.encoding)
    for column in (*space.columns("precision"), *space.columns("sparsity")):
        encoding[column] = 0
    return space.candidate(encoding)


if __name__ == "__main__":
    main()
