"""A process that scores candidates of a run.

    python -m nas.prepare._scoring_worker RUN NUM_WORKERS

Writes one line when it is ready, then a line of JSON (`metrics`, `failure`) for every line of JSON
that it reads (`encoding`). Ends with its input, so it does not outlive who started it.
"""

import json
import os
import sys
from pathlib import Path


def main() -> None:
    """Serves until the input ends."""
    answers = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)  # what libraries print must not be taken for an answer
    import torch

    from nas.prepare.reopen import read_scorer
    from nas.run.directory import read_config_of
    from nas.system.environment import num_cores
    from nas.system.reporter import Silent

    run, num_workers = Path(sys.argv[1]), int(sys.argv[2])
    config = read_config_of(run)
    torch.set_num_threads(config.threads or max(1, num_cores() // num_workers))
    scorer = read_scorer(run, Silent())
    print("ready", file=answers, flush=True)
    for line in sys.stdin:
        candidate = scorer.supernet.space.candidate(json.loads(line)["encoding"])
        score = scorer(candidate)
        print(
            json.dumps({"metrics": dict(score.metrics), "failure": score.failure}),
            file=answers,
            flush=True,
        )


if __name__ == "__main__":
    main()
