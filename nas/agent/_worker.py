"""One process that loads a file of others and says which kernels it has. Started by `work.py`.

Reads from stdin, as JSON, `target`, `file`, `threads`, `batch` and `budget_s`, in which calls with
timed nodes begin; none if it is 0. Writes `integer_kernels` and `nodes`, or `error`, to stdout.
"""

import json
import os
import sys
from dataclasses import asdict
from pathlib import Path
from typing import Any

from nas.targets import TimesNodes, choose
from search_spaces import CandidateError


def main() -> None:
    """Answers the question on stdin."""
    results = os.fdopen(os.dup(sys.stdout.fileno()), "w")
    os.dup2(sys.stderr.fileno(), sys.stdout.fileno())  # whatever libraries print
    asked = json.load(sys.stdin)
    print(json.dumps(_answer(asked)), file=results, flush=True)


def _answer(asked: dict[str, Any]) -> dict[str, Any]:
    target, file = choose(asked["target"]).target, Path(asked["file"])
    try:
        nodes = []
        if asked["budget_s"] > 0.0:
            assert isinstance(target, TimesNodes)
            nodes = target.node_times(
                file,
                threads=asked["threads"],
                batch=asked["batch"],
                budget_s=asked["budget_s"],
            )
        return {
            "integer_kernels": target.integer_kernels(file),
            "nodes": [asdict(node) for node in nodes],
        }
    except CandidateError as error:
        return {"error": str(error)}


if __name__ == "__main__":
    main()
