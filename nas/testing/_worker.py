"""A fresh process that says what a controller proposes in it. Started by `controllers.py`.

Reads `controller` and `plugins` as JSON from stdin; writes keys of candidates to stdout.
"""

import json
import sys

from nas.testing.controllers import proposed_by
from search_spaces import load_plugin_texts


def main() -> None:
    """Runs the job on stdin."""
    job = json.load(sys.stdin)
    load_plugin_texts(job["plugins"])
    print(*proposed_by(job["controller"]))


if __name__ == "__main__":
    main()
