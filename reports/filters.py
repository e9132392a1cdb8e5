"""What the front's plot and table can be narrowed down to: precision and operators.

A network's tags are words such as "precision:int8" and "operator:window"; a button has one tag, and
filters.js shows the networks that have any of the pressed precisions and all pressed operators.
"""

import json
from collections.abc import Mapping
from typing import Any

from reports import operators, text
from reports.markup import Html, element, join
from reports.records import RunTables
from search_spaces import MIXED, precision_of


def tags(arch: Mapping[str, Any], policy: Mapping[str, Any]) -> list[str]:
    """What a network can be found by."""
    names = sorted(set(text.operators(arch)))
    return [f"precision:{precision_of(policy)}", *(f"operator:{name}" for name in names)]


def tags_attribute(arch: Mapping[str, Any], policy: Mapping[str, Any]) -> str:
    """The tags as the text of a `data-tags` attribute."""
    return json.dumps(tags(arch, policy))


def bar(run: RunTables) -> Html | None:
    """The buttons; none where no button would tell networks apart."""
    decided = [(m.arch, m.policy) for m in run.members]
    decided += [(trial.arch, trial.policy) for trial in run.trials]
    found = {precision_of(policy) for _, policy in decided}
    formats = sorted(found, key=lambda name: (name == MIXED, name))
    groups = [
        ("Precision", "precision", formats),
        ("Uses", "operator", operators.used(run)),
    ]
    drawn = [_group(name, kind, words) for name, kind, words in groups if len(words) > 1]
    if not drawn:
        return None
    reset = element("button", "Show all", type="button", id="filter-reset", disabled="")
    status = element("span", role="status", id="filter-status")
    # NOTE: hidden until filters.js runs; without it the buttons would do nothing.
    return element("div", *drawn, join(reset, status), class_="filters", id="filters", hidden="")


def axes() -> Html:
    """The buttons that choose the plot's horizontal axis."""
    words = (("measured latency", "latency"), ("bit cost", "bits"))
    buttons = [
        element(
            "button",
            word,
            type="button",
            class_="toggle",
            aria_pressed="true" if name == "latency" else "false",
            data_axis=name,
        )
        for word, name in words
    ]
    label = element("span", "Horizontal axis", class_="filter-name")
    group = element(
        "div", label, *buttons, role="group", aria_label="Horizontal axis", class_="filter-group"
    )
    # NOTE: hidden until main.js runs, as the buttons above.
    return element("div", group, class_="filters", id="axes", hidden="")


def _group(name: str, kind: str, words: list[str]) -> Html:
    buttons = [
        element(
            "button",
            word,
            type="button",
            class_="toggle",
            aria_pressed="false",
            data_tag=f"{kind}:{word}",
        )
        for word in words
    ]
    label = element("span", name, class_="filter-name")
    return element("div", label, *buttons, role="group", aria_label=name, class_="filter-group")
