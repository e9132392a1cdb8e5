"""The frame of every page: one offline file with its style, its data and its script inside.

Text from files reaches a page through `reports.markup` only, and the content security policy lets
nothing run or load but the page's own script. Plots are drawn by the scripts from the data block
(own SVG: a page of about 150 kB opens at once where an inlined plotly.js is 4.8 MB).
"""

import base64
import hashlib
import json
import string
from collections.abc import Mapping
from importlib import resources

from reports.markup import Html, escaped

SCRIPTS = ("axes.js", "tips.js", "plots.js", "filters.js", "main.js")


def document(*, title: str, body: Html, data: Mapping[str, object]) -> str:
    """A whole page."""
    script = "\n".join(_asset(name) for name in SCRIPTS)
    digest = base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()
    return string.Template(_asset("template.html")).substitute(
        title=escaped(title),
        style=_asset("style.css"),
        body=body,
        data=as_script(data),
        script=script,
        script_hash=f"sha256-{digest}",
    )


def as_script(data: Mapping[str, object]) -> str:
    """JSON that is safe inside a script element."""
    # NOTE: "<" is the only character that can end or open anything inside a script element.
    return json.dumps(data, allow_nan=False, separators=(",", ":")).replace("<", "\\u003c")


def _asset(name: str) -> str:
    return resources.files("reports").joinpath(name).read_text(encoding="utf-8")
