"""Where processes that this one starts look for modules."""

import os
from pathlib import Path


def search_path() -> dict[str, str]:
    """Variables of the environment with which Python finds our packages, wherever it is started.

    The working directory is not searched: a user's `random.py` there would be imported for ours.
    """
    root = str(Path(__file__).parents[1])
    path = os.pathsep.join(filter(None, [root, os.environ.get("PYTHONPATH")]))
    return {"PYTHONPATH": path, "PYTHONSAFEPATH": "1"}
