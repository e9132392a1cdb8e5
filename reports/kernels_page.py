"""Trained kernels on the page: per layer how many do nothing, and how alike the others are."""

from statistics import mean

from reports import text
from reports.axes import Json
from reports.diagnoses import Filters, LayerFilters
from reports.documents import Json as Document
from reports.documents import as_number, as_text, as_whole, list_at, table_at, tables_at
from reports.markup import Html, element, numbers, section
from reports.members_page import anchor
from reports.records import RunTables

MANY_NEAR_ZERO, LITTLE_ENTROPY = 0.3, 0.3
"""Beyond these a layer is named: many of its kernels do nothing, or they repeat one another."""

HEAD = ("Layer", "Kernel", "Filters", "Near zero, %", "Entropy", "Orthogonality")
MEANING = (
    "Kernels larger than 1x1, before quantization, with batch norm folded. Near zero: kernels "
    "without a weight above a hundredth of the layer's largest. Entropy: 1 for kernels like noise, "
    "as in layers that were not trained enough, 0 for kernels that repeat one another. "
    "Orthogonality: 1 less the mean cosine between outputs. Named are layers with more than "
    f"{MANY_NEAR_ZERO:.0%} near zero or an entropy below {LITTLE_ENTROPY}."
)


def read_filters(document: Document) -> Filters | None:
    """What filters.json says; None where nothing was measured."""
    networks = tuple(
        (as_text(row.get("key")), tuple(map(_layer, tables_at(row, "layers"))))
        for row in tables_at(document, "networks")
    )
    found = table_at(document, "distortion")
    return (
        Filters(
            networks=networks,
            near_zero_tau=as_number(found.get("near_zero")),
            repetition_tau=as_number(found.get("repetition")),
            parts=as_whole(found.get("parts")),
        )
        if networks
        else None
    )


def _layer(row: Document) -> LayerFilters:
    sides = [str(as_whole(side) or 0) for side in list_at(row, "kernel_size")]
    return LayerFilters(
        layer=as_text(row.get("layer")),
        kernel_size="x".join(sides),
        filters=as_whole(row.get("filters")),
        near_zero=as_number(row.get("near_zero")),
        entropy=as_number(row.get("entropy")),
        orthogonality=as_number(row.get("orthogonality")),
    )


def is_degenerate(layer: LayerFilters) -> bool:
    """Whether many of its kernels do nothing, or they repeat one another."""
    near_zero, entropy = layer.near_zero or 0.0, layer.entropy
    return near_zero > MANY_NEAR_ZERO or (entropy is not None and entropy < LITTLE_ENTROPY)


def sentences(run: RunTables) -> list[str]:
    """Which layers are degenerate, by network, and what that has to do with pruning."""
    if run.filters is None:
        return []
    found = [_sentence(key, layers) for key, layers in run.filters.networks if layers]
    return [*found, *_of_pruning(run.filters)]


def _sentence(key: str, layers: tuple[LayerFilters, ...]) -> str:
    named = [layer.layer for layer in layers if is_degenerate(layer)]
    shares = [layer.near_zero for layer in layers if layer.near_zero is not None]
    share = text.percent(mean(shares)) if shares else text.MISSING
    said = f"{key}: {share} % of kernels near zero in the mean of {len(layers)} layers"
    return f"{said}; degenerate: {', '.join(named)}" if named else f"{said}; none is degenerate"


def _of_pruning(found: Filters) -> list[str]:
    if found.parts is None:
        return []
    taus = {
        "of the share near zero": found.near_zero_tau,
        "of repetition (1 less the entropy)": found.repetition_tau,
    }
    said = [f"{text.significant(tau, 2)} {what}" for what, tau in taus.items() if tau is not None]
    numbers_said = ", ".join(said) or "not known, because all are alike"
    return [
        f"Kendall tau, over {found.parts} parts, with what pruning them does to outputs: "
        f"{numbers_said}. Below 0, degenerate parts lose less."
    ]


def filters(run: RunTables, plots: Json) -> Html | None:
    """The section of the page; None where `nas report --filters` has measured nothing."""
    if run.filters is None:
        return None
    of_front = {member.key: member for member in run.front}
    tables = [
        element(
            "details",
            element("summary", key),
            element("div", numbers(HEAD, list(map(_row, layers))), class_="scroll", tabindex=0),
            id=f"filters-{anchor(of_front[key])}",
        )
        for key, layers in run.filters.networks
        if key in of_front and layers
    ]
    return section(
        "Filters",
        element("ul", *(element("li", line) for line in sentences(run)), class_="plain"),
        *tables,
        element("p", MEANING, class_="note"),
    )


def _row(layer: LayerFilters) -> list[str]:
    return [
        layer.layer,
        layer.kernel_size,
        text.count(layer.filters),
        text.percent(layer.near_zero),
        text.significant(layer.entropy, 2),
        text.significant(layer.orthogonality, 2),
    ]
