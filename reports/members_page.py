"""The networks of a report: the table of numbers, and each one in a picture and in words."""

from collections.abc import Callable, Sequence
from urllib.parse import quote

from reports import filters, gains, parts_picture, pictures, text
from reports.axes import SHAPES
from reports.front_plot import kind, shape
from reports.markup import Html, element, join
from reports.records import UNTUNED, Member, ModelledCosts
from search_spaces import Metric

BIT_COST = "bit cost"
GROUPS = (  # (head, columns below it); that of the task's metric comes second
    ("Network", ("Key",)),
    ("Latency, ms", ("measured", "fp32", "predicted")),
    ("File", ("size", "size fp32")),
)
POLICY = ("Policy", ("precision, sparsity",))
AGAINST_HEAD = "Against brought"
FILE_NAMES = {
    "model.onnx": "ONNX",
    "model.fp32.onnx": "fp32",
    "model.safetensors": "weights",
    "model.fp32.safetensors": "fp32 weights",
    "card.json": "card",
}
TAUGHT = {
    "none": ", without a teacher",
    "largest": ", taught by the largest network",
    "brought": ", taught by the network as it was brought",
    "": "",
}


def anchor(member: Member) -> str:
    """The id of the network's picture on the page."""
    return quote(member.folder.replace("/", "-"), safe="")


def table(members: Sequence[Member], shown: Metric) -> Html:
    """One row per network; a list of cards on a narrow screen. Buttons of the head sort it."""
    of_metric = (f"{shown.axis}, {shown.unit}".rstrip(", "), ("search", "test", "test fp32"))
    has_gains = any(member.gain for member in members)
    has_bits = any(member.bit_ops is not None for member in members)
    against = ((AGAINST_HEAD, ("faster", "smaller", "change")),) if has_gains else ()
    costs = ("Cost", ("MACs", "params", *((BIT_COST,) if has_bits else ())))
    groups = (*GROUPS[:1], of_metric, *GROUPS[1:], *against, costs, POLICY)
    top = [element("th", head, colspan=len(columns), scope="colgroup") for head, columns in groups]
    names = [(head, name) for head, columns in groups for name in columns]
    below = [_sorter(head, name, place) for place, (head, name) in enumerate(names)]
    files = element("th", "Files", scope="col", rowspan=2)
    head = element("thead", element("tr", *top, files), element("tr", *below, class_="sorters"))
    rows = [_row(member, has_bits=has_bits) for member in members]
    drawn = element("table", head, element("tbody", *rows), class_="members", id="members")
    return element(
        "div", drawn, class_="scroll", tabindex=0, role="region", aria_label="Networks in numbers"
    )


def _sorter(head: str, name: str, column: int) -> Html:
    """The head of a column; a narrow screen has no group heads, so it names the group itself."""
    group = element("span", f"{head.partition(',')[0]} ".lower(), class_="group-name")
    label = join(group if head.partition(",")[0] != "Network" else None, name)
    button = element("button", label, type="button", class_="sorter", data_column=column)
    return element("th", button, scope="col", aria_sort="none")


def _row(member: Member, *, has_bits: bool) -> Html:
    deployed, unquantized = member.deployed, member.unquantized
    search, test, timing = deployed.search, deployed.test, deployed.latency
    flag = element("small", "bimodal", class_="warning") if timing.is_bimodal else None
    latency = _measured(text.significant(timing.median_ms), text.span(timing.interval_ms))
    used = timing.energy_mj
    energy = None if used is None else element("small", f"{text.significant(used)} mJ")
    metric = member.task.shown
    scored = _measured(text.score(search.shown, metric), text.score_range(search.interval, metric))
    tested = _measured(text.score(test.shown, metric), text.score_range(test.interval, metric))
    fp32, fp32_ms = unquantized.test.shown, unquantized.latency.median_ms
    predicted = deployed.latency_predicted_ms
    costs = member.modelled or ModelledCosts()
    cells: list[tuple[str, object, float | None]] = [
        (f"search {metric.unit}".rstrip(), scored, search.shown),
        (f"test {metric.unit}".rstrip(), tested, test.shown),
        (f"test fp32 {metric.unit}".rstrip(), text.score(fp32, metric), fp32),
        ("latency ms", join(latency, energy, flag), timing.median_ms),
        ("fp32 ms", text.significant(fp32_ms), fp32_ms),
        ("predicted ms", text.significant(predicted), predicted),
        ("size", _modelled(text.size, deployed.bytes, costs.size_bytes), deployed.bytes),
        ("size fp32", text.size(unquantized.bytes), unquantized.bytes),
        *_gains(member),
        ("MACs", _modelled(text.count, member.macs, costs.macs), member.macs),
        ("params", text.count(member.params), member.params),
    ]
    if has_bits:
        cells.append((BIT_COST, text.count(member.bit_ops), member.bit_ops))
    numbers = [
        element("td", shown, class_="number", data_label=name, data_sort=value)
        for name, shown, value in cells
    ]
    name = (element("span", _icon(member), _link(member), class_="name"), *_badges(member))
    precisions = text.per_stage(member.arch, member.policy, "precision")
    return element(
        "tr",
        element("th", *name, scope="row", data_sort=member.key),
        *numbers,
        element(
            "td",
            _policy(member),
            class_="policy",
            data_label="policy by stage",
            data_sort=precisions,
        ),
        element("td", _files(member), class_="wide", data_label="files"),
        class_="reference" if member.is_reference else None,
        data_member=member.folder,
        data_tags=filters.tags_attribute(member.arch, member.policy),
    )


