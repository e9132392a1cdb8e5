"""The pages of operators in the docs: what each is, its picture, options, costs and source.

Markdown that is made of declarations and docstrings whenever the docs are built, so that nothing
of it can be out of date.
"""

import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from html import escape

from nas.bench.entrants import block_of, usual_options
from nas.inspect.documented import Documented, documented, paragraphs_of
from nas.inspect.drawing import drawing
from nas.inspect.flows import flow_of
from search_spaces import CandidateError, Registry
from search_spaces.channel_attentions import CHANNEL_ATTENTIONS
from search_spaces.channel_parts import CHANNEL_PARTS
from search_spaces.norms import NORMS
from search_spaces.operators import OPERATORS
from search_spaces.trunk import TRUNK
from supernets.network import elastic_class

WIDTH, SIDE = 64, 16
"""Channels and pixels at which costs are stated and pictures are drawn."""

FOLDER = "operators"


@dataclass(frozen=True)
class Group:
    """A page of operators.

    Attributes:
        file: Its name.
        title: Of the page.
        text: What they have in common.
        mixing: How they mix positions; None for those that do so in several ways.
    """

    file: str
    title: str
    text: str
    mixing: tuple[str, ...] | None


GROUPS = (
    Group(
        "convolution.md",
        "Convolutions",
        "Positions are mixed by convolutions: small, large, of the whole map, or made of spectra.",
        ("convolution",),
    ),
    Group("attention.md", "Attention", "Positions ask each other, or a state.", ("attention",)),
    Group(
        "mixer.md",
        "MLPs and spectra",
        "Positions are mixed by layers over positions or over frequencies.",
        ("mixer",),
    ),
    Group("several.md", "Several at once", "Positions are mixed in two ways.", None),
    Group("fixed.md", "Without weights", "Nothing is learnt; for cells.", ()),
)

PARTS: tuple[tuple[str, Registry], ...] = (
    ("Channel parts", CHANNEL_PARTS),
    ("Channel attentions", CHANNEL_ATTENTIONS),
    ("Norms with their activations", NORMS),
    ("Stems, downsamplings and heads", TRUNK),
)


@dataclass(frozen=True)
class Page:
    """A page.

    Attributes:
        file: In the folder of the docs.
        title: In the navigation.
        text: Markdown.
    """

    file: str
    title: str
    text: str


def operator_pages() -> Iterator[Page]:
    """All of them, the first one leading to the others."""
    found = [documented(name, width=WIDTH, side=SIDE) for name in OPERATORS.names()]
    yield Page(f"{FOLDER}/index.md", "Operators", _index(found))
    for group in GROUPS:
        own = [one for one in found if _belongs(one, group)]
        texts = [f"# {group.title}", group.text, *(_section(one) for one in own)]
        yield Page(f"{FOLDER}/{group.file}", group.title, _paragraphs(texts))
    yield Page(f"{FOLDER}/parts.md", "Parts of blocks and ends", _paragraphs(_parts()))


def picture_of(name: str, *, is_alone: bool = False) -> str:
    """An operator's block as an SVG; "" if it cannot be drawn.

    Args:
        name: Of the operator; of a mixer without the slot's channel part.
        is_alone: As `drawing` takes it.
    """
    try:
        signature = block_of(name, usual_options(name), width=WIDTH, side=SIDE)
        parts = flow_of(elastic_class(name).plain(signature))
    except (CandidateError, LookupError, ValueError):
        return ""
    return drawing(parts, f"Parts of {name}", is_alone=is_alone)


def _belongs(one: Documented, group: Group) -> bool:
    return len(one.mixing) > 1 if group.mixing is None else one.mixing == group.mixing


def _index(found: Sequence[Documented]) -> str:
    rows = [
        (
            f"[`{one.name}`]({group.file}#{one.name})",
            _text(one.definition),
            _mmacs(one),
            _thousands(one),
        )
        for group in GROUPS
        for one in found
        if _belongs(one, group)
    ]
    texts = [
        "# Operators",
        f"What a slot may be filled with, {len(found)} in all. Costs are those of a block of "
        f"{WIDTH} channels on a map of {SIDE}x{SIDE} positions with usual options, the slot's "
        "channel part included. `nas space operators --width 96 --side 14` says them for "
        "others, and `nas space operators NAME` what these pages say. [Search spaces of your "
        "own](../spaces.md) says how a space offers operators, [Techniques](../techniques.md) how "
        "each is checked against its paper, [Parts of blocks and ends](parts.md) what blocks are "
        "combined with.",
        "A picture shows the parts of a block from the top to the bottom, as the network computes "
        "them; what only moves numbers about is left out. That of a mixer is followed by the "
        "slot's channel part.",
        _table(("operator", "what it is", "MMACs", "1000 parameters"), rows),
    ]
    return _paragraphs(texts)


def _section(one: Documented) -> str:
    kind = "A mixer: the slot's channel part follows it" if one.is_mixer else "A block"
    more = one.more if one.more.rstrip(".") != one.definition else ""
    picture = picture_of(one.name)
    options = [(f"`{o.name}`", o.allowed, o.usual and f"`{o.usual}`") for o in one.options]
    cost = f"Multiply-adds: {one.formula}" if one.formula else ""
    if one.macs is not None:
        size = f"{WIDTH} channels, {SIDE}x{SIDE} positions, usual options"
        cost += f" At {size}: {_mmacs(one)} million, {_thousands(one)} thousand parameters."
    texts = [
        f"## `{one.name}`",
        f"**{_text(one.definition)}.** {_text(more)} {kind}.",
        f'<figure class="operator">{picture}</figure>' if picture else "",
        _table(("option", "may be", "usual"), options) if options else "",
        _text(cost),
        _text(one.source),
    ]
    return _paragraphs(texts)


def _parts() -> Iterator[str]:
    yield "# Parts of blocks and ends"
    yield "What blocks are combined with, and what stands around them. A stage offers them by name."
    for title, registry in PARTS:
        yield f"## {title}"
        rows = []
        for name in registry.names():
            cls = registry.get(name)
            rows.append((f"`{name}`", _text(paragraphs_of(cls)[0]), _text(_source_of(cls))))
        yield _table(("name", "what it is", "source"), rows)


def _source_of(cls: type) -> str:
    paragraphs = paragraphs_of(sys.modules[cls.__module__])
    return next((text for text in paragraphs if text.startswith("Source")), "")


def _mmacs(one: Documented) -> str:
    return "-" if one.macs is None else f"{one.macs / 1e6:.2f}"


def _thousands(one: Documented) -> str:
    return "-" if one.params is None else f"{one.params / 1e3:.1f}"


def _table(header: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    lines = [header, ["---"] * len(header), *rows]
    cells = ([cell.replace("|", "\\|") for cell in line] for line in lines)
    return "\n".join(f"| {' | '.join(line)} |" for line in cells)


def _text(text: str) -> str:
    """Docstrings as Markdown: what looks like markup there is none."""
    return escape(text, quote=False).replace("**", "\\*\\*").replace("[", "\\[")


def _paragraphs(texts: Sequence[str] | Iterator[str]) -> str:
    return "\n\n".join(text.strip() for text in texts if text.strip()) + "\n"
