"""A process in which a device is invented. Started by `placement.py`.

Reads `wanted`, pairs of kind and name, and `plugins` as JSON from stdin; writes what fails, and
why, as JSON to stdout.
"""

import json
import sys

from nas.testing.placement import failure
from search_spaces import load_plugin_texts


def main() -> None:
    """Runs the job on stdin."""
    job = json.load(sys.stdin)
    load_plugin_texts(job["plugins"])
    found = {f"{kind} '{name}'": failure(kind, name) for kind, name in job["wanted"]}
    print(json.dumps({what: why for what, why in found.items() if why}))


if __name__ == "__main__":
    main()