def _gains(member: Member) -> list[tuple[str, object, float | None]]:
    """Against the network that was brought; nothing where none was."""
    gain, shown = member.gain, member.task.shown
    if gain is None:
        return []
    known = filter(None, [gains.change_range(gain, shown), gains.expectation(gain, shown)])
    change = _measured(gains.change(gain, shown), ", ".join(known))
    return [
        ("faster", gains.times(gain.times_faster), gain.times_faster),
        ("smaller", gains.times(gain.times_smaller), gain.times_smaller),
        ("change", change, gain.change),
    ]


def _modelled(
    said: Callable[[float | None], str], value: float | None, modelled: float | None
) -> Html:
    """A cost as it is, and as it would be with kernels for the network's patterns."""
    return _measured(said(value), "" if modelled is None else f"modelled {said(modelled)}")


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
    badges = [element("span", member.role, class_="badge")] if member.role else []
    badges += [element("small", f"over {limit}", class_="warning") for limit in member.over_limits]
    if member.is_knee:
        badges.append(element("span", "knee", class_="badge strong"))
    if member.finetuned is not None:
        badges.append(element("span", "fine-tuned", class_="badge tuned"))
    if member.is_altered:
        badges.append(element("small", "altered", class_="warning"))
    if member.is_untuned:
        badges.append(element("span", UNTUNED, class_="badge"))
    return badges + [element("small", f"≈ tie: {key}", class_="tie") for key in member.tied_with]


def _policy(member: Member) -> Html:
    chips = [_chip(stage) for stage in text.stages(member.arch, member.policy)]
    shown = [chip for chip in chips if chip is not None]
    return element("span", *(shown or [Html(text.MISSING)]), class_="chips")


def _chip(stage: text.StageText) -> Html | None:
    """Precision, share removed and pattern of one stage; only what there is."""
    removed = stage.sparsity if stage.sparsity != "0" else ""
    if not stage.precision and not removed and not stage.pattern:
        return None
    tone = "chip low" if stage.is_quantized else "chip"
    share = element("small", removed, title="share of channels removed") if removed else None
    pattern = element("small", stage.pattern, title="sparsity pattern") if stage.pattern else None
    return element("span", stage.precision, share, pattern, class_=tone)


def _files(member: Member) -> Html:
    names = [file.name for file in member.files] + ["card.json"]
    links = [
        element("a", FILE_NAMES.get(name, name), href=f"../{quote(f'{member.folder}/{name}')}")
        for name in names
    ]
    return element("span", *links, class_="files")


def networks(members: Sequence[Member]) -> Html:
    """Each network in a picture and in words: stages, operators, widths, precision, sparsity."""
    ink = pictures.Ink.of(members)
    articles = [_network(member, ink) for member in members]
    if any(map(parts_picture.parts_of, members)):
        legend = element("p", parts_picture.RULES, class_="note")
    else:
        legend = join(pictures.patterns(), pictures.legend(ink))
    return join(legend, element("div", *articles, class_="networks"))


def _network(member: Member, ink: pictures.Ink) -> Html:
    rows, parts = [], parts_picture.parts_of(member)
    is_large = len(parts) > parts_picture.LARGE or pictures.is_large(member)
    for stage in text.stages(member.arch, member.policy):
        settings = join(", ".join(stage.settings), _chip(stage))
        blocks = [
            element("span", element("b", op), f" {options}", class_=f"block {ink.colours.get(op)}")
            for op, options in stage.blocks
        ]
        rows += [
            element("dt", stage.name),
            element("dd", element("p", settings), element("p", *blocks, class_="blocks")),
        ]
    return element(
        "article",
        element("h3", _icon(member), element("span", member.key, class_="key"), *_badges(member)),
        element("p", finetuning(member), class_="note") if member.finetuned else None,
        parts_picture.picture(member, parts) if parts else pictures.picture(member, ink),
        element("details", element("summary", "In words"), element("dl", *rows)),
        id=anchor(member),
        class_="network large" if is_large else "network",
    )


def finetuning(member: Member) -> str:
    """Where a fine-tuned network comes from: "Fine-tuned from 3f2a for 300 steps (2 epochs)"."""
    tuned = member.finetuned
    if tuned is None:
        return ""
    steps = "" if tuned.steps is None else f" for {tuned.steps} steps"
    epochs = "" if tuned.epochs is None else f" ({tuned.epochs:g} epochs)"
    data = f" on {tuned.data}" if tuned.data else ""
    teacher = TAUGHT.get(tuned.teacher, f", taught by {tuned.teacher}")
    begun = f"Grown from {tuned.grown_from} and trained" if tuned.grown_from else ""
    begun = begun or f"Fine-tuned from {tuned.source}"
    computed = f", in {tuned.trained_in}" if tuned.trained_in else ""
    return f"{begun}{steps}{epochs}{data}{teacher}{computed}"
