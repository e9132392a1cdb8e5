"""Work on a trained supernet's members in processes beside each other."""

from collections.abc import Callable, Iterator, Sequence
from contextlib import nullcontext
from typing import Any

import torch

from nas.scoring.scorer import Scorer
from supernets._worker import in_processes
from supernets.team import shared


def beside(scorer: Scorer, work: Callable[[Any], Any], messages: Sequence[Any]) -> Iterator[Any]:
    """What `work` makes of every message, in order: one process per core that torch may use.

    Args:
        scorer: Whose supernet the work has; its weights lie in shared memory meanwhile.
        work: Goes to other processes by pickle.
        messages: If there is one, this process does the work.
    """
    processes = min(torch.get_num_threads(), len(messages))
    with shared(scorer.supernet) if processes > 1 else nullcontext():
        yield from in_processes(work, messages, processes=processes)
