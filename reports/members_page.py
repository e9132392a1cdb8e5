"""The networks of a report in HTML: the table of numbers, and each one stage by stage."""

from collections.abc import Sequence
from urllib.parse import quote

from reports import text
from reports.charts import SHAPES, kind, shape
from reports.markup import Html, element, join
from reports.records import Member

GROUPS = (  # (head, columns below it)
    ("Network", ("Key",)),
    ("Accuracy, %", ("search", "test", "test fp32")),
    ("Latency, ms", ("measured", "fp32", "predicted")),
    ("File", ("size", "fp32")),
    ("Cost", ("MACs", "params")),
    ("Policy", ("precision, sparsity",)),
    ("", ("Files",)),
)
FILE_NAMES = {
    "model.onnx": "ONNX",
    "model.fp32.onnx": "ONNX fp32",
    "model.safetensors": "checkpoint",
    "card.json": "card",
}
NUM_OPERATOR_COLOURS = 6


def anchor(member: Member) -> str:
    """The id of the network's picture on the page."""
    return quote(member.folder.replace("/", "-"), safe="")


def table(members: Sequence[Member]) -> Html:
    """One row per network; a list of cards on a narrow screen."""
    top = [element("th", head, colspan=len(columns), scope="colgroup") for head, columns in GROUPS]
    below = [element("th", name, scope="col") for _, columns in GROUPS for name in columns]
    head = element("thead", element("tr", *top), element("tr", *below))
    rows = [_row(member) for member in members]
    drawn = element("table", head, element("tbody", *rows), class_="members")
    return element("div", drawn, class_="scroll")


def _row(member: Member) -> Html:
    deployed, unquantized = member.deployed, member.unquantized
    search, test, timing = deployed.search, deployed.test, deployed.latency
    flag = element("small", "bimodal", class_="warning") if timing.is_bimodal else None
    latency = _measured(text.significant(timing.median_ms), text.span(timing.interval_ms))
    cells = [
        ("search %", _measured(text.percent(search.fraction), text.percent_range(search.interval))),
        ("test %", _measured(text.percent(test.fraction), text.percent_range(test.interval))),
        ("test fp32 %", text.percent(unquantized.test.fraction)),
        ("latency ms", join(latency, flag)),
        ("fp32 ms", text.significant(unquantized.latency.median_ms)),
        ("predicted ms", text.significant(deployed.latency_predicted_ms)),
        ("size", text.size(deployed.bytes)),
        ("size fp32", text.size(unquantized.bytes)),
        ("MACs", text.count(member.macs)),
        ("params", text.count(member.params)),
    ]
    numbers = [element("td", value, class_="number", data_label=name) for name, value in cells]
    return element(
        "tr",
        element("th", _icon(member), _link(member), *_badges(member), scope="row"),
        *numbers,
        element("td", _policy(member), class_="policy", data_label="policy by stage"),
        element("td", _files(member), class_="wide", data_label="files"),
        class_="reference" if member.is_reference else None,
        data_member=member.folder,
    )


def _measured(value: str, interval: str) -> Html:
    return join(value, element("small", interval) if interval else None)


def _icon(member: Member) -> Html:
    """The network's marker in the plot."""
    member_kind = kind(member)
    return element(
        "svg",
        element("path", d=SHAPES[shape(member_kind)], class_=f"mark {member_kind}"),
        viewBox="-1.5 -1.5 3 3",
        width=13,
        height=13,
        aria_hidden="true",
    )


def _link(member: Member) -> Html:
    return element("a", member.key, href=f"#{anchor(member)}", class_="key")


def _badges(member: Member) -> list[Html]:
    badges = [element("span", member.name, class_="badge")] if member.is_reference else []
    if member.is_knee:
        badges.append(element("span", "knee", class_="badge strong"))
    return badges + [element("small", f"≈ tie: {key}", class_="tie") for key in member.tied_with]


def _policy(member: Member) -> Html:
    chips = [_chip(stage) for stage in text.stages(member.arch, member.policy)]
    shown = [chip for chip in chips if chip is not None]
    return element("span", *(shown or [Html(text.MISSING)]), class_="chips")


def _chip(stage: text.StageText) -> Html | None:
    """Precision and share removed of one stage; nothing is written where nothing is removed."""
    removed = stage.sparsity if stage.sparsity != "0" else ""
    if not stage.precision and not removed:
        return None
    tone = "chip" if stage.precision in ("fp32", "") else "chip low"
    share = element("small", removed, title="share of channels removed") if removed else None
    return element("span", stage.precision, share, class_=tone)


def _files(member: Member) -> Html:
    names = [file.name for file in member.files] + ["card.json"]
    links = [
        element("a", FILE_NAMES.get(name, name), href=f"../{quote(f'{member.folder}/{name}')}")
        for name in names
    ]
    return element("span", *links, class_="files")


def networks(members: Sequence[Member]) -> Html:
    """A picture in words of each network: stages, operators, widths, precision, sparsity."""
    pictures = [text.stages(member.arch, member.policy) for member in members]
    operators = sorted({op for stages in pictures for s in stages for op, _ in s.blocks if op})
    colours = {op: f"op{i % NUM_OPERATOR_COLOURS}" for i, op in enumerate(operators)}
    articles = [
        _network(member, stages, colours) for member, stages in zip(members, pictures, strict=True)
    ]
    return element("div", *articles, class_="networks")


def _network(member: Member, stages: tuple[text.StageText, ...], colours: dict[str, str]) -> Html:
    rows = []
    for stage in stages:
        settings = join(", ".join(stage.settings), _chip(stage))
        blocks = [
            element("span", element("b", op), f" {options}", class_=f"block {colours.get(op, '')}")
            for op, options in stage.blocks
        ]
        rows += [
            element("dt", stage.name),
            element("dd", element("p", settings), element("p", *blocks, class_="blocks")),
        ]
    return element(
        "article",
        element("h3", _icon(member), element("span", member.key, class_="key"), *_badges(member)),
        element("dl", *rows),
        id=anchor(member),
        class_="network",
    )
