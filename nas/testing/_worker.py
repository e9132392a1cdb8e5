"""A fresh process that says what a controller proposes in it. Started by `controllers.py`.

Reads `controller` and `plugins` as JSON from stdin; writes keys of candidates to stdout.
"""

import json
import sys

from nas.testing.controllers import proposed_by
from search_spaces import PluginFile, load_plugin


def main() -> None:
    """Answers what is asked on stdin."""
    job = json.load(sys.stdin)
    for plugin in job["plugins"]:
        load_plugin(PluginFile(*plugin))
    print(*proposed_by(job["controller"]))


if __name__ == "__main__":
    main()
